//! The commands beside `serve`, run as people run them.

mod connect;
mod doctor;
mod doctor_listener;
mod doctor_telemetry;
mod environment;
mod front;
mod healthcheck;
mod issuer;
mod keys;
mod pages;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Output;

use support::server::{run_pressmark, run_pressmark_with_environment};

/// How a command ended, and what it said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn run(arguments: &[&str]) -> Said {
    run_pressmark(arguments).into()
}

fn run_in(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    run_pressmark_with_environment(arguments, environment).into()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a file can be written");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn rights(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}
