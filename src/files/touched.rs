//! What a change through the server says to those who listen for changes.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::path::TreePath;

/// A path at which something was made, changed or removed. It says where to look, not what is there now: saying it twice
/// does no harm. Its JSON form goes from one replica to the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Touched {
    /// Where.
    pub path: TreePath,
    /// Also everything below it: a folder was moved or removed with its content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub below: bool,
}

/// Who is told of changes.
#[derive(Default)]
pub(super) struct Observers(RwLock<Vec<Observer>>);

type Observer = Box<dyn Fn(&[Touched]) + Send + Sync>;

impl Observers {
    pub(super) fn add(&self, observer: Observer) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    pub(super) fn tell(&self, touched: &[Touched]) {
        for observer in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            observer(touched);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_tuple("Observers").field(&count).finish()
    }
}
