//! What a running tool, prompt or resource knows of the call it serves.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::background;
use super::input::{needed, read_elicitation, read_roots};
use super::{
    Answers, ClientCapabilities, ElicitResult, Elicitation, InputRequest, InputRequests, Interrupted, Lane, Lanes, LogLevel,
    LogMessage, Origin, Progress, Reports, Root, Sampling, SamplingResult, ToolError, ToolErrorKind,
};
use crate::auth::Principal;

/// Who calls: with which rights, through which client, with what already answered.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose rights the call has.
    pub principal: Arc<Principal>,
    /// What the client can do.
    pub capabilities: Arc<ClientCapabilities>,
    /// What has been answered in earlier rounds of this call.
    pub answers: Answers,
    /// Where reports go.
    pub reports: Reports,
    /// Where the call comes from; `None` when nobody wants to know.
    pub origin: Option<Arc<Origin>>,
}

impl Caller {
    /// A caller whose client declares nothing, has answered nothing and wants no reports, from nowhere in particular.
    #[must_use]
    pub fn new(principal: Arc<Principal>) -> Self {
        Self { principal, capabilities: Arc::default(), answers: Answers::new(), reports: Reports::default(), origin: None }
    }
}

/// What the code that serves a call may know and do.
#[derive(Debug)]
pub struct CallContext {
    caller: Caller,
    lane: Lane,
    lanes: Arc<Lanes>,
    max_result_bytes: usize,
    // A `std::sync::Mutex`: held for an insertion, never across an await.
    asked: Mutex<InputRequests>,
    // The same. The keys whose answers the call has used.
    used: Mutex<BTreeSet<String>>,
    cancelled: CancelOnDrop,
}

impl CallContext {
    /// A context for one call whose blocking work runs in `lane`.
    #[must_use]
    pub fn new(caller: Caller, lane: Lane, lanes: Arc<Lanes>, max_result_bytes: usize) -> Self {
        Self {
            caller,
            lane,
            lanes,
            max_result_bytes,
            asked: Mutex::default(),
            used: Mutex::default(),
            cancelled: CancelOnDrop::default(),
        }
    }

