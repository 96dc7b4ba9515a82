//! The stream of one call: on the connection that made it, or on any that resumes it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::Session;
use super::calls::Calls;
use super::event::{Event, EventName, Sent, StreamName};
use super::event_log::EventLog;
use super::runner::Found;
use super::signals::Stop;
use crate::auth::Principal;
use crate::mcp::{McpError, RequestId, write_error};
use crate::state::{EventId, StateError};

/// How often a follower looks whether the call is still run by somebody.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often it looks after a call that waits for the client; also how long it is silent at most, well under the 60 s after
/// which common balancers close a connection.
const IDLE_EVERY: Duration = Duration::from_secs(15);
/// Before reading again from a shared state that was away.
const RETRY: Duration = Duration::from_millis(500);

/// Follows the events of one call, and sees to it that the call goes on.
pub struct CallStream {
    calls: Calls,
    session: Arc<Session>,
    principal: Arc<Principal>,
    request: RequestId,
    stream: StreamName,
    log: EventLog,
    /// Does this connection resume the stream of another?
    resumes: bool,
    /// Why there will be no more than the log holds now.
    ending: Option<Found>,
    ended: bool,
    look_at: Instant,
    idle_at: Instant,
    stop: Stop,
}

impl CallStream {
    pub(super) async fn open(
        calls: &Calls,
        session: &Arc<Session>,
        principal: &Arc<Principal>,
        request: RequestId,
        stream: StreamName,
        after: Option<EventId>,
    ) -> Result<Self, StateError> {
        let log = EventLog::follow(Arc::clone(calls.state()), session, stream.clone(), after.unwrap_or(EventLog::START)).await?;
        let now = Instant::now();
        Ok(Self {
            calls: calls.clone(),
            session: Arc::clone(session),
            principal: Arc::clone(principal),
            request,
            log,
            resumes: after.is_some(),
            ending: None,
            ended: false,
            // Who resumes may have been on the replica that died.
            look_at: if after.is_some() { now } else { now + LOOK_EVERY },
            idle_at: now + IDLE_EVERY,
            stop: calls.0.signals.wait_as(format!("{}{stream}/follower", session.name())),
            stream,
        })
    }

    /// The session's revision.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The name of the event that was sent last; before the first one, a name for the beginning.
    #[must_use]
    pub fn position(&self) -> EventName {
        EventName { stream: self.stream.clone(), event: self.log.position() }
    }

    /// What is sent next; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Sent> {
        while !self.ended {
            if let Some(why) = self.ending {
                return self.rest(why).await;
            }
            tokio::select! {
                biased;
                // The session has ended.
                () = self.stop.told() => self.ended = true,
                event = self.log.next() => match event {
                    Ok((id, event)) => {
                        if let Some(sent) = self.sent(id, event) {
                            self.idle_at = Instant::now() + IDLE_EVERY;
                            return Some(sent);
                        }
                    }
                    Err(_) => sleep(RETRY).await,
                },
                () = sleep_until(self.look_at) => self.look_after_call().await,
                () = sleep_until(self.idle_at) => {
                    self.idle_at = Instant::now() + IDLE_EVERY;
                    if let Ok(false) = self.calls.0.sessions.keep(&self.session).await {
                        self.ended = true;
                        return None;
                    }
                    return Some(Sent::Idle);
                }
            }
        }
        None
    }

    /// What is left in the log of a call that nobody runs any more.
    async fn rest(&mut self, why: Found) -> Option<Sent> {
        while let Ok(Some((id, event))) = self.log.rest().await {
            if let Some(sent) = self.sent(id, event) {
                return Some(sent);
            }
            if self.ended {
                return None;
            }
        }
        self.ended = true;
        let lost = || {
            let error =
                McpError::Unavailable("the request was forgotten, as when there are too many of them; repeat it".to_owned());
            // The last event has been sent under its own id: a client may pass over what it has had.
            let EventId { ms, seq } = self.log.position();
            let id = EventName { stream: self.stream.clone(), event: EventId { ms, seq: seq.saturating_add(1) } };
            Sent::Message { id, message: write_error(Some(&self.request), &error).into() }
        };
        (why == Found::Gone).then(lost)
    }

    fn sent(&mut self, id: EventId, event: Event) -> Option<Sent> {
        let id = EventName { stream: self.stream.clone(), event: id };
        match event {
            Event::Message(message) => Some(Sent::Message { id, message }),
            Event::Last(message) => {
                self.ended = true;
                Some(Sent::Message { id, message })
            }
            Event::End => {
                self.ended = true;
                None
            }
            Event::Close(_) if !self.session.version.polls_streams() => None,
            // Who comes back has been closed by it already.
            Event::Close(_) if self.resumes && !self.log.is_live() => None,
            Event::Close(retry) => {
                self.ended = true;
                Some(Sent::Close { id, retry })
            }
            Event::Wake | Event::Owner => {
                self.look_at = Instant::now() + LOOK_EVERY;
                None
            }
        }
    }

    /// Sees whether the call is run, and goes on with it here if it is not.
    async fn look_after_call(&mut self) {
        self.look_at = Instant::now() + LOOK_EVERY;
        self.log.look_again();
        match self.calls.adopt(&self.session, &self.principal, &self.stream).await {
            Ok(Found::Running) | Err(_) => {}
            Ok(Found::Waiting) => self.look_at = Instant::now() + IDLE_EVERY,
            Ok(found @ (Found::Done | Found::Gone)) => self.ending = Some(found),
        }
    }
}
