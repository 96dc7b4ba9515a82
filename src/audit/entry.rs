//! One call under way, and the line that it leaves.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{Audit, Line};
use crate::auth::Principal;
use crate::call::{Origin, Round, ToolError};
use crate::path::TreePath;

/// What is told of names and paths that nobody has looked at, in characters.
const MAX_CHARS: usize = 1_000;

/// A call of a tool. Its line is written when it is dropped: no end of a call goes without one.
#[derive(Debug)]
pub(crate) struct AuditEntry {
    audit: Audit,
    tool: Box<str>,
    principal: Arc<Principal>,
    origin: Option<Arc<Origin>>,
    paths: [Option<Box<str>>; 2],
    begun: Instant,
    outcome: AuditOutcome,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditOutcome {
    /// With a result.
    Ok,
    /// With a failure of this kind that the model can repair.
    ToolError(&'static str),
    /// Before it ran, for this reason.
    Refused(&'static str),
    /// With questions.
    InputRequired,
    /// Nobody waits for it any more, and it had not begun to work on files.
    Cancelled,
    /// Nobody waits for it any more; its work may have been done all the same.
    Abandoned,
}

impl AuditEntry {
    /// A call that has just come, if anybody wants to know.
    pub(crate) fn begin(
        audit: &Audit,
        tool: &str,
        principal: &Arc<Principal>,
        origin: Option<&Arc<Origin>>,
    ) -> Option<Box<Self>> {
        audit.is_on().then(|| {
            Box::new(Self {
                audit: audit.clone(),
                tool: cut(tool),
                principal: Arc::clone(principal),
                origin: origin.cloned(),
                paths: [None, None],
                begun: Instant::now(),
                // What is given up before it runs was not allowed to.
                outcome: AuditOutcome::Refused("not_run"),
            })
        })
    }

    /// The paths that the call names: where from, where to.
    pub(crate) fn touches<'a>(&mut self, paths: impl IntoIterator<Item = Option<&'a TreePath>>) {
        for (kept, path) in self.paths.iter_mut().zip(paths) {
            *kept = path.map(|path| path.as_str().into());
        }
    }

    /// The same, as the caller wrote them.
    pub(crate) fn names(&mut self, paths: impl IntoIterator<Item = Option<String>>) {
        for (kept, path) in self.paths.iter_mut().zip(paths) {
            *kept = path.map(|path| cut(&path));
        }
    }

    /// Notes how the call ends unless something else is noted.
    pub(crate) fn note(&mut self, outcome: AuditOutcome) {
        self.outcome = outcome;
    }
}

impl AuditOutcome {
    /// Of a round; `failure` is the failure in its output.
    pub(crate) fn of<T>(round: &Round<T>, failure: impl FnOnce(&T) -> Option<&'static str>) -> Self {
        let failed = |error: &ToolError| Self::ToolError(error.kind().as_str());
        match round {
            Round::Done(Ok(output)) => failure(output).map_or(Self::Ok, Self::ToolError),
            Round::Done(Err(error)) => failed(error),
            Round::Asks { .. } => Self::InputRequired,
            Round::Lacks(_) => Self::Refused("missing_capability"),
        }
    }

    fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Ok => ("ok", None),
            Self::ToolError(kind) => ("tool_error", Some(kind)),
            Self::Refused(reason) => ("refused", Some(reason)),
            Self::InputRequired => ("input_required", None),
            Self::Cancelled | Self::Abandoned if std::thread::panicking() => ("panicked", None),
            Self::Cancelled => ("cancelled", None),
            Self::Abandoned => ("abandoned", None),
        }
    }
}

impl Drop for AuditEntry {
    fn drop(&mut self) {
        let has_begun = self.origin.as_ref().is_some_and(|origin| origin.has_begun_work());
        let outcome = match self.outcome {
            AuditOutcome::Cancelled if has_begun => AuditOutcome::Abandoned,
            outcome => outcome,
        };
        let (outcome, error) = outcome.words();
        let span = self.origin.as_ref().and_then(|origin| origin.span);
        let [path, to] = &self.paths;
        self.audit.write(&Line {
            timestamp: SystemTime::now(),
            tool: &self.tool,
            path: path.as_deref(),
            to: to.as_deref(),
            principal: &self.principal.subject,
            issuer: &self.principal.issuer,
            client_id: self.principal.client_id.as_deref(),
            client: self.origin.as_ref().and_then(|origin| origin.client.as_deref()),
            outcome,
            error,
            duration_ms: self.begun.elapsed().as_micros() as f64 / 1_000.0,
            request_id: self.origin.as_ref().map(|origin| &*origin.request),
            trace_id: span.map(|span| span.trace_id().to_string()),
            span_id: span.map(|span| span.span_id().to_string()),
        });
    }
}

fn cut(text: &str) -> Box<str> {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => text[..end].into(),
        None => text.into(),
    }
}
