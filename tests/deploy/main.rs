//! What lies in `deploy/`, as users copy it: every proxy is started with its shipped configuration, the local stack with its
//! one command; manifests are built and held to their schemas. Only addresses and ports are replaced.

mod image;
mod kubernetes;
mod local;
mod nginx;
mod proxies;
mod proxy;
mod replicas;
mod settings;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file or folder of `deploy/`.
fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// The text of a file of `deploy/`.
fn shipped(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap_or_else(|error| panic!("deploy/{path}: {error}"))
}

/// Replaces what is there; panics when it is not, since then something else than the shipped file would be tested.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the shipped file has no `{from}` any more");
    text.replace(from, to)
}

/// One of the programs that `scripts/test` installs for these tests alone.
fn tool(name: &str) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/deploy/bin").join(name);
    assert!(program.exists(), "{} is missing; run scripts/test once, which installs it", program.display());
    Command::new(program)
}

/// What a program said, when it found nothing wrong.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
    assert!(output.status.success(), "{:?}: {}", command.get_program(), said(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Both streams of what a program wrote.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
