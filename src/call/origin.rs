//! Where a call comes from.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::traces::SpanIds;

/// Ids come from outside: they are cut to a length that a log can bear.
const MAX_ID_CHARS: usize = 100;

/// What is told of a call in logs, beside who calls: which request it is of. It decides nothing.
#[derive(Debug)]
pub struct Origin {
    /// The id of the JSON-RPC request, as JSON text.
    pub request: Box<str>,
    /// The span of the request: this server's where it exports spans, or else its caller's.
    pub span: Option<SpanIds>,
    /// The address that the request comes from.
    pub client: Option<Box<str>>,
    works: AtomicBool,
}

impl Origin {
    /// A request of this id, which is JSON text; neither its span nor its client is known.
    #[must_use]
    pub fn of(request: &str) -> Self {
        Self { request: request.chars().take(MAX_ID_CHARS).collect(), span: None, client: None, works: AtomicBool::new(false) }
    }

    /// Notes that work begins which goes on when nobody waits for the answer any more.
    pub(super) fn begin_work(&self) {
        self.works.store(true, Ordering::Relaxed);
    }

    /// Has such work begun?
    #[must_use]
    pub fn has_begun_work(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }
}
