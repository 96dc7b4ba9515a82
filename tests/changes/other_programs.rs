//! Other programs change files, in all the ways that programs have.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use tokio::time::sleep;

use crate::support::{World, all, is_watched, next, nothing, only};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_announced_once_with_the_version_that_tools_give() {
    let world = World::new();
    world.write("/docs/a.md", "one");
    let replica = world.replica();
    let mut file = replica.subscribe("/docs/a.md").await;
    let mut beside = replica.subscribe("/docs/b.md").await;
    nothing(&mut file).await;
    world.shell("echo two > docs/a.md");
    assert_eq!(only(&mut file).await, replica.version("/docs/a.md"));
    world.shell("echo three >> docs/a.md");
    assert_eq!(only(&mut file).await, replica.version("/docs/a.md"));
    nothing(&mut beside).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_changes_nothing() {
    let world = World::new();
    world.write("/a.md", "one");
    let replica = world.replica();
    let (mut file, mut folder) = (replica.subscribe("/a.md").await, replica.subscribe("/").await);
    world.shell("cat a.md > /dev/null; ls -l > /dev/null; : < a.md");
    nothing(&mut file).await;
    nothing(&mut folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn editors_that_replace_by_renaming() {
    let world = World::new();
    world.write("/a.md", "one");
    let replica = world.replica();
    let mut file = replica.subscribe("/a.md").await;
    for content in ["two", "three"] {
        world.shell(&format!("echo {content} > .a.md.swp; mv .a.md.swp a.md"));
        assert_eq!(only(&mut file).await, replica.version("/a.md"));
    }
    // As vim does it with a backup.
    world.shell("mv a.md a.md~; echo four > a.md; rm a.md~");
    assert_eq!(only(&mut file).await, replica.version("/a.md"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_yet_and_what_goes_and_comes_back() {
    let world = World::new();
    let replica = world.replica();
    let mut file = replica.subscribe("/a/b/c.md").await;
    nothing(&mut file).await;
    world.shell("mkdir a");
    world.shell("mkdir a/b");
    nothing(&mut file).await;
    world.shell("echo one > a/b/c.md");
    assert_eq!(only(&mut file).await, replica.version("/a/b/c.md"));
    world.shell("rm -r a");
    assert_eq!(only(&mut file).await, None);
    world.shell("mkdir -p a/b; echo two > a/b/c.md");
    assert_eq!(only(&mut file).await, replica.version("/a/b/c.md"));
    world.shell("mv a z");
    assert_eq!(only(&mut file).await, None, "a folder above it was moved");
    world.shell("mkdir -p other/b; echo three > other/b/c.md; mv other a");
    assert_eq!(only(&mut file).await, replica.version("/a/b/c.md"));
    world.shell("echo four > a/b/c.md");
    assert_eq!(only(&mut file).await, replica.version("/a/b/c.md"), "the new folders are watched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_changes_with_its_entries() {
    let world = World::new();
    world.write("/f/a.md", "one");
    let replica = world.replica();
    let mut folder = replica.subscribe("/f").await;
    for change in ["echo > f/b.md", "mkdir f/sub", "mv f/b.md f/c.md", "rm f/c.md", "echo > t; mv t f/a.md", "ln -s a.md f/link"]
    {
        world.shell(change);
        assert!(only(&mut folder).await.is_some(), "{change}");
    }
    world.shell("echo two > f/a.md; echo > f/sub/deep.md");
    nothing(&mut folder).await;
    world.shell("rm -r f");
    assert_eq!(all(&mut folder).await.pop().unwrap().version, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_small_writes_is_announced_a_few_times_and_its_end_always() {
    let world = World::new();
    world.write("/log", "");
    let replica = world.replica();
    let mut file = replica.subscribe("/log").await;
    let at = world.served("/log");
    let writer = tokio::task::spawn_blocking(move || {
        let mut log = fs::File::options().append(true).open(at).unwrap();
        for _ in 0..300 {
            log.write_all(b"a line\n").unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let changes = all(&mut file).await;
    writer.await.unwrap();
    assert!((1..=12).contains(&changes.len()), "{}", changes.len());
    assert_eq!(changes.last().unwrap().version, replica.version("/log"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_never_at_rest_can_be_subscribed_to() {
    let world = World::new();
    world.write("/log", "");
    let replica = world.replica();
    let at = world.served("/log");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || {
            let mut log = fs::File::options().append(true).open(at).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                log.write_all(b"a line\n").unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let file = tokio::time::timeout(Duration::from_secs(3), replica.subscribe("/log")).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.await.unwrap();
    let last = all(&mut file.expect("subscribed while it is written to")).await.pop().expect("announced");
    assert_eq!(last.version, replica.version("/log"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_many_quick_writes_of_one_size_is_announced() {
    let world = World::new();
    world.write("/a", "00");
    let replica = world.replica();
    let mut file = replica.subscribe("/a").await;
    for round in 0..20 {
        // In place, without a new inode, and faster than the file system's clock ticks.
        let mut open = fs::File::options().write(true).open(world.served("/a")).unwrap();
        for pause in [0, 1, 3, 60, 75, 80, 4] {
            open.write_all(b"x").unwrap();
            sleep(Duration::from_millis(pause + round)).await;
        }
        drop(open);
        let last = all(&mut file).await.pop().expect("announced").version;
        assert_eq!(last, replica.version("/a"), "round {round}");
        if round > 4 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_hard_to_write() {
    let world = World::new();
    let replica = world.replica();
    for name in ["with space", "ünï", "a-b", "new\nline", "…"] {
        let mut file = replica.subscribe(&format!("/d/{name}")).await;
        world.write(&format!("/d/{name}"), "one");
        assert!(next(&mut file).await.version.is_some(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_subscribed_to_is_watched() {
    let world = World::new();
    world.write("/a/b/c.md", "one");
    world.write("/other/d.md", "one");
    let replica = world.replica();
    let folders = [world.served(""), world.served("/a"), world.served("/a/b")];
    assert!(!folders.iter().any(|folder| is_watched(folder)));
    let first = replica.subscribe("/a/b/c.md").await;
    let mut second = replica.subscribe("/a/b/c.md").await;
    let other = replica.subscribe("/a/b").await;
    assert!(folders.iter().all(|folder| is_watched(folder)));
    assert!(!is_watched(&world.served("/other")));
    assert_eq!(replica.changes.subscribed_paths(), 2);
    drop((first, other));
    world.shell("echo two > a/b/c.md");
    assert!(only(&mut second).await.is_some(), "the other's leaving changes nothing");
    assert!(folders.iter().all(|folder| is_watched(folder)));
    drop(second);
    assert!(!folders.iter().any(|folder| is_watched(folder)));
    assert_eq!(replica.changes.subscribed_paths(), 0);
}
