//! Where tokens are checked that nobody has shown before.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

use crate::background_thread;

/// Checks that may wait. A core does so many signatures in a tenth of a second.
const QUEUE: usize = 1_024;

/// One thread of low priority. A signature costs a tenth of a millisecond of a core, and whoever can connect can send made-up
/// ones: here they wait for each other, and not callers who are known for them.
pub(super) struct CheckLane {
    checks: SyncSender<Check>,
}

type Check = Box<dyn FnOnce() + Send>;

/// So many checks wait that another one is not begun.
#[derive(Debug)]
pub(super) struct LaneFull;

impl CheckLane {
    /// Starts the thread, which ends when this value is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start() -> io::Result<Self> {
        let (checks, waiting) = sync_channel(QUEUE);
        background_thread::spawn("token-checks", move || run(&waiting))?;
        Ok(Self { checks })
    }

    /// Does a check in its turn. One whose caller has gone away is passed over.
    ///
    /// # Errors
    /// [`LaneFull`], at once.
    pub(super) async fn run<T: Send + 'static>(&self, check: impl FnOnce() -> T + Send + 'static) -> Result<T, LaneFull> {
        let (answer, answered) = oneshot::channel();
        let check = move || {
            if !answer.is_closed() {
                let _ = answer.send(check());
            }
        };
        self.checks.try_send(Box::new(check)).map_err(|_| LaneFull)?;
        // A check that panics gives no answer, and nobody is let in.
        answered.await.map_err(|_| LaneFull)
    }
}

fn run(waiting: &Receiver<Check>) {
    while let Ok(check) = waiting.recv() {
        let _ = catch_unwind(AssertUnwindSafe(check));
    }
}
