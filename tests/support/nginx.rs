//! A real nginx with the configuration of `deploy/nginx`, as users copy it; only its `site/` is made here.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Process, accepts, free_port, is_root, wait_until};

const START_LIMIT: Duration = Duration::from_secs(10);

/// A round-robin balancer: no affinity, no memory of failures. A call that a replica was never sent goes to the next one, and
/// so does one that broke on the way when it changes nothing.
pub struct Nginx {
    port: u16,
    directory: TempDir,
    process: Process,
}

/// What differs from machine to machine.
pub struct Site<'a> {
    /// Loopback ports of the replicas.
    pub replicas: &'a [u16],
    /// Are the rates those that `deploy/nginx` proposes? Without them no test is held back.
    pub limits: bool,
    /// Further lines for `server {}`.
    pub server: &'a str,
}

impl Nginx {
    /// Balances over these loopback ports, without limits.
    pub fn start(replicas: &[u16]) -> Self {
        Self::start_at(&Site { replicas, limits: false, server: "" })
    }

    /// Balances as this site says.
    pub fn start_at(site: &Site<'_>) -> Self {
        Self::start_with(&replica_lines(site.replicas, None), site)
    }

    /// Passes everything on to the replica at this Unix socket, without limits.
    pub fn start_before(socket: &Path) -> Self {
        let line = format!("server unix:{} max_fails=0;\n", socket.display());
        Self::start_with(&line, &Site { replicas: &[], limits: false, server: "" })
    }

    fn start_with(replicas: &str, site: &Site<'_>) -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().expect("a temporary folder");
        copy_configuration(directory.path());
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join("site").join(name), text).expect("a configuration can be written");
        };
        write("replicas.conf", replicas);
        write("server.conf", &format!("listen 127.0.0.1:{port};\n{}", site.server));
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n"));
        write("http.conf", &format!("access_log access.log pressmark;\n{}", folders.concat()));
        if !site.limits {
            write("limits.conf", "");
        }
        Self::start_in(directory, port)
    }

    /// Starts what lies in this folder, which listens on this port.
    pub fn start_in(directory: TempDir, port: u16) -> Self {
        let mut command = Command::new("nginx");
        // Debian keeps nginx in a folder that only root searches.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
        // As root, nginx would run its workers as another user, who may not enter the temporary folder.
        let user = if is_root() { "user root;" } else { "" };
        command.arg("-p").arg(directory.path()).arg("-c").arg(directory.path().join("nginx.conf"));
        command.args(["-e", "error.log", "-g", &format!("daemon off; pid nginx.pid; {user}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::spawn(&mut command, "nginx");
        wait_until(START_LIMIT, "nginx accepts connections", || {
            assert!(process.ended().is_none(), "nginx ended at its start: {}", log(&directory));
            accepts(port)
        });
        Self { port, directory, process }
    }

    /// Balances over these loopback ports from now on, but for the one that is `down`: marks it so and reloads, as deploy/nginx
    /// says. Returns when the workers of before take no new connection.
    pub fn reload(&self, replicas: &[u16], down: Option<u16>) {
        let file = self.directory.path().join("site/replicas.conf");
        std::fs::write(file, replica_lines(replicas, down)).expect("a configuration can be written");
        let before = self.workers();
        self.process.signal("HUP");
        let is_closing = |worker: &String| {
            let title = std::fs::read_to_string(format!("/proc/{worker}/cmdline"));
            title.map_or(true, |title| title.contains("shutting down"))
        };
        wait_until(START_LIMIT, "nginx has taken the configuration", || before.iter().all(is_closing));
    }

    fn workers(&self) -> Vec<String> {
        let master = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("Linux tells");
        children.split_whitespace().map(str::to_owned).collect()
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What nginx has complained of.
    pub fn log(&self) -> String {
        log(&self.directory)
    }

    /// One line for each request.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A killed master leaves its workers behind; told to end, it takes them along.
        self.process.signal("TERM");
        self.process.wait(START_LIMIT);
    }
}

/// Lays a copy of `deploy/nginx` into a folder.
pub fn copy_configuration(folder: &Path) {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx");
    std::fs::create_dir(folder.join("site")).expect("a folder");
    for from in ["", "site"] {
        for entry in std::fs::read_dir(shipped.join(from)).expect("a folder").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                std::fs::copy(entry.path(), folder.join(from).join(entry.file_name())).expect("a file can be copied");
            }
        }
    }
}

fn replica_lines(replicas: &[u16], down: Option<u16>) -> String {
    let line = |replica: &u16| {
        let mark = if Some(*replica) == down { " down" } else { "" };
        format!("server 127.0.0.1:{replica} max_fails=0{mark};\n")
    };
    replicas.iter().map(line).collect()
}

fn log(directory: &TempDir) -> String {
    std::fs::read_to_string(directory.path().join("error.log")).unwrap_or_default()
}
