//! `resources/subscribe`: of which resources a session wants to be told.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::event::{Event, StreamName};
use super::kept::{KEPT, stream_limits};
use super::{Session, Sessions};
use crate::mcp::McpError;
use crate::state::{EventId, Once, StateError};

/// Resources that one session may subscribe to.
const MAX_SUBSCRIPTIONS: usize = 500;
/// Their URIs together, in bytes of JSON: all of them are written with each change.
const MAX_SUBSCRIPTION_BYTES: usize = 64 * 1024;
/// Changes that race are tried again so often.
const ATTEMPTS: usize = 20;

/// What a session has subscribed to: as the client spells it, by the one spelling that stands for all.
type Subscriptions = BTreeMap<String, String>;

impl Sessions {
    /// From now on the session is told when this resource changes from the version that it has now. `canonical` is the
    /// spelling of its URI that stands for all.
    ///
    /// # Errors
    /// `InvalidParams` when the session has subscribed to as many resources as it may; `Unavailable`.
    pub async fn subscribe(&self, session: &Session, uri: &str, canonical: &str, version: &str) -> Result<(), McpError> {
        let away = |error: StateError| McpError::Unavailable(format!("{error}; repeat the request"));
        let fits = self.change(session, |subscriptions| {
            if subscriptions.contains_key(canonical) {
                return true;
            }
            subscriptions.insert(canonical.to_owned(), uri.to_owned());
            subscriptions.len() <= MAX_SUBSCRIPTIONS && write(subscriptions).len() <= MAX_SUBSCRIPTION_BYTES
        });
        if !fits.await.map_err(away)? {
            return Err(McpError::InvalidParams(format!(
                "a session may subscribe to at most {MAX_SUBSCRIPTIONS} resources, with URIs of {MAX_SUBSCRIPTION_BYTES} bytes \
                 together; unsubscribe from some"
            )));
        }
        // The version is noted as told: only another one is news. Whoever sends the stream looks at the set again.
        if !self.announce(session, &Event::Wake, Some((uri, version))).await.map_err(away)? {
            self.announce(session, &Event::Wake, None).await.map_err(away)?;
        }
        Ok(())
    }

    /// The session is no longer told of this resource.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn unsubscribe(&self, session: &Session, uri: &str) -> Result<(), McpError> {
        let done = async {
            self.change(session, |subscriptions| {
                subscriptions.retain(|canonical, spelled| canonical != uri && spelled != uri);
                true
            })
            .await?;
            self.announce(session, &Event::Wake, None).await
        };
        done.await.map(drop).map_err(|error| McpError::Unavailable(format!("{error}; repeat the request")))
    }

    /// What the session has subscribed to; this keeps it for the full time again.
    pub(super) async fn subscriptions(&self, session: &Session) -> Result<Vec<String>, StateError> {
        let stored = self.state.get_in_group(&session.kept, &member(session), self.limits.ttl).await?;
        Ok(stored.as_deref().map(read).unwrap_or_default().into_values().collect())
    }

    /// Makes sure that there is something to append to, and keeps it for the full time again.
    pub(super) async fn begin_get_stream(&self, session: &Session) -> Result<(), StateError> {
        let member = member(session);
        if self.state.get_in_group(&session.kept, &member, self.limits.ttl).await?.is_none() {
            let none = write(&Subscriptions::new());
            self.state.replace_in_group(&session.kept, &member, None, none, self.limits.ttl, KEPT).await?;
        }
        Ok(())
    }

    /// Appends to the stream that belongs to no call: a version of a resource only once. `false` when it was told before.
    pub(super) async fn announce(
        &self,
        session: &Session,
        event: &Event,
        version: Option<(&str, &str)>,
    ) -> Result<bool, StateError> {
        // URIs are the client's own words; what stands for one in the shared state is short.
        let named = version.map(|(uri, version)| (blake3::hash(uri.as_bytes()).to_hex()[..32].to_owned(), version));
        let once = named.as_ref().map(|(field, value)| Once { field, value });
        Ok(self.append_to_get_stream(session, event, once).await?.is_some())
    }

    /// Appends to the stream that belongs to no call, and gives the event's place in it.
    pub(super) async fn append_to_get_stream(
        &self,
        session: &Session,
        event: &Event,
        once: Option<Once<'_>>,
    ) -> Result<Option<EventId>, StateError> {
        let (member, limits) = (member(session), stream_limits(self.limits.ttl));
        self.state.append(&session.kept, &member, event.encode(&StreamName::Get), once, limits).await
    }

    /// Changes the set; `false`, and nothing changed, when `change` says so.
    async fn change(&self, session: &Session, change: impl Fn(&mut Subscriptions) -> bool) -> Result<bool, StateError> {
        let (group, member, ttl) = (&session.kept, member(session), self.limits.ttl);
        for _ in 0..ATTEMPTS {
            let stored = self.state.get_in_group(group, &member, ttl).await?;
            let mut subscriptions = stored.as_deref().map(read).unwrap_or_default();
            if !change(&mut subscriptions) {
                return Ok(false);
            }
            if self.state.replace_in_group(group, &member, stored.as_deref(), write(&subscriptions), ttl, KEPT).await? {
                return Ok(true);
            }
        }
        Err(StateError::contended())
    }
}

fn member(session: &Session) -> String {
    session.stream_member(&StreamName::Get)
}

fn read(stored: &[u8]) -> Subscriptions {
    serde_json::from_slice(stored).unwrap_or_default()
}

fn write(subscriptions: &Subscriptions) -> Bytes {
    #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
    serde_json::to_vec(subscriptions).expect("URIs are plain data").into()
}
