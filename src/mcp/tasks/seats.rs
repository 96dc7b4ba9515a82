//! How many tasks of one caller run on this replica: tasks may take long, and others need the lanes as well.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tasks of one caller that run here at once.
pub(super) const SEATS: usize = 32;

/// The seats of all callers.
#[derive(Clone, Default)]
pub(super) struct Seats {
    // A `std::sync::Mutex`: held for a look-up, never across an await.
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// A seat that is taken; free again when it is dropped.
pub(super) struct Seat {
    seats: Seats,
    owner: String,
}

impl Seats {
    /// Takes a seat for this caller; `None` when they are all taken.
    pub(super) fn take(&self, owner: String) -> Option<Seat> {
        let mut taken = self.lock();
        let count = taken.entry(owner.clone()).or_default();
        if *count >= SEATS {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Seat { seats: self.clone(), owner })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(count) = taken.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_so_many_and_none_is_lost() {
        let seats = Seats::default();
        let take = |owner: &str| seats.take(owner.to_owned());
        let mut ada: Vec<_> = (0..SEATS).map(|_| take("ada").expect("a free seat")).collect();
        assert!(take("ada").is_none() && take("bob").is_some());
        ada.pop();
        ada.extend(take("ada"));
        assert!(ada.len() == SEATS && take("ada").is_none());
        drop(ada);
        assert!(seats.lock().is_empty());
    }
}
