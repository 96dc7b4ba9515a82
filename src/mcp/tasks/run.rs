//! One run of a task's call, under a lease: from the moment that the record says so to the one that it says otherwise.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::record::{TaskRecord, TaskState};
use super::seats::Seat;
use super::store::{Change, TaskPlace, TaskStore};
use crate::call::{Caller, Progress, Report, Reports, Round};
use crate::mcp::McpError;
use crate::mcp::result::{error_json, tool_result_json};
use crate::state::{Lease, Subscription};
use crate::tools::{AuthorizedTool, ToolResult};

/// Progress is written no more often.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Between two attempts to write how the run ended, while the shared state is away.
const RETRY: Duration = Duration::from_millis(500);
/// Reports that may wait to be looked at; only the last one counts.
const REPORT_BUFFER: usize = 16;
/// Of what a tool says of its progress.
const MAX_MESSAGE_CHARS: usize = 500;

/// How far the end of this replica has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stopping {
    /// It goes on.
    No,
    /// Calls that can be repeated are left to other replicas; others may finish.
    HandOver,
    /// All calls end now.
    GiveUp,
}

/// A run under way.
pub(super) struct Run {
    pub(super) store: Arc<TaskStore>,
    pub(super) place: TaskPlace,
    pub(super) lease: Lease,
    /// The run that the record names.
    pub(super) id: u64,
    pub(super) stopping: watch::Receiver<Stopping>,
    pub(super) _seat: Seat,
}

/// Why a run must not go on.
enum Stop {
    /// The task was cancelled, has expired, or is another's now.
    Lost,
    /// The replica stops, and another can begin again.
    HandOver,
    /// The replica stops, and nobody can go on.
    GiveUp,
}

impl Run {
    /// Runs the call to its end, and writes down what that was. `record` is how the task stands at the beginning.
    pub(super) fn spawn(self, tool: AuthorizedTool, caller: Caller, record: TaskRecord) {
        tokio::spawn(async move { self.run(tool, caller, &record).await });
    }

    async fn run(mut self, tool: AuthorizedTool, caller: Caller, record: &TaskRecord) {
        let (name, repeatable, time_left) = (tool.spec().name, tool.spec().effect.is_idempotent(), record.time_left());
        let (sender, reports) = mpsc::channel(REPORT_BUFFER);
        let caller = Caller {
            capabilities: Arc::new(record.capabilities.clone()),
            answers: record.answers.clone(),
            reports: Reports::to(sender, true, None),
            ..caller
        };
        // Dropped when the run has to stop: that cancels the work.
        let call = AssertUnwindSafe(tool.run_for(caller, time_left)).catch_unwind();
        let ended = tokio::select! {
            ended = call => Ok(ended),
            stop = self.watch(reports, repeatable) => Err(stop),
        };
        match ended {
            Ok(Ok(round)) => self.write(time_left, |record| conclude(record, &round)).await,
            Ok(Err(_panic)) => self.write(time_left, |record| fail(record, &McpError::Internal)).await,
            Err(Stop::Lost) => {}
            Err(Stop::HandOver) => self.write(RETRY, |record| record.state = TaskState::Working { run: None }).await,
            Err(Stop::GiveUp) => self.write(RETRY, |record| fail(record, &abandoned(name))).await,
        }
        if self.lease.give_back().await.is_ok() {
            // Who heard of the change before could not take the lease.
            self.store.announce(&self.place).await;
        }
    }

