//! Nothing outside of the served folder is read, named or changed, whatever path a caller writes, whatever lies on the
//! disk and whatever is exchanged there meanwhile. Over HTTP, with every tool.

mod paths;
mod race;
#[path = "../support/mod.rs"]
mod support;
mod world;
