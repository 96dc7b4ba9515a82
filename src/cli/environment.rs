//! Environment variables: settings that are set and empty, and names that look like settings and are none, since a misspelt one
//! would be ignored in silence.

use std::ffi::OsStr;

use clap::{Arg, Command};

use crate::config::{ConfigError, MAX_SLIPS, nearest};

/// How the names of settings begin.
pub(super) const PREFIX: &str = "PRESSMARK_";
/// Settings that may be empty: without them no less is protected. Any other may be a secret or a limit that has not arrived.
const MAY_BE_EMPTY: [&str; 20] = [
    "ALLOW_ORIGIN",
    "AUDIT_LOG",
    "CURSOR_TTL",
    "KEEP_ALIVE",
    "LISTEN",
    "LOG_FORMAT",
    "MAX_CONNECTIONS",
    "MAX_REQUEST_BYTES",
    "MAX_RESULT_BYTES",
    "MAX_SESSIONS",
    "MAX_STREAM_AGE",
    "METRICS_LISTEN",
    "NO_AUTH",
    "OTLP_ENDPOINT",
    "PUBLIC_URL",
    "REQUEST_TIMEOUT",
    "SESSION_TTL",
    "TASK_TTL",
    "TRUSTED_PROXIES",
    "WORKERS",
];

/// `command`, for which a variable that is set and empty counts as not set: compose files and charts leave it so. Settings that
/// protect are read all the same, and an empty one is an error.
pub(super) fn without_empty(command: Command) -> Command {
    let without = |argument: Arg| if is_left_empty(&argument) { argument.env(None::<&'static str>) } else { argument };
    command.mut_args(without).mut_subcommands(without_empty)
}

fn is_left_empty(argument: &Arg) -> bool {
    let Some(name) = argument.get_env().and_then(OsStr::to_str) else { return false };
    let may_be_empty = name.strip_prefix(PREFIX).is_some_and(|setting| MAY_BE_EMPTY.contains(&setting));
    may_be_empty && std::env::var_os(name).is_some_and(|value| value.is_empty())
}

/// Looks at every variable whose name begins as those of the settings of `command` do. Gives what is wrong and harmless.
///
/// # Errors
/// [`ConfigError`] for a name that is nearly that of a setting, and for a setting that protects and is empty.
pub(super) fn check(command: &Command) -> Result<Vec<String>, ConfigError> {
    let known = |argument: &Arg| Some(argument.get_env()?.to_str()?.strip_prefix(PREFIX)?.to_owned());
    let known: Vec<String> = command.get_arguments().filter_map(known).collect();
    let mut unknown = Vec::new();
    for (name, value) in std::env::vars_os() {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if known.iter().any(|known| known == rest) {
            if value.is_empty() && !MAY_BE_EMPTY.contains(&rest) {
                return Err(ConfigError(empty(&name)));
            }
            continue;
        }
        if is_service_link(rest, &value) {
            continue;
        }
        if let Some(meant) = nearest(rest, &known, MAX_SLIPS) {
            return Err(ConfigError(format!("{name} is no setting; did you mean {PREFIX}{meant}?")));
        }
        // Further away, it may be anything.
        let hint = nearest(rest, &known, 2 * MAX_SLIPS).map(|near| format!("; did you mean {PREFIX}{near}?"));
        unknown.push(format!("{name} is no setting and is ignored{}", hint.unwrap_or_default()));
    }
    Ok(unknown)
}

/// What is wrong with a variable that is set and empty.
pub(super) fn empty(name: &str) -> String {
    format!("{name} is empty; give it a value, or remove it")
}

/// Is it one of the variables that Kubernetes makes for a service named `pressmark`, or `pressmark-…`?
fn is_service_link(rest: &str, value: &str) -> bool {
    let rest = format!("_{rest}");
    let is_port = rest.ends_with("_PORT") && value.contains("://");
    let is_detail = rest.split("_PORT_").nth(1).is_some_and(|detail| detail.starts_with(|c: char| c.is_ascii_digit()));
    is_port || is_detail || rest.ends_with("_SERVICE_HOST") || rest.contains("_SERVICE_PORT")
}
