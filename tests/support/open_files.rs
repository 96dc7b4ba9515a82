//! Room for many connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process open so many files; fails with a message where the machine does not allow it.
pub fn allow_open_files(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    let enough = |current: Option<u64>| current.is_none_or(|current| current >= wanted);
    assert!(enough(limit.maximum), "this test opens {wanted} files; raise the hard limit (ulimit -Hn)");
    if !enough(limit.current) {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("within the hard limit");
    }
}
