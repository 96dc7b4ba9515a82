//! An nginx that stands before one server, configured well or badly.

use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::support::process::{Process, accepts, free_port, is_root, wait_until};

const LIMIT: Duration = Duration::from_secs(10);

/// What the README says.
pub(super) const GOOD: &str =
    "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; proxy_read_timeout 75s;";
/// Answers are collected: nginx' own defaults, and the server's request not to is ignored.
pub(super) const BUFFERING: &str = "proxy_ignore_headers X-Accel-Buffering;";
/// A silent stream is cut off before the server's first sign of life.
pub(super) const HASTY: &str =
    "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; proxy_read_timeout 2s;";

/// A port for a front, which has to be known before the server is started.
pub(super) fn port() -> u16 {
    free_port()
}

/// The nginx. It ends when it goes out of scope.
pub(super) struct Front {
    process: Process,
    _directory: TempDir,
}

impl Front {
    /// From `port` to `upstream`, both of this machine, with these directives.
    pub(super) fn start(port: u16, upstream: u16, directives: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let file = directory.path().join("nginx.conf");
        // As root, nginx would run its worker as another user, who may not enter the temporary folder.
        let user = if is_root() { "user root;" } else { "" };
        let configuration = format!(
            "daemon off; worker_processes 1; pid nginx.pid; {user}
            events {{ worker_connections 64; }}
            http {{
                access_log off;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
                scgi_temp_path scgi;
                server {{
                    listen 127.0.0.1:{port};
                    location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_set_header Host $http_host; {directives} }}
                }}
            }}"
        );
        std::fs::write(&file, configuration).expect("the configuration can be written");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("nginx");
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file).args(["-e", "error.log"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::spawn(&mut command, "nginx");
        wait_until(LIMIT, "nginx accepts connections", || {
            assert!(process.ended().is_none(), "nginx ended at its start");
            accepts(port)
        });
        Self { process, _directory: directory }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // A killed master leaves its worker behind.
        self.process.signal("TERM");
        self.process.wait(LIMIT);
    }
}
