//! `/authz`: may this call be made, as far as its headers tell? Gateways ask it before they let a call through: nginx by
//! `auth_request`, Envoy by `ext_authz`, Traefik by `forwardAuth`, Caddy by `forward_auth`. Each asks in its own way, so the
//! method and the body do not count. What a gateway lets through is checked again, with all that the body says.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, StatusCode};
use tower::Service;

use super::authenticate::Authenticated;
use super::challenge::Challenge;
use super::read_message::{METHOD, Rejection, decode_sentinel, header};
use super::{record, respond};
use crate::audit::{Audit, AuditEntry, AuditOutcome, Audited};
use crate::auth::{Denied, Principal};
use crate::mcp::{Features, McpError};
use crate::metrics::Requests;

/// Decides on callers who are known. Cheap to clone.
#[derive(Clone)]
pub struct Authz {
    features: Arc<Features>,
    challenge: Arc<Challenge>,
    requests: Arc<Requests>,
    audit: Audit,
}

impl Authz {
    /// Decides for calls of these features, with the challenges that the endpoint gives. What is refused leaves its line in the
    /// audit log here: the server is not asked.
    pub(super) fn new(features: Arc<Features>, challenge: Arc<Challenge>, requests: Arc<Requests>, audit: Audit) -> Self {
        Self { features, challenge, requests, audit }
    }

    /// The handshake revisions say in the body what is called: there only the server can tell. So can it of what does not
    /// exist.
    fn decide(&self, principal: &Arc<Principal>, headers: &HeaderMap) -> Result<(), McpError> {
        let decoded = |label: &str| header(headers, label)?.map(|value| decode_sentinel(label, value)).transpose();
        let (Some(method), Some(name)) = (header(headers, &METHOD)?, decoded("Mcp-Name")?) else { return Ok(()) };
        let mut paths = Vec::new();
        let (kind, called, decided) = match method {
            "tools/call" => {
                for argument in self.features.tools.path_arguments(&name) {
                    paths.extend(decoded(&argument.header_name())?.map(|path| (argument.permission, path.into_owned())));
                }
                ("tool", Audited::Tool(&*name), self.features.tools.admit(principal, &name, &paths))
            }
            "prompts/get" => {
                ("prompt", Audited::Prompt(&*name), self.features.prompts.authorize(principal, &name, None).map(drop))
            }
            "resources/read" => {
                ("resource", Audited::Resource(&*name), self.features.resources.authorize(principal, &name).map(drop))
            }
            _ => return Ok(()),
        };
        let denied = match decided {
            Err(Denied::Unknown) | Ok(()) => return Ok(()),
            Err(denied) => denied,
        };
        let mut entry = AuditEntry::begin(&self.audit, called, principal, None);
        entry.names(|| paths.into_iter().map(|(_, path)| Some(path)));
        entry.note(AuditOutcome::Refused(denied.label()));
        Err(McpError::refusal(denied, kind, &name))
    }
}

impl Service<Authenticated<Body>> for Authz {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Authenticated<Body>) -> Self::Future {
        record::note_kind(self.requests.kind("authz", None));
        let (principal, request) = request.into_parts();
        let mut response = match self.decide(&principal, request.headers()) {
            Ok(()) => Response::new(Body::empty()),
            Err(error) => {
                let mut response = respond::reject(&Rejection { id: None, modern: true, error }, &self.challenge);
                // Gateways know 401 and 403. Headers that cannot be read permit nothing.
                *response.status_mut() = StatusCode::FORBIDDEN;
                response
            }
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        ready(Ok(response))
    }
}
