//! Sessions of the handshake revisions, at the HTTP boundary: every request at whichever replica, over one Redis.

#[path = "../support/mod.rs"]
mod support;

mod agent;
mod asking;
mod batches;
mod cancelling;
mod credentials;
mod keeping;
mod lifecycle;
mod listening;
mod streaming;
mod tools;
mod visiting;
mod world;
