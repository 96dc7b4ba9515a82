//! A server of a cluster that holds the shared state dies in the middle of the work: calls fail cleanly for as long as the
//! failover takes, and go on after it. What a failover may cost stands in the README.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::agent::{Agent, PAUSE, Trouble};
use crate::support::process::wait_until;
use crate::support::redis::{RedisCluster, RedisServer};
use crate::workload::{Failure, Workload};
use crate::world::{World, fill, token};

/// How long it may take until every agent has done some more, on a machine that is busy.
const GOES_ON: Duration = Duration::from_secs(40);
/// How long the nodes of a cluster may take to miss a master, after a second, and to elect another.
const ELECTION: Duration = Duration::from_secs(10);
/// After the shared state is back: connections are made anew, and a call that waits finds out that its record is gone.
const SETTLED: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_goes_on_with_what_a_killed_master_did_not_hold() {
    let mut cluster = block_in_place(RedisCluster::start);
    let world = block_in_place(|| World::everything(&cluster.url()));
    let work = Workload::start(&world);
    work.all_go_on(2, GOES_ON).await;
    let killed = Instant::now();
    cluster.nodes[0].stop();
    sleep(Duration::from_secs(2)).await;
    let before: usize = work.done().iter().sum();
    while work.done().iter().sum::<usize>() < before + 5 {
        assert!(killed.elapsed() < GOES_ON, "nothing goes on although two masters of three are there");
        sleep(PAUSE).await;
    }
    block_in_place(|| {
        cluster.nodes[0].restart();
        wait_until(GOES_ON, "the cluster is whole", || cluster.is_whole());
    });
    let back = Instant::now();
    work.all_go_on(2, GOES_ON).await;
    check("Cluster", &work.stop().await, killed, back);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_the_place_of_a_master_of_a_cluster() {
    let mut cluster = block_in_place(RedisCluster::start_with_replicas);
    let world = block_in_place(|| World::everything(&cluster.url()));
    let work = Workload::start(&world);
    work.all_go_on(2, GOES_ON).await;
    let masters = |cluster: &RedisCluster| {
        let is_master = |index: &usize| cluster.nodes[*index].cli(&["ROLE"]).starts_with("master");
        (1..6).filter(is_master).collect::<Vec<_>>()
    };
    assert_eq!(masters(&cluster), [1, 2], "beside the first");
    let killed = Instant::now();
    block_in_place(|| {
        cluster.nodes[0].stop();
        wait_until(GOES_ON, "a replica is the third master", || masters(&cluster).len() == 3 && cluster.is_whole());
    });
    let back = Instant::now();
    assert!(back - killed < ELECTION, "{:?} without a master", back - killed);
    work.all_go_on(2, GOES_ON).await;
    check("Cluster with replicas", &work.stop().await, killed, back);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_shared_state_is_away_nobody_goes_on_without_asking() {
    let mut redis = block_in_place(RedisServer::start);
    let world = block_in_place(|| World::serve(&redis.url()));
    let agent = Agent::connect(&world.url(), &token(0)).await.expect("a session");
    fill(&world.at("full"));
    redis.stop();
    let call = |name: &str, path: &str| json!({"name": name, "arguments": {"path": path}});
    for (method, params) in [
        ("tools/call", call("delete_file", "/full")),
        ("resources/subscribe", json!({"uri": "file:///full/a.txt"})),
        ("logging/setLevel", json!({"level": "debug"})),
    ] {
        let refused = agent.ask(method, params).await;
        assert!(matches!(&refused, Err(Trouble::Away(said)) if said.contains("repeat the request")), "{method}: {refused:?}");
    }
    let read = agent.ask("tools/call", call("read_file", "/full/a.txt")).await.expect("what needs no session is served");
    assert_eq!(read["content"][0]["text"], "a");
    let deleted = agent.ask("tools/call", call("delete_file", "/full/a.txt")).await.expect("no question, no session");
    assert_eq!(deleted["content"][0]["text"], "Deleted /full/a.txt.");
    assert!(world.at("full/sub/b.txt").exists());
}

/// Nothing fails before the kill, and nothing long after the end of the outage.
fn check(what: &str, failures: &[Failure], killed: Instant, back: Instant) {
    let mut kinds = BTreeMap::new();
    for failure in failures {
        let kind = match &failure.why {
            Trouble::Broken => "broken".to_owned(),
            Trouble::Away(said) => format!("away: {said}"),
            Trouble::Lost(said) => format!("lost: {said}"),
        };
        let count: &mut usize = kinds.entry((failure.what, kind)).or_default();
        *count += 1;
        assert!(failure.at >= killed, "before the kill: {failure:?}");
        assert!(failure.at <= back + SETTLED, "{:?} after the end of the outage: {failure:?}", failure.at - back);
    }
    assert!(!failures.is_empty(), "nothing was under way");
    let last = failures.iter().map(|failure| failure.at.saturating_duration_since(back)).max().unwrap_or_default();
    println!("{what}: away for {:?}, the last failure {last:?} later, {} in all:", back - killed, failures.len());
    for ((what, kind), count) in kinds {
        println!("  {count} × {what}: {kind}");
    }
}
