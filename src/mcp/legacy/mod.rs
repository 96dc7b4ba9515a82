//! The handshake era: sessions, streams that can be resumed, and requests of the server's to its client. All of it lives in
//! the shared state, so that any replica can go on where another stopped.
//!
//! A call is answered at once and leaves nothing behind, until it reports or asks something: then it gets a record and an
//! event log of its own. Whatever is to be sent to the client is appended to the log; an HTTP response, on whichever
//! replica, merely follows the log. A call that waits for its user lives in no process.

mod call_record;
mod call_stream;
mod calls;
mod essence;
mod event;
mod event_log;
mod get_stream;
mod kept;
mod run;
mod runner;
mod session;
mod signals;
mod subscriptions;

pub use call_stream::CallStream;
pub use calls::{Answered, Calls, SessionCall};
pub use event::{EventName, Sent};
pub use get_stream::GetStream;
pub use session::{Session, SessionLimits, Sessions};
