//! What goes over the wire: one question and one answer an operation. When the connection breaks between them, the
//! operation is repeated and yet done once.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use pressmark::state::{GroupLimits, LogLimits, Once, SharedState, member_key};
use tokio::time::sleep;

use super::logs::{LIMITS, MEMBER, begin, read};
use super::support::redis::{RedisCluster, RedisServer};
use super::{TTL, connect};

/// Stands between a client and a server, counts answers, and can lose one together with its connection.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
}

impl Wire {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let wire = Self { port, cut: Arc::default(), answers: Arc::default() };
        let (cut, answers) = (wire.cut.clone(), wire.answers.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).expect("the server is there");
                let (from, to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                thread::spawn(move || carry(from, to, || true));
                let (cut, answers) = (cut.clone(), answers.clone());
                thread::spawn(move || {
                    carry(server, client, || {
                        answers.fetch_add(1, Ordering::SeqCst);
                        !cut.swap(false, Ordering::SeqCst)
                    });
                });
            }
        });
        wire
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn lose_the_next_answer(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    fn has_lost_it(&self) -> bool {
        !self.cut.load(Ordering::SeqCst)
    }

    /// How many answers came since the last time this was asked, when questions are asked one by one.
    fn take_answers(&self) -> usize {
        self.answers.swap(0, Ordering::SeqCst)
    }
}

/// Carries what comes as long as `go_on` agrees.
fn carry(mut from: TcpStream, mut to: TcpStream, go_on: impl Fn() -> bool) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !go_on() || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_is_one_round_trip() {
    let server = RedisServer::start();
    let wire = Wire::to(server.port());
    let state = connect(&wire.url()).await;
    // Also the first of its kind, which Redis has not seen yet.
    server.cli(&["SCRIPT", "FLUSH"]);
    let (key, value) = ("key", || Bytes::from_static(b"value"));
    let asked = async |what: &str, operation: Pin<Box<dyn Future<Output = bool> + '_>>| {
        wire.take_answers();
        assert!(operation.await, "{what}");
        assert_eq!(wire.take_answers(), 1, "{what}");
    };
    let state = &state;
    asked("put", Box::pin(async { state.put(key, value(), TTL).await.is_ok() })).await;
    asked("get", Box::pin(async { state.get(key).await.is_ok() })).await;
    asked("get_and_refresh", Box::pin(async { state.get_and_refresh(key, TTL).await.is_ok() })).await;
    asked("replace", Box::pin(async { state.replace(key, b"value", value(), TTL).await.is_ok() })).await;
    asked("delete_if", Box::pin(async { state.delete_if(key, b"value").await.is_ok() })).await;
    asked("put_if_absent", Box::pin(async { state.put_if_absent(key, value(), TTL).await.is_ok() })).await;
    asked("delete", Box::pin(async { state.delete(key).await.is_ok() })).await;
    asked(
        "put_in_group",
        Box::pin(async { state.put_in_group("group", key, value(), TTL, GroupLimits::members(1)).await.is_ok() }),
    )
    .await;
    let most = GroupLimits::members(1);
    asked(
        "replace_in_group",
        Box::pin(async { state.replace_in_group("group", key, Some(b"value"), value(), TTL, most).await.is_ok() }),
    )
    .await;
    asked("get_in_group", Box::pin(async { state.get_in_group("group", key, TTL).await.is_ok() })).await;
    asked("delete_in_group", Box::pin(async { state.delete_in_group("group", key).await.is_ok() })).await;
    asked("delete_all_in_group", Box::pin(async { state.delete_all_in_group("group", key).await.is_ok() })).await;
    let once = Some(Once { field: "field", value: "value" });
    asked("append", Box::pin(async { state.append("log", MEMBER, value(), once, LIMITS).await.is_ok() })).await;
    asked("read_log", Box::pin(async { state.read_log("log", MEMBER, None, 10).await.is_ok() })).await;
    asked("publish", Box::pin(async { state.publish("topic", value()).await.is_ok() })).await;
    asked("check", Box::pin(async { state.check().await.is_ok() })).await;
    // The first subscription makes a connection.
    let first = state.subscribe("first").await;
    asked("subscribe", Box::pin(async { state.subscribe("topic").await.map(std::mem::forget).is_ok() })).await;
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_won_or_appended_stays_so_when_the_answer_is_lost() {
    let server = RedisServer::start();
    let wire = Wire::to(server.port());
    let state = connect(&wire.url()).await;
    let value = |text: &'static str| Bytes::from_static(text.as_bytes());

    wire.lose_the_next_answer();
    assert!(state.put_if_absent("lease", value("mine"), TTL).await.expect("an answer"));
    assert!(wire.has_lost_it());
    wire.lose_the_next_answer();
    assert!(state.replace("lease", b"mine", value("mine still"), TTL).await.expect("an answer"));
    assert!(wire.has_lost_it());

    let (log, once) = ("pressmark:log", Some(Once { field: "field", value: "value" }));
    begin(&state, log).await;
    let mut ids = Vec::new();
    for once in [None, once] {
        wire.lose_the_next_answer();
        ids.push(state.append(log, MEMBER, value("event"), once, LIMITS).await.expect("an answer").expect("it is new"));
        assert!(wire.has_lost_it());
    }
    wire.lose_the_next_answer();
    assert_eq!(state.append(log, MEMBER, value("event"), once, LIMITS).await.expect("an answer"), None);
    let read: Vec<_> = read(&state, log, None).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(read, ids);

    for member in ["a", "b", "c"] {
        wire.lose_the_next_answer();
        state.put_in_group("pressmark:group", member, value("record"), TTL, GroupLimits::members(2)).await.expect("a write");
        assert!(wire.has_lost_it());
    }
    assert_eq!(state.get(&member_key("pressmark:group", "a")).await.expect("a read"), None);
    assert!(state.get(&member_key("pressmark:group", "b")).await.expect("a read").is_some());
}

