//! Sessions: what a client said in its handshake, kept for all replicas.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::event::StreamName;
use crate::auth::Principal;
use crate::call::{ClientCapabilities, ElicitationCapability, LogLevel};
use crate::mcp::ProtocolVersion;
use crate::state::{GroupLimits, SharedState, StateError, member_key, update_record};

/// A session id longer than this is none of ours.
const MAX_ID_BYTES: usize = 64;

/// How many sessions there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// How long a session lives after its last use.
    pub ttl: Duration,
    /// Sessions of one principal; with one more, the one that was unused for longest ends.
    pub per_principal: usize,
}

/// The sessions that all replicas share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions {
    pub(super) state: Arc<dyn SharedState>,
    pub(super) limits: SessionLimits,
}

/// One session, as it was when a request named it.
pub struct Session {
    id: String,
    group: String,
    /// The group of what the principal's sessions keep.
    pub(super) kept: String,
    /// What client and server settled on.
    pub version: ProtocolVersion,
    /// What the client can do.
    pub capabilities: Arc<ClientCapabilities>,
    /// The least level of log messages that the client wants.
    pub log_level: LogLevel,
}

#[derive(Deserialize, Serialize)]
struct Record {
    version: String,
    capabilities: ClientCapabilities,
    /// What `logging/setLevel` said.
    log_level: Option<LogLevel>,
}

impl Sessions {
    /// Sessions in `state`.
    #[must_use]
    pub fn new(state: Arc<dyn SharedState>, limits: SessionLimits) -> Self {
        Self { state, limits }
    }

    /// Begins a session and gives its id: 192 random bits in visible ASCII.
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be written.
    pub async fn begin(
        &self,
        principal: &Principal,
        version: ProtocolVersion,
        mut capabilities: ClientCapabilities,
    ) -> Result<String, StateError> {
        if version < ProtocolVersion::V2025_11_25
            && let Some(elicitation) = &mut capabilities.elicitation
        {
            // There are forms only, whatever a client of several revisions declares.
            *elicitation = ElicitationCapability::default();
        }
        let id = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        let record = Record { version: version.to_string(), capabilities: capabilities.without_settings(), log_level: None };
        let SessionLimits { ttl, per_principal } = self.limits;
        let limits = GroupLimits::members(per_principal);
        self.state.put_in_group(&group(principal), &id, write(&record), ttl, limits).await?;
        Ok(id)
    }

    /// Looks a session up, and makes it live for the full time again: one round trip. `None` for an id that is unknown, has
    /// expired, or belongs to another principal.
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be read.
    pub async fn open(&self, principal: &Principal, id: &str) -> Result<Option<Session>, StateError> {
        if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(None);
        }
        let group = group(principal);
        let Some(stored) = self.state.get_in_group(&group, id, self.limits.ttl).await? else { return Ok(None) };
        Ok(read(&stored).and_then(|record| {
            Some(Session {
                id: id.to_owned(),
                group,
                kept: format!("pressmark:kept:{}", principal.owner()),
                version: ProtocolVersion::parse(&record.version)?,
                capabilities: Arc::new(record.capabilities),
                log_level: record.log_level.unwrap_or(LogLevel::Info),
            })
        }))
    }

    /// Keeps a session alive on behalf of an open stream; `false` when it has ended.
    pub(super) async fn keep(&self, session: &Session) -> Result<bool, StateError> {
        Ok(self.state.get_in_group(&session.group, &session.id, self.limits.ttl).await?.is_some())
    }

    /// Ends a session, with all that it keeps.
    pub(super) async fn end(&self, session: &Session) -> Result<(), StateError> {
        self.state.delete_in_group(&session.group, &session.id).await?;
        self.state.delete_all_in_group(&session.kept, &session.name()).await
    }

    /// From now on the client wants log messages of this level and above.
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be written.
    pub async fn set_log_level(&self, session: &Session, level: LogLevel) -> Result<(), StateError> {
        let key = member_key(&session.group, &session.id);
        let set = |stored: Option<&[u8]>| {
            // A session that ended meanwhile has no level to set.
            let mut record = read(stored?)?;
            record.log_level = Some(level);
            Some((write(&record), self.limits.ttl))
        };
        update_record(&*self.state, &key, set).await.map(drop)
    }
}

impl Session {
    /// The key of the right to run the call of this stream.
    pub(super) fn lease_key(&self, stream: &StreamName) -> String {
        format!("pressmark:lease:{stream}:{}", self.id)
    }

    /// What everything that runs in this session, or is kept for it, has at the beginning of its name, see
    /// [`Signals`](super::signals::Signals).
    pub(super) fn name(&self) -> String {
        format!("{}/", self.id)
    }
}

/// Who holds the id may act in the session: it is shown nowhere.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("version", &self.version).finish_non_exhaustive()
    }
}

/// A principal finds its own sessions only: another's id is in another group.
fn group(principal: &Principal) -> String {
    format!("pressmark:session:{}", principal.owner())
}

fn read(stored: &[u8]) -> Option<Record> {
    serde_json::from_slice(stored).ok()
}

fn write(record: &Record) -> Bytes {
    #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
    serde_json::to_vec(record).expect("a session is plain data").into()
}
