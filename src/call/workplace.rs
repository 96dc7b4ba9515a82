//! Where rounds run, and within which limits: the same for tools, prompts and resources.

use std::sync::Arc;
use std::time::Duration;

use super::{CallContext, Caller, Lane, Lanes, Round, RoundFuture};
use crate::auth::Principal;

/// The lanes of a server, and what holds for every call. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Workplace {
    /// Where blocking work waits for its turn.
    pub(crate) lanes: Arc<Lanes>,
    /// The budget of a result, in bytes of JSON.
    pub(crate) max_result_bytes: usize,
    /// How long one round may take.
    pub(crate) timeout: Duration,
}

impl Workplace {
    /// Runs one round of a call with the rights of `principal`, whoever the caller says that it is: those are the rights that
    /// were checked. Dropping the future cancels the work.
    // Not an async function, here as in what calls it: their futures hold what they were given twice, and are moved with
    // each call.
    pub(crate) fn round<T, F>(
        self,
        principal: Arc<Principal>,
        caller: Caller,
        lane: Lane,
        name: &str,
        call: F,
    ) -> impl Future<Output = Round<T>>
    where
        F: for<'a> FnOnce(&'a CallContext) -> RoundFuture<'a, T>,
    {
        let cx = CallContext::new(Caller { principal, ..caller }, lane, self.lanes, self.max_result_bytes);
        Round::run(cx, name, self.timeout, call)
    }
}
