//! The audit log: one line for each call of a tool, prompt or resource that says who called what on which paths, and how it
//! ended. Never any content, argument or token.

mod entry;
mod file;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

pub(crate) use self::entry::{AuditEntry, AuditOutcome, Audited};
use self::file::AuditFile;

/// Where audit lines go. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<AuditFile>>);

/// One line. The fields are those of the request's log line where they say the same.
#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "rfc3339")]
    timestamp: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    principal: &'a str,
    issuer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
}

impl Audit {
    /// Among the log lines, as `pressmark::audit` at the level `info`.
    #[must_use]
    pub fn to_log() -> Self {
        Self(None)
    }

    /// To the end of this file, as lines of JSON.
    ///
    /// # Errors
    /// What the operating system says when the file cannot be opened.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        Ok(Self(Some(Arc::new(AuditFile::open(path)?))))
    }

    /// Does anybody want the lines?
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some() || tracing::enabled!(target: "pressmark::audit", tracing::Level::INFO)
    }

    /// Lines that were written to the file.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.as_ref().map_or(0, |file| file.written())
    }

    /// Lines that could not be written to the file.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |file| file.lost())
    }

    fn write(&self, line: &Line<'_>) {
        match &self.0 {
            Some(file) => file.write(line),
            None => line.log(),
        }
    }
}

impl Line<'_> {
    fn log(&self) {
        tracing::info!(
            target: "pressmark::audit",
            tool = self.tool,
            prompt = self.prompt,
            resource = self.resource,
            path = self.path,
            to = self.to,
            principal = self.principal,
            issuer = self.issuer,
            client_id = self.client_id,
            client = self.client,
            outcome = self.outcome,
            error = self.error,
            duration_ms = self.duration_ms,
            request_id = self.request_id,
            trace_id = self.trace_id,
            span_id = self.span_id,
            "audit"
        );
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_micros(*time))
}
