//! The spans that wait to be exported.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use opentelemetry_sdk::trace::SpanData;
use tokio::sync::Notify;

/// Spans that may wait; more are dropped. One has about a kilobyte.
const MAX_WAITING: usize = 4_096;
/// Spans that go out at once.
pub(super) const BATCH: usize = 512;

/// A bounded queue between requests and the exporter.
#[derive(Debug, Default)]
pub(super) struct Queue {
    // A `std::sync::Mutex`: held to move spans in or out, never across an await.
    waiting: Mutex<VecDeque<SpanData>>,
    /// Told of the first span that waits.
    pub(super) arrived: Notify,
    /// Told when there are enough for a batch, and of the end.
    pub(super) full: Notify,
    is_closed: AtomicBool,
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Queue {
    /// Adds a span, or drops it when too many wait.
    pub(super) fn push(&self, span: SpanData) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_WAITING {
            drop(waiting);
            return self.drop_some(1);
        }
        waiting.push_back(span);
        match waiting.len() {
            1 => self.arrived.notify_one(),
            BATCH => self.full.notify_one(),
            _ => {}
        }
    }

    /// The next spans to be exported; empty when none wait.
    pub(super) fn take(&self) -> Vec<SpanData> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(BATCH);
        waiting.drain(..count).collect()
    }

    /// No more spans come.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.arrived.notify_one();
        self.full.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Counts spans that the collector has taken.
    pub(super) fn export_some(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Counts spans that it did not take, or that did not get there.
    pub(super) fn drop_some(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }

    pub(super) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
