//! A real nginx that deals requests out to several servers in turn.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Process, accepts, free_port, is_root, wait_until};

const START_LIMIT: Duration = Duration::from_secs(10);

/// A plain round-robin balancer: no affinity, no memory of failures. As nginx does by default, a call that a replica was
/// never sent (it refused the connection) goes to the next one; a call that broke on the way is the caller's to repeat.
pub struct Nginx {
    port: u16,
    directory: TempDir,
    process: Process,
}

impl Nginx {
    /// Balances over these loopback ports.
    pub fn start(upstreams: &[u16]) -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().expect("a temporary folder");
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration(port, upstreams)).expect("the configuration can be written");
        let mut command = Command::new("nginx");
        // Debian keeps nginx in a folder that only root searches.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file).args(["-e", "error.log"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::spawn(&mut command, "nginx");
        wait_until(START_LIMIT, "nginx accepts connections", || {
            assert!(process.ended().is_none(), "nginx ended at its start: {}", log(&directory));
            accepts(port)
        });
        Self { port, directory, process }
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What nginx has complained of.
    pub fn log(&self) -> String {
        log(&self.directory)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A killed master leaves its worker behind; told to end, it takes the worker along.
        self.process.signal("TERM");
        self.process.wait(START_LIMIT);
    }
}

fn log(directory: &TempDir) -> String {
    std::fs::read_to_string(directory.path().join("error.log")).unwrap_or_default()
}

fn configuration(port: u16, upstreams: &[u16]) -> String {
    let servers = upstreams.iter().fold(String::new(), |mut text, upstream| {
        // Without max_fails=0 nginx would leave a server out for a while after one failure.
        let _ = write!(text, "server 127.0.0.1:{upstream} max_fails=0; ");
        text
    });
    // As root, nginx would run its worker as another user, who may not enter the temporary folder.
    let user = if is_root() { "user root;" } else { "" };
    format!(
        "daemon off; worker_processes 1; pid nginx.pid; {user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    client_max_body_size 16m;
    upstream replicas {{ {servers} keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_connect_timeout 2s;
            proxy_read_timeout 300s;
            proxy_buffering off;
        }}
    }}
}}
"
    )
}
