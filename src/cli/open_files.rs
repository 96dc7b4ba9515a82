//! Room for many connections: each is an open file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of files that this process may open to the most that it may raise it to itself. Shells and service
/// managers often begin with 1,024, which is the number that programs with `select` can bear; this one has none.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// How many of them connections may be. The rest is for what is served, and for Redis.
pub(super) fn for_connections() -> usize {
    let current = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    current.map_or(usize::MAX, |files| files / 4 * 3)
}

/// How many files a server that this process became could have open; `None`: as many as it likes.
pub(super) fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}
