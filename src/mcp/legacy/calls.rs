//! Calls in a session: answered at once where possible, and kept in the shared state where not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::Service as _;
use tower::util::BoxCloneSyncService;

use super::call_record::{CallRecord, Phase, QuestionId};
use super::call_stream::CallStream;
use super::essence::essence;
use super::event::{CallName, Event, StreamName};
use super::get_stream::GetStream;
use super::kept::{KEPT, stream_limits};
use super::run::{Run, Step};
use super::runner::Held;
use super::signals::Signals;
use super::{EventName, Session, Sessions};
use crate::auth::Principal;
use crate::call::{Answers, Caller, Origin, Reports, ToolError, ToolErrorKind};
use crate::mcp::{Features, McpError, McpResult, Method, Named, ReportNotifications, Request, RequestId, ResultWriter, Retry};
use crate::state::{Lease, Once, SharedState, StateError};
use crate::tools::ToolResult;

/// Reports that may wait to be written; more are dropped.
const REPORT_BUFFER: usize = 64;
/// Of a call's record when it begins to stream, most of which are its arguments.
const MAX_RECORD_BYTES: usize = 64 * 1024;
/// What a call may have been answered, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Changes of one call that race are tried again so often.
const ATTEMPTS: usize = 20;
/// Marks the end of a stream, of which there is one.
pub(super) const END: Once<'_> = Once { field: "end", value: "1" };

/// The calls of all sessions. Cheap to clone.
#[derive(Clone)]
pub struct Calls(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) sessions: Sessions,
    pub(super) features: Arc<Features>,
    pub(super) writer: Arc<ResultWriter>,
    service: BoxCloneSyncService<Request<Named>, McpResult, McpError>,
    pub(super) signals: Signals,
}

/// A request that came in a session.
pub struct SessionCall {
    /// Marks the answer.
    pub id: RequestId,
    /// The message as it came.
    pub message: Bytes,
    /// What is asked.
    pub method: Method<Named>,
    /// Does the caller want to know how far the call has come?
    pub wants_progress: bool,
    /// How reports are written.
    pub notifications: ReportNotifications,
    /// Where it comes from; `None` when nobody wants to know.
    pub origin: Option<Arc<Origin>>,
}

/// What a round of a call begins with.
pub(super) struct Asked {
    pub(super) method: Method<Named>,
    pub(super) answers: Answers,
    pub(super) wants_progress: bool,
    pub(super) notifications: ReportNotifications,
    pub(super) origin: Option<Arc<Origin>>,
}

/// How a call is answered.
pub enum Answered {
    /// At once.
    Whole(Result<McpResult, McpError>),
    /// By a stream.
    Stream(CallStream),
    /// Not at all: it was cancelled.
    Cancelled,
}

impl Calls {
    /// Calls that `service` runs, in these sessions.
    #[must_use]
    pub fn new(
        sessions: Sessions,
        features: Arc<Features>,
        writer: Arc<ResultWriter>,
        service: BoxCloneSyncService<Request<Named>, McpResult, McpError>,
    ) -> Self {
        let signals = Signals::default();
        let stopped = signals.clone();
        features.notifier.on_foreign(move |told| {
            if let Some(name) = told.and_then(|told| told["stop"].as_str()) {
                stopped.stop(name);
            }
        });
        Self(Arc::new(Inner { sessions, features, writer, service, signals }))
    }

    /// Runs a call. Until it reports or asks something it runs within this very future: dropping that cancels the work,
    /// because nobody could fetch the answer. From then on it is on its own.
    pub async fn answer(&self, session: &Arc<Session>, principal: &Arc<Principal>, call: SessionCall) -> Answered {
        let SessionCall { id, message, method, wants_progress, notifications, origin } = call;
        let tool = tool_name(&method);
        let mut stop = self.0.signals.wait_as(call_signal(session, &id));
        let asked = Asked { method, answers: Answers::new(), wants_progress, notifications, origin };
        let mut run = self.run(session, principal, asked);
        // Why the call cannot be kept, once that was tried.
        let mut refused = None;
        loop {
            let step = tokio::select! {
                biased;
                () = stop.told() => return Answered::Cancelled,
                step = run.next() => step,
            };
            match step {
                Step::Ended(Ok(McpResult::InputRequired { .. })) | Step::Message(_) | Step::Close(_) if refused.is_none() => {
                    match self.keep(session, principal, &id, tool.clone(), message.clone()).await {
                        Ok((held, stream)) => {
                            tokio::spawn(self.clone().drive(held, run, Some(step), stop));
                            return Answered::Stream(stream);
                        }
                        Err(refusal) => {
                            tracing::debug!("a call goes on without a stream");
                            if let Step::Ended(_) = step {
                                return Answered::Whole(*refusal);
                            }
                            refused = Some(refusal);
                        }
                    }
                }
                // Without a stream reports go nowhere.
                Step::Message(_) | Step::Close(_) => {}
                Step::Ended(Ok(McpResult::InputRequired { .. })) => {
                    return Answered::Whole(refused.map_or(Err(McpError::Internal), |refusal| *refusal));
                }
                Step::Ended(outcome) => return Answered::Whole(outcome),
            }
        }
    }

