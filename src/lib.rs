//! Pressmark: a stateless Streamable HTTP server for the Model Context Protocol that gives agents files, search and
//! storage. The modules, from the ground up: a module uses only those above it in this list.

mod json_text;
pub mod path;

pub mod auth;

pub mod files;
pub mod search;
pub mod state;

pub mod changes;

pub mod call;

pub mod prompts;
pub mod resources;
pub mod tools;

pub mod mcp;

pub mod http;

pub mod config;

pub mod app;
pub mod cli;
pub mod telemetry;
