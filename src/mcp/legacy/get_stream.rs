//! The stream that belongs to no call: changes of lists, and of resources that the session has subscribed to.
//!
//! One connection of a session has it at a time: the newest. It watches what the session has subscribed to and appends
//! what has changed to a log, which it follows; a resource that changes while no connection has the stream is told of to
//! the next one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll, select_all};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Session;
use super::calls::Calls;
use super::event::{Event, EventName, Sent, StreamName};
use super::event_log::EventLog;
use super::signals::Stop;
use crate::auth::Principal;
use crate::call::{Caller, Round};
use crate::changes::ListVersions;
use crate::state::{EventId, StateError};

/// How long the stream is silent at most, well under the 60 s after which common balancers close a connection.
const IDLE_EVERY: Duration = Duration::from_secs(15);
/// Before trying again a shared state that was away.
const RETRY: Duration = Duration::from_millis(500);

/// Follows what belongs to no call, and sees to it that the session is told of changes.
pub struct GetStream {
    calls: Calls,
    session: Arc<Session>,
    caller: Caller,
    log: EventLog,
    /// The event from which on the stream is this connection's.
    own: EventId,
    watched: HashMap<String, Watched>,
    updates: SelectAll<BoxStream<'static, (String, String)>>,
    lists: watch::Receiver<ListVersions>,
    told: ListVersions,
    resource_lists: SelectAll<BoxStream<'static, ()>>,
    idle_at: Instant,
    /// When to name all versions again, so that the log does not forget what it has told.
    name_at: Instant,
    stop: Stop,
}

/// A resource that the session has subscribed to.
struct Watched {
    /// The version that was told of last.
    version: String,
    /// Dropping it ends the watch.
    _until: oneshot::Sender<()>,
}

impl GetStream {
    pub(super) async fn open(
        calls: &Calls,
        session: &Arc<Session>,
        principal: &Arc<Principal>,
        after: Option<EventId>,
    ) -> Result<Self, StateError> {
        let stop = calls.0.signals.wait_as(format!("{}get/follower", session.name()));
        // Whichever connection has the stream loses it.
        calls.0.sessions.begin_get_stream(session).await?;
        let own = calls.0.sessions.append_to_get_stream(session, &Event::Owner, None).await?.unwrap_or(EventLog::START);
        let log = EventLog::follow(Arc::clone(calls.state()), session, StreamName::Get, after.unwrap_or(own)).await?;
        let caller = Caller { capabilities: Arc::clone(&session.capabilities), ..Caller::new(Arc::clone(principal)) };
        let features = &calls.0.features;
        let lists = features.notifier.lists();
        let (now, told) = (Instant::now(), *lists.borrow());
        let mut stream = Self {
            calls: calls.clone(),
            session: Arc::clone(session),
            log,
            own,
            watched: HashMap::new(),
            updates: SelectAll::new(),
            lists,
            told,
            resource_lists: select_all(features.resources.watch_list(&caller).await),
            caller,
            idle_at: now + IDLE_EVERY,
            name_at: now + calls.ttl() / 3,
            stop,
        };
        stream.watch_subscriptions().await?;
        Ok(stream)
    }

    /// The session that the stream belongs to.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The name of the event that was sent last; before the first one, of the place where the stream goes on.
    #[must_use]
    pub fn position(&self) -> EventName {
        EventName { stream: StreamName::Get, event: self.log.position() }
    }

