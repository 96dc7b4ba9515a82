//! The shared state.

use std::time::Duration;

use super::report::Report;
use crate::config::{Config, StateConfig};
use crate::state::{RedisCluster, RedisInspection, RedisLatency, RedisSentinel, RedisServer, RedisUrl};

/// The next page of a file costs one round trip: with more than this, an agent notices.
const SLOW: Duration = Duration::from_millis(10);

pub(super) async fn examine(config: &Config, report: &mut Report) {
    report.section("Shared state");
    let url = match &config.state {
        StateConfig::Memory => return report.skipped("in memory, for one replica; several need --state redis://…"),
        StateConfig::Redis(url) => url,
    };
    let found = RedisInspection::make(url).await;
    match &found.usable {
        Ok(_) => report.right(format!("{url} can be used: reads, writes, scripts, streams")),
        Err(error) => {
            report.wrong(format!("{error} ({url})"), "see that Redis runs there and lets this server in, or change --state");
        }
    }
    for (address, server) in &found.servers {
        match server {
            Ok(server) => policy(address, server, report),
            Err(reason) => {
                report.skipped(format!("{address}: its version and eviction policy cannot be seen ({reason}); allow INFO"))
            }
        }
    }
    if let Ok(found) = &found.usable {
        latency(*found, report);
    }
    match &found.cluster {
        None => {}
        Some(Ok(cluster)) => examine_cluster(cluster, report),
        Some(Err(reason)) => report.skipped(format!("the state of the cluster cannot be seen ({reason}); allow CLUSTER")),
    }
    examine_sentinels(url, &found.sentinels, report);
}

/// Everything that Pressmark keeps has a time to live, so `volatile-…` means all of it: what matters is which of it goes.
fn policy(address: &str, server: &RedisServer, report: &mut Report) {
    let RedisServer { version, policy, max_memory } = server;
    let limit = if *max_memory == 0 { "no memory limit".to_owned() } else { format!("{} MiB", max_memory / (1024 * 1024)) };
    let found = format!("{address} is {version}, maxmemory-policy {policy}, {limit}");
    match policy.as_str() {
        "noeviction" | "volatile-ttl" | "volatile-lru" | "volatile-lfu" => report.right(found),
        "unknown" => report.skipped(format!("{address} is {version} and does not tell its maxmemory-policy")),
        _ => report.wrong(
            format!("{found}: when memory runs out, cursors and sessions in use are dropped"),
            "set maxmemory-policy to volatile-ttl or noeviction",
        ),
    }
}

fn latency(found: RedisLatency, report: &mut Report) {
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    let text = format!("a question takes {}, the slowest of 20 {}", ms(found.median), ms(found.worst));
    if found.median > SLOW {
        return report.wrong(text, "run Redis in the same zone as the replicas, on a machine with CPU to spare");
    }
    report.right(text);
}

fn examine_cluster(cluster: &RedisCluster, report: &mut Report) {
    let fix = "see CLUSTER INFO and CLUSTER NODES; bring the nodes back or assign the slots to others";
    if !cluster.failed.is_empty() {
        report.wrong(format!("nodes of the cluster are down: {}", cluster.failed.join(", ")), fix);
    }
    if cluster.slots_missing > 0 {
        report.wrong(format!("{} of 16384 slots are served by nobody", cluster.slots_missing), fix);
    }
    if !cluster.works {
        report.wrong("the cluster says that it does not work", fix);
    } else if cluster.failed.is_empty() && cluster.slots_missing == 0 {
        let alone = match cluster.without_replica.len() {
            0 => "every master has a replica".to_owned(),
            _ => format!("without a replica, so that their end loses what they hold: {}", cluster.without_replica.join(", ")),
        };
        report.right(format!("the cluster works and serves all slots; {alone}"));
    }
}

fn examine_sentinels(url: &RedisUrl, sentinels: &[(String, Result<RedisSentinel, String>)], report: &mut Report) {
    for (address, sentinel) in sentinels {
        match sentinel {
            Err(reason) => report.wrong(
                format!("the Sentinel {address} does not answer as it should ({reason})"),
                format!("start it again, or take it out of {url}"),
            ),
            Ok(RedisSentinel { no_quorum: Some(problem), .. }) => report.wrong(
                format!("the Sentinel {address}: there could be no failover now, {problem}"),
                "run three Sentinels that reach one another, with a quorum of two",
            ),
            Ok(RedisSentinel { replicas: 0, .. }) => report.wrong(
                format!("the Sentinel {address} knows no replica that could take the master's place"),
                "give the master a replica: REPLICAOF",
            ),
            Ok(RedisSentinel { replicas, no_quorum: None }) => {
                report.right(format!("the Sentinel {address} is ready for a failover, replicas: {replicas}"));
            }
        }
    }
}
