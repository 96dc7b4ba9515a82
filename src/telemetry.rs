//! Logs: lines on stderr, as text or JSON, filtered by `RUST_LOG`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Sends the log lines of this process to stderr. Without `RUST_LOG`: our own lines from `info` on, and warnings of
/// libraries. A second call changes nothing.
pub fn init(format: LogFormat) {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let (filter, problem) = match EnvFilter::try_from_default_env() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("warn,pressmark=info"), Some(error).filter(|_| !asked.is_empty())),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only the first subscriber of a process counts; a program that embeds this library may have its own.
    let _ = match format {
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    if let Some(error) = problem {
        tracing::warn!(%error, "RUST_LOG is not understood, and not followed");
    }
}

/// What is wrong when `RUST_LOG` is a word that is no level: it is taken for the name of a part of some program, of which alone
/// lines are shown then.
pub(crate) fn unheard() -> Option<String> {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok()?;
    let is_meant = asked.contains("pressmark") || asked.to_ascii_lowercase().contains("off");
    let is_heard = tracing::enabled!(target: "pressmark", tracing::Level::ERROR);
    (!is_meant && !is_heard).then(|| {
        format!(
            "RUST_LOG={asked} shows no line of this server; the levels are error, warn, info, debug and trace, or off for none"
        )
    })
}
