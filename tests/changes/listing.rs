//! Which files are there: one signal for whatever comes or goes, to those who may see it.

use std::time::Duration;

use pressmark::files::{Condition, ListChanges};
use tokio::time::{Instant, timeout};

use crate::support::{QUIET, SOON, World, is_watched, path};

/// How many signals come until none does for a while.
async fn count(list: &mut ListChanges) -> usize {
    let mut count = 0;
    // A signal may be held back for a second.
    while timeout(QUIET + Duration::from_secs(1), list.changed()).await.is_ok() {
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_and_goes_is_signalled_and_what_changes_is_not() {
    let world = World::new();
    world.write("/docs/a.md", "one");
    let replica = world.replica();
    let mut list = replica.changes.list_changes(&replica.full()).await;
    assert_eq!(count(&mut list).await, 0);
    for change in ["echo > docs/b.md", "mkdir -p x/y", "echo > x/y/z.md", "mv x docs/x", "echo > docs/x/y/w.md", "rm -r docs"] {
        world.shell(change);
        assert_eq!(count(&mut list).await, 1, "{change}");
    }
    world.write("/f/a.md", "one");
    assert_eq!(count(&mut list).await, 1);
    world.shell("echo two > f/a.md; echo three > t; mv t f/a.md; mkdir .git; echo > .git/index; echo > .hidden");
    assert!(count(&mut list).await <= 1, "the temporary file may have been seen");
    world.shell("echo four > f/a.md; touch f; chmod 700 f; echo > f/.a.md.swp; mv f/.a.md.swp f/a.md; echo > .git/more");
    assert_eq!(count(&mut list).await, 0);
    let view = replica.full();
    view.write_file(&path("/f/a.md"), b"five", &Condition::Any, false, &|| false).unwrap();
    assert_eq!(count(&mut list).await, 0, "a file that was there was written");
    view.write_file(&path("/f/b.md"), b"one", &Condition::Any, false, &|| false).unwrap();
    assert_eq!(count(&mut list).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_come_at_most_once_a_second_and_the_last_is_not_lost() {
    let world = World::new();
    let replica = world.replica();
    let mut list = replica.changes.list_changes(&replica.full()).await;
    let began = Instant::now();
    let mut at = Vec::new();
    let writer = tokio::task::spawn_blocking({
        let folder = world.served("");
        move || {
            for number in 0..250 {
                std::fs::write(folder.join(number.to_string()), "").unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    while timeout(QUIET + Duration::from_secs(1), list.changed()).await.is_ok() {
        at.push(began.elapsed());
    }
    writer.await.unwrap();
    assert!((3..=6).contains(&at.len()), "{at:?}");
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] > Duration::from_millis(900)), "{at:?}");
    assert!(at.last().unwrap() > &Duration::from_millis(2500), "what came last is signalled: {at:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_hear_of_what_they_may_see_alone() {
    let world = World::new();
    world.write("/org/team-b/x.md", "one");
    world.write("/org/notes/x.md", "one");
    let replica = world.replica();
    let narrowed = replica.view(&["files:read:/org/team-a/**", "files:read:/org/notes/mine.md"]);
    let mut list = replica.changes.list_changes(&narrowed).await;
    world.shell("echo > org/team-b/y.md; mkdir -p org/team-b/team-a; echo > org/notes/yours.md; rm org/notes/x.md; echo > top");
    assert_eq!(count(&mut list).await, 0);
    for change in ["mkdir org/team-a", "echo > org/team-a/x.md", "echo > org/notes/mine.md", "rm org/notes/mine.md"] {
        world.shell(change);
        assert_eq!(count(&mut list).await, 1, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_much_happens_elsewhere_is_not_heard_of() {
    let world = World::new();
    world.shell("mkdir team-a team-b org");
    let replica = world.replica();
    let narrowed = replica.view(&["files:read:/team-a/**", "files:read:/org/mine.md"]);
    let mut list = replica.changes.list_changes(&narrowed).await;
    let mut full = replica.changes.list_changes(&replica.full()).await;
    world.shell("for i in $(seq 400); do echo > team-b/$i; echo > org/$i; mkdir d$i; done");
    assert_eq!(count(&mut list).await, 0);
    assert!(count(&mut full).await > 0);
    world.shell("rm -r org; mkdir org; for i in $(seq 400); do echo > org/$i; done; echo > org/mine.md");
    assert!(count(&mut list).await > 0, "its own is heard of, whatever else happens");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_watched_once_nobody_is_interested() {
    let world = World::new();
    world.write("/a/b/c.md", "one");
    let replica = world.replica();
    let folders = [world.served(""), world.served("/a"), world.served("/a/b")];
    let first = replica.changes.list_changes(&replica.full()).await;
    let mut second = replica.changes.list_changes(&replica.full()).await;
    assert!(folders.iter().all(|folder| is_watched(folder)));
    drop(first);
    world.shell("echo > a/b/d.md");
    assert_eq!(count(&mut second).await, 1);
    drop(second);
    let deadline = Instant::now() + SOON;
    while folders.iter().any(|folder| is_watched(folder)) {
        assert!(Instant::now() < deadline, "still watched");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut again = replica.changes.list_changes(&replica.full()).await;
    world.shell("echo > a/b/e.md");
    assert_eq!(count(&mut again).await, 1);
}
