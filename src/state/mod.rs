//! Short-lived state that all replicas share: records, groups of records, event logs and topics.
//!
//! Everything in it expires, and everything in it may be lost: a Redis that restarts empty, a failover that had not been
//! told the last writes, or eviction under memory pressure. What a caller has to reckon with:
//!
//! - **A record or a member of a group** may be gone before its time, and so may the log of a member. Losing it costs one
//!   repeated call, or a new session.
//! - **A lease** ([`Lease`]) may be lost while it is held, so that two hold it for a moment: work under
//!   a lease ends with a [`SharedState::replace`] of the record that it works on, which only one of them wins.
//! - **An event log** may lose its newest events in a failover, and all of them in a restart. What is there is in order, and
//!   an event that was appended once is there once.
//! - **A message** is not kept at all: it reaches whoever subscribes at that moment. [`Signal::Gap`] tells a subscriber when
//!   messages may have passed it by. The links between the nodes of a cluster may lose one without a word, so whoever must
//!   not miss a change also looks now and then without being told.
//! - **An operation that fails** may have been done: the answer was lost, not necessarily the question.

mod cursors;
mod events;
mod keys;
mod lease;
mod memory;
mod redis;
mod store;
mod topics;
mod update;

pub use cursors::{Cursor, CursorError, CursorKind, Cursors, Handles};
pub use events::{EventId, GroupLimits, LogLimits, NotAnEventId, Once};
pub use keys::{log_topic, member_key};
pub use lease::Lease;
pub use memory::MemoryState;
pub use redis::{RedisCluster, RedisInspection, RedisLatency, RedisSentinel, RedisServer, RedisState, RedisUrl, RedisUrlError};
pub use store::{SharedState, StateError, StateFuture};
pub use topics::{Signal, Subscription};
pub(crate) use update::update_record;
