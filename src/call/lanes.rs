//! Where blocking work waits for its turn: two lanes, so that cheap calls stay fast while heavy ones run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ToolError, ToolErrorKind};
use crate::metrics::{LaneWait, LaneWaits};

/// Where a tool's work runs, so that cheap calls stay fast while heavy ones run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Short work that mostly waits for disks and networks.
    Io,
    /// Work that keeps a core busy: a bounded number at a time, a bounded queue behind it.
    Cpu,
}

/// Calls in the I/O lane at once. The runtime has 512 threads for blocking work; the rest is for probes and start-up.
const IO_WIDTH: usize = 256;
/// Calls that may wait for a place in the I/O lane.
const IO_QUEUE: usize = 2_048;
/// How long a caller is told to wait when a queue is full.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// The lanes of a server.
#[derive(Debug)]
pub struct Lanes {
    io: Bounded,
    cpu: Bounded,
}

impl Lanes {
    /// A CPU lane `cpu_width` calls wide, with room for `queue_limit` more that wait, beside the I/O lane.
    #[must_use]
    pub fn new(cpu_width: usize, queue_limit: usize) -> Self {
        Self { io: Bounded::new(IO_WIDTH, IO_QUEUE), cpu: Bounded::new(cpu_width.max(1), queue_limit) }
    }

    /// The same, with every wait timed.
    #[must_use]
    pub fn timed_by(mut self, waits: &LaneWaits) -> Self {
        self.io.wait = Some(waits.of("io"));
        self.cpu.wait = Some(waits.of("cpu"));
        self
    }

    /// How many places of the CPU lane are free now, but at least one.
    pub(super) fn free_cores(&self) -> usize {
        self.cpu.places.available_permits().clamp(1, self.cpu.width)
    }

    /// How full the lane is now.
    #[must_use]
    pub fn load(&self, lane: Lane) -> LaneLoad {
        let lane = self.lane(lane);
        LaneLoad {
            width: lane.width,
            running: lane.width - lane.places.available_permits().min(lane.width),
            queued: lane.queued.load(Ordering::Relaxed),
            turned_away: lane.turned_away.load(Ordering::Relaxed),
        }
    }

    /// Waits for a place in the lane, which is given back when the permit is dropped.
    pub(super) async fn enter(&self, lane: Lane) -> Result<OwnedSemaphorePermit, ToolError> {
        self.lane(lane).enter().await
    }

    fn lane(&self, lane: Lane) -> &Bounded {
        match lane {
            Lane::Io => &self.io,
            Lane::Cpu => &self.cpu,
        }
    }
}

/// How full a lane is.
#[derive(Clone, Copy, Debug)]
pub struct LaneLoad {
    /// Calls that have a place at most.
    pub width: usize,
    /// Calls that have a place.
    pub running: usize,
    /// Calls that wait for one.
    pub queued: usize,
    /// Calls, since the start, for which there was no room to wait.
    pub turned_away: u64,
}

/// So many at once, so many more that wait, and no others.
#[derive(Debug)]
struct Bounded {
    places: Arc<Semaphore>,
    width: usize,
    queued: AtomicUsize,
    queue_limit: usize,
    turned_away: AtomicU64,
    wait: Option<LaneWait>,
}

impl Bounded {
    fn new(width: usize, queue_limit: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(width)),
            width,
            queued: AtomicUsize::new(0),
            queue_limit,
            turned_away: AtomicU64::new(0),
            wait: None,
        }
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, ToolError> {
        let begun = Instant::now();
        let place = self.wait_for_place().await?;
        if let Some(wait) = &self.wait {
            wait.record(begun.elapsed());
        }
        Ok(place)
    }

    async fn wait_for_place(&self) -> Result<OwnedSemaphorePermit, ToolError> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = QueuePlace::take(&self.queued, self.queue_limit).inspect_err(|_| {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
        })?;
        Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| ToolError::new(ToolErrorKind::Unavailable, "the server is shutting down; repeat the call"))
    }
}

/// A place in the queue, given back when dropped (also when the waiting caller goes away).
struct QueuePlace<'a>(&'a AtomicUsize);

impl<'a> QueuePlace<'a> {
    fn take(queued: &'a AtomicUsize, limit: usize) -> Result<Self, ToolError> {
        let place = Self(queued);
        if queued.fetch_add(1, Ordering::Relaxed) >= limit {
            return Err(ToolError::new(
                ToolErrorKind::Unavailable,
                format!("the server is busy with other calls; repeat this one after {} s", BUSY_RETRY.as_secs()),
            ));
        }
        Ok(place)
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
