//! Leases and compare-and-swap: of many who try at once, one wins.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use pressmark::state::SharedState;
use tokio::time::sleep;

use super::TTL;

const SOON: Duration = Duration::from_secs(1);

pub(crate) async fn hold(first: &dyn SharedState, second: &dyn SharedState) {
    tokio::join!(
        one_gets_the_lease(first, second),
        one_replaces(first, second),
        no_increment_is_lost(first, second),
        nothing_else_is_changed(first),
        they_expire(first),
    );
}

fn text(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

async fn one_gets_the_lease(first: &dyn SharedState, second: &dyn SharedState) {
    let tries = (0..100).map(|number| async move {
        let state = if number % 2 == 0 { first } else { second };
        state.put_if_absent("lease", text(format!("holder-{number}")), TTL).await.expect("an answer")
    });
    let won: Vec<_> = join_all(tries).await.into_iter().enumerate().filter(|(_, won)| *won).map(|(number, _)| number).collect();
    let [winner] = won[..] else { panic!("{won:?} have it") };
    let winner = text(format!("holder-{winner}"));
    assert_eq!(second.get("lease").await.expect("a read"), Some(winner.clone()));

    assert!(first.put_if_absent("lease", winner.clone(), TTL).await.expect("an answer"), "it has it already");
    assert!(!second.delete_if("lease", b"another").await.expect("an answer"), "another cannot give it back");
    assert!(second.delete_if("lease", &winner).await.expect("an answer"));
    assert!(!second.delete_if("lease", &winner).await.expect("an answer"), "it was given back");
    assert!(second.put_if_absent("lease", text("another"), TTL).await.expect("an answer"), "it is free");
}

async fn one_replaces(first: &dyn SharedState, second: &dyn SharedState) {
    first.put("swapped", text("old"), TTL).await.expect("a write");
    let tries = (0..100).map(|number| async move {
        let state = if number % 2 == 0 { first } else { second };
        state.replace("swapped", b"old", text(format!("new-{number}")), TTL).await.expect("an answer")
    });
    let won: Vec<_> = join_all(tries).await.into_iter().enumerate().filter(|(_, won)| *won).map(|(number, _)| number).collect();
    let [winner] = won[..] else { panic!("{won:?} have replaced it") };
    let winner = text(format!("new-{winner}"));
    assert_eq!(second.get("swapped").await.expect("a read"), Some(winner.clone()));
    assert!(second.replace("swapped", b"old", winner, TTL).await.expect("an answer"), "repeated, it has still won");
}

async fn no_increment_is_lost(first: &dyn SharedState, second: &dyn SharedState) {
    first.put("counter", text("0 start"), TTL).await.expect("a write");
    let increments = (0..20).map(|task| async move {
        let state = if task % 2 == 0 { first } else { second };
        for round in 0..5 {
            loop {
                let held = state.get("counter").await.expect("a read").expect("always there");
                let number: u32 =
                    std::str::from_utf8(&held).expect("text").split(' ').next().expect("a word").parse().expect("a number");
                let next = text(format!("{} {task}-{round}", number + 1));
                if state.replace("counter", &held, next, TTL).await.expect("an answer") {
                    break;
                }
            }
        }
    });
    join_all(increments).await;
    let held = second.get("counter").await.expect("a read").expect("always there");
    assert!(held.starts_with(b"100 "), "{held:?}");
}

async fn nothing_else_is_changed(state: &dyn SharedState) {
    assert!(!state.replace("nothing", b"", text("new"), TTL).await.expect("an answer"), "there is nothing to replace");
    assert!(!state.delete_if("nothing", b"").await.expect("an answer"));
    assert_eq!(state.get("nothing").await.expect("a read"), None);

    state.put("other", text("other"), TTL).await.expect("a write");
    assert!(!state.replace("other", b"old", text("new"), TTL).await.expect("an answer"));
    assert!(!state.put_if_absent("other", text("new"), TTL).await.expect("an answer"));
    assert_eq!(state.get("other").await.expect("a read"), Some(text("other")));

    let bytes = Bytes::from_iter(0..=u8::MAX);
    assert!(state.replace("other", b"other", bytes.clone(), TTL).await.expect("an answer"));
    assert!(state.replace("other", &bytes, Bytes::new(), TTL).await.expect("an answer"));
    assert!(state.delete_if("other", b"").await.expect("an answer"), "an empty value is one");
}

async fn they_expire(state: &dyn SharedState) {
    assert!(state.put_if_absent("short-lease", text("first"), SOON).await.expect("an answer"));
    state.put("short-swap", text("old"), TTL).await.expect("a write");
    assert!(state.replace("short-swap", b"old", text("new"), SOON).await.expect("an answer"));
    state.put("long-swap", text("old"), SOON).await.expect("a write");
    assert!(state.replace("long-swap", b"old", text("new"), TTL).await.expect("an answer"));
    state.put("failed-swap", text("other"), SOON).await.expect("a write");
    assert!(!state.replace("failed-swap", b"old", text("new"), TTL).await.expect("an answer"));
    sleep(2 * SOON).await;
    assert!(state.put_if_absent("short-lease", text("second"), TTL).await.expect("an answer"), "the first has expired");
    assert_eq!(state.get("short-swap").await.expect("a read"), None);
    assert_eq!(state.get("long-swap").await.expect("a read"), Some(text("new")));
    assert_eq!(state.get("failed-swap").await.expect("a read"), None, "a failure does not refresh");
    assert!(!state.replace("short-swap", b"new", text("newer"), TTL).await.expect("an answer"));
}
