//! Leases: of all replicas one works on a thing, and when it dies another can go on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{SharedState, StateError};

/// The right to work on a thing: good until it is given back, or until it was not renewed for [`Self::TTL`].
///
/// It may be lost while it is held, so that two hold it for a moment: see [`state`](super). It is not given back by being
/// dropped.
#[derive(Debug)]
pub struct Lease {
    state: Arc<dyn SharedState>,
    key: String,
    /// Random for each lease: who takes it twice, even in one process, must not take both for the same.
    holder: Bytes,
}

impl Lease {
    /// A holder that has not renewed it for so long has lost it.
    pub const TTL: Duration = Duration::from_secs(5);
    /// How often a holder renews: two attempts may fail.
    pub const RENEW_EVERY: Duration = Duration::from_millis(1_500);

    /// Takes the lease of this key; `None` when somebody holds it.
    ///
    /// # Errors
    /// [`StateError`]: it may have been taken all the same, by nobody, until it expires.
    pub async fn take(state: &Arc<dyn SharedState>, key: impl Into<String>) -> Result<Option<Self>, StateError> {
        let holder = Bytes::from(format!("{:032x}", rand::random::<u128>()));
        let lease = Self { state: Arc::clone(state), key: key.into(), holder };
        Ok(lease.renew().await?.then_some(lease))
    }

    /// Holds it for the full time again. Takes it anew when it had expired and nobody else has it: `false` when somebody
    /// has.
    ///
    /// # Errors
    /// [`StateError`]: it may have been renewed all the same.
    pub async fn renew(&self) -> Result<bool, StateError> {
        self.state.put_if_absent(&self.key, self.holder.clone(), Self::TTL).await
    }

    /// Gives it back, if it is still held: the next one need not wait until it expires.
    ///
    /// # Errors
    /// [`StateError`]: it then goes when it expires.
    pub async fn give_back(self) -> Result<(), StateError> {
        self.state.delete_if(&self.key, &self.holder).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryState;
    use super::*;

    #[tokio::test]
    async fn one_holds_it_until_it_is_given_back() {
        let state: Arc<dyn SharedState> = Arc::new(MemoryState::new());
        let take = || Lease::take(&state, "pressmark:lease");
        let first = take().await.expect("an answer").expect("it is free");
        assert!(take().await.expect("an answer").is_none());
        assert!(first.renew().await.expect("an answer"));
        first.give_back().await.expect("an answer");
        let second = take().await.expect("an answer").expect("it is free again");
        assert!(second.renew().await.expect("an answer"));
    }

    #[tokio::test]
    async fn a_lost_one_is_taken_anew_unless_somebody_has_it() {
        let state: Arc<dyn SharedState> = Arc::new(MemoryState::new());
        let first = Lease::take(&state, "pressmark:lease").await.expect("an answer").expect("it is free");
        state.delete("pressmark:lease").await.expect("an answer");
        assert!(first.renew().await.expect("an answer"), "nobody had it meanwhile");
        state.delete("pressmark:lease").await.expect("an answer");
        let second = Lease::take(&state, "pressmark:lease").await.expect("an answer").expect("it is free");
        assert!(!first.renew().await.expect("an answer"));
        first.give_back().await.expect("an answer");
        assert!(second.renew().await.expect("an answer"), "the first one cannot give it back");
    }
}
