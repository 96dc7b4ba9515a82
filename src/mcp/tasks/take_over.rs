//! Going on with a task that nobody works on: its replica died, or its last question has been answered.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::Tasks;
use super::record::{TaskRecord, TaskState};
use super::run::{Run, Stopping, abandoned, fail};
use super::store::{Change, TaskPlace};
use crate::auth::Principal;
use crate::call::Caller;
use crate::mcp::McpError;
use crate::state::{Lease, StateError};
use crate::tools::AuthorizedTool;

/// A call that may be repeated is given up when so many replicas in a row have died of it.
const MAX_INTERRUPTIONS: u32 = 3;
/// How long the one who asked has to give its lease back, when the answers come at once.
const HAND_OVER: Duration = Duration::from_millis(100);

impl Tasks {
    /// Reads a task for its owner, and takes it over when nobody works on it who should.
    pub(super) async fn look(&self, place: &TaskPlace, principal: &Arc<Principal>) -> Result<Option<TaskRecord>, StateError> {
        let record = self.0.store.read(place).await?;
        if !record.as_ref().is_some_and(TaskRecord::is_working) || *self.0.stopping.borrow() != Stopping::No {
            return Ok(record);
        }
        match self.0.store.lease(place).await? {
            Some(lease) => self.take_over(place, lease, principal).await,
            None => Ok(record),
        }
    }

    /// Goes on with a task whose last question has been answered, here. Should this replica die before it has the lease,
    /// whoever looks next goes on.
    pub(super) async fn resume(self, place: TaskPlace, principal: Arc<Principal>) {
        let attempts = Lease::TTL.as_millis() / HAND_OVER.as_millis() + 1;
        for _ in 0..attempts {
            match self.0.store.lease(&place).await {
                Ok(Some(lease)) => {
                    if let Err(error) = self.take_over(&place, lease, &principal).await {
                        tracing::warn!(%error, "a task that was answered waits for its client to look at it");
                    }
                    return;
                }
                Ok(None) | Err(_) => tokio::time::sleep(HAND_OVER).await,
            }
        }
    }

    /// Goes on with a task under a lease just taken, or ends it, and gives its record as it is then.
    async fn take_over(
        &self,
        place: &TaskPlace,
        lease: Lease,
        principal: &Arc<Principal>,
    ) -> Result<Option<TaskRecord>, StateError> {
        // It may have changed before the lease was ours.
        let record = self.0.store.read(place).await?;
        let seat = self.0.seats.take(principal.owner());
        let (Some(record), Some(seat)) = (record.clone().filter(TaskRecord::is_working), seat) else {
            // Without a seat it waits for another replica, or for a later look.
            lease.give_back().await?;
            return Ok(record);
        };
        // Whoever looks may be allowed more by now.
        let principal = Arc::new(Principal { scopes: record.scopes.clone(), ..(**principal).clone() });
        let (tool, error) = match self.next_run(&record, &principal) {
            Ok(tool) => (Some(tool), None),
            Err(error) => (None, Some(error)),
        };
        let run = rand::random();
        let change = self.0.store.change(place, |current| {
            let unchanged = current.revision == record.revision;
            match &error {
                Some(error) if unchanged => fail(current, error),
                None if unchanged => current.begin(run),
                Some(_) | None => {}
            }
            unchanged
        });
        match (change.await, tool) {
            (Ok(Change::Made(record)), Some(tool)) => {
                let (store, stopping) = (Arc::clone(&self.0.store), self.0.stopping.subscribe());
                let run = Run { store, place: place.clone(), lease, id: run, stopping, _seat: seat };
                run.spawn(tool, Caller::new(principal), record.clone());
                Ok(Some(record))
            }
            (change, _) => {
                lease.give_back().await?;
                Ok(match change? {
                    Change::Unknown => None,
                    Change::Declined(record) | Change::Made(record) => Some(record),
                })
            }
        }
    }

    /// May the call of this task run now, for the one who looks at it? Rights may have changed since it was made.
    fn next_run(&self, record: &TaskRecord, principal: &Arc<Principal>) -> Result<AuthorizedTool, McpError> {
        let tool = self.0.features.tools.authorize(principal, &record.tool, record.arguments.as_deref().map(RawValue::get));
        let tool = tool.map_err(|denied| McpError::refusal(denied, "tool", &record.tool))?;
        let was_interrupted = matches!(record.state, TaskState::Working { run: Some(_) });
        let may_repeat = tool.spec().effect.is_idempotent() && record.interruptions < MAX_INTERRUPTIONS;
        if was_interrupted && !may_repeat { Err(abandoned(&record.tool)) } else { Ok(tool) }
    }
}
