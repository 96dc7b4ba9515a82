//! `pressmark keys list`.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;

use super::KeyFile;
use crate::auth::{KeyInfo, list_keys};
use crate::cli;

/// Show whose keys there are, what they permit and until when
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    file: KeyFile,

    /// As JSON: an array of objects
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> ExitCode {
        match list_keys(&self.file.path) {
            Ok(keys) if self.json => cli::say(&format!("{:#}", json(&keys))),
            Ok(keys) if keys.is_empty() => {
                cli::complain(&format!("{}: there are no keys in it", self.file.path.display()));
                ExitCode::SUCCESS
            }
            Ok(keys) => cli::say(&table(&keys)),
            Err(error) => self.file.failed(&error),
        }
    }
}

fn json(keys: &[KeyInfo]) -> serde_json::Value {
    let key = |key: &KeyInfo| {
        serde_json::json!({
            "name": key.name, "subject": key.subject, "scopes": key.scopes,
            "created": key.created.map(written), "expires": key.expires.map(written), "status": status(key),
        })
    };
    keys.iter().map(key).collect()
}

fn table(keys: &[KeyInfo]) -> String {
    let heading = ["NAME", "SUBJECT", "SCOPES", "CREATED", "EXPIRES", "STATUS"].map(str::to_owned);
    let row = |key: &KeyInfo| {
        let time = |time: Option<SystemTime>, none: &str| time.map_or_else(|| none.to_owned(), written);
        let (created, expires) = (time(key.created, "unknown"), time(key.expires, "never"));
        [key.name.clone(), key.subject.clone(), key.scopes.join(" "), created, expires, status(key).to_owned()]
    };
    let rows: Vec<_> = std::iter::once(heading).chain(keys.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn written(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

fn status(key: &KeyInfo) -> &'static str {
    if key.expires.is_some_and(|expires| expires <= SystemTime::now()) { "expired" } else { "good" }
}
