//! A look at Redis for an operator: what runs there, how fast it answers, and whether it would let go of what is used.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisResult};

use super::connect::{Connection, ask_as_sentinel, connect, server};
use super::error::reason;
use super::url::{Node, RedisUrl, Topology};
use super::{CHECK_KEY, RedisState};
use crate::state::StateError;

/// How many answers the latency is taken from.
const QUESTIONS: usize = 20;
/// The hash slots of a cluster.
const SLOTS: u64 = 16_384;

/// What was found where a [`RedisUrl`] leads.
#[derive(Clone, Debug)]
pub struct RedisInspection {
    /// How fast it answers; or why it cannot be used as shared state, see [`RedisState::connect`].
    pub usable: Result<RedisLatency, StateError>,
    /// The servers that hold state: one, or the masters of a cluster. Each with its address, or why it cannot be looked at.
    /// Empty when none can be found.
    pub servers: Vec<(String, Result<RedisServer, String>)>,
    /// How the cluster is, or why that cannot be told; `None` when it is none.
    pub cluster: Option<Result<RedisCluster, String>>,
    /// How the Sentinels are, each with its address; empty when there are none.
    pub sentinels: Vec<(String, Result<RedisSentinel, String>)>,
}

/// How long one question takes.
#[derive(Clone, Copy, Debug)]
pub struct RedisLatency {
    /// In the middle case.
    pub median: Duration,
    /// In the worst of a few.
    pub worst: Duration,
}

/// One server.
#[derive(Clone, Debug)]
pub struct RedisServer {
    /// What it is and of which version: `Redis 7.0.15`.
    pub version: String,
    /// What it does when its memory is full: `noeviction`, `volatile-ttl`, `allkeys-lru`, …
    pub policy: String,
    /// How much it may hold, in bytes; 0: no limit.
    pub max_memory: u64,
}

/// A cluster as one of its nodes sees it.
#[derive(Clone, Debug)]
pub struct RedisCluster {
    /// Does it say of itself that it works?
    pub works: bool,
    /// Hash slots that nobody serves: keys in them cannot be kept.
    pub slots_missing: u64,
    /// Nodes that are down.
    pub failed: Vec<String>,
    /// Masters whose death loses what they hold.
    pub without_replica: Vec<String>,
}

/// One Sentinel's view of the service.
#[derive(Clone, Debug)]
pub struct RedisSentinel {
    /// Replicas that could take the master's place.
    pub replicas: u64,
    /// Why there could be no failover now, if so.
    pub no_quorum: Option<String>,
}

impl RedisInspection {
    /// Looks at whatever the URL names, within seconds.
    pub async fn make(url: &RedisUrl) -> Self {
        let usable = use_once(url).await;
        let mut found = Self { usable, servers: Vec::new(), cluster: None, sentinels: Vec::new() };
        match &url.topology {
            Topology::Cluster => {
                let view = cluster(url).await.map_err(|error| reason(&error));
                for node in view.iter().flat_map(|(_, masters)| masters) {
                    found.servers.push((address(node), look_at(url, node).await));
                }
                found.cluster = Some(view.map(|(cluster, _)| cluster));
            }
            Topology::Server => {
                if found.usable.is_ok() {
                    found.servers.push((address(&url.nodes[0]), look_at(url, &url.nodes[0]).await));
                }
            }
            Topology::Sentinel { service } => {
                if let Ok(Connection::Server(mut master)) = connect(url).await {
                    found.servers.push((service.clone(), describe(&mut master).await.map_err(|error| reason(&error))));
                }
                for node in &url.nodes {
                    found.sentinels.push((address(node), sentinel(url, node, service).await.map_err(|error| reason(&error))));
                }
            }
        }
        found
    }
}

/// Does with it what a server does.
async fn use_once(url: &RedisUrl) -> Result<RedisLatency, StateError> {
    RedisState::connect(url).await?;
    let mut connection = connect(url).await?;
    latency(&mut connection).await.map_err(|error| StateError { reason: reason(&error) })
}

fn address(node: &Node) -> String {
    if node.host.contains(':') { format!("[{}]:{}", node.host, node.port) } else { format!("{}:{}", node.host, node.port) }
}

async fn latency(connection: &mut Connection) -> RedisResult<RedisLatency> {
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let asked = Instant::now();
        connection.query::<Option<Vec<u8>>>(redis::cmd("GET").arg(CHECK_KEY)).await?;
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    Ok(RedisLatency { median: times[QUESTIONS / 2], worst: times[QUESTIONS - 1] })
}

async fn look_at(url: &RedisUrl, node: &Node) -> Result<RedisServer, String> {
    let looked = async { describe(&mut server(url, node, true).await?).await };
    looked.await.map_err(|error| reason(&error))
}

