//! Event logs: in order, bounded, each event once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use pressmark::state::{EventId, GroupLimits, LogLimits, Once, SharedState, Signal, log_topic};
use tokio::time::sleep;

use super::TTL;

pub(crate) const LIMITS: LogLimits =
    LogLimits { max_events: 1_000, max_bytes: 1_000_000, ttl: TTL, group: GroupLimits::members(10) };
/// Whose log it is, in a group of its own.
pub(crate) const MEMBER: &str = "member";

pub(crate) async fn hold(first: &dyn SharedState, second: &dyn SharedState) {
    tokio::join!(
        events_are_read_in_order(first, second),
        the_oldest_go(first),
        the_oldest_go_when_they_are_large(first),
        what_is_remembered_is_bounded(first),
        a_log_goes_with_its_member(first, second),
        none_is_lost_or_out_of_order(first, second),
        once_is_once(first, second),
        a_log_expires_and_its_ids_go_on(first),
        followers_are_told(first, second),
    );
}

fn event(number: usize) -> Bytes {
    Bytes::from(format!("event {number}\r\n\0"))
}

/// Makes the member whose log it is.
pub(crate) async fn begin(state: &dyn SharedState, log: &str) {
    state.put_in_group(log, MEMBER, Bytes::from_static(b"record"), TTL, LIMITS.group).await.expect("a write");
}

pub(crate) async fn append(state: &dyn SharedState, log: &str, event: Bytes) -> EventId {
    state.append(log, MEMBER, event, None, LIMITS).await.expect("an answer").expect("it is new")
}

pub(crate) async fn read(state: &dyn SharedState, log: &str, after: Option<EventId>) -> Vec<(EventId, Bytes)> {
    state.read_log(log, MEMBER, after, 10_000).await.expect("a read")
}

async fn events_are_read_in_order(first: &dyn SharedState, second: &dyn SharedState) {
    let log = "pressmark:log:order";
    begin(first, log).await;
    assert!(read(second, log, None).await.is_empty());
    let mut written = Vec::new();
    for number in 0..20 {
        written.push((append(first, log, event(number)).await, event(number)));
    }
    assert!(written.is_sorted_by(|a, b| a.0 < b.0), "{written:?}");
    assert_eq!(read(second, log, None).await, written);
    assert_eq!(read(second, log, Some(EventId { ms: 0, seq: 0 })).await, written);
    assert_eq!(read(second, log, Some(written[6].0)).await, written[7..]);
    assert_eq!(second.read_log(log, MEMBER, Some(written[6].0), 3).await.expect("a read"), written[7..10]);
    for max in [0, 20, usize::MAX] {
        assert_eq!(second.read_log(log, MEMBER, None, max).await.expect("a read"), written[..max.min(20)]);
    }
    for after in [written[19].0, EventId { ms: u64::MAX, seq: 0 }, EventId { ms: u64::MAX, seq: u64::MAX }] {
        assert!(read(second, log, Some(after)).await.is_empty(), "{after}");
    }
    // An id between two of them need not be one of them.
    let between = EventId { ms: written[0].0.ms - 1, seq: u64::MAX };
    assert_eq!(read(second, log, Some(between)).await, written);
}

async fn the_oldest_go(state: &dyn SharedState) {
    let (log, limits) = ("pressmark:log:trimmed", LogLimits { max_events: 5, ..LIMITS });
    begin(state, log).await;
    for number in 0..12 {
        state.append(log, MEMBER, event(number), None, limits).await.expect("an answer").expect("it is new");
    }
    let kept: Vec<_> = read(state, log, None).await.into_iter().map(|(_, event)| event).collect();
    assert_eq!(kept, (7..12).map(event).collect::<Vec<_>>());
}

async fn the_oldest_go_when_they_are_large(state: &dyn SharedState) {
    let (log, limits) = ("pressmark:log:large", LogLimits { max_bytes: 10_000, ..LIMITS });
    begin(state, log).await;
    let large = |byte: u8| Bytes::from(vec![byte; 3_000]);
    for byte in 0..6 {
        state.append(log, MEMBER, large(byte), None, limits).await.expect("an answer").expect("it is new");
    }
    let kept: Vec<_> = read(state, log, None).await.into_iter().map(|(_, event)| event).collect();
    assert_eq!(kept, [3, 4, 5].map(large));
    let larger = Bytes::from(vec![9; 20_000]);
    state.append(log, MEMBER, larger.clone(), None, limits).await.expect("an answer").expect("it is new");
    let kept: Vec<_> = read(state, log, None).await.into_iter().map(|(_, event)| event).collect();
    assert_eq!(kept, [larger], "the newest stays");
}

async fn what_is_remembered_is_bounded(state: &dyn SharedState) {
    let (log, limits) = ("pressmark:log:forgetful", LogLimits { max_events: 3, ..LIMITS });
    begin(state, log).await;
    let say = async |field: &str| {
        let once = Some(Once { field, value: "v" });
        state.append(log, MEMBER, event(0), once, limits).await.expect("an answer").is_some()
    };
    for field in ["a", "b", "c"] {
        assert!(say(field).await && !say(field).await, "{field}");
    }
    assert!(say("d").await && !say("d").await);
    assert!(say("a").await, "too many fields: what was told before is forgotten");
}

