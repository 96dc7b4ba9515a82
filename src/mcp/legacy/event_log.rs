//! Reading a log to its end, and what is appended to it later.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Session;
use super::event::{Event, StreamName};
use crate::state::{EventId, SharedState, StateError, Subscription, log_topic};

/// Events read at once.
const BATCH: usize = 64;

/// The events of one log in order, past and future.
#[derive(Debug)]
pub(super) struct EventLog {
    state: Arc<dyn SharedState>,
    group: String,
    member: String,
    stream: StreamName,
    subscription: Subscription,
    /// The event that was given last.
    after: EventId,
    batch: VecDeque<(EventId, Bytes)>,
    /// May there be events that have not been read?
    behind: bool,
    /// Has the end been seen once?
    caught_up: bool,
}

impl EventLog {
    /// Before the first event of any log.
    pub(super) const START: EventId = EventId { ms: 0, seq: 0 };

    /// Follows the log of a stream from after this event.
    pub(super) async fn follow(
        state: Arc<dyn SharedState>,
        session: &Session,
        stream: StreamName,
        after: EventId,
    ) -> Result<Self, StateError> {
        let (group, member) = (session.kept.clone(), session.stream_member(&stream));
        let subscription = state.subscribe(&log_topic(&group, &member)).await?;
        Ok(Self { state, group, member, stream, subscription, after, batch: VecDeque::new(), behind: true, caught_up: false })
    }

    /// The next event, with its id. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> Result<(EventId, Event), StateError> {
        loop {
            if let Some(event) = self.rest().await? {
                return Ok(event);
            }
            // Whatever the signal says: it is the log itself that tells what is new.
            self.subscription.next().await;
            self.behind = true;
        }
    }

    /// The next event, if it is there already.
    pub(super) async fn rest(&mut self) -> Result<Option<(EventId, Event)>, StateError> {
        loop {
            if let Some((id, event)) = self.batch.pop_front() {
                self.after = id;
                if let Some(event) = Event::decode(&event, &self.stream) {
                    return Ok(Some((id, event)));
                }
                continue;
            }
            if !self.behind {
                return Ok(None);
            }
            let read = self.state.read_log(&self.group, &self.member, Some(self.after), BATCH).await?;
            if read.is_empty() {
                self.behind = false;
                self.caught_up = true;
            }
            self.batch = read.into();
        }
    }

    /// Was the event that was given last appended after this log was opened?
    pub(super) fn is_live(&self) -> bool {
        self.caught_up
    }

    /// Reads again even if no message says that something is new: messages can be lost.
    pub(super) fn look_again(&mut self) {
        self.behind = true;
    }

    /// The event that was given last.
    pub(super) fn position(&self) -> EventId {
        self.after
    }
}
