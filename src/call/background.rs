//! Threads for heavy work, which step back behind those that answer requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{io, thread};

use tokio::sync::oneshot;

/// How much such a thread steps back (`nice`, setpriority(2)): a thread that has slept goes before it at once, where it would
/// otherwise wait until a slice of some milliseconds is over. On cores that are free it costs nothing.
const NICE: i32 = 10;

/// Does the work on a thread of its own, since no thread may become more important again. Those that it starts are as unimportant.
///
/// # Errors
/// When the system gives no thread. A panic is returned as from a thread that is joined.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<thread::Result<T>> {
    let (answer, answered) = oneshot::channel();
    thread::Builder::new().name("cpu-lane".to_owned()).spawn(move || {
        // On Linux this is of the calling thread alone. Where it is not allowed, the work is as important as everything else.
        let _ = rustix::process::setpriority_process(None, NICE);
        let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
    })?;
    answered.await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}
