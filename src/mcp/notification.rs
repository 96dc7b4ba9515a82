//! Notifications about a request while it is being served.

use serde_json::json;
use serde_json::value::RawValue;

use crate::call::{Progress, Report};

/// Writes the reports of one call as JSON-RPC notifications.
#[derive(Clone, Debug)]
pub struct ReportNotifications {
    token: Option<Box<RawValue>>,
    /// Progress grows with every report (basic/patterns/progress); one that does not is left out.
    reported: f64,
}

impl ReportNotifications {
    /// Notifications of the request that carried this progress token.
    #[must_use]
    pub fn new(token: Option<&RawValue>) -> Self {
        Self { token: token.map(ToOwned::to_owned), reported: f64::NEG_INFINITY }
    }

    /// Goes on where another run of the call has come to.
    #[must_use]
    pub(super) fn after(mut self, reported: Option<f64>) -> Self {
        self.reported = reported.unwrap_or(f64::NEG_INFINITY);
        self
    }

    /// How far the call has told that it has come.
    pub(super) fn reported(&self) -> Option<f64> {
        self.reported.is_finite().then_some(self.reported)
    }

    /// The whole JSON-RPC message for one report; `None` for one that must not be told.
    pub fn write(&mut self, report: &Report) -> Option<Vec<u8>> {
        let message = match report {
            Report::Progress(update) => self.progress(update)?,
            Report::Log(message) => json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": message }),
            // Not for the client, but for whoever writes to it.
            Report::Close(_) => return None,
        };
        Some(message.to_string().into_bytes())
    }

    fn progress(&mut self, update: &Progress) -> Option<serde_json::Value> {
        let token = self.token.as_ref()?;
        if update.progress <= self.reported {
            return None;
        }
        self.reported = update.progress;
        let mut params = json!({ "progressToken": token, "progress": update.progress });
        if let Some(total) = update.total {
            params["total"] = total.into();
        }
        if let Some(message) = &update.message {
            params["message"] = message.as_str().into();
        }
        Some(json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }))
    }
}
