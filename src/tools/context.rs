//! What a running tool knows of the call it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use super::{Lane, Lanes, ToolError, ToolErrorKind};
use crate::auth::Principal;

/// What a tool may know of the call that it serves.
#[derive(Debug)]
pub struct CallContext {
    principal: Arc<Principal>,
    lane: Lane,
    lanes: Arc<Lanes>,
    progress: Progress,
    max_result_bytes: usize,
    cancelled: CancelOnDrop,
}

impl CallContext {
    /// A context for one call of a tool in `lane`.
    #[must_use]
    pub fn new(principal: Arc<Principal>, lane: Lane, lanes: Arc<Lanes>, progress: Progress, max_result_bytes: usize) -> Self {
        Self { principal, lane, lanes, progress, max_result_bytes, cancelled: CancelOnDrop::default() }
    }

    /// Who calls.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The budget of the whole result (`content` and `structuredContent`) in bytes of JSON.
    #[must_use]
    pub fn max_result_bytes(&self) -> usize {
        self.max_result_bytes
    }

    /// How many threads one call may well use now: as many as the CPU lane has places free, and at least one.
    #[must_use]
    pub fn parallelism(&self) -> usize {
        self.lanes.free_cores()
    }

    /// Where to report progress. Reports go nowhere when the caller did not ask for them.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Runs blocking work (files, searching) on a thread made for it, in the tool's lane. The work is handed a flag that
    /// becomes true when nobody waits for its answer any more (the client went away, or the call ran out of time): it
    /// looks at the flag often and then stops.
    ///
    /// # Errors
    /// What `work` returns; `Unavailable` at once when the lane's queue is full.
    pub async fn run<T, F>(&self, work: F) -> Result<T, ToolError>
    where
        T: Send + 'static,
        F: FnOnce(&CancelFlag) -> Result<T, ToolError> + Send + 'static,
    {
        let permit = self.lanes.enter(self.lane).await?;
        let flag = self.cancelled.0.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if flag.is_set() {
                return Err(cancelled());
            }
            work(&flag)
        });
        match task.await {
            Ok(result) => result,
            // The panic goes on in the request's own task, where it is contained and logged.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ToolError::new(ToolErrorKind::Unavailable, "the server is shutting down; repeat the call")),
        }
    }
}

fn cancelled() -> ToolError {
    ToolError::new(ToolErrorKind::TimedOut, "the call was cancelled before it started")
}

/// True once nobody waits for the answer any more.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Should the work stop?
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The request's future owns the context; dropping the future (a closed connection, a deadline) raises the flag.
#[derive(Debug, Default)]
struct CancelOnDrop(CancelFlag);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// One report of how far a call has come. `progress` grows with every report (MCP, basic/patterns/progress).
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressUpdate {
    /// How much is done, in the tool's own unit.
    pub progress: f64,
    /// How much there is, where known.
    pub total: Option<f64>,
    /// For people: what is being done.
    pub message: Option<String>,
}

/// Where a tool reports progress.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<mpsc::Sender<ProgressUpdate>>);

impl Progress {
    /// Reports go to this channel. A report that finds it full is dropped: progress never slows the work down.
    #[must_use]
    pub fn to(sender: mpsc::Sender<ProgressUpdate>) -> Self {
        Self(Some(sender))
    }

    /// Did the caller ask for reports?
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Sends one report, if the caller asked for reports.
    pub fn report(&self, update: ProgressUpdate) {
        if let Some(sender) = &self.0 {
            let _ = sender.try_send(update);
        }
    }
}
