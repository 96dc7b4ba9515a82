//! `pressmark completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print shell completions
///
/// For bash: pressmark completions bash >
/// ~/.local/share/bash-completion/completions/pressmark
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell it is for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "pressmark", &mut script);
        super::say(String::from_utf8_lossy(&script).trim_end())
    }
}
