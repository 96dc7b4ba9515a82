//! `pressmark keys revoke`.

use std::process::ExitCode;

use clap::Args;

use super::KeyFile;
use crate::auth::revoke_key;
use crate::cli;

/// Take a key out of the file
///
/// Within seconds its bearer gets 401, and its streams of events end.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// What the key is called
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    file: KeyFile,
}

impl Revoke {
    pub(super) fn run(self) -> ExitCode {
        match revoke_key(&self.file.path, &self.name) {
            Ok(()) => {
                cli::complain(&format!("the key `{}` is not good any more; servers that run see it within seconds", self.name));
                ExitCode::SUCCESS
            }
            Err(error) => self.file.failed(&error),
        }
    }
}
