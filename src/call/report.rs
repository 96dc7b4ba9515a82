//! What a call tells its caller before it is done: how far it has come, and log messages.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

/// How far a call has come. `progress` grows with every report (MCP, basic/patterns/progress).
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// How much is done, in the tool's own unit.
    pub progress: f64,
    /// How much there is, where known.
    pub total: Option<f64>,
    /// For people: what is being done.
    pub message: Option<String>,
}

/// How grave a log message is (RFC 5424, section 6.2.1), least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For finding mistakes.
    Debug,
    /// What happens.
    Info,
    /// Usual, but worth a look.
    Notice,
    /// May become a failure.
    Warning,
    /// A failure.
    Error,
    /// A part of the program failed.
    Critical,
    /// Something has to be done at once.
    Alert,
    /// Nothing works.
    Emergency,
}

/// A message for the client's log (MCP, server/utilities/logging). Never holds secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogMessage {
    /// How grave it is.
    pub level: LogLevel,
    /// Which part of the server speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// What it says: a string, or anything that JSON can hold.
    pub data: Value,
}

/// One thing that a call tells before it is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// How far it has come.
    Progress(Progress),
    /// A log message.
    Log(LogMessage),
    /// The connection may be closed: the client comes back after this long.
    Close(Duration),
}

/// Where a call reports, and what of it the caller wants to know.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    sender: Option<mpsc::Sender<Report>>,
    wants_progress: bool,
    log_level: Option<LogLevel>,
}

impl Reports {
    /// Reports go to this channel: progress if it is wanted, log messages from `log_level` on. A report that finds the
    /// channel full is dropped: telling never slows the work down.
    #[must_use]
    pub fn to(sender: mpsc::Sender<Report>, wants_progress: bool, log_level: Option<LogLevel>) -> Self {
        Self { sender: Some(sender), wants_progress, log_level }
    }

    /// Does the caller want to know how far the call has come?
    #[must_use]
    pub fn want_progress(&self) -> bool {
        self.sender.is_some() && self.wants_progress
    }

    /// Tells how far the call has come, if the caller wants to know.
    pub fn progress(&self, progress: Progress) {
        if self.wants_progress {
            self.send(Report::Progress(progress));
        }
    }

    /// Sends a log message, if the caller wants messages of its level.
    pub fn log(&self, message: LogMessage) {
        if self.log_level.is_some_and(|least| message.level >= least) {
            self.send(Report::Log(message));
        }
    }

    /// Closes the connection, where the client can come back to the same call; see
    /// [`CallContext::close_stream`](super::CallContext::close_stream).
    pub fn close_stream(&self, retry: Duration) {
        self.send(Report::Close(retry));
    }

    fn send(&self, report: Report) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(report);
        }
    }
}
