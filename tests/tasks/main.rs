//! Tasks: calls that outlive their request, seen at the HTTP boundary (extension `io.modelcontextprotocol/tasks`).

mod calls;
mod lifecycle;
mod limits;
mod listening;
mod questions;
mod replicas;
#[path = "../support/mod.rs"]
mod support;
mod tools;
