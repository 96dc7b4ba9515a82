//! Topics: who in this process wants which messages, and how they get them.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// So many messages are kept for a subscriber that is slow; one that falls further behind gets a gap in their place.
const BACKLOG: usize = 32;

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A message, as it was published.
    Message(Bytes),
    /// Messages may have been lost: look at the state itself again.
    Gap,
}

/// Receives what is published on a topic, in order, until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Signal>,
    _seat: Seat,
}

impl Subscription {
    /// The next message or gap. Never ends without one; dropping the future loses nothing.
    pub async fn next(&mut self) -> Signal {
        match self.receiver.recv().await {
            Ok(signal) => signal,
            Err(RecvError::Lagged(_)) => Signal::Gap,
            Err(RecvError::Closed) => pending().await,
        }
    }
}

/// The topics that have subscribers in this process. A topic goes with the last of them.
pub(super) struct Topics {
    topics: Mutex<HashMap<Arc<str>, Topic>>,
    on_abandoned: Box<dyn Fn(Arc<str>) + Send + Sync>,
}

struct Topic {
    sender: broadcast::Sender<Signal>,
    subscriptions: usize,
}

impl Topics {
    /// `on_abandoned` is told of each topic that has lost its last subscriber; by then it may have a new one.
    pub(super) fn new(on_abandoned: impl Fn(Arc<str>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { topics: Mutex::default(), on_abandoned: Box::new(on_abandoned) })
    }

    pub(super) fn subscribe(self: &Arc<Self>, name: Arc<str>) -> Subscription {
        let mut topics = self.lock();
        let topic =
            topics.entry(name.clone()).or_insert_with(|| Topic { sender: broadcast::Sender::new(BACKLOG), subscriptions: 0 });
        topic.subscriptions += 1;
        Subscription { receiver: topic.sender.subscribe(), _seat: Seat { topics: self.clone(), name } }
    }

    /// Gives a signal to all subscribers of a topic; there may be none.
    pub(super) fn send(&self, name: &str, signal: Signal) {
        if let Some(topic) = self.lock().get(name) {
            // It fails when nobody is left to receive it.
            let _ = topic.sender.send(signal);
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("count", &self.lock().len()).finish_non_exhaustive()
    }
}

/// Counts as one subscription to its topic for as long as it lives.
#[derive(Debug)]
struct Seat {
    topics: Arc<Topics>,
    name: Arc<str>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut topics = self.topics.lock();
        if let Some(topic) = topics.get_mut(&self.name) {
            topic.subscriptions -= 1;
            if topic.subscriptions == 0 {
                topics.remove(&self.name);
                drop(topics);
                (self.topics.on_abandoned)(self.name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_topic_goes_with_its_last_subscriber() {
        let topics = Topics::new(|_| {});
        let (mut first, second) = (topics.subscribe("a".into()), topics.subscribe("a".into()));
        drop(second);
        topics.send("a", Signal::Message(Bytes::from_static(b"1")));
        assert_eq!(first.next().await, Signal::Message(Bytes::from_static(b"1")));
        drop(first);
        assert!(topics.is_empty());
    }

    #[tokio::test]
    async fn who_falls_behind_gets_a_gap_and_then_the_newest() {
        let topics = Topics::new(|_| {});
        let mut slow = topics.subscribe("a".into());
        for number in 0..=u8::MAX {
            topics.send("a", Signal::Message(Bytes::from(vec![number])));
        }
        assert_eq!(slow.next().await, Signal::Gap);
        let mut last = slow.next().await;
        for _ in 1..BACKLOG {
            last = slow.next().await;
        }
        assert_eq!(last, Signal::Message(Bytes::from(vec![u8::MAX])));
    }
}
