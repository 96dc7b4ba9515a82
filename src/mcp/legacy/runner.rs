//! Running a kept call: by the replica that began it, by the one that got the last answer, or by one that found it abandoned.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::Session;
use super::call_record::{CallRecord, Phase, QuestionId};
use super::calls::{Asked, Calls, END, call_signal};
use super::event::{CallName, Event, StreamName};
use super::kept::KEPT;
use super::run::{Run, Step};
use super::signals::Stop;
use crate::auth::Principal;
use crate::call::{Answers, InputRequests, Origin, ToolError, ToolErrorKind};
use crate::mcp::{McpError, McpResult, Message, Method, Named, Params, ReportNotifications, RequestId, write_error};
use crate::state::{Lease, Once, StateError, StateFuture};
use crate::tools::{Effect, ToolResult};

/// How often a call may ask.
const MAX_ROUNDS: u32 = 64;
/// A call during which so many replicas died is not tried by another one.
const MAX_TAKEOVERS: u32 = 3;
/// A report longer than this is left out.
const MAX_REPORT_BYTES: usize = 256 * 1024;
/// While the shared state is away, what must not be lost is tried again so often.
const INSIST: u32 = 60;
const INSIST_EVERY: Duration = Duration::from_millis(500);

/// A kept call, with all it takes to go on with it.
pub(super) struct Held {
    session: Arc<Session>,
    principal: Arc<Principal>,
    stream: StreamName,
    call: CallName,
    request: RequestId,
    record: CallRecord,
    /// The record as it is stored.
    stored: Bytes,
    /// Held by whoever runs the call; a call that waits needs none to be ended.
    lease: Option<Lease>,
}

/// What a look at a kept call has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A replica runs it: this one, perhaps since now.
    Running,
    /// It waits for the client.
    Waiting,
    /// It is over.
    Done,
    /// There is no record of it any more.
    Gone,
}

impl Held {
    async fn give_back(self) -> Result<(), StateError> {
        match self.lease {
            Some(lease) => lease.give_back().await,
            None => Ok(()),
        }
    }
}

impl Calls {
    pub(super) fn hold(
        session: &Arc<Session>,
        principal: &Arc<Principal>,
        record: CallRecord,
        stored: Bytes,
        lease: Option<Lease>,
    ) -> Held {
        let request = record.request.clone();
        let call = CallName::of(&request);
        Held {
            session: Arc::clone(session),
            // Whoever goes on with it may be allowed more by now.
            principal: Arc::new(Principal { scopes: record.scopes.clone(), ..(**principal).clone() }),
            stream: StreamName::Call { call, nonce: record.nonce },
            call,
            request,
            record,
            stored,
            lease,
        }
    }