/// Appends while connections are killed all the time: what succeeded is there once, what failed at most once.
async fn survives_killing(state: &dyn SharedState, servers: &[&RedisServer]) {
    let limits = LogLimits { max_events: 10_000, ..LIMITS };
    begin(state, "pressmark:log:killed").await;
    let work = async {
        let tasks = (0..8).map(|task| async move {
            let mut done = Vec::new();
            for number in 0..150 {
                let event = format!("{task}-{number}");
                let answer = state.append("pressmark:log:killed", MEMBER, Bytes::from(event.clone()), None, limits).await;
                done.push((event, answer.map(|id| id.expect("it is new"))));
                sleep(Duration::from_millis(2)).await;
            }
            done
        });
        join_all(tasks).await.into_iter().flatten().collect::<Vec<_>>()
    };
    let kill = async {
        for _ in 0..40 {
            sleep(Duration::from_millis(10)).await;
            for server in servers {
                server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
        }
    };
    let (done, ()) = tokio::join!(work, kill);
    let mut found: HashMap<String, Vec<_>> = HashMap::new();
    for (id, event) in read(state, "pressmark:log:killed", None).await {
        found.entry(String::from_utf8(event.into()).expect("text")).or_default().push(id);
    }
    let mut succeeded = 0;
    for (event, answer) in done {
        let found = found.remove(&event).unwrap_or_default();
        match answer {
            Ok(id) => assert_eq!(found, [id], "{event}"),
            Err(error) => assert!(found.len() <= 1, "{event}: {found:?} after {error}"),
        }
        succeeded += usize::from(found.len() == 1);
    }
    assert!(succeeded > 1_000, "only {succeeded} of 1200 got through");
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_append_nothing_twice() {
    let server = RedisServer::start();
    survives_killing(&connect(&server.url()).await, &[&server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_append_nothing_twice_in_a_cluster() {
    let cluster = RedisCluster::start();
    survives_killing(&connect(&cluster.url()).await, &cluster.nodes.iter().collect::<Vec<_>>()).await;
}
