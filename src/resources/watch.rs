//! Waiting for a resource to change.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

/// The versions of one resource as it changes, without end. A version is an opaque string; two that are equal mean the
/// same content. Dropping the watch ends it.
pub struct ResourceWatch {
    /// The version when the watch began.
    pub current: String,
    canonical: Option<String>,
    changes: Pin<Box<dyn Stream<Item = String> + Send>>,
}

impl ResourceWatch {
    /// A watch that begins at the version `current` and then gives each later one.
    pub fn new(current: impl Into<String>, changes: impl Stream<Item = String> + Send + 'static) -> Self {
        Self { current: current.into(), canonical: None, changes: Box::pin(changes) }
    }

    /// Says which spelling of the URI stands for all of this resource, where there are several: whoever asks for it in two
    /// spellings is told once.
    #[must_use]
    pub fn of(mut self, canonical: impl Into<String>) -> Self {
        self.canonical = Some(canonical.into());
        self
    }

    /// The spelling that stands for `uri`, in which the resource was asked for.
    #[must_use]
    pub fn canonical<'a>(&'a self, uri: &'a str) -> &'a str {
        self.canonical.as_deref().unwrap_or(uri)
    }
}

impl Stream for ResourceWatch {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        self.changes.as_mut().poll_next(cx)
    }
}

impl std::fmt::Debug for ResourceWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResourceWatch").field("current", &self.current).finish_non_exhaustive()
    }
}