    /// Changes the record, if it still names this run. Tries for `patience` when the shared state is away.
    async fn write(&self, patience: Duration, change: impl Fn(&mut TaskRecord)) {
        let until = Instant::now() + patience;
        let change = |record: &mut TaskRecord| {
            let mine = record.is_in_run(self.id);
            if mine {
                change(record);
            }
            mine
        };
        while let Err(error) = self.store.change(&self.place, change).await {
            if Instant::now() > until {
                tracing::warn!(%error, "the end of a task could not be written");
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Keeps the lease and tells of progress, until the run has to stop.
    async fn watch(&mut self, mut reports: mpsc::Receiver<Report>, repeatable: bool) -> Stop {
        let last_moment = if repeatable { Stopping::HandOver } else { Stopping::GiveUp };
        let mut stopping = self.stopping.clone();
        let mut stopped = std::pin::pin!(async {
            // A sender that is gone is the end of the server as well.
            let _ = stopping.wait_for(|stopping| *stopping >= last_moment).await;
        });
        let (mut renew, mut tell) = (every(Lease::RENEW_EVERY), every(TELL_EVERY));
        let mut news = self.store.subscribe(&self.place).await.ok();
        let mut message = None;
        loop {
            let still_mine = tokio::select! {
                () = &mut stopped => return if repeatable { Stop::HandOver } else { Stop::GiveUp },
                Some(report) = reports.recv() => {
                    if let Report::Progress(progress) = report {
                        message = Some(text(&progress));
                    }
                    true
                }
                _ = tell.tick(), if message.is_some() => self.tell(message.take()).await,
                () = next(&mut news) => self.is_mine().await,
                _ = renew.tick() => {
                    if news.is_none() {
                        news = self.store.subscribe(&self.place).await.ok();
                    }
                    // While the shared state is away nobody else can take the task, either.
                    self.lease.renew().await.unwrap_or(true) && self.is_mine().await
                }
            };
            if !still_mine {
                return Stop::Lost;
            }
        }
    }

    /// Is the task still this run's?
    async fn is_mine(&self) -> bool {
        match self.store.read(&self.place).await {
            Ok(record) => record.is_some_and(|record| record.is_in_run(self.id)),
            Err(_) => true,
        }
    }

    /// Writes the tool's last message. Is the task still this run's?
    async fn tell(&self, message: Option<String>) -> bool {
        let change = |record: &mut TaskRecord| {
            let mine = record.is_in_run(self.id) && record.message != message;
            if mine {
                record.message.clone_from(&message);
            }
            mine
        };
        match self.store.change(&self.place, change).await {
            Ok(Change::Made(record) | Change::Declined(record)) => record.is_in_run(self.id),
            Ok(Change::Unknown) => false,
            Err(_) => true,
        }
    }
}

/// Writes how a round ended into the record.
fn conclude(record: &mut TaskRecord, round: &Round<ToolResult>) {
    match round {
        Round::Done(Ok(result)) => complete(record, result),
        Round::Done(Err(error)) => complete(record, &ToolResult::from(error.clone())),
        Round::Lacks(capabilities) => fail(record, &McpError::MissingCapability(capabilities.clone())),
        // A question that was not put by way of the context cannot be answered.
        Round::Asks { questions, .. } if questions.is_empty() => fail(record, &McpError::Internal),
        Round::Asks { questions, .. } => record.ask(questions.clone()),
    }
}

fn complete(record: &mut TaskRecord, result: &ToolResult) {
    let result: Box<RawValue> = tool_result_json(result);
    record.end(TaskState::Completed { result }, None);
}

/// Ends a task with an error of the protocol.
pub(super) fn fail(record: &mut TaskRecord, error: &McpError) {
    record.end(TaskState::Failed { error: error_json(error) }, Some(error.to_string()));
}

/// Whoever ran the task has gone, and what it has done by then is unknown.
pub(super) fn abandoned(tool: &str) -> McpError {
    McpError::Unavailable(format!(
        "the replica that ran {tool} ended in the middle, and nobody knows how much was done; look at what {tool} changes, then \
         call it again for what is missing"
    ))
}

fn text(progress: &Progress) -> String {
    let text = match (&progress.message, progress.total) {
        (Some(message), _) => message.clone(),
        (None, Some(total)) => format!("{} of {total}", progress.progress),
        (None, None) => progress.progress.to_string(),
    };
    text.chars().take(MAX_MESSAGE_CHARS).collect()
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits for news; without a subscription, for ever.
async fn next(news: &mut Option<Subscription>) {
    match news {
        Some(subscription) => drop(subscription.next().await),
        None => std::future::pending().await,
    }
}
