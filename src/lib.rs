//! Pressmark: a stateless Streamable HTTP server for the Model Context Protocol that gives agents files, search and
//! storage.
//!
//! # A server of your own
//!
//! In three steps, as in `examples/minimal.rs`:
//!
//! 1. Depend on the crate by its path or repository (`pressmark = { path = "../pressmark" }`), and on `serde` and
//!    `schemars`, for the arguments of tools.
//! 2. Implement [`Tool`](tools::Tool). [`App::tree`](app::App::tree) and [`View`](files::View) reach the served files with the
//!    rights of the caller. A tool asks its user with [`CallContext::elicit`](call::CallContext::elicit): the typed way is a
//!    type whose schema makes the form, and [`accepted`](call::ElicitResult::accepted) reads the answer
//!    (`examples/everything/asking.rs`). Prompts and resources have traits of their own.
//! 3. Give it to [`cli::serve`], which takes the options of `pressmark serve`; a program with a life of its own uses
//!    [`App`](app::App) and sets [`Settings`](config::Settings) itself.
//!
//! # The modules
//!
//! From the ground up: a module uses only those above it in this list.

mod background_thread;
mod json_text;
pub mod metrics;
pub mod path;
mod replace_file;
pub mod traces;
mod watched_files;

pub mod auth;

pub mod files;
pub mod search;
pub mod state;

pub mod changes;

pub mod call;

pub mod audit;

pub mod prompts;
pub mod resources;
pub mod tools;

pub mod mcp;

pub mod http;

pub mod config;

pub mod app;
pub mod cli;
pub mod telemetry;
