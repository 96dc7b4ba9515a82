//! What the checks found, for people or for programs.

use std::fmt::Display;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli;

/// Collects what the checks find; for people each is told at once.
pub(super) struct Report {
    json: bool,
    section: &'static str,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    section: &'static str,
    status: Status,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Right,
    Wrong,
    Skipped,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, section: "", checks: Vec::new() }
    }

    /// What is found from here on is about this.
    pub(super) fn section(&mut self, section: &'static str) {
        self.section = section;
        if !self.json {
            cli::say(section);
        }
    }

    /// Something is as it should be.
    pub(super) fn right(&mut self, found: impl Display) {
        self.add(Status::Right, found.to_string(), None);
    }

    /// Something is not, and this mends it.
    pub(super) fn wrong(&mut self, found: impl Display, fix: impl Display) {
        self.add(Status::Wrong, found.to_string(), Some(fix.to_string()));
    }

    /// Something was not looked at, for this reason.
    pub(super) fn skipped(&mut self, why: impl Display) {
        self.add(Status::Skipped, why.to_string(), None);
    }

    fn add(&mut self, status: Status, found: String, fix: Option<String>) {
        if !self.json {
            let mark = match status {
                Status::Right => '✓',
                Status::Wrong => '✗',
                Status::Skipped => '–',
            };
            cli::say(&format!("  {mark} {found}"));
            if let Some(fix) = &fix {
                cli::say(&format!("      {fix}"));
            }
        }
        self.checks.push(Check { section: self.section, status, found, fix });
    }

    /// Ends the report: 1 when anything is wrong.
    pub(super) fn finish(self) -> ExitCode {
        let wrong = self.checks.iter().filter(|check| check.status == Status::Wrong).count();
        if self.json {
            cli::say(&format!("{:#}", serde_json::json!({ "ok": wrong == 0, "checks": self.checks })));
        } else {
            cli::say(&match wrong {
                0 => "all is well".to_owned(),
                1 => "1 thing is to be mended".to_owned(),
                more => format!("{more} things are to be mended"),
            });
        }
        ExitCode::from(u8::from(wrong > 0))
    }
}
