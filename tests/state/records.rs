//! Records: written, read, refreshed, deleted, expired.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use pressmark::state::SharedState;
use tokio::time::sleep;

use super::TTL;

pub(crate) async fn hold(state: &dyn SharedState) {
    state.check().await.expect("the store is there");
    tokio::join!(reads_back(state), expires(state), is_refreshed_by_reading(state), bears_concurrency(state));
}

async fn reads_back(state: &dyn SharedState) {
    let every_byte = Bytes::from_iter(0..=u8::MAX);
    let large: Vec<u8> = (0..4_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let values = [Bytes::from_static(b"plain"), Bytes::new(), Bytes::from_static(b"a\r\n\0$-1\r\n"), every_byte, large.into()];
    for key in ["pressmark:contract", "with spaces\r\n and lines", "ключ-鍵", &"long".repeat(1000), "{tag}other"] {
        assert_eq!(state.get_and_refresh(key, TTL).await.expect("a read"), None, "{key:?} is unknown");
        assert_eq!(state.get(key).await.expect("a read"), None, "{key:?} is unknown");
        assert!(!state.delete(key).await.expect("a deletion"), "{key:?} is unknown");
        for value in &values {
            state.put(key, value.clone(), TTL).await.expect("a write");
            for _ in 0..2 {
                let read = state.get_and_refresh(key, TTL).await.expect("a read").expect("just written");
                assert!(read == value, "{key:?}: {} bytes came back as {}", value.len(), read.len());
                assert!(state.get(key).await.expect("a read").is_some_and(|read| read == value), "{key:?}");
            }
        }
        assert!(state.delete(key).await.expect("a deletion"), "{key:?} was there");
        assert!(!state.delete(key).await.expect("a deletion"), "{key:?} is gone");
        assert_eq!(state.get_and_refresh(key, TTL).await.expect("a read"), None, "{key:?} is gone");
    }
}

async fn expires(state: &dyn SharedState) {
    let (soon, value) = (Duration::from_secs(1), Bytes::from_static(b"short-lived"));
    state.put("expires", value.clone(), soon).await.expect("a write");
    state.put("expires-for-delete", value.clone(), soon).await.expect("a write");
    state.put("overwritten-to-live-longer", value.clone(), soon).await.expect("a write");
    state.put("overwritten-to-live-longer", value.clone(), TTL).await.expect("a write");
    state.put("overwritten-to-expire", value.clone(), TTL).await.expect("a write");
    state.put("overwritten-to-expire", value.clone(), soon).await.expect("a write");
    state.put("read-to-expire", value.clone(), TTL).await.expect("a write");
    assert_eq!(state.get_and_refresh("read-to-expire", soon).await.expect("a read"), Some(value.clone()));
    state.put("read-without-refreshing", value.clone(), soon).await.expect("a write");
    assert_eq!(state.get("read-without-refreshing").await.expect("a read"), Some(value.clone()));
    state.put("no-time-at-all", value.clone(), Duration::ZERO).await.expect("a write");
    sleep(2 * soon).await;
    let gone = ["expires", "overwritten-to-expire", "read-to-expire", "read-without-refreshing", "no-time-at-all"];
    for key in gone {
        assert_eq!(state.get(key).await.expect("a read"), None, "{key} has expired");
        assert_eq!(state.get_and_refresh(key, TTL).await.expect("a read"), None, "{key} has expired");
    }
    assert!(!state.delete("expires-for-delete").await.expect("a deletion"), "an expired record is not there to delete");
    assert_eq!(state.get_and_refresh("overwritten-to-live-longer", TTL).await.expect("a read"), Some(value));
}

async fn is_refreshed_by_reading(state: &dyn SharedState) {
    let (ttl, value) = (Duration::from_millis(1_500), Bytes::from_static(b"kept"));
    state.put("refreshed", value.clone(), ttl).await.expect("a write");
    for _ in 0..3 {
        sleep(Duration::from_millis(900)).await;
        assert_eq!(state.get_and_refresh("refreshed", ttl).await.expect("a read"), Some(value.clone()));
    }
    sleep(Duration::from_millis(2_000)).await;
    assert_eq!(state.get_and_refresh("refreshed", ttl).await.expect("a read"), None, "nobody read it in time");
}

async fn bears_concurrency(state: &dyn SharedState) {
    let own_and_shared = |task: u8| async move {
        let (key, value) = (format!("task-{task}"), Bytes::from(vec![task; 1 + usize::from(task) * 100]));
        for _ in 0..20 {
            state.put(&key, value.clone(), TTL).await.expect("a write");
            state.put("shared-by-tasks", value.clone(), TTL).await.expect("a write");
            assert_eq!(state.get_and_refresh(&key, TTL).await.expect("a read"), Some(value.clone()));
            let shared = state.get_and_refresh("shared-by-tasks", TTL).await.expect("a read").expect("always there");
            assert!(shared.len() == 1 + usize::from(shared[0]) * 100, "a value of two writers");
            assert!(shared.iter().all(|byte| *byte == shared[0]), "a value of two writers");
        }
        assert!(state.delete(&key).await.expect("a deletion"));
    };
    join_all((0..64).map(own_and_shared)).await;
}
