//! Resources, prompts, completion, subscriptions and questions of the real server, over HTTP.

mod capabilities;
mod completion;
mod confirmation;
mod file_changes;
mod prompts;
mod resources;
mod sealing_keys;
#[path = "../support/mod.rs"]
mod support;
mod world;
