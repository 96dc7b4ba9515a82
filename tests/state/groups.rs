//! Groups: a bounded number of records of one owner.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use pressmark::state::{GroupLimits, LogLimits, SharedState, member_key};
use tokio::time::sleep;

use super::TTL;

const SOON: Duration = Duration::from_millis(300);

pub(crate) async fn hold(first: &dyn SharedState, second: &dyn SharedState) {
    tokio::join!(
        the_one_unused_for_longest_goes(first, second),
        a_members_record_is_a_record(first),
        who_leaves_makes_room(first),
        who_expires_makes_room(first),
        use_refreshes(first),
        there_are_never_more(first, second),
        any_name_will_do(first, second),
        bytes_are_bounded(first, second),
        all_of_a_beginning_leave(first),
        one_of_two_replaces(first, second),
    );
}

fn value(member: &str) -> Bytes {
    Bytes::from(format!("record of {member}"))
}

async fn join(state: &dyn SharedState, group: &str, member: &str, limit: usize) {
    state.put_in_group(group, member, value(member), TTL, GroupLimits::members(limit)).await.expect("a write");
}

/// Those of `names` that are members, without using them.
async fn members<'a>(state: &dyn SharedState, group: &str, names: &[&'a str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if let Some(record) = state.get(&member_key(group, name)).await.expect("a read") {
            assert_eq!(record, value(name));
            found.push(*name);
        }
    }
    found
}

async fn the_one_unused_for_longest_goes(first: &dyn SharedState, second: &dyn SharedState) {
    let (group, names) = ("pressmark:lru", ["a", "b", "c", "d", "e", "f"]);
    for name in ["a", "b", "c"] {
        join(first, group, name, 3).await;
    }
    assert_eq!(second.get_in_group(group, "a", TTL).await.expect("a read"), Some(value("a")));
    join(second, group, "d", 3).await;
    assert_eq!(members(first, group, &names).await, ["a", "c", "d"], "reading a was a use");
    join(second, group, "c", 3).await;
    join(first, group, "e", 3).await;
    assert_eq!(members(first, group, &names).await, ["c", "d", "e"], "writing c was a use");
    assert_eq!(first.get_in_group(group, "a", TTL).await.expect("a read"), None);
    join(first, group, "f", 1).await;
    assert_eq!(members(first, group, &names).await, ["f"], "a lower limit holds at once");
}

async fn a_members_record_is_a_record(state: &dyn SharedState) {
    let (group, key) = ("pressmark:records", member_key("pressmark:records", "a"));
    join(state, group, "a", 3).await;
    assert_eq!(state.get(&key).await.expect("a read"), Some(value("a")));
    assert!(state.replace(&key, &value("a"), Bytes::from_static(b"new"), TTL).await.expect("an answer"));
    assert_eq!(state.get_in_group(group, "a", TTL).await.expect("a read").as_deref(), Some(&b"new"[..]));
    assert!(state.delete(&key).await.expect("a deletion"));
    assert_eq!(state.get_in_group(group, "a", TTL).await.expect("a read"), None);
}

async fn who_leaves_makes_room(state: &dyn SharedState) {
    let group = "pressmark:leaving";
    for name in ["a", "b", "c"] {
        join(state, group, name, 3).await;
    }
    assert!(state.delete_in_group(group, "b").await.expect("a deletion"));
    assert!(!state.delete_in_group(group, "b").await.expect("a deletion"), "it has left");
    assert!(!state.delete_in_group("pressmark:no-group", "b").await.expect("a deletion"));
    join(state, group, "d", 3).await;
    assert_eq!(members(state, group, &["a", "b", "c", "d"]).await, ["a", "c", "d"]);
    // Whoever was deleted as a record makes room, too.
    assert!(state.delete(&member_key(group, "d")).await.expect("a deletion"));
    join(state, group, "e", 3).await;
    assert_eq!(members(state, group, &["a", "b", "c", "d", "e"]).await, ["a", "c", "e"]);
}

async fn who_expires_makes_room(state: &dyn SharedState) {
    let group = "pressmark:expiring";
    join(state, group, "a", 2).await;
    state.put_in_group(group, "b", value("b"), SOON, GroupLimits::members(2)).await.expect("a write");
    sleep(2 * SOON).await;
    assert_eq!(state.get_in_group(group, "b", TTL).await.expect("a read"), None);
    state.put_in_group(group, "c", value("c"), SOON, GroupLimits::members(2)).await.expect("a write");
    sleep(2 * SOON).await;
    join(state, group, "d", 2).await;
    assert_eq!(members(state, group, &["a", "b", "c", "d"]).await, ["a", "d"], "a was unused for longest, but there was room");
}

async fn use_refreshes(state: &dyn SharedState) {
    let (group, ttl) = ("pressmark:refreshed", Duration::from_millis(1_500));
    state.put_in_group(group, "kept", value("kept"), ttl, GroupLimits::members(2)).await.expect("a write");
    state.put_in_group(group, "left", value("left"), ttl, GroupLimits::members(2)).await.expect("a write");
    for _ in 0..2 {
        sleep(Duration::from_millis(900)).await;
        assert_eq!(state.get_in_group(group, "kept", ttl).await.expect("a read"), Some(value("kept")));
    }
    assert_eq!(members(state, group, &["kept", "left"]).await, ["kept"]);
    // The group has lived longer than its first time to live and still counts.
    state.put_in_group(group, "other", value("other"), ttl, GroupLimits::members(1)).await.expect("a write");
    assert_eq!(members(state, group, &["kept", "other"]).await, ["other"]);
}

