//! A rolling update under load: no call fails, streams end as they should, and clients go on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::fleet::Fleet;
use crate::support::process::wait_until;
use crate::support::redis::RedisServer;
use crate::support::server::Pressmark;
use crate::world::World;

const UPDATES: usize = 3;
/// Between the balancer's knowing that a replica goes and SIGTERM: 5 s in deploy/kubernetes, where the word takes its time.
const PRE_STOP: Duration = Duration::from_millis(500);
/// As deploy/kubernetes gives a pod after its preStop.
const GRACE: Duration = Duration::from_secs(35);
const READY: Duration = Duration::from_secs(20);
/// How long it may take until every agent has done some more, on a machine that is busy.
const GOES_ON: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn three_rolling_updates_cost_no_call() {
    let redis = block_in_place(RedisServer::start);
    let mut world = block_in_place(|| World::serve(&redis.url()));
    let fleet = Fleet::start(&world);
    fleet.all_go_on(2, GOES_ON).await;
    let ports: Vec<_> = world.replicas.iter().map(Pressmark::port).collect();
    for _ in 0..UPDATES {
        for (replica, port) in ports.iter().enumerate() {
            block_in_place(|| world.nginx.reload(&ports, Some(*port)));
            sleep(PRE_STOP).await;
            block_in_place(|| replace(&mut world.replicas[replica]));
            block_in_place(|| world.nginx.reload(&ports, None));
            fleet.all_go_on(1, GOES_ON).await;
        }
    }
    let tally = fleet.stop(GOES_ON).await;
    let (calls, failed) = (tally.calls(), tally.failed());
    let [resumed, anew, events] =
        [&tally.resumed, &tally.listened_anew, &tally.events].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{} replicas replaced: {} calls, {} of them failed; {resumed} streams of sessions were resumed, {anew} streams of \
         subscriptions/listen opened again; {events} changes told; {calls:?}",
        UPDATES * ports.len(),
        calls.values().sum::<usize>(),
        failed.len(),
    );
    assert!(failed.is_empty(), "{failed:#?}");
    // Each replica that ended had some of each.
    assert!(resumed >= UPDATES * ports.len() && anew >= UPDATES * ports.len(), "too little has happened");
}

/// SIGTERM, the end, a new process on the same port, readiness.
fn replace(replica: &mut Pressmark) {
    replica.terminate();
    assert!(replica.wait(GRACE).success(), "{}", replica.stderr());
    replica.restart();
    wait_until(READY, "the new replica is ready", || replica.is_ready());
}
