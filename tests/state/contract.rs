//! What every store has to do, over two connections where it has connections.

use pressmark::state::{MemoryState, RedisState, SharedState};

use super::support::redis::{RedisCluster, RedisServer, SentinelSet};
use super::{connect, groups, leases, logs, records, topics};

async fn hold(first: &dyn SharedState, second: &dyn SharedState) {
    tokio::join!(
        records::hold(first),
        leases::hold(first, second),
        groups::hold(first, second),
        logs::hold(first, second),
        topics::hold(first, second),
    );
}

async fn connect_twice(url: &str) -> (RedisState, RedisState) {
    tokio::join!(connect(url), connect(url))
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_holds_it() {
    let state = MemoryState::new();
    hold(&state, &state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_holds_it_and_every_key_expires() {
    let server = RedisServer::start();
    let (first, second) = connect_twice(&server.url()).await;
    hold(&first, &second).await;
    let script = "
        local stay, keys = {}, redis.call('KEYS', '*')
        for _, key in ipairs(keys) do if redis.call('PTTL', key) < 0 then table.insert(stay, key) end end
        return #keys .. ' keys, of which do not expire: ' .. table.concat(stay, ' ')";
    let said = server.cli(&["EVAL", script, "0"]);
    assert!(said.ends_with("do not expire:") && !said.starts_with("0 "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_no_more_than_the_documented_rights_holds_it() {
    let rights = "+get +set +getex +del +eval +exists +pexpire +pttl +strlen +zadd +zcard +zrange +zrem \
                  +hexists +hget +hlen +hset +xadd +xdel +xlen +xrange +publish +subscribe +unsubscribe +ping +hello";
    let server = RedisServer::start_with(&[&format!("user limited on >secret ~* &* {rights}")]);
    let (first, second) = connect_twice(&format!("redis://limited:secret@127.0.0.1:{}", server.port())).await;
    hold(&first, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_holds_it() {
    let cluster = RedisCluster::start();
    let (first, second) = connect_twice(&cluster.url()).await;
    hold(&first, &second).await;
    for command in ["set", "eval", "xrange"] {
        let calls: Vec<_> = cluster.nodes.iter().map(|node| node.calls(command)).collect();
        assert!(calls.iter().all(|calls| *calls > 0), "every node has a share of the keys: {command} {calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_holds_it() {
    let set = SentinelSet::start();
    let (first, second) = connect_twice(&set.url()).await;
    hold(&first, &second).await;
}
