//! The records of tasks in the shared state, and the news of their changes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::record::TaskRecord;
use crate::auth::{Principal, ScopeSet};
use crate::state::{GroupLimits, Lease, SharedState, StateError, Subscription, member_key};

/// Tasks of one caller; when they are more, or larger, those are forgotten in which nothing has happened for longest.
const TASKS: GroupLimits = GroupLimits { members: 500, bytes: 16 * 1024 * 1024 };
/// How much longer than its time to live a record is kept, so that a call that ran out of time can tell.
const GRACE: Duration = Duration::from_secs(30);
/// A change that so many others come in the way of is given up.
const MAX_ATTEMPTS: usize = 100;

/// Reads and changes records.
pub(super) struct TaskStore {
    state: Arc<dyn SharedState>,
}

/// Where the record of one task is, among those of its owner.
#[derive(Clone, Debug)]
pub(super) struct TaskPlace {
    group: String,
    id: String,
    /// Of the one who looks there.
    scopes: ScopeSet,
}

/// What became of a change.
pub(super) enum Change {
    /// There is no such task.
    Unknown,
    /// The record is not one to be changed in this way; this is it.
    Declined(TaskRecord),
    /// It was changed; this is how it is now.
    Made(TaskRecord),
}

impl TaskPlace {
    /// The place of a caller's new task.
    pub(super) fn of(principal: &Principal, record: &TaskRecord) -> Self {
        let (group, scopes) = (format!("pressmark:tasks:{}", principal.owner()), principal.scopes.clone());
        Self { group, id: record.id.clone(), scopes }
    }

    /// The place of the caller's task that has this id; `None` when it is no id that was ever given out.
    pub(super) fn named(principal: &Principal, id: &str) -> Option<Self> {
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (group, scopes) = (format!("pressmark:tasks:{}", principal.owner()), principal.scopes.clone());
        is_id.then(|| Self { group, id: id.to_owned(), scopes })
    }

    fn key(&self) -> String {
        member_key(&self.group, &self.id)
    }

    /// The record, if it is for these eyes.
    fn read(&self, bytes: &[u8]) -> Option<TaskRecord> {
        from_bytes(bytes).filter(|record| self.scopes.covers(&record.scopes))
    }

    fn lease(&self) -> String {
        format!("pressmark:task-lease:{}", self.id)
    }

    fn topic(&self) -> String {
        format!("pressmark:task:{}", self.id)
    }
}

impl TaskStore {
    pub(super) fn new(state: Arc<dyn SharedState>) -> Self {
        Self { state }
    }

    /// Writes a new record.
    pub(super) async fn create(&self, place: &TaskPlace, record: &TaskRecord) -> Result<(), StateError> {
        let ttl = lifetime(record);
        self.state.put_in_group(&place.group, &place.id, to_bytes(record), ttl, TASKS).await
    }

    pub(super) async fn read(&self, place: &TaskPlace) -> Result<Option<TaskRecord>, StateError> {
        Ok(self.state.get(&place.key()).await?.and_then(|bytes| place.read(&bytes)))
    }

    /// Changes a record by compare-and-swap, and tells whoever follows the task. `change` says whether it wants to; it is
    /// asked again when another change came first.
    pub(super) async fn change(
        &self,
        place: &TaskPlace,
        mut change: impl FnMut(&mut TaskRecord) -> bool,
    ) -> Result<Change, StateError> {
        let key = place.key();
        for _ in 0..MAX_ATTEMPTS {
            let Some(expected) = self.state.get(&key).await? else { return Ok(Change::Unknown) };
            let Some(mut record) = place.read(&expected) else { return Ok(Change::Unknown) };
            if !change(&mut record) {
                return Ok(Change::Declined(record));
            }
            record.touch();
            let (changed, ttl) = (to_bytes(&record), lifetime(&record));
            if self.state.replace_in_group(&place.group, &place.id, Some(&expected), changed, ttl, TASKS).await? {
                self.announce(place).await;
                return Ok(Change::Made(record));
            }
        }
        Err(StateError::contended())
    }

    /// Tells whoever follows the task to look at it. They look now and then without being told, too.
    pub(super) async fn announce(&self, place: &TaskPlace) {
        if let Err(error) = self.state.publish(&place.topic(), Bytes::new()).await {
            tracing::debug!(%error, "a change of a task was not told");
        }
    }

    /// Hears of every change of the task.
    pub(super) async fn subscribe(&self, place: &TaskPlace) -> Result<Subscription, StateError> {
        self.state.subscribe(&place.topic()).await
    }

    /// The right to run the task; `None` when somebody has it.
    pub(super) async fn lease(&self, place: &TaskPlace) -> Result<Option<Lease>, StateError> {
        Lease::take(&self.state, place.lease()).await
    }
}

fn lifetime(record: &TaskRecord) -> Duration {
    // Redis takes no time to live of nothing.
    (record.time_left() + GRACE.min(record.ttl())).max(Duration::from_millis(1))
}

fn to_bytes(record: &TaskRecord) -> Bytes {
    #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
    Bytes::from(serde_json::to_vec(record).expect("a record is plain data"))
}

/// What cannot be read was written by another version of the program, in the middle of a rollout: an unknown task.
fn from_bytes(bytes: &[u8]) -> Option<TaskRecord> {
    let record = serde_json::from_slice(bytes).ok();
    if record.is_none() {
        tracing::warn!("the record of a task cannot be read");
    }
    record
}
