//! The official conformance suite, at the pinned version: every check that it makes, by name, so that neither one that
//! fails nor one that is no longer made goes unnoticed. What is expected stands in `expected/`.
//!
//! The suite wants tools, prompts and resources of its own: `examples/everything` has them. It runs as one replica with
//! its state in memory, and as three that share a Redis behind a balancer that deals requests out in turn. `pressmark
//! serve` itself is tried with what needs no such fixture.

mod expected;
mod fixture;
mod serve;
mod suite;
#[path = "../support/mod.rs"]
mod support;

use expected::Expected;
use fixture::{OneReplica, ThreeReplicas};
use suite::{Requirements, Results};
use support::redis::{RedisCluster, RedisServer, SentinelSet};

#[test]
fn revision_2026_07_28_on_one_replica() {
    on_one_replica("2026-07-28");
}

#[test]
fn revision_2026_07_28_on_three_replicas_in_turn() {
    on_three_replicas_in_turn("2026-07-28");
}

#[test]
fn revision_2025_11_25_on_one_replica() {
    on_one_replica("2025-11-25");
}

#[test]
fn revision_2025_11_25_on_three_replicas_in_turn() {
    on_three_replicas_in_turn("2025-11-25");
}

#[test]
fn revision_2025_11_25_on_three_replicas_with_a_cluster() {
    let cluster = RedisCluster::start();
    finds_the_same("2025-11-25", &cluster.url());
}

#[test]
fn revision_2025_11_25_on_three_replicas_with_sentinels() {
    let set = SentinelSet::start();
    finds_the_same("2025-11-25", &set.url());
}

#[test]
fn revision_2026_07_28_on_three_replicas_with_a_cluster() {
    let cluster = RedisCluster::start();
    finds_the_same("2026-07-28", &cluster.url());
}

#[test]
fn revision_2026_07_28_on_three_replicas_with_sentinels() {
    let set = SentinelSet::start();
    finds_the_same("2026-07-28", &set.url());
}

/// Whichever kind of Redis the replicas share, every check is the same.
fn finds_the_same(revision: &str, state: &str) {
    let replicas = ThreeReplicas::start(state);
    let results = suite::run(&replicas.url(), &["--requirements", revision]);
    replicas.assert_all_answered();
    Expected::read(revision).assert_whole(&results);
}

fn on_one_replica(revision: &str) {
    let replica = OneReplica::start();
    let results = suite::run(&replica.url(), &["--requirements", revision]);
    check(revision, "one replica, memory", &results);
}

fn on_three_replicas_in_turn(revision: &str) {
    let redis = RedisServer::start();
    let replicas = ThreeReplicas::start(&redis.url());
    let results = suite::run(&replicas.url(), &["--requirements", revision]);
    replicas.assert_all_answered();
    check(revision, "three replicas, one Redis", &results);
}

/// Every check is as expected, every scenario that counts passes, and the README says so.
fn check(revision: &str, setup: &str, results: &Results) {
    Expected::read(revision).assert_whole(results);
    let requirements = Requirements::of(revision);
    let passed = |scenarios: &[String]| {
        let passed = scenarios.iter().filter(|scenario| suite::passes(results, scenario)).count();
        let checks: usize = scenarios.iter().map(|scenario| suite::successes(results, scenario)).sum();
        (passed, scenarios.len(), checks)
    };
    let (scored, all_scored, scored_checks) = passed(&requirements.scored);
    let (others, all_others, other_checks) = passed(&requirements.not_scored);
    assert_eq!(scored, all_scored, "every scored scenario passes");
    let row = format!(
        "| {revision} | {setup} | {scored} of {all_scored} | {scored_checks} | {others} of {all_others} | {other_checks} |"
    );
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a README");
    assert!(readme.contains(&row), "the README does not say what was measured: {row}");
}
