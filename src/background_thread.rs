//! Threads that step back behind those which answer requests.

use std::{io, thread};

/// How much they step back (`nice`, setpriority(2)): where cores are short they get a tenth of one, and a thread that has slept goes
/// before them at once, where it would otherwise wait until a slice of some milliseconds is over. On cores that are free it
/// costs nothing.
const NICE: i32 = 10;

/// Starts a thread of this name, which is as unimportant as those that it starts itself.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let stepping_back = || {
        // On Linux this is of the calling thread alone. Where it is not allowed, the work is as important as everything else.
        let _ = rustix::process::setpriority_process(None, NICE);
        work();
    };
    thread::Builder::new().name(name.to_owned()).spawn(stepping_back).map(drop)
}
