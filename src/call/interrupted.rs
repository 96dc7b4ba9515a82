//! Why a call has no output.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::{Answers, CallContext, ClientCapabilities, InputRequests, ToolError, ToolErrorKind};

/// What ends a call before its output. `?` turns a [`ToolError`] into one.
#[derive(Clone, Debug, PartialEq)]
pub enum Interrupted {
    /// The call failed in a way that the model can repair.
    Failed(ToolError),
    /// The user, the client's model or the client has to answer first; the call then runs again, from its beginning, with
    /// the answers at hand. What was asked is kept by the context.
    InputRequired,
    /// The client does not declare what the call cannot do without: these capabilities.
    MissingCapability(Box<ClientCapabilities>),
}

impl<E: Into<ToolError>> From<E> for Interrupted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// How one round of a call ended: a call that asks for something takes more than one.
#[derive(Clone, Debug, PartialEq)]
pub enum Round<T> {
    /// With an output, or a failure that the model can repair.
    Done(Result<T, ToolError>),
    /// With questions; to be run again with all answers.
    Asks {
        /// What has to be answered now.
        questions: InputRequests,
        /// What was answered in the rounds before.
        answers: Answers,
    },
    /// Not at all: the client does not declare these capabilities.
    Lacks(Box<ClientCapabilities>),
}

/// The future of a round, which borrows its context.
pub(crate) type RoundFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Interrupted>> + Send + 'a>>;

impl<T> Round<T> {
    /// The same round with another output.
    pub(crate) fn map<U>(self, output: impl FnOnce(T) -> U) -> Round<U> {
        match self {
            Self::Done(result) => Round::Done(result.map(output)),
            Self::Asks { questions, answers } => Round::Asks { questions, answers },
            Self::Lacks(capabilities) => Round::Lacks(capabilities),
        }
    }

    /// What the call ended with; `None` when it asks for something first.
    #[must_use]
    pub fn done(self) -> Option<Result<T, ToolError>> {
        match self {
            Self::Done(result) => Some(result),
            Self::Asks { .. } | Self::Lacks(_) => None,
        }
    }

    /// Runs one round under its deadline. Dropping the future cancels the work.
    pub(crate) async fn run<F>(cx: CallContext, name: &str, timeout: Duration, call: F) -> Self
    where
        F: for<'a> FnOnce(&'a CallContext) -> RoundFuture<'a, T>,
    {
        let ended = tokio::time::timeout(timeout, call(&cx)).await;
        match ended.unwrap_or_else(|_| Err(Interrupted::Failed(timed_out(name, timeout)))) {
            Ok(output) => Self::Done(Ok(output)),
            Err(Interrupted::Failed(error)) => Self::Done(Err(error)),
            Err(Interrupted::MissingCapability(capabilities)) => Self::Lacks(capabilities),
            Err(Interrupted::InputRequired) => {
                let (questions, answers) = cx.into_questions();
                Self::Asks { questions, answers }
            }
        }
    }
}

fn timed_out(name: &str, timeout: Duration) -> ToolError {
    let timeout = humantime::format_duration(timeout);
    let next = "ask for less at once (a smaller folder, a narrower pattern)";
    ToolError::new(ToolErrorKind::TimedOut, format!("{name} took longer than {timeout}; {next}"))
}
