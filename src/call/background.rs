//! Heavy work, which steps back behind what answers requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{io, thread};

use tokio::sync::oneshot;

use crate::background_thread;

/// Does the work on a thread of its own, since no thread may become more important again.
///
/// # Errors
/// When the system gives no thread. A panic is returned as from a thread that is joined.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<thread::Result<T>> {
    let (answer, answered) = oneshot::channel();
    background_thread::spawn("cpu-lane", || {
        let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
    })?;
    answered.await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}
