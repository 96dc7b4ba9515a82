//! What the sessions of one principal keep in the shared state beside themselves: calls with their streams, and what each
//! session has subscribed to with the stream of that. It is one group, so that it has one limit, and what belongs to a
//! session goes with it.

use std::time::Duration;

use super::Session;
use super::event::{CallName, StreamName};
use crate::state::{GroupLimits, LogLimits};

/// When one principal's sessions keep more, what was unused for longest is forgotten.
pub(super) const KEPT: GroupLimits = GroupLimits { members: 4_096, bytes: 16 * 1024 * 1024 };
/// Events of one stream.
const MAX_EVENTS: usize = 1_000;
/// The events of one stream together.
const MAX_STREAM_BYTES: usize = 1024 * 1024;

/// How much of a stream is kept.
pub(super) fn stream_limits(ttl: Duration) -> LogLimits {
    LogLimits { max_events: MAX_EVENTS, max_bytes: MAX_STREAM_BYTES, ttl, group: KEPT }
}

impl Session {
    /// The member of [`Self::kept`] that is a call.
    pub(super) fn call_member(&self, call: CallName) -> String {
        format!("{}{call}", self.name())
    }

    /// The member of [`Self::kept`] whose log this stream is.
    pub(super) fn stream_member(&self, stream: &StreamName) -> String {
        match *stream {
            StreamName::Get => format!("{}get", self.name()),
            StreamName::Call { call, .. } => self.call_member(call),
        }
    }
}