    /// Who calls.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.caller.principal
    }

    /// What the client can do.
    #[must_use]
    pub fn client(&self) -> &ClientCapabilities {
        &self.caller.capabilities
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

    /// Where to report progress from other threads. Reports go nowhere when the caller did not ask for them.
    #[must_use]
    pub fn reports(&self) -> &Reports {
        &self.caller.reports
    }

    /// Tells the caller how far the call has come, if it asked for that.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: Option<String>) {
        self.caller.reports.progress(Progress { progress, total, message });
    }

    /// Sends a message to the client's log, if the client asked for messages of this level.
    pub fn log(&self, level: LogLevel, data: impl Into<Value>) {
        self.caller.reports.log(LogMessage { level, logger: None, data: data.into() });
    }

    /// Closes the connection for a while, so that a long call does not hold it: the client comes back to the same call after
    /// `retry`, and nothing that is told meanwhile is lost. Does nothing where the client cannot come back.
    pub fn close_stream(&self, retry: Duration) {
        self.caller.reports.close_stream(retry);
    }

    /// Asks the user. `key` names the question within the call; the same key must always ask the same. When there is no
    /// answer yet the call ends here, with `?`, and runs again from its beginning once there is: what it does before
    /// asking must bear being done twice. To ask several things at once, ask them all before the first `?`.
    ///
    /// # Errors
    /// `InputRequired` until the user has answered; `MissingCapability` when the client cannot ask in this way (look at
    /// [`Self::client`] first to do without).
    pub fn elicit(&self, key: &str, question: &Elicitation) -> Result<ElicitResult, Interrupted> {
        let can = match question {
            Elicitation::Form { .. } => self.client().has_forms(),
            Elicitation::Url { .. } => self.client().has_urls(),
        };
        if !can {
            return Err(Interrupted::MissingCapability(Box::new(needed(question))));
        }
        self.answer_or_ask(key, |answer| read_elicitation(question, answer), || InputRequest::elicitation(question))
    }

    /// Asks the client's model; see [`Self::elicit`] for `key` and for what happens meanwhile.
    ///
    /// # Errors
    /// `InputRequired` until the model has answered; `MissingCapability` when the client has no sampling.
    pub fn sample(&self, key: &str, question: &Sampling) -> Result<SamplingResult, Interrupted> {
        if self.client().sampling.is_none() {
            let needed = ClientCapabilities { sampling: Some(serde_json::Map::new()), ..ClientCapabilities::default() };
            return Err(Interrupted::MissingCapability(Box::new(needed)));
        }
        self.answer_or_ask(key, parse, || InputRequest::sampling(question))
    }

    /// Asks which folders the client works in; see [`Self::elicit`] for `key` and for what happens meanwhile.
    ///
    /// # Errors
    /// `InputRequired` until the client has answered; `MissingCapability` when it has no roots.
    pub fn roots(&self, key: &str) -> Result<Vec<Root>, Interrupted> {
        if self.client().roots.is_none() {
            let needed = ClientCapabilities { roots: Some(serde_json::Map::new()), ..ClientCapabilities::default() };
            return Err(Interrupted::MissingCapability(Box::new(needed)));
        }
        self.answer_or_ask(key, read_roots, InputRequest::roots)
    }

    fn answer_or_ask<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Value) -> Option<T>,
        request: impl FnOnce() -> InputRequest,
    ) -> Result<T, Interrupted> {
        // Every answer is an object; some would be read from an array as well.
        if let Some(answer) = self.caller.answers.get(key).filter(|answer| answer.is_object()).and_then(read) {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
            return Ok(answer);
        }
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), request());
        Err(Interrupted::InputRequired)
    }

    /// What was asked for in this run and not answered yet, and those answers that the call has used: a client may send
    /// more than it was asked.
    pub(crate) fn into_questions(self) -> (InputRequests, Answers) {
        let used = self.used.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut answers = self.caller.answers;
        answers.retain(|key, _| used.contains(key));
        (self.asked.into_inner().unwrap_or_else(PoisonError::into_inner), answers)
    }

    /// Runs short work on files. Where it `is_short` indeed, and the files are at hand on this machine, it runs right here:
    /// handing a page of a file to another thread and back costs as much as reading it. Otherwise as [`Self::run`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_short<T, F>(&self, is_short: bool, work: F) -> Result<T, ToolError>
    where
        T: Send + 'static,
        F: FnOnce(&CancelFlag) -> Result<T, ToolError> + Send + 'static,
    {
        if is_short { work(&self.cancelled.0) } else { self.run(work).await }
    }

    /// Runs blocking work (files, searching) on a thread for such work, in the call's lane. The work is handed a flag that
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
        let (flag, origin) = (self.cancelled.0.clone(), self.caller.origin.clone());
        let work = move || {
            let _permit = permit;
            if flag.is_set() {
                return Err(cancelled());
            }
            if let Some(origin) = origin {
                origin.begin_work();
            }
            work(&flag)
        };
        let done = match self.lane {
            Lane::Io => match tokio::task::spawn_blocking(work).await {
                Ok(result) => Some(Ok(result)),
                Err(error) => error.try_into_panic().ok().map(Err),
            },
            Lane::Cpu => background::run(work).await.ok(),
        };
        match done {
            Some(Ok(result)) => result,
            // The panic goes on in the request's own task, where it is contained and logged.
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(ToolError::new(ToolErrorKind::Unavailable, "the server has no thread for this now; repeat the call")),
        }
    }
}

fn parse<T: DeserializeOwned>(answer: &Value) -> Option<T> {
    serde_json::from_value(answer.clone()).ok()
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
