//! `pressmark man`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_mangen::Man;

/// Print the manual
///
/// It is the page of pressmark itself, as roff; `pressmark man | man -l -` shows it.
#[derive(Debug, Args)]
pub(super) struct ManPages {
    /// Write the pages of all commands into this folder instead, pressmark.1, pressmark-serve.1 and so on
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl ManPages {
    pub(super) fn run(self) -> ExitCode {
        let command = super::Cli::command();
        if let Some(folder) = self.dir {
            return match clap_mangen::generate_to(command, &folder) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => super::fail(&format!("--dir {}: {error}", folder.display())),
            };
        }
        let mut page = Vec::new();
        match Man::new(command).render(&mut page) {
            Ok(()) => super::say(String::from_utf8_lossy(&page).trim_end()),
            Err(error) => super::fail(&error),
        }
    }
}
