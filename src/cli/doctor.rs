//! `pressmark doctor`: tries everything that a server with these settings needs.

mod callers;
mod certificate;
mod collector;
mod files;
mod front;
mod listener;
mod process;
mod report;
mod state;
mod stream;
mod telemetry;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use self::front::Front;
use self::report::Report;
use super::settings_sources::SettingsSources;
use super::{EXIT_USAGE, environment, token};
use crate::config::{Config, ConfigError};

/// Check everything that a server with these settings needs, and say how to mend it
///
/// That is the folders, the shared state, the issuer of tokens, the places of metrics, audit lines and traces, and the URL under
/// which clients reach it, where it must be running. ✓ is right, ✗ is wrong, with what to do below it, – was not looked at. Exits
/// with 1 when something is wrong. It changes nothing but for a hidden file in each writable folder, which is gone at once.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    sources: SettingsSources,

    /// File that holds a token or API key, to try a stream of events with
    #[arg(long, value_name = "FILE", conflicts_with = "token_env", help_heading = "Checks")]
    token_file: Option<PathBuf>,

    /// Environment variable that holds it
    #[arg(long, value_name = "VAR", hide_env_values = true, value_parser = token::variable_name, help_heading = "Checks")]
    token_env: Option<String>,

    /// How long a stream of events is watched while nothing happens on it. After 15 s the server sends a sign of life
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = super::duration, help_heading = "Checks")]
    idle: Duration,

    /// How long the balancer keeps a connection to the server that it does not use; the server has to keep it for longer
    /// [default: 60s, as nginx and AWS' load balancers do]
    #[arg(long, value_name = "DURATION", value_parser = super::duration, help_heading = "Checks")]
    balancer_idle: Option<Duration>,

    /// As JSON, for programs
    #[arg(long, help_heading = "Checks")]
    json: bool,
}

impl Doctor {
    /// Makes all checks, and tells of each.
    pub(super) fn run(self) -> ExitCode {
        let known = Self::augment_args(clap::Command::new("doctor"));
        let prepared = environment::check(&known).and_then(|unknown| {
            let token = read_token(self.token_file, self.token_env)?;
            Ok((unknown, token, self.sources.resolve()?))
        });
        let (unknown, token, config) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                super::complain(&error);
                return ExitCode::from(EXIT_USAGE);
            }
        };
        for problem in unknown {
            super::complain(&problem);
        }
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return super::fail(&error),
        };
        let mut report = Report::new(self.json);
        runtime.block_on(examine(&config, token, self.idle, self.balancer_idle, &mut report));
        // A folder on a network that does not answer must not hold up the end.
        runtime.shutdown_background();
        report.finish()
    }
}

async fn examine(config: &Config, token: Option<String>, idle: Duration, balancer_idle: Option<Duration>, report: &mut Report) {
    process::examine(config, report);
    listener::examine(config, balancer_idle, report);
    files::examine(config, report).await;
    state::examine(config, report).await;
    callers::examine(config, report).await;
    telemetry::examine(config, report).await;
    if let Some(front) = Front::new(config, token, report) {
        front.examine(idle, report).await;
    }
}

fn read_token(file: Option<PathBuf>, variable: Option<String>) -> Result<Option<String>, ConfigError> {
    match (file, variable) {
        (Some(file), _) => {
            let failed = |problem| ConfigError(format!("--token-file {}: {problem}", file.display()));
            token::from_file(&file).map(Some).map_err(failed)
        }
        (None, Some(variable)) => {
            let failed = |problem| ConfigError(format!("--token-env {variable}: {problem}"));
            token::from_variable(&variable).map(Some).map_err(failed)
        }
        (None, None) => Ok(None),
    }
}
