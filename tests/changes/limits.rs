//! What one caller subscribes to costs the others little.

use std::time::Duration;

use pressmark::files::{FileError, View};
use tokio::time::{Instant, timeout};

use crate::support::{Replica, SOON, World, next, nothing, path};

/// More than anybody needs, and each a way down of nearly 200 folders.
const DEEP_PATHS: usize = 1_000;

async fn refusal(replica: &Replica, view: &View, at: &str) -> String {
    match replica.changes.subscribe(view, &path(at)).await {
        Err(FileError::Unsuitable { problem, .. }) => problem.to_owned(),
        other => panic!("{at}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_paths_of_one_subscriber_do_not_keep_another_waiting() {
    let world = World::new();
    let folder = format!("/d{}", "/a".repeat(197));
    world.write("/own.md", "one");
    for number in 0..DEEP_PATHS {
        world.write(&format!("{folder}/{number}"), "one");
    }
    let replica = world.replica();
    let other = replica.other();
    let mut deep = Vec::new();
    let began = Instant::now();
    for number in 0..DEEP_PATHS {
        deep.push(replica.changes.subscribe(&other, &path(&format!("{folder}/{number}"))).await.unwrap());
    }
    let first_looks = began.elapsed();
    let mut own = replica.subscribe("/own.md").await;
    world.shell("mv d elsewhere");
    for subscription in &mut deep {
        assert_eq!(next(subscription).await.version, None);
    }
    // All of them are to be looked at, all the way down.
    world.shell("mv elsewhere d");
    tokio::time::sleep(Duration::from_millis(120)).await;
    world.shell("echo two > own.md");
    let changed = Instant::now();
    next(&mut own).await;
    let heard = changed.elapsed();
    let mut last = deep.pop().unwrap();
    for subscription in &mut deep {
        assert!(timeout(Duration::from_secs(60), subscription.changed()).await.unwrap().version.is_some());
    }
    assert!(last.changed().await.version.is_some());
    let all = changed.elapsed();
    println!("{DEEP_PATHS} first looks took {first_looks:?}; the other was told after {heard:?}, all were told after {all:?}");
    assert!(heard < SOON, "{heard:?}");
    assert!(heard < all / 2 || all < Duration::from_millis(500), "it waited for the others: {heard:?} of {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_too_deep_is_not_watched() {
    let world = World::new();
    let replica = world.replica();
    let deepest = "/a".repeat(200);
    let mut subscription = replica.subscribe(&deepest).await;
    let problem = refusal(&replica, &replica.full(), &format!("{deepest}/a")).await;
    assert!(problem.contains("at most 200 names"), "{problem}");
    nothing(&mut subscription).await;
    world.shell(&format!("mkdir -p {}", &deepest[1..]));
    assert_eq!(next(&mut subscription).await.path, path(&deepest));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_has_so_many_paths_and_no_more() {
    let world = World::new();
    let replica = world.replica();
    let view = replica.full();
    let mut subscriptions = Vec::new();
    for number in 0..5_000 {
        subscriptions.push(replica.changes.subscribe(&view, &path(&format!("/{number}"))).await.unwrap());
    }
    let problem = refusal(&replica, &view, "/more").await;
    assert!(problem.contains("5000 paths"), "{problem}");
    // Once more what it has, and others have theirs.
    let again = replica.changes.subscribe(&view, &path("/0")).await.unwrap();
    let others = replica.changes.subscribe(&replica.other(), &path("/more")).await.unwrap();
    drop(subscriptions.swap_remove(0));
    refusal(&replica, &view, "/more").await;
    drop(again);
    let more = replica.changes.subscribe(&view, &path("/more")).await.unwrap();
    assert_eq!(replica.changes.subscribed_paths(), 5_000);
    drop((subscriptions, others, more));
    assert_eq!(replica.changes.subscribed_paths(), 0);
}
