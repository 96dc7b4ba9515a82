//! What the tools work on: a tree of mounts in which every path is contained, and one caller's view of it.

mod error;

pub use error::FileError;