    /// Does some work of a request; dropping the future cancels it. `None` when the client has cancelled the request.
    pub async fn unless_cancelled<T>(&self, session: &Session, id: &RequestId, work: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.0.signals.wait_as(call_signal(session, id));
        tokio::select! {
            biased;
            () = stop.told() => None,
            done = work => Some(done),
        }
    }

    /// The stream that an event belongs to, from after that event. `None` when there is none (any more).
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be read.
    pub async fn resume(
        &self,
        session: &Arc<Session>,
        principal: &Arc<Principal>,
        last: &EventName,
    ) -> Result<Option<CallStream>, StateError> {
        let StreamName::Call { call, nonce } = last.stream else { return Ok(None) };
        let Some((record, _)) = self.load(session, call).await? else { return Ok(None) };
        if record.nonce != nonce || !principal.scopes.covers(&record.scopes) {
            return Ok(None);
        }
        let stream = CallStream::open(self, session, principal, record.request, last.stream.clone(), Some(last.event)).await?;
        Ok(Some(stream))
    }

    /// The stream of what belongs to no call: from now on, or from after this event of it.
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be used.
    pub async fn listen(
        &self,
        session: &Arc<Session>,
        principal: &Arc<Principal>,
        last: Option<&EventName>,
    ) -> Result<GetStream, StateError> {
        GetStream::open(self, session, principal, last.map(|last| last.event)).await
    }

    /// Takes the client's answer to a question of a call; when it is the last one, this replica goes on with the call. An
    /// answer to what nobody asks (any more) changes nothing.
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be used: the answer was not taken.
    pub async fn take_answer(
        &self,
        session: &Arc<Session>,
        principal: &Arc<Principal>,
        id: &RequestId,
        answer: Result<Value, Value>,
    ) -> Result<(), StateError> {
        let Some(question) = QuestionId::parse(id) else { return Ok(()) };
        let StreamName::Call { call, .. } = question.stream else { return Ok(()) };
        for _ in 0..ATTEMPTS {
            let Some((mut record, stored)) = self.load(session, call).await? else { return Ok(()) };
            if !record.waits_for(&question) || !principal.scopes.covers(&record.scopes) {
                return Ok(());
            }
            let refused = match &answer {
                Ok(value) => {
                    record.answer(question.clone(), value.clone());
                    let bytes: usize = record.answers.values().map(|answer| answer.to_string().len()).sum();
                    (bytes > MAX_ANSWER_BYTES).then(|| format!("the client's answers have more than {MAX_ANSWER_BYTES} bytes"))
                }
                Err(error) => Some(refusal(&record.questions[&question.key].method, error)),
            };
            if let Some(reason) = refused {
                let held = Self::hold(session, principal, record, stored, None);
                return self.fail(held, &reason).await;
            }
            if self.swap(session, call, &stored, &record).await? {
                if record.phase == Phase::Ready {
                    // Followers on other replicas look after it from here on, should this one die.
                    self.append(session, &question.stream, &Event::Wake, None).await?;
                    self.adopt(session, principal, &question.stream).await?;
                }
                return Ok(());
            }
        }
        Err(StateError::contended())
    }

    /// Cancels a call of the session, wherever it runs or waits. No response is sent any more.
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be used: a call on another replica may go on.
    pub async fn cancel(&self, session: &Session, id: &RequestId) -> Result<(), StateError> {
        self.stop(&call_signal(session, id));
        let call = CallName::of(id);
        for _ in 0..ATTEMPTS {
            let Some((mut record, stored)) = self.load(session, call).await? else { return Ok(()) };
            if record.phase == Phase::Done {
                return Ok(());
            }
            record.phase = Phase::Done;
            if self.swap(session, call, &stored, &record).await? {
                let stream = StreamName::Call { call, nonce: record.nonce };
                // Its runner, if the message to stop did not reach it, notices when it renews the lease.
                return self.append(session, &stream, &Event::End, Some(END)).await.map(drop);
            }
        }
        Err(StateError::contended())
    }

    /// Ends a session, with all that runs in it.
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be used: the session may go on.
    pub async fn end_session(&self, session: &Session) -> Result<(), StateError> {
        self.0.sessions.end(session).await?;
        self.stop(&session.name());
        Ok(())
    }

    /// Stops what runs under names that begin like this, on any replica.
    fn stop(&self, name: &str) {
        self.0.signals.stop(name);
        (self.0.features.notifier.teller())(json!({ "stop": name }));
    }

