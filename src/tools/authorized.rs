//! A call that may be made.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Either;

use super::{ToolResult, ToolSpec};
use crate::audit::{AuditEntry, AuditOutcome};
use crate::auth::Principal;
use crate::call::{CallContext, Caller, Round, RoundFuture, ToolError, Workplace};

/// The proof that a caller may make a call, and the only thing that can be run. Only
/// [`ToolRegistry::authorize`](super::ToolRegistry::authorize) makes one.
pub struct AuthorizedTool {
    pub(super) spec: &'static ToolSpec,
    pub(super) call: PreparedCall,
    pub(super) principal: Arc<Principal>,
    pub(super) workplace: Workplace,
    pub(super) entry: AuditEntry,
}

/// Decoded arguments waiting for a context, or why they could not be decoded.
pub(super) type PreparedCall = Result<Box<dyn Runnable>, ToolError>;

pub(super) trait Runnable: Send {
    /// Gives itself back when the call may become a task.
    fn before_task<'a>(self: Box<Self>, cx: &'a CallContext) -> RoundFuture<'a, Box<dyn Runnable>>;
    fn run<'a>(self: Box<Self>, cx: &'a CallContext) -> RoundFuture<'a, ToolResult>;
}

impl std::fmt::Debug for AuthorizedTool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AuthorizedTool").field(&self.spec.name).finish()
    }
}

impl AuthorizedTool {
    /// What is declared about the tool.
    #[must_use]
    pub fn spec(&self) -> &'static ToolSpec {
        self.spec
    }

    /// What the tool settles before the call becomes a task. Gives the call back when it may become one.
    pub async fn before_task(self, caller: Caller) -> Round<Self> {
        let Self { spec, call, principal, workplace, mut entry } = self;
        let round = match call {
            Ok(call) => {
                let workplace = workplace.clone();
                entry.note(AuditOutcome::Cancelled);
                workplace.round(Arc::clone(&principal), caller, spec.lane, spec.name, move |cx| call.before_task(cx)).await
            }
            Err(error) => Round::Done(Err(error)),
        };
        // It is over already, or becomes a task, unless that is given up.
        let over = AuditOutcome::of(&round, |_| None);
        entry.note(if over == AuditOutcome::Ok { AuditOutcome::Refused("not_run") } else { over });
        round.map(|call| Self { spec, call: Ok(call), principal, workplace, entry })
    }

    /// Runs one round of the call in the tool's lane, under its deadline, with the rights of the principal that it was
    /// authorized for. Dropping the future cancels the work.
    pub fn run(self, caller: Caller) -> impl Future<Output = Round<ToolResult>> + Send {
        let timeout = self.workplace.timeout;
        self.run_for(caller, timeout)
    }

    /// The same, under another deadline.
    pub fn run_for(self, caller: Caller, timeout: Duration) -> impl Future<Output = Round<ToolResult>> + Send {
        let mut entry = self.entry;
        let call = match self.call {
            Ok(call) => call,
            Err(error) => {
                entry.note(AuditOutcome::ToolError(error.kind().as_str()));
                return Either::Right(ready(Round::Done(Err(error))));
            }
        };
        entry.note(AuditOutcome::Cancelled);
        let workplace = Workplace { timeout, ..self.workplace };
        let round = workplace.round(self.principal, caller, self.spec.lane, self.spec.name, move |cx| call.run(cx));
        Either::Left(round.map(move |round| {
            entry.note(AuditOutcome::of(&round, |result| Some(result.error?.as_str())));
            round
        }))
    }
}
