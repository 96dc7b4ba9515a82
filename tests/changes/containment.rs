//! No watch leads out of a mount, and nobody hears of what it may not read.

use std::fs;
use std::os::unix::fs::symlink;

use pressmark::files::FileError;

use crate::support::{World, is_watched, nothing, only, path};

#[tokio::test(flavor = "multi_thread")]
async fn links_out_of_the_mount_are_never_followed() {
    let world = World::new();
    fs::create_dir(world.outside("folder")).unwrap();
    fs::write(world.outside("folder/secret"), "one").unwrap();
    fs::write(world.outside("file"), "one").unwrap();
    symlink(world.outside("folder"), world.served("/absolute")).unwrap();
    symlink("../outside/folder", world.served("/relative")).unwrap();
    symlink("../outside/file", world.served("/file")).unwrap();
    fs::create_dir(world.served("/real")).unwrap();
    fs::write(world.served("/real/secret"), "one").unwrap();
    let replica = world.replica();
    let mut subscriptions = Vec::new();
    for at in ["/absolute", "/absolute/secret", "/relative", "/relative/secret", "/file"] {
        subscriptions.push(replica.subscribe(at).await);
    }
    let mut exchanged = replica.subscribe("/real/secret").await;
    let _list = replica.changes.list_changes(&replica.full()).await;
    let outside = [world.outside(""), world.outside("folder"), world.outside("file"), world.outside("folder/secret")];
    assert!(!outside.iter().any(|place| is_watched(place)));
    // A folder that is watched is exchanged for a link.
    world.shell("rm -r real; ln -s ../outside/folder real");
    assert_eq!(only(&mut exchanged).await, None);
    assert!(!outside.iter().any(|place| is_watched(place)));
    fs::write(world.outside("folder/secret"), "two, and longer").unwrap();
    fs::write(world.outside("file"), "two, and longer").unwrap();
    fs::write(world.outside("folder/more"), "").unwrap();
    for subscription in &mut subscriptions {
        nothing(subscription).await;
    }
    nothing(&mut exchanged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_inside_are_followed_for_whoever_may_see_everything() {
    let world = World::new();
    world.write("/team-a/own.md", "one");
    world.write("/team-b/secret.md", "one");
    symlink("../team-b", world.served("/team-a/folder")).unwrap();
    symlink("../team-b/secret.md", world.served("/team-a/file.md")).unwrap();
    let replica = world.replica();
    let narrowed = replica.view(&["files:read:/team-a/**"]);
    let mut narrow = Vec::new();
    let mut full = Vec::new();
    for at in ["/team-a/folder/secret.md", "/team-a/file.md"] {
        narrow.push(replica.changes.subscribe(&narrowed, &path(at)).await.unwrap());
        full.push(replica.subscribe(at).await);
    }
    for change in ["echo two > team-b/secret.md", "echo three > t; mv t team-b/secret.md", "echo four > team-b/secret.md"] {
        world.shell(change);
        for subscription in &mut full {
            assert_eq!(only(subscription).await, replica.version("/team-b/secret.md"), "{change}");
        }
    }
    // The link itself is pointed elsewhere.
    world.shell("ln -sfn own.md team-a/file.md");
    assert_eq!(only(&mut full[1]).await, replica.version("/team-a/own.md"));
    for subscription in &mut narrow {
        nothing(subscription).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_cannot_be_subscribed_to() {
    let world = World::new();
    world.write("/org/team-a/plan.md", "one");
    world.write("/org/team-b/plan.md", "one");
    let replica = world.replica();
    let narrowed = replica.view(&["files:read:/org/team-a/**"]);
    for at in ["/org/team-b/plan.md", "/org/team-b", "/org/none", "/org", "/"] {
        let refused = replica.changes.subscribe(&narrowed, &path(at)).await.unwrap_err();
        assert!(matches!(refused, FileError::Forbidden(_)), "{at}: {refused}");
    }
    assert_eq!(replica.changes.subscribed_paths(), 0);
    let mut own = replica.changes.subscribe(&narrowed, &path("/org/team-a/plan.md")).await.unwrap();
    world.shell("echo two > org/team-a/plan.md; echo two > org/team-b/plan.md");
    assert_eq!(only(&mut own).await, replica.version("/org/team-a/plan.md"));
}
