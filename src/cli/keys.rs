//! `pressmark keys`: the file of API keys, without writing it by hand.

mod list;
mod new;
mod revoke;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::auth::KeyFileError;

/// Make, list and revoke API keys
///
/// The keys are those of `pressmark serve --api-keys FILE`. The file holds hashes and no keys. A server
/// reads it again within seconds when it changes; nothing has to be restarted.
#[derive(Debug, Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    List(list::List),
    Revoke(revoke::Revoke),
}

/// Where the keys are.
#[derive(Debug, Args)]
struct KeyFile {
    /// The file of API keys (TOML)
    #[arg(long = "api-keys", env = "PRESSMARK_API_KEYS", value_name = "FILE")]
    path: PathBuf,
}

impl KeyFile {
    fn failed(&self, error: &KeyFileError) -> ExitCode {
        super::fail(&format!("{}: {error}", self.path.display()))
    }
}

impl Keys {
    /// Runs the command that was asked for.
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            Command::New(new) => new.run(),
            Command::List(list) => list.run(),
            Command::Revoke(revoke) => revoke.run(),
        }
    }
}
