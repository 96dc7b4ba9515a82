//! What the operating system lets the server do, and the keys that replicas share.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::report::Report;
use crate::cli::open_files;
use crate::config::{Config, StateConfig};
use crate::mcp::read_sealing_keys;

/// Each connection and each watched folder is an open file; with fewer a crowd of listeners fills them.
const FEW_FILES: u64 = 4_096;

pub(super) fn examine(config: &Config, report: &mut Report) {
    report.section("Process");
    match open_files::most() {
        Some(most) if most < FEW_FILES => report.wrong(
            format!("{most} files can be open at once; each connection is one"),
            format!(
                "raise the hard limit to {FEW_FILES} or more: LimitNOFILE= for systemd, ulimits: nofile for a container, `ulimit -Hn` in a shell"
            ),
        ),
        Some(most) => report.right(format!("{most} files can be open at once")),
        None => report.right("any number of files can be open at once"),
    }
    match (&config.seal_keys, &config.state) {
        (Some(file), _) => sealing_keys(file, report),
        (None, StateConfig::Memory) => {}
        (None, StateConfig::Redis(_)) => report.skipped(
            "no --seal-keys: fine for one replica; with several, a call that asks its user must come back to the same one",
        ),
    }
}

fn sealing_keys(file: &Path, report: &mut Report) {
    let shown = file.display();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            return report.wrong(format!("--seal-keys {shown}: {error}"), "let the server read it, or name another file");
        }
    };
    match read_sealing_keys(&text) {
        Ok(keys) => report.right(format!("{} sealing {} in {shown}", keys.len(), if keys.len() == 1 { "key" } else { "keys" })),
        Err(problem) => {
            report.wrong(format!("--seal-keys {shown}: {problem}"), "make a line of it with `openssl rand -base64 32`");
        }
    }
    private(file, report);
}

/// Is a file of secrets its owner's alone?
pub(super) fn private(file: &Path, report: &mut Report) {
    if file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        let shown = file.display();
        report.wrong(format!("{shown} can be read by other users of this machine"), format!("chmod 600 {shown}"));
    }
}
