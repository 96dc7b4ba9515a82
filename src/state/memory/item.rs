//! What a key can hold in memory.

use std::collections::{HashMap, VecDeque};
use std::mem::size_of;

use bytes::Bytes;

use super::table::Weighed;
use crate::state::{EventId, LogLimits};

pub(super) enum Item {
    Record(Bytes),
    Group(Group),
    Log(Log),
}

/// The members of a group, without their records.
#[derive(Default)]
pub(super) struct Group {
    /// Each with the number of its last use: the higher, the later.
    pub(super) members: HashMap<Box<str>, u64>,
}

#[derive(Default)]
pub(super) struct Log {
    events: VecDeque<(EventId, Bytes)>,
    bytes: usize,
    /// The last value of each field that an event was to be appended for once.
    pub(super) told: HashMap<Box<str>, Box<str>>,
}

/// What an event costs beside its content.
const EVENT_BYTES: usize = size_of::<(EventId, Bytes)>();
/// What a member costs beside its name: maps keep room to grow.
const MEMBER_BYTES: usize = 2 * size_of::<(Box<str>, u64)>();

impl Log {
    pub(super) fn push(&mut self, id: EventId, event: Bytes, limits: LogLimits) {
        self.bytes += event.len() + EVENT_BYTES;
        self.events.push_back((id, event));
        while (self.events.len() > limits.max_events || (self.bytes > limits.max_bytes && self.events.len() > 1))
            && let Some((_, event)) = self.events.pop_front()
        {
            self.bytes -= event.len() + EVENT_BYTES;
        }
    }

    pub(super) fn after(&self, after: Option<EventId>) -> impl Iterator<Item = &(EventId, Bytes)> {
        // `None` comes before every id.
        let start = self.events.partition_point(|(id, _)| Some(*id) <= after);
        self.events.range(start..)
    }
}

impl Group {
    pub(super) fn touch(&mut self, member: &str) {
        let next = self.members.values().max().map_or(0, |last| last + 1);
        self.members.insert(member.into(), next);
    }

    /// All members, those unused for longest first.
    pub(super) fn by_use(&self) -> Vec<Box<str>> {
        let mut members: Vec<_> = self.members.iter().map(|(member, used)| (*used, member.clone())).collect();
        members.sort_unstable_by_key(|(used, _)| *used);
        members.into_iter().map(|(_, member)| member).collect()
    }
}

impl Weighed for Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Record(value) => value.len(),
            Self::Group(group) => group.members.keys().map(|member| member.len() + MEMBER_BYTES).sum(),
            Self::Log(log) => {
                log.bytes + log.told.iter().map(|(field, value)| field.len() + value.len() + MEMBER_BYTES).sum::<usize>()
            }
        }
    }
}
