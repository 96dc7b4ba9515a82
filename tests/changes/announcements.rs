//! Writes through the server are announced by every operation, and reach subscribers on every replica once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pressmark::files::{Condition, Edit, EditOptions, Touched, TransferOptions, View};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::support::{World, next, nothing, only, path};

/// Runs what blocks, as tools do.
async fn run<T: Send + 'static>(view: View, work: impl FnOnce(&View) -> T + Send + 'static) -> T {
    spawn_blocking(move || work(&view)).await.unwrap()
}

fn write(view: &View, at: &str, content: &str) {
    view.write_file(&path(at), content.as_bytes(), &Condition::Any, true, &|| false).unwrap();
}

const TRANSFER: TransferOptions = TransferOptions { if_match: None, overwrite: true, create_parents: true };

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_says_what_it_has_touched() {
    let world = World::new();
    world.write("/a.md", "one");
    world.write("/f/deep/x.md", "one");
    let replica = world.replica();
    let said: Arc<Mutex<Vec<Touched>>> = Arc::default();
    let log = Arc::clone(&said);
    replica.changes.on_announce(move |touched| log.lock().unwrap().extend_from_slice(touched));
    let view = replica.full();
    let expect = |what: &str, wanted: &[&str]| {
        let said = std::mem::take(&mut *said.lock().unwrap());
        let said: Vec<_> = said.iter().map(|it| format!("{}{}", it.path, if it.below { " and below" } else { "" })).collect();
        assert_eq!(said, wanted, "{what}");
    };
    let never = || false;
    write(&view, "/a.md", "two");
    expect("a write", &["/a.md", "/"]);
    write(&view, "/n/m/a.md", "two");
    expect("a write with parents", &["/n", "/", "/n/m", "/n", "/n/m/a.md", "/n/m"]);
    view.write_file(&path("/a.md"), b"", &Condition::Absent, false, &never).unwrap_err();
    expect("a write that fails", &[]);
    let edit = [Edit { old_text: "two".to_owned(), new_text: "three".to_owned(), replace_all: false }];
    for (dry_run, wanted) in [(true, [].as_slice()), (false, &["/a.md", "/"])] {
        let options = EditOptions { if_match: None, dry_run, max_diff_bytes: 1000 };
        view.edit_file(&path("/a.md"), &edit, options, &never).unwrap();
        expect("an edit", wanted);
    }
    view.make_folder(&path("/g")).unwrap();
    expect("a new folder", &["/g", "/"]);
    view.make_folder(&path("/g")).unwrap();
    expect("a folder that is there", &[]);
    view.copy_file(&path("/a.md"), &path("/g/b.md"), TRANSFER, &mut |_, _| {}, &never).unwrap();
    expect("a copy", &["/g/b.md", "/g"]);
    view.move_path(&path("/g/b.md"), &path("/c.md"), TRANSFER, &mut |_, _| {}, &never).unwrap();
    expect("a move", &["/g/b.md", "/g", "/c.md", "/"]);
    view.move_path(&path("/f"), &path("/g/f"), TRANSFER, &mut |_, _| {}, &never).unwrap();
    expect("a folder's move", &["/f and below", "/", "/g/f and below", "/g"]);
    view.remove(&path("/c.md"), None, false, &never).unwrap();
    expect("a removal", &["/c.md", "/"]);
    view.remove(&path("/g"), None, false, &never).unwrap_err();
    expect("a removal that is refused", &[]);
    view.remove(&path("/g"), None, true, &never).unwrap();
    expect("a folder's removal", &["/g and below", "/"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_write_is_heard_once_on_every_replica_however_often_it_is_reported() {
    let world = World::new();
    world.write("/docs/a.md", "one");
    let replicas = [world.replica(), world.replica()];
    let other = replicas[1].changes.clone();
    replicas[0].changes.on_announce(move |touched| {
        // Delivered at once, and twice more, late.
        other.announced(touched);
        let (other, touched) = (other.clone(), touched.to_vec());
        std::thread::spawn(move || {
            for _ in 0..2 {
                std::thread::sleep(Duration::from_millis(250));
                other.announced(&touched);
            }
        });
    });
    let mut subscriptions = Vec::new();
    for replica in &replicas {
        for at in ["/docs/a.md", "/docs/a.md", "/docs"] {
            subscriptions.push(replica.subscribe(at).await);
        }
    }
    for round in 0..3 {
        run(replicas[0].full(), move |view| write(view, "/docs/a.md", &format!("round {round}"))).await;
        for subscription in &mut subscriptions {
            let version = only(subscription).await;
            if subscription.path() == &path("/docs/a.md") {
                assert_eq!(version, replicas[1].version("/docs/a.md"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_that_are_not_true_change_nothing() {
    let world = World::new();
    world.write("/a.md", "one");
    let replica = world.replica();
    let mut file = replica.subscribe("/a.md").await;
    for below in [true, false] {
        for at in ["/", "/a.md", "/none"] {
            replica.changes.announced(&[Touched { path: path(at), below }]);
        }
    }
    nothing(&mut file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_below_a_moved_folder_is_announced() {
    let world = World::new();
    for at in ["/f/a.md", "/f/deep/b.md", "/f-not/c.md", "/f.md"] {
        world.write(at, "one");
    }
    let replica = world.replica();
    let mut inside = vec![replica.subscribe("/f/a.md").await, replica.subscribe("/f/deep/b.md").await];
    let mut beside = vec![replica.subscribe("/f-not/c.md").await, replica.subscribe("/f.md").await];
    let mut arrives = replica.subscribe("/g/deep/b.md").await;
    run(replica.full(), |view| {
        view.move_path(&path("/f"), &path("/g"), TRANSFER, &mut |_, _| {}, &|| false).unwrap();
    })
    .await;
    for subscription in &mut inside {
        assert_eq!(only(subscription).await, None);
    }
    assert_eq!(only(&mut arrives).await, replica.version("/g/deep/b.md"));
    for subscription in &mut beside {
        nothing(subscription).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_subscribers_of_one_path_hear_of_a_write_within_a_second() {
    let world = World::new();
    world.write("/a.md", "one");
    let replica = world.replica();
    let mut subscriptions = Vec::new();
    for _ in 0..10_000 {
        subscriptions.push(replica.subscribe("/a.md").await);
    }
    assert_eq!(replica.changes.subscribed_paths(), 1);
    let listeners: Vec<_> = subscriptions
        .into_iter()
        .map(|mut subscription| {
            tokio::spawn(async move {
                let change = next(&mut subscription).await;
                (Instant::now(), change, subscription)
            })
        })
        .collect();
    sleep(Duration::from_millis(100)).await;
    let written = Instant::now();
    world.shell("echo two > a.md");
    let mut latest = written;
    let mut last = None;
    for listener in listeners {
        let (heard, change, subscription) = listener.await.unwrap();
        assert_eq!(change.version, replica.version("/a.md"));
        latest = latest.max(heard);
        last = Some(subscription);
    }
    assert!(latest - written < Duration::from_secs(1), "{:?}", latest - written);
    nothing(&mut last.unwrap()).await;
}
