//! `resources/subscribe`: of which resources a session wants to be told.

use bytes::Bytes;

use super::calls::log_name;
use super::event::{Event, StreamName};
use super::{Session, Sessions};
use crate::mcp::McpError;
use crate::state::{EventId, LogLimits, Once, StateError, update_record};

/// Resources that one session may subscribe to.
const MAX_SUBSCRIPTIONS: usize = 500;
/// Events of the stream that belongs to no call.
const MAX_EVENTS: usize = 1_000;

impl Sessions {
    /// From now on the session is told when this resource changes from the version that it has now.
    ///
    /// # Errors
    /// `InvalidParams` when the session has subscribed to as many resources as it may; `Unavailable`.
    pub async fn subscribe(&self, session: &Session, uri: &str, version: &str) -> Result<(), McpError> {
        let away = |error: StateError| McpError::Unavailable(format!("{error}; repeat the request"));
        let full = self.change(session, |uris| {
            if uris.iter().any(|known| known == uri) {
                return true;
            }
            uris.push(uri.to_owned());
            uris.len() <= MAX_SUBSCRIPTIONS
        });
        if !full.await.map_err(away)? {
            return Err(McpError::InvalidParams(format!(
                "a session may subscribe to at most {MAX_SUBSCRIPTIONS} resources; unsubscribe from some"
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
            self.change(session, |uris| {
                uris.retain(|known| known != uri);
                true
            })
            .await?;
            self.announce(session, &Event::Wake, None).await
        };
        done.await.map(drop).map_err(|error| McpError::Unavailable(format!("{error}; repeat the request")))
    }

    /// What the session has subscribed to; this keeps it for the full time again.
    pub(super) async fn subscriptions(&self, session: &Session) -> Result<Vec<String>, StateError> {
        let stored = self.state.get_and_refresh(&session.key("subscriptions"), self.limits.ttl).await?;
        Ok(stored.as_deref().map(read).unwrap_or_default())
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
        let limits = LogLimits { max_events: MAX_EVENTS, ttl: self.limits.ttl };
        self.state.append(&log_name(session, &StreamName::Get), event.encode(), once, limits).await
    }

    /// Changes the set; `false`, and nothing changed, when `change` says so.
    async fn change(&self, session: &Session, change: impl Fn(&mut Vec<String>) -> bool) -> Result<bool, StateError> {
        let changed = |stored: Option<&[u8]>| {
            let mut uris = stored.map(read).unwrap_or_default();
            change(&mut uris).then(|| (write(&uris), self.limits.ttl))
        };
        update_record(&*self.state, &session.key("subscriptions"), changed).await
    }
}

fn read(stored: &[u8]) -> Vec<String> {
    serde_json::from_slice(stored).unwrap_or_default()
}

fn write(uris: &[String]) -> Bytes {
    #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
    serde_json::to_vec(uris).expect("URIs are plain data").into()
}