    /// What is sent next; `None` at the end: the session is over, or another connection has the stream.
    pub async fn next(&mut self) -> Option<Sent> {
        loop {
            self.tell_lists().await;
            let done = tokio::select! {
                biased;
                () = self.stop.told() => return None,
                event = self.log.next() => match event {
                    // A connection with other rights may have been told of more.
                    Ok((_, Event::Message(message))) if !self.may_be_told(&message) => Ok(()),
                    Ok((id, Event::Message(message))) => {
                        self.idle_at = Instant::now() + IDLE_EVERY;
                        return Some(Sent::Message { id: EventName { stream: StreamName::Get, event: id }, message });
                    }
                    Ok((id, Event::Owner)) if id > self.own => return None,
                    Ok((_, Event::Wake)) => self.watch_subscriptions().await,
                    Ok(_) => Ok(()),
                    Err(error) => Err(error),
                },
                Some((uri, version)) = self.updates.next() => {
                    self.tell_update(&uri, version).await;
                    Ok(())
                }
                Some(()) = self.resource_lists.next() => {
                    tell(&self.calls, &self.session, "notifications/resources/list_changed", json!({}), None).await;
                    Ok(())
                }
                Ok(()) = self.lists.changed() => Ok(()),
                () = sleep_until(self.name_at) => self.name_again().await,
                () = sleep_until(self.idle_at) => {
                    self.idle_at = Instant::now() + IDLE_EVERY;
                    // Messages can be lost.
                    self.log.look_again();
                    if let Ok(false) = self.calls.0.sessions.keep(&self.session).await {
                        return None;
                    }
                    let _ = self.calls.0.sessions.begin_get_stream(&self.session).await;
                    return Some(Sent::Idle);
                }
            };
            if done.is_err() {
                sleep(RETRY).await;
            }
        }
    }

    /// Watches what the session has subscribed to now; what has changed since it was told of, it is told of.
    async fn watch_subscriptions(&mut self) -> Result<(), StateError> {
        let uris = self.calls.0.sessions.subscriptions(&self.session).await?;
        self.watched.retain(|watched, _| uris.contains(watched));
        for uri in uris {
            if self.watched.contains_key(&uri) {
                continue;
            }
            // What the caller may no longer see it is no longer told of.
            let Ok(resource) = self.calls.0.features.resources.authorize(&self.caller.principal, &uri) else { continue };
            let Round::Done(Ok(Some(watch))) = resource.watch(self.caller.clone()).await else { continue };
            let (until, ended) = oneshot::channel();
            let (named, current) = (uri.clone(), watch.current.clone());
            self.updates.push(watch.map(move |version| (named.clone(), version)).take_until(ended).boxed());
            self.watched.insert(uri.clone(), Watched { version: String::new(), _until: until });
            self.tell_update(&uri, current).await;
        }
        Ok(())
    }

    /// Is this about no resource, or about one that this very connection watches?
    fn may_be_told(&self, message: &[u8]) -> bool {
        let about = serde_json::from_slice::<Value>(message).unwrap_or_default();
        about["params"]["uri"].as_str().is_none_or(|uri| self.watched.contains_key(uri))
    }

    /// Tells of a version of a resource, unless the session has been told of it, by whichever replica.
    async fn tell_update(&mut self, uri: &str, version: String) {
        tell(&self.calls, &self.session, "notifications/resources/updated", json!({ "uri": uri }), Some((uri, &version))).await;
        if let Some(watched) = self.watched.get_mut(uri) {
            watched.version = version;
        }
    }

    async fn tell_lists(&mut self) {
        let now = *self.lists.borrow_and_update();
        let told = std::mem::replace(&mut self.told, now);
        for (changed, list) in [
            (told.tools != now.tools, "tools"),
            (told.prompts != now.prompts, "prompts"),
            (told.resources != now.resources, "resources"),
        ] {
            if changed {
                tell(&self.calls, &self.session, &format!("notifications/{list}/list_changed"), json!({}), None).await;
            }
        }
    }

    async fn name_again(&mut self) -> Result<(), StateError> {
        self.watch_subscriptions().await?;
        for (uri, watched) in &self.watched {
            tell(
                &self.calls,
                &self.session,
                "notifications/resources/updated",
                json!({ "uri": uri }),
                Some((uri, &watched.version)),
            )
            .await;
        }
        self.name_at = Instant::now() + self.calls.ttl() / 3;
        Ok(())
    }
}

/// Appends a notification, however long the shared state is away: the stream cannot go on without it anyway.
async fn tell(calls: &Calls, session: &Session, method: &str, params: Value, version: Option<(&str, &str)>) {
    let message = json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string();
    let event = Event::Message(message.into());
    while calls.0.sessions.announce(session, &event, version).await.is_err() {
        sleep(RETRY).await;
    }
}