async fn describe(connection: &mut MultiplexedConnection) -> RedisResult<RedisServer> {
    let mut facts = HashMap::new();
    for section in ["server", "memory"] {
        let text: String = redis::cmd("INFO").arg(section).query_async(connection).await?;
        let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        facts.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let fact = |name: &str| facts.get(name).cloned();
    let version = match (fact("valkey_version"), fact("redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, version) => format!("Redis {}", version.unwrap_or_else(|| "of an unknown version".to_owned())),
    };
    let policy = fact("maxmemory_policy").unwrap_or_else(|| "unknown".to_owned());
    Ok(RedisServer { version, policy, max_memory: fact("maxmemory").and_then(|bytes| bytes.parse().ok()).unwrap_or(0) })
}

/// The cluster as the first node that answers sees it, and its masters.
async fn cluster(url: &RedisUrl) -> RedisResult<(RedisCluster, Vec<Node>)> {
    let mut last = None;
    for seed in &url.nodes {
        let ask = async {
            let mut connection = server(url, seed, true).await?;
            let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await?;
            let nodes: String = redis::cmd("CLUSTER").arg("NODES").query_async(&mut connection).await?;
            Ok((info, nodes))
        };
        match ask.await {
            Ok((info, nodes)) => return Ok(read_cluster(&info, &nodes, seed)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| (redis::ErrorKind::ClusterConnectionNotFound, "no node").into()))
}

fn read_cluster(info: &str, nodes: &str, seed: &Node) -> (RedisCluster, Vec<Node>) {
    let fact = |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let served: u64 = fact("cluster_slots_ok").and_then(|slots| slots.parse().ok()).unwrap_or(0);
    let lines: Vec<NodeLine<'_>> = nodes.lines().filter_map(NodeLine::read).collect();
    let masters: Vec<&NodeLine<'_>> = lines.iter().filter(|line| line.is_master && line.has_slots).collect();
    let place = |line: &NodeLine<'_>| address(&line.node(seed));
    let has_replica = |master: &NodeLine<'_>| lines.iter().any(|line| line.replica_of == master.id && !line.failed);
    let cluster = RedisCluster {
        works: fact("cluster_state") == Some("ok"),
        slots_missing: SLOTS.saturating_sub(served),
        failed: lines.iter().filter(|line| line.failed).map(place).collect(),
        without_replica: masters.iter().filter(|master| !has_replica(master)).map(|line| place(line)).collect(),
    };
    let masters = masters.into_iter().filter(|master| !master.failed).map(|master| master.node(seed)).collect();
    (cluster, masters)
}

/// One line of `CLUSTER NODES`.
struct NodeLine<'a> {
    id: &'a str,
    address: &'a str,
    is_master: bool,
    failed: bool,
    replica_of: &'a str,
    has_slots: bool,
}

impl<'a> NodeLine<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (id, address, flags, replica_of) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let flag = |name: &str| flags.split(',').any(|flag| flag == name);
        // Pings, epoch and the state of the link come before the slots.
        let has_slots = words.nth(4).is_some();
        Some(Self { id, address, is_master: flag("master"), failed: flag("fail") || flag("noaddr"), replica_of, has_slots })
    }

    /// A node that has met no other knows no address of its own: it is the one that was asked.
    fn node(&self, seed: &Node) -> Node {
        let place = self.address.split(['@', ',']).next().unwrap_or_default();
        let (host, port) = place.rsplit_once(':').unwrap_or((place, ""));
        let host = if host.is_empty() { seed.host.clone() } else { host.to_owned() };
        Node { host, port: port.parse().unwrap_or(seed.port) }
    }
}

async fn sentinel(url: &RedisUrl, node: &Node, service: &str) -> RedisResult<RedisSentinel> {
    let facts: HashMap<String, String> = ask(url, node, "MASTER", service).await?;
    let replicas = facts.get("num-slaves").and_then(|number| number.parse().ok()).unwrap_or(0);
    let quorum: RedisResult<String> = ask(url, node, "CKQUORUM", service).await;
    let no_quorum = quorum.err().map(|error| match error.code() {
        Some("NOQUORUM") => "too few Sentinels agree or can be reached".to_owned(),
        _ => reason(&error),
    });
    Ok(RedisSentinel { replicas, no_quorum })
}

async fn ask<T: FromRedisValue>(url: &RedisUrl, node: &Node, what: &str, service: &str) -> RedisResult<T> {
    let mut question: Cmd = redis::cmd("SENTINEL");
    question.arg(what).arg(service);
    ask_as_sentinel(url, node, &question).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_read_as_its_nodes_tell_it() {
        let info = "cluster_state:fail\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:10922\r\n";
        let nodes = "\
            a1 10.0.0.1:7000@17000,one.example myself,master - 0 0 1 connected 0-5460\n\
            a2 10.0.0.2:7000@17000 master,fail - 0 0 2 disconnected 5461-10921\n\
            a3 :7001@17001 master - 0 0 3 connected 10922-16383\n\
            b1 10.0.0.4:7000@17000 slave a1 0 0 1 connected\n\
            c1 10.0.0.5:7000@17000 master - 0 0 0 connected\n";
        let (cluster, masters) = read_cluster(info, nodes, &Node { host: "seed".to_owned(), port: 7000 });
        assert!(!cluster.works);
        assert_eq!(cluster.slots_missing, SLOTS - 10_922);
        assert_eq!(cluster.failed, ["10.0.0.2:7000"]);
        assert_eq!(cluster.without_replica, ["10.0.0.2:7000", "seed:7001"]);
        assert_eq!(masters.iter().map(address).collect::<Vec<_>>(), ["10.0.0.1:7000", "seed:7001"]);
    }
}