    /// Runs a round to its end, as the holder of its lease.
    pub(super) async fn drive(self, held: Held, mut run: Run, mut first: Option<Step>, mut stop: Stop) {
        let mut renew = interval_at(Instant::now() + Lease::RENEW_EVERY, Lease::RENEW_EVERY);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = match first.take() {
                Some(step) => step,
                None => tokio::select! {
                    biased;
                    () = stop.told() => return,
                    step = run.next() => step,
                    _ = renew.tick() => {
                        if self.renew(&held).await { continue }
                        tracing::debug!("a call was cancelled, or is run by another replica");
                        return;
                    }
                },
            };
            let event = match step {
                Step::Message(message) if message.len() > MAX_REPORT_BYTES => continue,
                Step::Message(message) => Event::Message(message.into()),
                Step::Close(retry) => Event::Close(retry),
                Step::Ended(outcome) => {
                    let ended = match outcome {
                        Ok(McpResult::InputRequired { questions, answers, .. }) => {
                            self.ask(held, questions, answers, run.reported()).await
                        }
                        outcome => self.finish(held, outcome).await,
                    };
                    if let Err(error) = ended {
                        tracing::warn!(%error, "the end of a call could not be written; another replica will find it abandoned");
                    }
                    return;
                }
            };
            if let Err(error) = self.append(&held.session, &held.stream, &event, None).await {
                tracing::debug!(%error, "a report of a call was lost");
            }
        }
    }

    /// Looks after a kept call on behalf of somebody who waits for it: goes on with it when it is ready or abandoned.
    /// Exactly one of all who look at the same time does.
    pub(super) async fn adopt(
        &self,
        session: &Arc<Session>,
        principal: &Arc<Principal>,
        stream: &StreamName,
    ) -> Result<Found, StateError> {
        let StreamName::Call { call, nonce } = *stream else { return Ok(Found::Gone) };
        let Some(lease) = Lease::take(self.state(), session.lease_key(stream)).await? else { return Ok(Found::Running) };
        let found = match self.load(session, call).await?.filter(|(record, _)| record.nonce == nonce) {
            None => Found::Gone,
            Some((record, _)) if record.phase == Phase::Done => Found::Done,
            Some((record, _)) if record.phase == Phase::Waiting => {
                // The replica that asked may have died before it told the client.
                self.tell_questions(session, stream, &record).await?;
                Found::Waiting
            }
            Some((record, stored)) => {
                self.go_on(Self::hold(session, principal, record, stored, Some(lease))).await?;
                return Ok(Found::Running);
            }
        };
        lease.give_back().await?;
        Ok(found)
    }

    /// Goes on with a call that is ready, or whose replica has died.
    async fn go_on(&self, mut held: Held) -> Result<(), StateError> {
        let mut record = held.record.clone();
        if let Phase::Running(_) = record.phase {
            record.takeovers += 1;
            if record.takeovers > MAX_TAKEOVERS || !self.may_be_repeated(&record) {
                let reason = "the server that ran this call stopped in the middle of it; look whether it took effect before \
                              calling again";
                return self.fail(held, reason).await;
            }
        }
        record.phase = Phase::Running(rand::random());
        if !self.swap(&held.session, held.call, &held.stored, &record).await? {
            // Somebody else has changed it, and looks after it.
            return held.give_back().await;
        }
        held.stored = record.write();
        held.record = record;
        tokio::spawn(self.clone().start_again(held));
        Ok(())
    }

    /// Does a second run of the round that was interrupted do no harm?
    fn may_be_repeated(&self, record: &CallRecord) -> bool {
        let Some(tool) = &record.tool else { return true };
        let effect = self.0.features.tools.descriptions().find(|tool_| tool_.spec.name == tool).map(|tool| tool.spec.effect);
        match effect {
            Some(Effect::ReadOnly | Effect::Additive { idempotent: true } | Effect::Destructive { idempotent: true }) => true,
            Some(Effect::Additive { idempotent: false } | Effect::Destructive { idempotent: false }) | None => false,
        }
    }

    async fn start_again(self, held: Held) {
        let (method, wants_progress, notifications) = match read_again(&held) {
            Ok(read) => read,
            Err(error) => {
                if let Err(error) = self.finish(held, Err(error)).await {
                    tracing::warn!(%error, "the end of a call could not be written; another replica will find it abandoned");
                }
                return;
            }
        };
        let stop = self.0.signals.wait_as(call_signal(&held.session, &held.request));
        let (answers, origin) = (held.record.answers.clone(), Some(Arc::new(Origin::of(held.request.as_json()))));
        let asked = Asked { method, answers, wants_progress, notifications, origin };
        let run = self.run(&held.session, &held.principal, asked);
        self.drive(held, run, None, stop).await;
    }

    /// Keeps the lease. `false` when the call is no longer this replica's, or was cancelled.
    async fn renew(&self, held: &Held) -> bool {
        let Some(lease) = &held.lease else { return false };
        match lease.renew().await {
            Ok(true) => {}
            Ok(false) => return false,
            // Not to be known now; the end of the call will show it.
            Err(_) => return true,
        }
        match self.load(&held.session, held.call).await {
            Ok(Some((record, _))) => record.phase == held.record.phase && record.nonce == held.record.nonce,
            Ok(None) => self.keep_again(held).await.unwrap_or(true),
            Err(_) => true,
        }
    }

    /// A call that was forgotten while it ran is kept again, as long as its session is there: somebody may wait for it.
    async fn keep_again(&self, held: &Held) -> Result<bool, StateError> {
        let (session, stored) = (&held.session, held.stored.clone());
        Ok(self.0.sessions.keep(session).await?
            && self
                .state()
                .replace_in_group(&session.kept, &session.call_member(held.call), None, stored, self.ttl(), KEPT)
                .await?)
    }

    /// The call asks: from now on it lives in the shared state alone.
    async fn ask(&self, held: Held, questions: InputRequests, answers: Answers, reported: Option<f64>) -> Result<(), StateError> {
        if held.record.round >= MAX_ROUNDS {
            return self.fail(held, "it asked too often and never understood the answers").await;
        }
        let mut record = held.record.clone();
        record.ask(questions, answers, reported);
        if insist(|| Box::pin(self.swap(&held.session, held.call, &held.stored, &record))).await? {
            self.tell_questions(&held.session, &held.stream, &record).await?;
        }
        held.give_back().await
    }

    /// Sends the client what it is asked; what it has been sent already is not sent again.
    async fn tell_questions(&self, session: &Session, stream: &StreamName, record: &CallRecord) -> Result<(), StateError> {
        let round = record.round.to_string();
        for (key, question) in &record.questions {
            let id = QuestionId { stream: stream.clone(), round: record.round, key: key.clone() };
            let event = Event::Message(id.write(question, session.version).into());
            // Keys are the tool's own words; what stands for one in the shared state is short.
            let field = format!("asked:{}", &blake3::hash(key.as_bytes()).to_hex()[..16]);
            self.append(session, stream, &event, Some(Once { field: &field, value: &round })).await?;
        }
        Ok(())
    }

    /// The call is over: its response goes out, once, whoever else may have run it.
    async fn finish(&self, held: Held, outcome: Result<McpResult, McpError>) -> Result<(), StateError> {
        let response = match outcome {
            Ok(result) => self.0.writer.write(&held.request, held.session.version, result),
            Err(error) => write_error(Some(&held.request), &error),
        };
        let last = Event::Last(response.into());
        let append = || Box::pin(self.append(&held.session, &held.stream, &last, Some(END)));
        if !insist(|| append()).await? && self.load(&held.session, held.call).await?.is_none() && self.keep_again(&held).await? {
            insist(|| append()).await?;
        }
        let record = CallRecord { phase: Phase::Done, ..held.record.clone() };
        self.swap(&held.session, held.call, &held.stored, &record).await?;
        held.give_back().await
    }

    /// Ends a call with a failure that says `reason`.
    pub(super) async fn fail(&self, held: Held, reason: &str) -> Result<(), StateError> {
        let outcome = match &held.record.tool {
            Some(tool) => {
                let error = ToolError::new(ToolErrorKind::Unavailable, format!("{tool} was not finished: {reason}"));
                Ok(McpResult::CallTool(ToolResult::from(error)))
            }
            None => Err(McpError::Unavailable(format!("the request was not finished: {reason}"))),
        };
        self.finish(held, outcome).await
    }
}

/// What `http` had read of the request when it came.
fn read_again(held: &Held) -> Result<(Method<Named>, bool, ReportNotifications), McpError> {
    let message = Bytes::from(held.record.message.clone());
    let text = std::str::from_utf8(&message).map_err(|_| McpError::Internal)?;
    let Ok(Message::Request { method, params, .. }) = Message::parse(text) else { return Err(McpError::Internal) };
    let mut params = Params::parse(params)?;
    let method = params.method(&method, held.session.version, &message)?;
    let token = params.meta.and_then(|meta| meta.progress_token);
    Ok((method, token.is_some(), ReportNotifications::new(token).after(held.record.reported)))
}

/// Tries again what must not be lost while the shared state is away for a moment.
async fn insist<'a, T>(operation: impl Fn() -> StateFuture<'a, T>) -> Result<T, StateError> {
    for _ in 0..INSIST {
        match operation().await {
            Ok(done) => return Ok(done),
            Err(error) => tracing::debug!(%error, "tried again"),
        }
        sleep(INSIST_EVERY).await;
    }
    operation().await
}
