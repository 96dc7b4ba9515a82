//! Short-lived state that all replicas share. Everything in it expires; losing it costs a caller one repeated call.

mod cursors;
mod memory;
mod redis;
mod store;

pub use cursors::{Cursor, CursorError, CursorKind, Cursors};
pub use memory::MemoryState;
pub use redis::{RedisState, RedisUrl, RedisUrlError};
pub use store::{SharedState, StateError, StateFuture};
