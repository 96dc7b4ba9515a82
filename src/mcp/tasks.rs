//! Tasks: calls that outlive their request (extension `io.modelcontextprotocol/tasks`).
//!
//! A task's record lies in the shared state, and any replica answers for it. One replica runs the call, under a lease. When
//! the lease is gone although the record says that the call runs, whoever looks at the task next takes it over: a call that
//! may be repeated runs again, any other fails and says so. Every change of a record is a compare-and-swap, and names the
//! run that makes it, so that of two replicas that believe to hold the lease one has its way.

mod follow;
mod record;
mod run;
mod seats;
mod store;
mod take_over;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use futures_util::stream::BoxStream;
use serde::Serialize;
use tokio::sync::watch;

use self::record::{NewTask, TaskRecord, TaskState};
use self::run::{Run, Stopping};
use self::seats::{SEATS, Seats};
use self::store::{Change, TaskPlace, TaskStore};
use super::{Call, Features, McpError, ProtocolVersion};
use crate::call::{Answers, Caller, ClientCapabilities, Round, ToolError, ToolErrorKind};
use crate::state::{SharedState, StateError};
use crate::tools::{AuthorizedTool, TaskSupport, ToolResult};

/// The extension, as it is declared.
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Arguments, and answers, that are kept for one task, in bytes of JSON.
const MAX_KEPT_BYTES: usize = 256 * 1024;
/// How long tasks have at the very end to write that they were given up.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The tasks of a server: makes them, answers for them, and runs some. Cheap to clone.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    features: Arc<Features>,
    store: Arc<TaskStore>,
    ttl: Duration,
    seats: Seats,
    /// Each run holds a receiver.
    stopping: watch::Sender<Stopping>,
}

/// A task as it was at some moment.
#[derive(Clone, Debug)]
pub struct Task(Box<TaskRecord>);

/// What a tool call has become.
pub(super) enum Called {
    /// It is over.
    Over(ToolResult),
    /// It goes on by itself.
    GoesOn(Task),
}

impl Task {
    /// What `tasks/get` and `notifications/tasks` tell of it.
    pub(super) fn view(&self) -> impl Serialize {
        self.0.view()
    }
}

impl Tasks {
    /// Tasks in `state`, each of which lives for `ttl` from its creation and may run for as long.
    #[must_use]
    pub fn new(features: Arc<Features>, state: Arc<dyn SharedState>, ttl: Duration) -> Self {
        let store = Arc::new(TaskStore::new(state));
        Self(Arc::new(Inner { features, store, ttl, seats: Seats::default(), stopping: watch::Sender::new(Stopping::No) }))
    }

    /// Is there a tool whose calls may become tasks?
    #[must_use]
    pub fn are_offered(features: &Features) -> bool {
        features.tools.descriptions().any(|description| description.spec.task != TaskSupport::Never)
    }

    /// Runs one round of a tool call, or makes the call a task when the tool wants that and the client knows of tasks; the
    /// task can then be read on every replica.
    pub(super) fn call(
        &self,
        tool: AuthorizedTool,
        call: &Call,
        caller: Caller,
        version: ProtocolVersion,
    ) -> impl Future<Output = Round<Called>> + Send {
        match becomes_task(&tool, call, &caller, version) {
            Ok(false) => Either::Left(tool.run(caller).map(|round| round.map(Called::Over))),
            Ok(true) => Either::Right(Either::Left(Box::pin(self.begin(tool, call, caller)))),
            Err(refused) => Either::Right(Either::Right(ready(refused))),
        }
    }

    async fn begin(&self, tool: AuthorizedTool, call: &Call, caller: Caller) -> Round<Called> {
        match tool.before_task(caller.clone()).await {
            Round::Done(Ok(tool)) => Round::Done(self.create(tool, call, caller).await.map(Called::GoesOn)),
            Round::Done(Err(error)) => Round::Done(Err(error)),
            Round::Asks { questions, answers } => Round::Asks { questions, answers },
            Round::Lacks(capabilities) => Round::Lacks(capabilities),
        }
    }

    async fn create(&self, tool: AuthorizedTool, call: &Call, caller: Caller) -> Result<Task, ToolError> {
        let seat = self.0.seats.take(caller.principal.owner()).ok_or_else(busy)?;
        let new = NewTask {
            tool: call.name.clone(),
            scopes: caller.principal.scopes.clone(),
            arguments: call.arguments_json().and_then(|arguments| serde_json::from_str(arguments).ok()),
            capabilities: caller.capabilities.without_settings(),
            answers: caller.answers.clone(),
            ttl: self.0.ttl,
        };
        let run = rand::random();
        let record = TaskRecord::new(new, run);
        let place = TaskPlace::of(&caller.principal, &record);
        // The lease comes first: a record without one would be taken for abandoned.
        let lease = self.0.store.lease(&place).await?;
        let lease = lease.ok_or_else(|| StateError { reason: "the lease of a new task is taken".to_owned() })?;
        self.0.store.create(&place, &record).await?;
        let run =
            Run { store: Arc::clone(&self.0.store), place, lease, id: run, stopping: self.0.stopping.subscribe(), _seat: seat };
        run.spawn(tool, caller, record.clone());
        Ok(Task(Box::new(record)))
    }

    /// `tasks/get`.
    pub(super) async fn get(&self, caller: &Caller, id: &str) -> Result<Task, McpError> {
        let place = self.place(caller, id)?;
        self.look(&place, &caller.principal).await?.map(|record| Task(Box::new(record))).ok_or_else(unknown)
    }

