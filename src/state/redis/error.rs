//! What an error of Redis means, in words that carry no address, no credential and nothing of its own text.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::state::StateError;

/// Why an operation failed.
pub(super) fn reason(error: &RedisError) -> String {
    if error.is_timeout() {
        return late().reason;
    }
    let text = match error.kind() {
        ErrorKind::AuthenticationFailed => "Redis refuses the credentials",
        ErrorKind::MasterNameNotFoundBySentinel => "Sentinel knows no service of this name",
        ErrorKind::ClusterConnectionNotFound => "a node of the Redis cluster cannot be reached",
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "Redis is a read-only replica",
        ErrorKind::Server(ServerErrorKind::BusyLoading) => "Redis is still loading its data",
        ErrorKind::Server(ServerErrorKind::MasterDown) => "Redis is a replica without its master",
        ErrorKind::Server(ServerErrorKind::ClusterDown) => "the Redis cluster is down",
        _ if is_forbidden(error) => "the Redis user lacks permission for a command, or for the keys and channels pressmark:*",
        ErrorKind::Io => return cannot_be_reached(error),
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => "Redis refuses the credentials",
            Some("OOM") => "Redis is out of memory",
            Some("MISCONF" | "NOREPLICAS") => "Redis refuses writes until it can keep them safely",
            _ => "Redis answered with an error",
        },
    };
    text.to_owned()
}

/// Nothing came back while a caller can wait.
pub(super) fn late() -> StateError {
    StateError { reason: "Redis did not answer in time".to_owned() }
}

fn cannot_be_reached(error: &RedisError) -> String {
    // The client library keeps what the operating system said behind an `Arc`, which is an error itself.
    let source = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    match source.and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind) {
        // Where rustls reports a certificate that it does not trust.
        Some(io::ErrorKind::InvalidData) => "the TLS handshake with Redis failed".to_owned(),
        Some(kind @ (io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::HostUnreachable)) => {
            format!("Redis cannot be reached ({kind})")
        }
        _ => "Redis cannot be reached".to_owned(),
    }
}

/// Is it the connection, or the server at its other end, that has to be replaced?
pub(super) fn server_is_wrong(error: &RedisError) -> bool {
    let demoted = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
    );
    // Redis before 7 wraps what a command within a script answered.
    let demoted = demoted || error.detail().is_some_and(|detail| detail.contains("-READONLY"));
    demoted || error.is_timeout() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

/// Does the user lack a right? Within scripts this has no code of its own.
fn is_forbidden(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
        || error.detail().is_some_and(|detail| detail.starts_with("The user executing the script can't"))
}

/// Does the server want credentials that it was not given?
pub(super) fn needs_credentials(error: &RedisError) -> bool {
    error.code() == Some("NOAUTH")
}

/// Does the server not know the command?
pub(super) fn is_unknown_command(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError)
        && error.detail().is_some_and(|detail| detail.starts_with("unknown command"))
}
