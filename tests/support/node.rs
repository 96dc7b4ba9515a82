//! Programs for Node, with the packages of `tests/clients/package.json`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `node ARGUMENTS`, in `tests/clients`, where the MCP clients can be imported.
pub fn node(arguments: &[&str]) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (program, folder) = (root.join(".tools/bin/node"), root.join("tests/clients"));
    for needed in [&program, &folder.join("node_modules")] {
        assert!(needed.exists(), "{} is missing; run scripts/test once, which installs it", needed.display());
    }
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

/// The script behind a command that one of the packages brings: `conformance`.
pub fn package_command(name: &str) -> String {
    format!("node_modules/.bin/{name}")
}

/// A file that one of the packages brings.
pub fn package_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/node_modules").join(path)
}
