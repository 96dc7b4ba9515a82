//! The HTTP server's side: who may come in, and what is said to those who may not.

pub mod authenticate;
pub mod challenge;
pub mod well_known;
