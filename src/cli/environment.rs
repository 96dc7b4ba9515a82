//! Environment variables that look like settings and are none: a misspelt one would be ignored in silence.

use crate::config::{ConfigError, MAX_SLIPS, nearest};

/// How the names of settings begin.
pub(super) const PREFIX: &str = "PRESSMARK_";

/// Looks at every variable whose name begins as those of the settings of `command` do. Gives what is wrong and harmless.
///
/// # Errors
/// [`ConfigError`] for a name that is nearly that of a setting, and for a setting without a value.
pub(super) fn check(command: &clap::Command) -> Result<Vec<String>, ConfigError> {
    let known = |argument: &clap::Arg| Some(argument.get_env()?.to_str()?.strip_prefix(PREFIX)?.to_owned());
    let known: Vec<String> = command.get_arguments().filter_map(known).collect();
    let mut unknown = Vec::new();
    for (name, value) in std::env::vars_os() {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if known.iter().any(|known| known == rest) {
            if value.is_empty() {
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

/// What is wrong with a setting that is there and empty. It may be a secret or a limit that has not arrived: what follows must not
/// be a server without it.
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
