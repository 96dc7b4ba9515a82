//! The command line: one file a command.

mod environment;
mod open_files;
mod serve;
mod usage_error;

use std::process::ExitCode;

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
}

/// A setting cannot be used; nothing was started.
const EXIT_USAGE: u8 = 2;

/// Parses the command line of this process and runs the command.
#[must_use]
pub fn run() -> ExitCode {
    match parse::<Cli>() {
        Ok(Cli { command: Command::Serve(serve) }) => serve.run(|app| app),
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
