//! Where tokens are checked that nobody has shown before.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

/// Checks that may wait. A core does so many signatures in a tenth of a second.
const QUEUE: usize = 1_024;
/// How much the thread steps back behind all others (`nice`, setpriority(2)): where cores are short, it gets a tenth of one.
const NICE: i32 = 10;

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
        std::thread::Builder::new().name("token-checks".to_owned()).spawn(move || run(&waiting))?;
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
    // On Linux this is of the calling thread alone. Where it is not allowed, checks are as important as everything else.
    let _ = rustix::process::setpriority_process(None, NICE);
    while let Ok(check) = waiting.recv() {
        let _ = catch_unwind(AssertUnwindSafe(check));
    }
}
