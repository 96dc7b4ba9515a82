//! One round of a call under way: its reports, then its result.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use crate::call::Report;
use crate::mcp::{McpError, McpResult, ReportNotifications};

type Outcome = Result<McpResult, McpError>;

/// A round under way. Dropping it cancels the work.
pub(super) struct Run {
    work: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    outcome: Option<Outcome>,
    reports: mpsc::Receiver<Report>,
    notifications: ReportNotifications,
}

/// What comes out of a round.
pub(super) enum Step {
    /// A notification.
    Message(Vec<u8>),
    /// The connection is to be closed for this long.
    Close(Duration),
    /// The round is over.
    Ended(Outcome),
}

impl Run {
    pub(super) fn new(
        work: impl Future<Output = Outcome> + Send + 'static,
        reports: mpsc::Receiver<Report>,
        notifications: ReportNotifications,
    ) -> Self {
        // A panic is one call's failure; on a task of its own nothing else would turn it into an answer.
        let work = AssertUnwindSafe(work).catch_unwind().map(|ended| ended.unwrap_or(Err(McpError::Internal)));
        Self { work: Box::pin(work), outcome: None, reports, notifications }
    }

    /// The next thing; not to be asked again after `Ended`. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Step {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// How far the call has told that it has come.
    pub(super) fn reported(&self) -> Option<f64> {
        self.notifications.reported()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.outcome.is_none()
            && let Poll::Ready(outcome) = self.work.as_mut().poll(cx)
        {
            self.outcome = Some(outcome);
        }
        // Reports that were sent before the result go out before it.
        while let Poll::Ready(Some(report)) = self.reports.poll_recv(cx) {
            if let Report::Close(retry) = report {
                return Poll::Ready(Step::Close(retry));
            }
            if let Some(message) = self.notifications.write(&report) {
                return Poll::Ready(Step::Message(message));
            }
        }
        self.outcome.take().map_or(Poll::Pending, |outcome| Poll::Ready(Step::Ended(outcome)))
    }
}
