//! Who wants to know of requests, beside those who count them.

use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;

use super::summary::MessageSummary;
use crate::audit::Audit;
use crate::call::Origin;
use crate::http::read_message::Call;
use crate::traces::{Place, RemoteSpan, Traces};

/// Where spans go, if anywhere, and who keeps the audit log.
#[derive(Clone, Debug)]
pub struct Watch {
    /// None when there are no traces.
    pub traces: Option<Traces>,
    /// Told of calls where they get their permission.
    pub audit: Audit,
}

impl Watch {
    /// Looks at a call that came with this head, and tells it where it comes from. `None` when nobody wants a summary.
    pub(in crate::http) fn look(&self, head: &Parts, call: &mut Call, tool: Option<&'static str>) -> Option<MessageSummary> {
        let is_watched = super::is_watched();
        if !is_watched && !self.audit.is_on() {
            return None;
        }
        let (message, http) = (call.caller_span.take(), caller_span(&head.headers));
        let place = match &self.traces {
            Some(traces) => Some(traces.place(message, http)),
            None => Place::of_caller(message, http),
        };
        let span = place.as_ref().map(Place::ids);
        let client = super::client();
        let told = client.map(|client| client.to_string().into());
        let mut origin = Origin::of(call.id.as_json());
        (origin.span, origin.client) = (span, told);
        call.origin = Some(Arc::new(origin));
        is_watched.then(|| MessageSummary::new(head, client, call, tool, place))
    }
}

/// The span that the headers name; the message's own counts before it.
fn caller_span(headers: &HeaderMap) -> Option<RemoteSpan> {
    let mut parents = headers.get_all("traceparent").iter();
    let parent = parents.next().filter(|_| parents.next().is_none())?.to_str().ok()?;
    // Several headers are one list (W3C Trace Context, "tracestate Header Field Values").
    let states: Option<Vec<_>> = headers.get_all("tracestate").iter().map(|state| state.to_str().ok()).collect();
    RemoteSpan::read(parent, states.map(|states| states.join(",")).as_deref())
}
