//! What is wrong with a command line, in one line.

use std::error::Error as _;
use std::num::ParseIntError;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::environment;

/// The gist of clap's many lines. A value that came from the environment is blamed on its variable.
pub(super) fn usage_error(error: &clap::Error, command: &mut Command) -> String {
    command.build();
    if let Some((setting, value)) = text(error, ContextKind::InvalidArg).zip(text(error, ContextKind::InvalidValue)) {
        let is_secret = argument(command, setting).is_some_and(clap::Arg::is_hide_env_values_set);
        let setting = spoken_name(command, setting, value);
        if value.is_empty() && setting.starts_with(environment::PREFIX) {
            return environment::empty(&setting);
        }
        match (error.kind(), error.get(ContextKind::ValidValue)) {
            (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
                return format!("{setting}: '{value}' is not {}", valid.join(" or "));
            }
            (ErrorKind::ValueValidation, _) => {
                let problem = match error.source() {
                    Some(source) if source.is::<ParseIntError>() => "write a whole number".to_owned(),
                    Some(source) => source.to_string(),
                    None => "it cannot be used".to_owned(),
                };
                return if is_secret { format!("{setting}: {problem}") } else { format!("{setting}: '{value}': {problem}") };
            }
            _ => {}
        }
    }
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        return format!("missing: {}; --help shows what there is", missing.join(", "));
    }
    let rendered = error.to_string();
    let problem = rendered.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let tip = rendered.lines().find_map(|line| line.trim_start().strip_prefix("tip: "));
    match (tip, text(error, ContextKind::InvalidArg)) {
        (_, Some("--port" | "--host" | "-p")) => format!("{problem}: did you mean --listen 127.0.0.1:8080?"),
        (Some(tip), _) => format!("{problem}: {tip}"),
        (None, _) => format!("{problem}; --help shows what there is"),
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// `--listen`, or the variable that said this value in its place. `shown` is how clap writes the option.
fn spoken_name(command: &Command, shown: &str, value: &str) -> String {
    let Some(argument) = argument(command, shown) else {
        return shown.to_owned();
    };
    let option = argument.get_long().map(|long| format!("--{long}"));
    let on_command_line = option.as_ref().is_some_and(|option| {
        std::env::args()
            .any(|said| said.strip_prefix(option.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
    });
    let variable = argument.get_env().and_then(|name| name.to_str());
    let said = |name: &&str| std::env::var(name).is_ok_and(|said| said == value);
    match variable.filter(said) {
        Some(variable) if !on_command_line => variable.to_owned(),
        _ => option.unwrap_or_else(|| shown.to_owned()),
    }
}

/// The argument that clap writes like this, of the command or one below it.
fn argument<'a>(command: &'a Command, shown: &str) -> Option<&'a clap::Arg> {
    let own = command.get_arguments().find(|argument| argument.to_string() == shown);
    own.or_else(|| command.get_subcommands().find_map(|below| argument(below, shown)))
}
