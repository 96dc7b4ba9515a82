//! Changes of files reach every listener on every replica, once, whoever changed them.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{EventStream, McpClient};
use crate::support::process::wait_until;
use crate::world::{ADA, TEAM, World, teams};

/// How long nothing may come before it is taken for certain that nothing comes.
const SILENCE: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(10);

/// Listens; gives what was agreed to.
async fn listen(client: &McpClient, filter: Value) -> (EventStream, Value) {
    let mut stream = client.open("subscriptions/listen", json!({ "notifications": filter })).await;
    let first = tokio::time::timeout(LIMIT, stream.next()).await.expect("in time").expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    (stream, first["params"]["notifications"].clone())
}

/// All that is told until nothing comes any more: the URI of each update, or the method.
async fn told(stream: &mut EventStream) -> Vec<String> {
    let mut told = Vec::new();
    let mut patience = LIMIT;
    while let Ok(message) = tokio::time::timeout(patience, stream.next()).await {
        let message = message.expect("the stream goes on");
        let what = message["params"]["uri"].as_str().or(message["method"].as_str());
        told.push(what.expect("a notification").to_owned());
        patience = SILENCE;
    }
    told.sort();
    told
}

async fn silent(stream: &mut EventStream) {
    let more = tokio::time::timeout(SILENCE, stream.next()).await;
    assert!(more.is_err(), "{more:?}");
}

const LIST: &str = "notifications/resources/list_changed";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_anybody_reaches_all_replicas_once() {
    let world = World::replicated(3, &[]);
    world.plant(&[("/docs/a.md", "one"), ("/docs/quiet.md", "one")]);
    let wanted = ["file:///docs/a.md", "file:///docs/quiet.md", "file:///docs/later.md"];
    let mut streams = Vec::new();
    for replica in 0..3 {
        let filter = json!({"resourceSubscriptions": wanted, "resourcesListChanged": true});
        let (stream, agreed) = listen(&world.caller_at(replica, ADA), filter.clone()).await;
        assert_eq!(agreed, filter, "also for what is not there yet");
        streams.push(stream);
    }
    let write = async |replica: usize, path: &str, content: &str| {
        let arguments = json!({"path": path, "content": content, "overwrite": true});
        let reply = world.caller_at(replica, ADA).call_tool("write_file", arguments).await;
        assert!(!reply.is_tool_error(), "{}", reply.text);
    };
    let hear = async |streams: &mut Vec<EventStream>, expected: &[&str], what: &str| {
        let heard = futures_util::future::join_all(streams.iter_mut().map(told)).await;
        for (replica, heard) in heard.iter().enumerate() {
            assert_eq!(heard, expected, "{what}, at replica {replica}");
        }
    };
    write(0, "/docs/a.md", "two").await;
    hear(&mut streams, &["file:///docs/a.md"], "a write through the first replica").await;
    world.shell("echo three > docs/a.md");
    hear(&mut streams, &["file:///docs/a.md"], "a write by another program").await;
    write(1, "/docs/later.md", "one").await;
    hear(&mut streams, &["file:///docs/later.md", LIST], "a file made through the second replica").await;
    world.shell("rm docs/later.md");
    hear(&mut streams, &["file:///docs/later.md", LIST], "its removal by another program").await;
    let reply = world.caller_at(2, ADA).call_tool("move_file", json!({"from": "/docs/a.md", "to": "/docs/later.md"})).await;
    assert!(!reply.is_tool_error(), "{}", reply.text);
    let moved = ["file:///docs/a.md", "file:///docs/later.md", LIST];
    hear(&mut streams, &moved, "a move through the third replica").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_of_what_it_may_not_see() {
    let world = World::start(&[]);
    world.plant(&teams());
    let hidden = "file:///org/zebra/plan.md";
    let (mine, unsuitable) = ("file:///org/team-a/plan.md", "file:///../x");
    let wanted = json!({"resourceSubscriptions": [hidden, mine, "file:///org", unsuitable], "resourcesListChanged": true});
    let (mut stream, agreed) = listen(&world.caller(TEAM), wanted).await;
    let expected = json!({"resourceSubscriptions": [mine], "resourcesListChanged": true});
    assert_eq!(agreed, expected, "hidden, only on the way down, unsuitable");
    world.shell("echo more >> org/zebra/plan.md; touch org/zebra/new.md; rm org/zebra.md");
    silent(&mut stream).await;
    world.shell("echo more >> org/team-a/plan.md");
    assert_eq!(told(&mut stream).await, [mine]);
    world.shell("echo new > org/team-a/new.md");
    assert_eq!(told(&mut stream).await, [LIST]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_an_answer_when_the_server_stops() {
    let mut world = World::start(&[]);
    world.plant(&[("/a.md", "one")]);
    let (mut stream, _) = listen(&world.caller(ADA), json!({"resourceSubscriptions": ["file:///a.md"]})).await;
    world.replicas[0].terminate();
    let last = tokio::time::timeout(LIMIT, stream.next()).await.expect("in time").expect("the end is told");
    assert_eq!(last["result"]["resultType"], "complete");
    assert_eq!(tokio::time::timeout(LIMIT, stream.next()).await.expect("in time"), None);
    assert!(world.replicas[0].wait(LIMIT).success());
}

/// How many files and folders the server has the operating system watch.
fn watched(world: &World) -> usize {
    let folder = format!("/proc/{}/fdinfo", world.replicas[0].id());
    let infos = fs::read_dir(folder).expect("Linux tells").filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    infos.map(|info| info.lines().filter(|line| line.starts_with("inotify ")).count()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_has_gone_leaves_nothing_behind() {
    let world = World::start(&[]);
    world.plant(&[("/docs/a.md", "one"), ("/notes/deep/b.md", "two")]);
    let before = watched(&world);
    let filter = json!({"resourceSubscriptions": ["file:///docs/a.md", "file:///notes/deep/b.md"], "resourcesListChanged": true});
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(listen(&world.caller(ADA), filter.clone()).await.0);
    }
    wait_until(LIMIT, "something is watched", || watched(&world) > before);
    drop(streams);
    wait_until(LIMIT, "nothing is watched any more", || watched(&world) == before);
}
