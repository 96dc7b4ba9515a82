//! What integration tests start: real servers on free loopback ports, stopped when they go out of scope, and a client.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of the harness")]

pub mod certificate;
pub mod client;
pub mod in_process;
pub mod issuer;
pub mod nginx;
pub mod node;
pub mod open_files;
pub mod process;
pub mod redis;
pub mod server;
pub mod snapshot;
pub mod tokens;