async fn a_log_goes_with_its_member(first: &dyn SharedState, second: &dyn SharedState) {
    let (log, once) = ("pressmark:log:ending", Some(Once { field: "field", value: "value" }));
    let say = async || first.append(log, MEMBER, event(1), once, LIMITS).await.expect("an answer").is_some();
    assert!(!say().await, "there is no such member");
    begin(first, log).await;
    assert!(say().await && !say().await);
    begin(second, log).await;
    assert!(read(second, log, None).await.is_empty(), "a new member's log is empty");
    assert!(say().await);
    assert!(second.delete_in_group(log, MEMBER).await.expect("a deletion"));
    assert!(!say().await && read(second, log, None).await.is_empty());
    begin(first, log).await;
    assert!(say().await, "nothing is remembered");
    second.delete_all_in_group(log, "memb").await.expect("a deletion");
    assert!(!say().await && read(second, log, None).await.is_empty());
}

async fn none_is_lost_or_out_of_order(first: &dyn SharedState, second: &dyn SharedState) {
    let log = "pressmark:log:crowd";
    begin(first, log).await;
    let appends = (0..100).map(|number| append(if number % 2 == 0 { first } else { second }, log, event(number)));
    let mut written: Vec<_> = join_all(appends).await.into_iter().enumerate().map(|(number, id)| (id, event(number))).collect();
    written.sort();
    assert!(written.is_sorted_by(|a, b| a.0 < b.0), "each id is its own: {written:?}");
    assert_eq!(read(second, log, None).await, written);
}

async fn once_is_once(first: &dyn SharedState, second: &dyn SharedState) {
    let log = "pressmark:log:once";
    begin(first, log).await;
    let say = async |state: &dyn SharedState, field, value: &'static str| {
        state.append(log, MEMBER, Bytes::from(value), Some(Once { field, value }), LIMITS).await.expect("an answer")
    };
    let tries = (0..100).map(|number| say(if number % 2 == 0 { first } else { second }, "one", "v1"));
    let appended: Vec<_> = join_all(tries).await.into_iter().flatten().collect();
    assert_eq!(appended.len(), 1, "{appended:?}");
    assert!(say(first, "two", "v1").await.is_some(), "another field");
    assert!(say(second, "one", "v2").await.is_some(), "another value");
    assert!(say(first, "one", "v2").await.is_none());
    assert!(say(first, "one", "v1").await.is_some(), "only the last value counts");
    assert!(say(second, "two", "v1").await.is_none(), "each field has its own");
    append(first, log, Bytes::from_static(b"v1")).await;
    let values: Vec<_> = read(first, log, None).await.into_iter().map(|(_, event)| event).collect();
    assert_eq!(values, ["v1", "v1", "v2", "v1", "v1"]);
}

async fn a_log_expires_and_its_ids_go_on(state: &dyn SharedState) {
    let (log, soon) = ("pressmark:log:short", Duration::from_secs(2));
    let (once, limits) = (Once { field: "field", value: "value" }, LogLimits { max_events: 10, ttl: soon, ..LIMITS });
    begin(state, log).await;
    let first = state.append(log, MEMBER, event(0), Some(once), limits).await.expect("an answer").expect("it is new");
    sleep(soon / 2).await;
    let second = state.append(log, MEMBER, event(1), None, limits).await.expect("an answer").expect("it is new");
    sleep(soon * 5 / 8).await;
    assert_eq!(read(state, log, None).await, [(first, event(0)), (second, event(1))], "an append refreshes it");
    sleep(soon + soon / 2).await;
    assert!(read(state, log, None).await.is_empty());
    let third =
        state.append(log, MEMBER, event(2), Some(once), limits).await.expect("an answer").expect("what it had is forgotten");
    assert!(third > second, "{third} {second}");
    assert_eq!(read(state, log, Some(second)).await, [(third, event(2))]);
}

async fn followers_are_told(first: &dyn SharedState, second: &dyn SharedState) {
    let (log, once) = ("pressmark:log:followed", Some(Once { field: "field", value: "value" }));
    begin(first, log).await;
    let mut told = second.subscribe(&log_topic(log, MEMBER)).await.expect("a subscription");
    let mut seen = Vec::new();
    for number in 0..3 {
        let id = append(first, log, event(number)).await;
        assert_eq!(told.next().await, Signal::Message(Bytes::new()));
        let news = read(second, log, seen.last().copied()).await;
        assert_eq!(news, [(id, event(number))]);
        seen.push(id);
    }
    first.append(log, MEMBER, event(3), once, LIMITS).await.expect("an answer").expect("it is new");
    assert_eq!(first.append(log, MEMBER, event(3), once, LIMITS).await.expect("an answer"), None);
    first.publish(&log_topic(log, MEMBER), Bytes::from_static(b"end")).await.expect("a message");
    assert_eq!(told.next().await, Signal::Message(Bytes::new()));
    assert_eq!(told.next().await, Signal::Message(Bytes::from_static(b"end")), "what is not appended is not told");
}
