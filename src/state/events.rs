//! Events in a log: how they are told apart, and how long they stay.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The place of an event in its log. Ids of one log only ever grow, also when the log expires and begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// When the event was appended, in milliseconds since 1970 by the clock of the store.
    pub ms: u64,
    /// Which one of that millisecond.
    pub seq: u64,
}

/// How much of a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// The oldest events beyond this many go; so does what is remembered for [`Once`] when it has more fields.
    pub max_events: usize,
    /// The oldest events beyond so many bytes go, but never the newest.
    pub max_bytes: usize,
    /// The whole log expires this long after the last event was appended.
    pub ttl: Duration,
    /// How much the group may hold that the log's member is one of.
    pub group: GroupLimits,
}

/// How much a group may hold. Beyond it, the members that were unused for longest go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// Members.
    pub members: usize,
    /// Bytes of records and logs, roughly: what the store needs beside them counts where it is known. A group that
    /// exceeds it is cut to three quarters, so that a full one is not gone through each time.
    pub bytes: usize,
}

impl GroupLimits {
    /// So many members, of whatever size.
    #[must_use]
    pub const fn members(members: usize) -> Self {
        Self { members, bytes: usize::MAX }
    }

    /// To how many bytes a group is cut that has more than its limit.
    pub(super) fn bytes_after_cut(self) -> usize {
        self.bytes - self.bytes / 4
    }
}

/// Appends an event once although several replicas see what it tells: the log remembers the last value of each field for
/// as long as `ttl` after any of them was last named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once<'a> {
    /// What has changed.
    pub field: &'a str,
    /// What it has changed to. When this is what the log remembers, the event is not appended.
    pub value: &'a str,
}

/// A text is not an [`EventId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event id is two numbers with a hyphen between them")]
pub struct NotAnEventId;

impl EventId {
    /// The id just after this one, in a log whose clock shows `now`.
    pub(super) fn next(self, now: u64) -> Self {
        if now > self.ms { Self { ms: now, seq: 0 } } else { Self { ms: self.ms, seq: self.seq.saturating_add(1) } }
    }
}

/// `ms-seq`, as [`FromStr`] reads it.
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Reads what [`Display`](fmt::Display) writes and nothing else: an id has one form.
impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, NotAnEventId> {
        let (ms, seq) = text.split_once('-').ok_or(NotAnEventId)?;
        let number = |text: &str| text.parse().map_err(|_| NotAnEventId);
        let id = Self { ms: number(ms)?, seq: number(seq)? };
        // `+1-02` is read as numbers, too.
        if id.to_string() == text { Ok(id) } else { Err(NotAnEventId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form() {
        for id in [EventId { ms: 0, seq: 0 }, EventId { ms: u64::MAX, seq: u64::MAX }, EventId { ms: 1_700_000_000_000, seq: 7 }]
        {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let wrong =
            ["", "-", "1", "1-", "-1", "01-1", "1-01", "+1-1", "1-+1", "1--1", "1-1-1", " 1-1", "1-1 ", "1-18446744073709551616"];
        for text in wrong {
            assert_eq!(text.parse::<EventId>(), Err(NotAnEventId), "{text:?}");
        }
    }

    #[test]
    fn ids_grow_when_the_clock_stands_or_goes_back() {
        let first = EventId { ms: 5, seq: 0 };
        assert_eq!(first.next(5), EventId { ms: 5, seq: 1 });
        assert_eq!(first.next(3), EventId { ms: 5, seq: 1 });
        assert_eq!(first.next(6), EventId { ms: 6, seq: 0 });
        assert!(EventId { ms: 5, seq: 10 } > EventId { ms: 5, seq: 9 } && EventId { ms: 6, seq: 0 } > EventId { ms: 5, seq: 9 });
    }
}