    /// Begins to keep a call that this replica runs; or says how it is answered when it would have to be kept and cannot.
    async fn keep(
        &self,
        session: &Arc<Session>,
        principal: &Arc<Principal>,
        id: &RequestId,
        tool: Option<String>,
        message: Bytes,
    ) -> Result<(Held, CallStream), Box<Result<McpResult, McpError>>> {
        let call = CallName::of(id);
        let away = |error: StateError| Box::new(Err(McpError::Unavailable(format!("{error}; repeat the request"))));
        if let Some((record, _)) = self.load(session, call).await.map_err(away)?
            && record.phase != Phase::Done
        {
            let problem = "a request with this id is still under way in this session";
            return Err(Box::new(Err(McpError::InvalidRequest(problem.to_owned()))));
        }
        let message = essence(&message).ok_or_else(|| Box::new(Err(McpError::Internal)))?;
        let record = CallRecord::new(id, message, principal.scopes.clone(), tool);
        let stream = StreamName::Call { call, nonce: record.nonce };
        let stored = record.write();
        if stored.len() > MAX_RECORD_BYTES {
            return Err(Box::new(too_large(&record, stored.len())));
        }
        let kept = async {
            let lease = Lease::take(self.state(), session.lease_key(&stream)).await?;
            let held = Self::hold(session, principal, record, stored.clone(), lease);
            self.state().put_in_group(&session.kept, &session.call_member(call), stored, self.ttl(), KEPT).await?;
            Ok((held, CallStream::open(self, session, principal, id.clone(), stream, None).await?))
        };
        kept.await.map_err(away)
    }

    /// Starts a round of a call.
    pub(super) fn run(&self, session: &Arc<Session>, principal: &Arc<Principal>, asked: Asked) -> Run {
        let Asked { method, answers, wants_progress, notifications, origin } = asked;
        let (sender, reports) = mpsc::channel(REPORT_BUFFER);
        let caller = Caller {
            capabilities: Arc::clone(&session.capabilities),
            answers,
            reports: Reports::to(sender, wants_progress, Some(session.log_level)),
            origin,
            ..Caller::new(Arc::clone(principal))
        };
        let (version, session) = (session.version, Some(Arc::clone(session)));
        let request = Request { caller, version, method, retry: Retry::default(), session };
        Run::new(self.0.service.clone().call(request), reports, notifications)
    }

    pub(super) fn state(&self) -> &Arc<dyn SharedState> {
        &self.0.sessions.state
    }

    pub(super) fn ttl(&self) -> Duration {
        self.0.sessions.limits.ttl
    }

    /// A call's record, and how it is stored.
    pub(super) async fn load(&self, session: &Session, call: CallName) -> Result<Option<(CallRecord, Bytes)>, StateError> {
        let stored = self.state().get_in_group(&session.kept, &session.call_member(call), self.ttl()).await?;
        Ok(stored.and_then(|stored| Some((CallRecord::read(&stored)?, stored))))
    }

    /// Changes a call's record, unless it has changed meanwhile.
    pub(super) async fn swap(
        &self,
        session: &Session,
        call: CallName,
        stored: &[u8],
        record: &CallRecord,
    ) -> Result<bool, StateError> {
        let member = session.call_member(call);
        self.state().replace_in_group(&session.kept, &member, Some(stored), record.write(), self.ttl(), KEPT).await
    }

    pub(super) async fn append(
        &self,
        session: &Session,
        stream: &StreamName,
        event: &Event,
        once: Option<Once<'_>>,
    ) -> Result<bool, StateError> {
        let (member, limits) = (session.stream_member(stream), stream_limits(self.ttl()));
        Ok(self.state().append(&session.kept, &member, event.encode(stream), once, limits).await?.is_some())
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

/// What a call of this id waits as to be cancelled.
pub(super) fn call_signal(session: &Session, id: &RequestId) -> String {
    format!("{}{}/", session.name(), CallName::of(id))
}

/// How a call is answered that asks something and is too large to wait for the answer.
fn too_large(record: &CallRecord, bytes: usize) -> Result<McpResult, McpError> {
    let problem = format!("this call asks its user, and for that it may have at most {MAX_RECORD_BYTES} bytes; it has {bytes}");
    let message = format!("{problem}; send less at once");
    match &record.tool {
        Some(_) => Ok(McpResult::CallTool(ToolResult::from(ToolError::new(ToolErrorKind::TooLarge, message)))),
        None => Err(McpError::InvalidParams(message)),
    }
}

fn tool_name(method: &Method<Named>) -> Option<String> {
    match method {
        Method::CallTool(call) => Some(call.name.clone()),
        _ => None,
    }
}

/// What a call is told when the client does not answer its question.
fn refusal(method: &str, error: &Value) -> String {
    let message: String = error["message"].as_str().unwrap_or("no reason given").chars().take(300).collect();
    format!("the client answered {method} with an error: {message}")
}
