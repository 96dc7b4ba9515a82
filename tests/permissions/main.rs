//! Who may do what: every tool, called over HTTP with tokens of every kind, on files of a real folder.

mod cursors;
mod gateways;
mod narrowed;
mod scopes;
mod sight;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod world;
