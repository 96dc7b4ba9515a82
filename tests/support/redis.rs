//! Real Redis servers: one, a cluster, a master with a replica and Sentinels.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Process, accepts, free_port, wait_until};

const PACKAGE: &str = "redis-server";
const START_LIMIT: Duration = Duration::from_secs(10);

/// One `redis-server` on a port of its own, which it keeps when stopped and started again. It saves nothing to disk.
pub struct RedisServer {
    port: u16,
    /// Where `redis-cli` is answered: the same port, unless that one speaks TLS.
    admin_port: u16,
    options: Vec<String>,
    directory: TempDir,
    process: Option<Process>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more lines of configuration, each a directive and its values.
    pub fn start_with(lines: &[&str]) -> Self {
        let mut server = Self::new(lines);
        server.restart();
        server
    }

    /// Speaks TLS on its port, with [`Self::certificate`].
    pub fn start_with_tls() -> Self {
        let mut server = Self::new(&[]);
        server.make_certificate();
        let plain = free_port();
        let lines =
            format!("tls-port {}\ntls-cert-file tls.crt\ntls-key-file tls.key\ntls-auth-clients no\nport {plain}", server.port);
        server.options.push(lines);
        server.admin_port = plain;
        server.restart();
        server
    }

    /// The certificate that a client of [`Self::start_with_tls`] has to trust.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("tls.crt")
    }

    fn new(lines: &[&str]) -> Self {
        let port = free_port();
        Self {
            port,
            admin_port: port,
            options: lines.iter().map(|line| (*line).to_owned()).collect(),
            directory: tempfile::tempdir().expect("a temporary folder"),
            process: None,
        }
    }

    fn make_certificate(&self) {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "tls.key", "-out", "tls.crt"])
            .current_dir(self.directory.path())
            .output()
            .unwrap_or_else(|error| panic!("cannot start openssl: {error}; install openssl (scripts/test does)"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the server, as a crash would.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the server, empty, on the same port; stops it first when it runs.
    pub fn restart(&mut self) {
        self.stop();
        let file = self.directory.path().join("redis.conf");
        // A Sentinel keeps what it has learnt in its configuration.
        if !file.exists() {
            std::fs::write(&file, self.configuration()).expect("the configuration can be written");
        }
        let mut command = Command::new("redis-server");
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        if self.is_sentinel() {
            command.arg("--sentinel");
        }
        let mut process = Process::spawn(&mut command, PACKAGE);
        wait_until(START_LIMIT, "redis-server accepts connections", || {
            assert!(process.ended().is_none(), "redis-server ended at its start");
            accepts(self.port)
        });
        self.process = Some(process);
    }

    /// Stops the server in its tracks: it keeps its connections and answers nothing until [`Self::resume`].
    pub fn freeze(&self) {
        self.running().signal("STOP");
    }

    pub fn resume(&self) {
        self.running().signal("CONT");
    }

    /// What `redis-cli` says to a command.
    pub fn cli(&self, arguments: &[&str]) -> String {
        redis_cli(self.admin_port, self.password(), arguments)
    }

    /// How often a command (`getex`, `set`) has been run since the start of the server.
    pub fn calls(&self, command: &str) -> u64 {
        let statistics = self.cli(&["INFO", "commandstats"]);
        let start = format!("cmdstat_{command}:calls=");
        let Some(line) = statistics.lines().find_map(|line| line.strip_prefix(&start)) else { return 0 };
        line.split(',').next().and_then(|number| number.parse().ok()).expect("a number of calls")
    }

    /// How many commands of any kind have been run since the start of the server; asking counts as one more each time.
    pub fn all_calls(&self) -> u64 {
        let statistics = self.cli(&["INFO", "stats"]);
        let line = statistics.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).expect("statistics");
        line.trim().parse().expect("a number of calls")
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    fn password(&self) -> Option<&str> {
        self.options.iter().find_map(|line| line.strip_prefix("requirepass "))
    }

    fn is_sentinel(&self) -> bool {
        self.options.iter().any(|line| line.starts_with("sentinel "))
    }

    fn configuration(&self) -> String {
        let mut text = format!("port {}\nbind 127.0.0.1\ndir {}\n", self.port, self.directory.path().display());
        if !self.is_sentinel() {
            text.push_str("save \"\"\n");
        }
        for line in &self.options {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

fn redis_cli(port: u16, password: Option<&str>, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .envs(password.map(|password| ("REDISCLI_AUTH", password)))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot start redis-cli: {error}; install {PACKAGE} (scripts/test does)"));
    String::from_utf8(output.stdout).expect("UTF-8").replace('\r', "").trim_end().to_owned()
}

/// Three masters that share the keys between them. One that is away takes only its own keys with it.
pub struct RedisCluster {
    /// The masters, then their replicas.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub fn start() -> Self {
        Self::start_with(0)
    }

    /// Each master has a replica, which takes its place.
    pub fn start_with_replicas() -> Self {
        let cluster = Self::start_with(1);
        wait_until(START_LIMIT, "every replica follows its master", || {
            cluster.nodes[3..].iter().all(|node| node.cli(&["INFO", "replication"]).contains("master_link_status:up"))
        });
        cluster
    }

    fn start_with(replicas: usize) -> Self {
        let node = |_| {
            let bus = format!("cluster-port {}", free_port());
            RedisServer::start_with(&[
                "cluster-enabled yes",
                "cluster-require-full-coverage no",
                "cluster-node-timeout 1000",
                "repl-diskless-sync-delay 0",
                &bus,
            ])
        };
        let nodes: Vec<_> = (0..3 * (1 + replicas)).map(node).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let replicas = replicas.to_string();
        let mut arguments = vec!["--cluster", "create"];
        arguments.extend(addresses.iter().map(String::as_str));
        arguments.extend(["--cluster-replicas", &replicas, "--cluster-yes"]);
        let said = redis_cli(nodes[0].port, None, &arguments);
        assert!(said.contains("All 16384 slots covered"), "the cluster was not made: {said}");
        wait_until(START_LIMIT, "every node knows that the cluster is complete", || {
            nodes.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        });
        Self { nodes }
    }

    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// Do all nodes that run say that every key has a master?
    pub fn is_whole(&self) -> bool {
        let mut running = self.nodes.iter().filter(|node| node.process.is_some());
        running.all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_slots_ok:16384"))
    }

    /// Which node holds this key.
    pub fn holder(&self, key: &str) -> usize {
        let is_holder = |node: &RedisServer| !node.cli(&["EXISTS", key]).starts_with("MOVED");
        self.nodes.iter().position(is_holder).expect("some node holds every key")
    }
}

/// A master, its replica, and three Sentinels that call the pair `main`.
pub struct SentinelSet {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl SentinelSet {
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Servers and Sentinels all ask for this password.
    pub fn start_with_password(password: &str) -> Self {
        let require = format!("requirepass {password}");
        let (master, sentinel) = (format!("masterauth {password}"), format!("sentinel auth-pass main {password}"));
        // Sentinels also present it to each other.
        Self::start_with(&[&require, &master], &[&sentinel, &require, &format!("sentinel sentinel-pass {password}")])
    }

    fn start_with(server_lines: &[&str], sentinel_lines: &[&str]) -> Self {
        // By default a master waits 5 s for more replicas before it serves the first.
        let common = [&["repl-diskless-sync-delay 0"], server_lines].concat();
        let master = RedisServer::start_with(&common);
        let follow = format!("replicaof 127.0.0.1 {}", master.port);
        let replica = RedisServer::start_with(&[&[follow.as_str()], &common[..]].concat());
        wait_until(START_LIMIT, "the replica follows", || {
            replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
        });
        let watch = format!("sentinel monitor main 127.0.0.1 {} 2", master.port);
        let watch = [watch.as_str(), "sentinel down-after-milliseconds main 500", "sentinel failover-timeout main 3000"];
        let sentinel = |_| RedisServer::start_with(&[&watch, sentinel_lines].concat());
        let set = Self { servers: vec![master, replica], sentinels: (0..3).map(sentinel).collect() };
        for sentinel in &set.sentinels {
            // They would look around every few seconds; a server too old to be told just takes longer.
            sentinel.cli(&["SENTINEL", "DEBUG", "info-period", "200", "ask-period", "200", "publish-period", "200"]);
        }
        wait_until(START_LIMIT, "every Sentinel knows the replica and its peers", || {
            set.sentinels.iter().all(|sentinel| {
                let known = sentinel.cli(&["SENTINEL", "MASTER", "main"]);
                let field = |name: &str| known.lines().skip_while(|line| *line != name).nth(1).map(str::to_owned);
                field("num-slaves").as_deref() == Some("1") && field("num-other-sentinels").as_deref() == Some("2")
            })
        });
        set
    }

    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://{}/main", addresses.join(","))
    }

    /// The running servers that say of themselves that they are masters; two of them in the middle of an exchange.
    pub fn masters(&self) -> Vec<&RedisServer> {
        self.with_role("master")
    }

    pub fn master(&self) -> &RedisServer {
        self.masters().first().expect("some server is the master")
    }

    pub fn replica(&self) -> &RedisServer {
        self.with_role("slave").first().expect("some server is the replica")
    }

    fn with_role(&self, role: &str) -> Vec<&RedisServer> {
        self.servers.iter().filter(|server| server.process.is_some() && server.cli(&["ROLE"]).starts_with(role)).collect()
    }

    /// Kills the master, as a crash would. The Sentinels take about two seconds to choose the other.
    pub fn kill_master(&mut self) {
        let port = self.master().port;
        self.servers.iter_mut().find(|server| server.port == port).expect("just found").stop();
    }

    /// Has the Sentinels exchange master and replica while both run: the old master stays, and takes no writes.
    pub fn exchange(&self) {
        self.sentinels[0].cli(&["SENTINEL", "FAILOVER", "main"]);
    }

    /// Kills one Sentinel.
    pub fn kill_sentinel(&mut self, index: usize) {
        self.sentinels[index].stop();
    }
}
