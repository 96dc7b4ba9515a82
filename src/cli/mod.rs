//! The command line: one file a command.

mod completions;
mod connect;
mod doctor;
mod environment;
mod healthcheck;
mod keys;
mod man;
mod open_files;
mod serve;
mod settings_sources;
mod token;
mod usage_error;

use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use self::usage_error::usage_error;
use crate::app::App;

/// Stateless MCP server that gives agents files, search and storage
#[derive(Debug, Parser)]
#[command(name = "pressmark", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a folder to MCP clients
    Serve(serve::Serve),
    Doctor(doctor::Doctor),
    Keys(keys::Keys),
    Connect(connect::Connect),
    Healthcheck(healthcheck::Healthcheck),
    Completions(completions::Completions),
    Man(man::ManPages),
}

/// A setting cannot be used; nothing was started.
const EXIT_USAGE: u8 = 2;

/// Parses the command line of this process and runs the command.
#[must_use]
pub fn run() -> ExitCode {
    match parse::<Cli>() {
        Ok(Cli { command }) => match command {
            Command::Serve(serve) => serve.run(|app| app),
            Command::Doctor(doctor) => doctor.run(),
            Command::Keys(keys) => keys.run(),
            Command::Connect(connect) => connect.run(),
            Command::Healthcheck(healthcheck) => healthcheck.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(pages) => pages.run(),
        },
        Err(code) => code,
    }
}

/// The command line of a server of your own.
#[derive(Debug, Parser)]
#[command(version, about = "MCP server with tools of its own, beside those on files")]
struct OwnServer {
    #[command(flatten)]
    serve: serve::Serve,
}

/// Parses the command line of this process, which has the options of `pressmark serve`, and runs a server with what
/// `with` adds to it.
#[must_use]
pub fn serve(with: impl FnOnce(App) -> App) -> ExitCode {
    match parse::<OwnServer>() {
        Ok(OwnServer { serve }) => serve.run(with),
        Err(code) => code,
    }
}

/// The command line of this process, or how to end when it is not one to go on with.
fn parse<C: Parser>() -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| {
        if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            complain(&usage_error(&error, &mut C::command()));
            return ExitCode::from(EXIT_USAGE);
        }
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 })
    })
}

/// What a command was asked for, on stdout.
fn say(text: &str) -> ExitCode {
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{text}") {
        // A reader that has seen enough (`… | head -1`) is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(&error),
        _ => ExitCode::SUCCESS,
    }
}

/// A command that could not do its work.
fn fail(problem: &dyn std::fmt::Display) -> ExitCode {
    complain(problem);
    ExitCode::FAILURE
}

/// One line on stderr.
fn complain(problem: &dyn std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "pressmark: {problem}");
}

/// Reads a duration of an option, which is not zero.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok().filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "write it like 500ms, 5s or 1m".to_owned())
}