async fn there_are_never_more(first: &dyn SharedState, second: &dyn SharedState) {
    let names: Vec<_> = (0..100).map(|number| format!("member-{number}")).collect();
    let joins = names.iter().enumerate().map(|(number, name)| async move {
        join(if number % 2 == 0 { first } else { second }, "pressmark:crowd", name, 10).await;
    });
    join_all(joins).await;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(members(first, "pressmark:crowd", &names).await.len(), 10);
}

/// Owners choose their names, and none may get at what belongs to another.
async fn any_name_will_do(first: &dyn SharedState, second: &dyn SharedState) {
    let groups =
        ["pressmark:g:}", "pressmark:g:{", "pressmark:g:{}", "pressmark:g:a}:b", "pressmark:g:a", "ключ", "pressmark:g: \r\n"];
    let names = ["a", "b}:a", "{b}", "b:a", "", "鍵", "*"];
    for group in groups {
        for name in names {
            let record = Bytes::from(format!("{group} {name}"));
            first.put_in_group(group, name, record, TTL, GroupLimits::members(names.len())).await.expect("a write");
        }
    }
    for group in groups {
        for name in names {
            let record = second.get_in_group(group, name, TTL).await.expect("a read").expect("just written");
            assert_eq!(record, format!("{group} {name}"));
        }
    }
}

/// Records, replaced records and logs count together.
async fn bytes_are_bounded(first: &dyn SharedState, second: &dyn SharedState) {
    const LARGE: usize = 100_000;
    let limits = GroupLimits { members: 1_000, bytes: 10 * LARGE };
    let log = LogLimits { max_events: 10, max_bytes: 10 * LARGE, ttl: TTL, group: limits };
    let large = || Bytes::from(vec![b'x'; LARGE]);
    let names: Vec<_> = (0..40).map(|number| format!("member-{number:02}")).collect();
    let group = "pressmark:bytes";
    for (number, name) in names.iter().enumerate() {
        let state = if number % 2 == 0 { first } else { second };
        match number % 3 {
            0 => state.put_in_group(group, name, large(), TTL, limits).await.expect("a write"),
            1 => {
                state.put_in_group(group, name, value(name), TTL, limits).await.expect("a write");
                let record = value(name);
                let replaced = state.replace_in_group(group, name, Some(&record), large(), TTL, limits).await;
                assert!(replaced.expect("an answer"));
            }
            _ => {
                state.put_in_group(group, name, value(name), TTL, limits).await.expect("a write");
                state.append(group, name, large(), None, log).await.expect("an answer").expect("it is new");
            }
        }
        let mut bytes = 0;
        for name in &names[..=number] {
            bytes += first.get(&member_key(group, name)).await.expect("a read").map_or(0, |record| record.len());
            let events = first.read_log(group, name, None, 10).await.expect("a read");
            bytes += events.iter().map(|(_, event)| event.len()).sum::<usize>();
        }
        assert!(bytes <= limits.bytes && bytes >= limits.bytes.min(number * LARGE) / 2, "{name}: {bytes}");
        assert!(first.get(&member_key(group, name)).await.expect("a read").is_some(), "the newest is there");
    }
    assert!(first.get(&member_key(group, &names[0])).await.expect("a read").is_none());
    // Whoever has left is no longer counted.
    for name in &names {
        second.delete_in_group(group, name).await.expect("a deletion");
    }
    for name in &names[..9] {
        first.put_in_group(group, name, large(), TTL, limits).await.expect("a write");
    }
    assert!(first.get(&member_key(group, &names[0])).await.expect("a read").is_some());
}

async fn all_of_a_beginning_leave(state: &dyn SharedState) {
    let (group, names) = ("pressmark:beginnings", ["a/1", "a/2", "ab/1", "b", "%/1"]);
    for name in names {
        join(state, group, name, 10).await;
    }
    state.delete_all_in_group(group, "a/").await.expect("a deletion");
    assert_eq!(members(state, group, &names).await, ["ab/1", "b", "%/1"]);
    state.delete_all_in_group(group, "%").await.expect("a deletion");
    assert_eq!(members(state, group, &names).await, ["ab/1", "b"]);
    state.delete_all_in_group("pressmark:no-such-group", "").await.expect("a deletion");
}

async fn one_of_two_replaces(first: &dyn SharedState, second: &dyn SharedState) {
    let (group, limits) = ("pressmark:replacing", GroupLimits::members(10));
    let replace = async |state: &dyn SharedState, expected: Option<&[u8]>, value: &'static str| {
        state.replace_in_group(group, "a", expected, Bytes::from(value), TTL, limits).await.expect("an answer")
    };
    assert!(!replace(first, Some(b"1"), "2").await, "there is nothing to replace");
    assert!(replace(first, None, "1").await && replace(first, None, "1").await && !replace(second, None, "2").await);
    assert!(replace(second, Some(b"1"), "2").await && !replace(first, Some(b"1"), "3").await);
    assert!(replace(first, Some(b"1"), "2").await, "it is just that already");
    assert_eq!(second.get_in_group(group, "a", TTL).await.expect("a read").as_deref(), Some(&b"2"[..]));
}
