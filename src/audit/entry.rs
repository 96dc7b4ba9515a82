//! One call under way, and the line that it leaves.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{Audit, Line};
use crate::auth::{Denied, Principal};
use crate::call::{Origin, Round, ToolError, plain_uri};
use crate::path::TreePath;

/// What is told of names and paths that nobody has looked at, in characters.
const MAX_CHARS: usize = 1_000;

/// A call, if anybody wants to know. Its line is written when it is dropped: no end of a call goes without one.
#[derive(Debug)]
pub(crate) struct AuditEntry(Option<Box<Open>>);

/// What is called: a tool, a prompt or a resource of this name or URI.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Audited<T> {
    Tool(T),
    Prompt(T),
    Resource(T),
}

#[derive(Debug)]
struct Open {
    audit: Audit,
    called: Audited<Box<str>>,
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
    /// A call that has just come.
    pub(crate) fn begin(audit: &Audit, called: Audited<&str>, principal: &Arc<Principal>, origin: Option<&Arc<Origin>>) -> Self {
        Self(audit.is_on().then(|| {
            Box::new(Open {
                audit: audit.clone(),
                called: called.plain(),
                principal: Arc::clone(principal),
                origin: origin.cloned(),
                paths: [None, None],
                begun: Instant::now(),
                // What is given up before it runs was not allowed to.
                outcome: AuditOutcome::Refused("not_run"),
            })
        }))
    }

    /// A call of which nobody wants to know.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// The paths that the call names: where from, where to.
    pub(crate) fn touches<'a>(&mut self, paths: impl IntoIterator<Item = Option<&'a TreePath>>) {
        let Some(open) = &mut self.0 else { return };
        for (kept, path) in open.paths.iter_mut().zip(paths) {
            *kept = path.map(|path| printable(path.as_str()));
        }
    }

    /// The same, as the caller wrote them.
    pub(crate) fn names<P: IntoIterator<Item = Option<String>>>(&mut self, paths: impl FnOnce() -> P) {
        let Some(open) = &mut self.0 else { return };
        for (kept, path) in open.paths.iter_mut().zip(paths()) {
            *kept = path.map(|path| printable(cut(&path)));
        }
    }

    /// Notes how the call ends unless something else is noted.
    pub(crate) fn note(&mut self, outcome: AuditOutcome) {
        if let Some(open) = &mut self.0 {
            open.outcome = outcome;
        }
    }

    /// Passes on a permission, and notes one that was not given.
    pub(crate) fn admitted<T>(&mut self, admitted: Result<T, Denied>) -> Result<T, Denied> {
        admitted.inspect_err(|denied| self.note(AuditOutcome::Refused(denied.label())))
    }
}

impl Audited<&str> {
    fn plain(self) -> Audited<Box<str>> {
        match self {
            Self::Tool(name) => Audited::Tool(printable(cut(name))),
            Self::Prompt(name) => Audited::Prompt(printable(cut(name))),
            Self::Resource(uri) => Audited::Resource(printable(&plain_uri(uri))),
        }
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

impl Drop for Open {
    fn drop(&mut self) {
        let has_begun = self.origin.as_ref().is_some_and(|origin| origin.has_begun_work());
        let outcome = match self.outcome {
            AuditOutcome::Cancelled if has_begun => AuditOutcome::Abandoned,
            outcome => outcome,
        };
        let (outcome, error) = outcome.words();
        let span = self.origin.as_ref().and_then(|origin| origin.span);
        let [path, to] = &self.paths;
        let (tool, prompt, resource) = match &self.called {
            Audited::Tool(name) => (Some(&**name), None, None),
            Audited::Prompt(name) => (None, Some(&**name), None),
            Audited::Resource(uri) => (None, None, Some(&**uri)),
        };
        self.audit.write(&Line {
            timestamp: SystemTime::now(),
            tool,
            prompt,
            resource,
            path: path.as_deref(),
            to: to.as_deref(),
            principal: cut(&self.principal.subject),
            issuer: &self.principal.issuer,
            client_id: self.principal.client_id.as_deref().map(cut),
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

/// Writes out what some readers take for the end of a line, or for an order to the terminal or to turn text around: JSON lets
/// these stand.
fn printable(text: &str) -> Box<str> {
    let disturbs = |char: char| matches!(char, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(disturbs) {
        return text.into();
    }
    let mut printable = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if disturbs(char) { printable.extend(char.escape_unicode()) } else { printable.push(char) }
    }
    printable.into()
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_CHARS).map_or(text, |(end, _)| &text[..end])
}
