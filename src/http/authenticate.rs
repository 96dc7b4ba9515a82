//! Lets nobody in without a name: the layer before everything that serves MCP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde_json::json;
use tower::{Layer, Service};

use super::challenge::Challenge;
use super::record::{self, Outcome};
use super::well_known::ProtectedResource;
use crate::auth::{AuthError, Authenticator, Principal};
use crate::metrics::AuthFailures;

/// How long a client waits, in seconds, when the keys of the authorization server are not there yet.
const KEYS_RETRY_SECONDS: &str = "5";
/// How long when too many tokens wait to be checked.
const BUSY_RETRY_SECONDS: &str = "1";

/// Hands each request on together with who sends it, or answers it, before its body is read, with a challenge that says
/// what to do. Tokens count in the `Authorization` header only, never in the URL, and go no further than this: the header
/// is removed from the request.
#[derive(Clone)]
pub struct AuthenticateLayer {
    door: Arc<Door>,
    malformed: StatusCode,
}

/// The service that [`AuthenticateLayer`] makes.
#[derive(Clone)]
pub struct Authenticate<S> {
    inner: S,
    door: Arc<Door>,
    /// The status for credentials that cannot be read.
    malformed: StatusCode,
}

struct Door {
    authenticator: Arc<Authenticator>,
    challenge: Challenge,
    /// How to come by a token.
    advice: String,
    failures: AuthFailures,
}

impl AuthenticateLayer {
    /// A layer that asks `authenticator`, challenges on behalf of `resource`, and counts `failures`.
    #[must_use]
    pub fn new(authenticator: Arc<Authenticator>, resource: &ProtectedResource, failures: AuthFailures) -> Self {
        let advice = match resource.metadata_url() {
            Some(url) => format!("get an access token as described at {url}"),
            None if authenticator.has_dev_token() => {
                "use the token that `pressmark serve` printed when it started, or that was given to it as --dev-token".to_owned()
            }
            None => "ask the operator of this server for a token".to_owned(),
        };
        let malformed = StatusCode::BAD_REQUEST;
        Self { malformed, door: Arc::new(Door { authenticator, challenge: Challenge::new(resource), advice, failures }) }
    }
}

impl AuthenticateLayer {
    /// The same for gateways, which take nothing but 401 for a refusal of this kind.
    #[must_use]
    pub fn for_gateways(&self) -> Self {
        Self { malformed: StatusCode::UNAUTHORIZED, ..self.clone() }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, door: Arc::clone(&self.door), malformed: self.malformed }
    }
}

/// A request, and the proof of who sends it: only [`Authenticate`] makes one.
#[derive(Debug)]
pub struct Authenticated<B> {
    principal: Arc<Principal>,
    request: Request<B>,
}

impl<B> Authenticated<B> {
    /// The sender and the request.
    #[must_use]
    pub fn into_parts(self) -> (Arc<Principal>, Request<B>) {
        (self.principal, self.request)
    }
}

impl<S, B, R> Service<Request<B>> for Authenticate<S>
where
    S: Service<Authenticated<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    // Most callers are known; only the others cost an allocation.
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let credentials = Credentials::take(request.headers_mut());
        let known = match &credentials {
            Ok(credentials) => self.door.authenticator.recognise(credentials.as_str()),
            Err(error) => Some(Err(*error)),
        };
        if let Some(Ok(principal)) = known {
            return Either::Left(self.inner.call(Authenticated { principal, request }));
        }
        // The clone stays behind; the service that said it was ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let (door, malformed) = (Arc::clone(&self.door), self.malformed);
        Either::Right(Box::pin(async move {
            let entered = match (known, credentials) {
                (Some(known), _) => known,
                (None, Ok(credentials)) => door.authenticator.authenticate(credentials.as_str()).await,
                (None, Err(error)) => Err(error),
            };
            match entered {
                Ok(principal) => inner.call(Authenticated { principal, request }).await,
                Err(error) => Ok(door.refuse(error, malformed)),
            }
        }))
    }
}

/// The value of the `Authorization` header, of which there may be one, in ASCII.
struct Credentials(Option<HeaderValue>);

impl Credentials {
    fn take(headers: &mut HeaderMap) -> Result<Self, AuthError> {
        let is_repeated = headers.get_all(AUTHORIZATION).iter().nth(1).is_some();
        let value = headers.remove(AUTHORIZATION);
        if is_repeated || value.as_ref().is_some_and(|value| value.to_str().is_err()) {
            return Err(AuthError::Malformed);
        }
        Ok(Self(value))
    }

    fn as_str(&self) -> Option<&str> {
        self.0.as_ref().and_then(|value| value.to_str().ok())
    }
}

impl Door {
    fn refuse<R: From<Bytes>>(&self, error: AuthError, malformed: StatusCode) -> Response<R> {
        record::note(Outcome::refused(error.reason()));
        self.failures.record(error.reason());
        let retry = |seconds| (StatusCode::SERVICE_UNAVAILABLE, (RETRY_AFTER, HeaderValue::from_static(seconds)));
        let (status, (name, value)) = match error {
            AuthError::Missing => (StatusCode::UNAUTHORIZED, (WWW_AUTHENTICATE, self.challenge.missing_token())),
            AuthError::Malformed => (malformed, (WWW_AUTHENTICATE, self.challenge.invalid_request(&error.to_string()))),
            AuthError::InvalidToken(problem) => {
                (StatusCode::UNAUTHORIZED, (WWW_AUTHENTICATE, self.challenge.invalid_token(problem)))
            }
            AuthError::Unavailable => retry(KEYS_RETRY_SECONDS),
            AuthError::Busy => retry(BUSY_RETRY_SECONDS),
        };
        let next = match error {
            AuthError::Missing => format!("send `Authorization: Bearer <token>`; {}", self.advice),
            AuthError::Malformed => "send exactly one `Authorization: Bearer <token>`".to_owned(),
            AuthError::InvalidToken(_) => self.advice.clone(),
            AuthError::Unavailable => format!("keep the token and repeat the request after {KEYS_RETRY_SECONDS} s"),
            AuthError::Busy => format!("keep the token and repeat the request after {BUSY_RETRY_SECONDS} s"),
        };
        let mut response = Response::new(R::from(body(status, &format!("{error}; {next}"))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(name, value);
        response
    }
}

/// A JSON-RPC error without an id, because the request was not read. MCP gives these failures no code of their own, so
/// the code is the HTTP status, far outside the range that JSON-RPC reserves.
fn body(status: StatusCode, message: &str) -> Bytes {
    json!({ "jsonrpc": "2.0", "error": { "code": status.as_u16(), "message": message } }).to_string().into()
}