    /// `tasks/update`: takes answers. The call goes on when it has them all.
    pub(super) async fn update(&self, caller: &Caller, id: &str, responses: &Answers) -> Result<(), McpError> {
        let place = self.place(caller, id)?;
        let bytes = bytes_of(responses);
        if bytes > MAX_KEPT_BYTES {
            return Err(McpError::InvalidParams(format!("the answers have {bytes} bytes; at most {MAX_KEPT_BYTES} are taken")));
        }
        match self.0.store.change(&place, |record| record.answer(responses)).await? {
            Change::Unknown => Err(unknown()),
            Change::Declined(_) => Ok(()),
            Change::Made(record) => {
                if record.is_working() {
                    tokio::spawn(self.clone().resume(place, Arc::clone(&caller.principal)));
                }
                Ok(())
            }
        }
    }

    /// `tasks/cancel`: the replica that runs it hears of it.
    pub(super) async fn cancel(&self, caller: &Caller, id: &str) -> Result<(), McpError> {
        let place = self.place(caller, id)?;
        let change = |record: &mut TaskRecord| {
            let goes_on = !record.is_over();
            if goes_on {
                record.end(TaskState::Cancelled, None);
            }
            goes_on
        };
        match self.0.store.change(&place, change).await? {
            Change::Unknown => Err(unknown()),
            Change::Declined(_) | Change::Made(_) => Ok(()),
        }
    }

    /// Those of these tasks that are the caller's, each with what becomes of it, from how it is now to its end.
    pub(super) async fn follow(
        &self,
        caller: &Caller,
        ids: Vec<String>,
    ) -> Result<Vec<(String, BoxStream<'static, Task>)>, McpError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        must_declare(caller)?;
        let mut known = Vec::new();
        for id in ids {
            let Some(place) = TaskPlace::named(&caller.principal, &id) else { continue };
            if let Some(task) = follow::follow(self, &caller.principal, place).await? {
                known.push((id, task));
            }
        }
        Ok(known)
    }

    /// Ends what runs here: calls that may be repeated are left to other replicas at once, others have `patience` to finish.
    pub async fn stop(&self, patience: Duration) {
        self.0.stopping.send_replace(Stopping::HandOver);
        if tokio::time::timeout(patience, self.0.stopping.closed()).await.is_err() {
            self.0.stopping.send_replace(Stopping::GiveUp);
            let _ = tokio::time::timeout(LAST_WORDS, self.0.stopping.closed()).await;
        }
    }

    fn place(&self, caller: &Caller, id: &str) -> Result<TaskPlace, McpError> {
        must_declare(caller)?;
        TaskPlace::named(&caller.principal, id).ok_or_else(unknown)
    }
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("ttl", &self.0.ttl).finish_non_exhaustive()
    }
}

/// Does this call become a task? `Err` when it cannot, and cannot be answered without one either.
fn becomes_task(tool: &AuthorizedTool, call: &Call, caller: &Caller, version: ProtocolVersion) -> Result<bool, Round<Called>> {
    let name = tool.spec().name;
    let required = match tool.spec().task {
        TaskSupport::Never => return Ok(false),
        TaskSupport::Offered => false,
        TaskSupport::Required => true,
    };
    let refused = |kind, message| Err(Round::Done(Err(ToolError::new(kind, message))));
    let bytes = call.arguments.as_ref().map_or(0, Bytes::len) + bytes_of(&caller.answers);
    if !version.is_modern() && required {
        let next = format!("use a client that speaks {} with the extension {EXTENSION}", ProtocolVersion::ALL[0]);
        refused(ToolErrorKind::Forbidden, format!("{name} runs as a task only; {next}"))
    } else if !version.is_modern() {
        Ok(false)
    } else if !caller.capabilities.has_extension(EXTENSION) {
        if required { Err(Round::Lacks(needed())) } else { Ok(false) }
    } else if bytes > MAX_KEPT_BYTES && required {
        let problem = format!("arguments and answers have {bytes} bytes, and a task keeps at most {MAX_KEPT_BYTES}");
        refused(ToolErrorKind::TooLarge, format!("{problem}; send less at once"))
    } else {
        Ok(bytes <= MAX_KEPT_BYTES)
    }
}

/// Answers in bytes of JSON, with their keys.
fn bytes_of(answers: &Answers) -> usize {
    answers.iter().map(|(key, answer)| key.len() + answer.to_string().len()).sum()
}

/// Only clients that take part in the extension know what the answer means.
fn must_declare(caller: &Caller) -> Result<(), McpError> {
    if caller.capabilities.has_extension(EXTENSION) { Ok(()) } else { Err(McpError::MissingCapability(needed())) }
}

/// What a client has to declare.
fn needed() -> Box<ClientCapabilities> {
    let extensions = [(EXTENSION.to_owned(), serde_json::json!({}))].into_iter().collect();
    Box::new(ClientCapabilities { extensions, ..ClientCapabilities::default() })
}

/// Told to a model that makes more tasks than this replica runs for one caller.
fn busy() -> ToolError {
    let message = format!("{SEATS} of your tasks run here already; wait until one is done, or cancel one, and repeat the call");
    ToolError::new(ToolErrorKind::Unavailable, message)
}

/// Never made, forgotten, expired or another caller's: one and the same to the caller.
fn unknown() -> McpError {
    McpError::InvalidParams("this task is unknown or has expired; call the tool again".to_owned())
}
