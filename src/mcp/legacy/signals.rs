//! Stopping what runs in this process, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Who in this process waits to be stopped. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    // A `std::sync::Mutex`: held for a look-up, never across an await.
    waiting: Arc<Mutex<BTreeMap<String, watch::Sender<bool>>>>,
}

/// A place among those who wait, given back when dropped.
#[derive(Debug)]
pub(super) struct Stop {
    name: String,
    receiver: watch::Receiver<bool>,
    signals: Signals,
}

impl Signals {
    /// Waits under this name from now on.
    pub(super) fn wait_as(&self, name: String) -> Stop {
        let receiver = self.lock().entry(name.clone()).or_insert_with(|| watch::Sender::new(false)).subscribe();
        Stop { name, receiver, signals: self.clone() }
    }

    /// Stops all whose name begins like this.
    pub(super) fn stop(&self, beginning: &str) {
        let waiting = self.lock();
        let named = waiting.range(beginning.to_owned()..).take_while(|(name, _)| name.starts_with(beginning));
        for (_, sender) in named {
            sender.send_replace(true);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<bool>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop {
    /// Waits to be stopped.
    pub(super) async fn told(&mut self) {
        if self.receiver.wait_for(|stopped| *stopped).await.is_err() {
            // Unreachable while this place is held: the sender goes with the last of them.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        let mut waiting = self.signals.lock();
        // This place's own receiver still counts; one that was stopped makes way for the next of its name.
        if waiting.get(&self.name).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_reaches_those_of_its_name_and_nothing_is_left() {
        let signals = Signals::default();
        let mut first = signals.wait_as("a/1".to_owned());
        let mut second = signals.wait_as("a/2".to_owned());
        let other = signals.wait_as("b/1".to_owned());
        signals.stop("a/1");
        first.told().await;
        assert!(!*second.receiver.borrow());
        signals.stop("a/");
        second.told().await;
        assert!(!*other.receiver.borrow());
        drop((first, second, other));
        assert!(signals.lock().is_empty());
        assert!(!*signals.wait_as("a/1".to_owned()).receiver.borrow(), "a new one of the name is not stopped");
    }
}
