//! `pressmark keys new`.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;

use super::KeyFile;
use crate::auth::{NewKey, ScopeSet, create_key};
use crate::cli;

/// Make a key and print it, once: it is kept nowhere
///
/// The key goes to standard output, alone, so that it can be piped into a secret store; all else goes to standard
/// error. The file is made when it is missing, readable for its owner alone.
#[derive(Debug, Args)]
pub(super) struct New {
    #[command(flatten)]
    file: KeyFile,

    /// What the key is called, and who its bearer is in logs
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Who its bearer is, where that is not the name: for a second key of the same caller, to change over to
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,

    /// What its bearer may do: files, files:read, files:write or files:delete, each also for a folder, such as
    /// files:read:/team-a/**; repeat for several
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope)]
    scopes: Vec<String>,

    /// How long it is good, such as 90d, or until when: 2030-01-31, or 2030-01-31T12:00:00Z [default: until it is revoked]
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    expires: Option<SystemTime>,
}

impl New {
    pub(super) fn run(self) -> ExitCode {
        let new = NewKey { name: &self.name, subject: self.subject.as_deref(), scopes: &self.scopes, expires: self.expires };
        let key = match create_key(&self.file.path, new) {
            Ok(key) => key,
            Err(error) => return self.file.failed(&error),
        };
        if writeln!(std::io::stdout(), "{key}").and_then(|()| std::io::stdout().flush()).is_err() {
            let name = &self.name;
            return cli::fail(&format!("the key could not be printed and is lost; `pressmark keys revoke {name}` removes it"));
        }
        let file = self.file.path.display();
        let until = self.expires.map(|time| format!(" until {}", humantime::format_rfc3339_seconds(time)));
        cli::complain(&format!("its hash is in {file}; the key itself is shown only now"));
        cli::complain(&format!("it permits {}{}", self.scopes.join(" "), until.unwrap_or_default()));
        cli::complain(&"a client sends it as the header: Authorization: Bearer KEY");
        if let Some(scope) = self.scopes.iter().find(|scope| !ScopeSet::parse([scope.as_str()]).touches_files()) {
            cli::complain(&format!("note: `{scope}` is no scope on files; only a tool of your own can ask for it"));
        }
        ExitCode::SUCCESS
    }
}

/// One scope; what grants nothing is refused here, where somebody can still mend it.
fn scope(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a scope is one word; repeat --scope for several, and write %20 for a space in a path".to_owned());
    }
    if ScopeSet::parse([text]) == ScopeSet::default() {
        return Err("it is no scope; right ones are files:read and files:write:/team-a/**".to_owned());
    }
    Ok(text.to_owned())
}

/// A time to come: after a duration, at the beginning of a day in UTC, or exactly.
fn instant(text: &str) -> Result<SystemTime, String> {
    let now = SystemTime::now();
    let time = if let Ok(duration) = humantime::parse_duration(text) {
        now.checked_add(duration)
    } else {
        humantime::parse_rfc3339(text).or_else(|_| humantime::parse_rfc3339(&format!("{text}T00:00:00Z"))).ok()
    };
    // The last year that a date of four digits can be in; humantime writes no others.
    let end = humantime::parse_rfc3339("9999-12-31T23:59:59Z").unwrap_or(now);
    match time {
        Some(time) if time <= now => Err("it has passed".to_owned()),
        Some(time) if time > end => Err("it is too far away".to_owned()),
        Some(time) => Ok(time),
        None => Err("write it like 90d, 2030-01-31 or 2030-01-31T12:00:00Z".to_owned()),
    }
}
