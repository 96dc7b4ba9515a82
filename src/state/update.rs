//! Changing a record that others may change at the same time.

use std::time::Duration;

use bytes::Bytes;

use super::{SharedState, StateError};

/// A change that so many others come in the way of is given up.
const MAX_ATTEMPTS: usize = 100;

/// Changes a record by compare-and-swap. `change` is handed what the key holds, and gives what it shall hold and for how
/// long; it is asked again when another change came first. `false`, and nothing changed, when it gives `None`.
///
/// # Errors
/// [`StateError`]: the record may have been changed all the same.
pub(crate) async fn update_record(
    state: &dyn SharedState,
    key: &str,
    mut change: impl FnMut(Option<&[u8]>) -> Option<(Bytes, Duration)>,
) -> Result<bool, StateError> {
    for _ in 0..MAX_ATTEMPTS {
        let stored = state.get(key).await?;
        let Some((changed, ttl)) = change(stored.as_deref()) else { return Ok(false) };
        let won = match &stored {
            Some(stored) => state.replace(key, stored, changed, ttl).await?,
            None => state.put_if_absent(key, changed, ttl).await?,
        };
        if won {
            return Ok(true);
        }
    }
    Err(StateError::contended())
}

impl StateError {
    /// Others were always faster.
    pub(crate) fn contended() -> Self {
        Self { reason: "too many changes at once".to_owned() }
    }
}
