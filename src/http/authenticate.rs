//! Lets nobody in without a name: the layer before everything that serves MCP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde_json::json;
use tower::{Layer, Service};

use super::challenge::Challenge;
use super::well_known::ProtectedResource;
use crate::auth::{AuthError, Authenticator, Principal};

/// How long a client waits, in seconds, when the keys of the authorization server are not there yet.
const RETRY_AFTER_SECONDS: &str = "5";

/// Puts an `Arc<Principal>` into the extensions of each request, or answers it, before its body is read, with a
/// challenge that says what to do. Tokens count in the `Authorization` header only, never in the URL, and go no further
/// than this: the header is removed from the request.
#[derive(Clone)]
pub struct AuthenticateLayer {
    door: Arc<Door>,
}

/// The service that [`AuthenticateLayer`] makes.
#[derive(Clone)]
pub struct Authenticate<S> {
    inner: S,
    door: Arc<Door>,
}

struct Door {
    authenticator: Arc<Authenticator>,
    challenge: Challenge,
    /// How to come by a token.
    advice: String,
}

impl AuthenticateLayer {
    /// A layer that asks `authenticator`, and challenges on behalf of `resource`.
    #[must_use]
    pub fn new(authenticator: Arc<Authenticator>, resource: &ProtectedResource) -> Self {
        let advice = match resource.metadata_url() {
            Some(url) => format!("get an access token as described at {url}"),
            None => "ask the operator of this server for a token".to_owned(),
        };
        Self { door: Arc::new(Door { authenticator, challenge: Challenge::new(resource), advice }) }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, door: Arc::clone(&self.door) }
    }
}

impl<S, B, R> Service<Request<B>> for Authenticate<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The clone stays behind; the service that said it was ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let door = Arc::clone(&self.door);
        Box::pin(async move {
            match door.enter(request.headers_mut()).await {
                Ok(principal) => {
                    request.extensions_mut().insert(principal);
                    inner.call(request).await
                }
                Err(error) => Ok(door.refuse(error)),
            }
        })
    }
}

impl Door {
    async fn enter(&self, headers: &mut HeaderMap) -> Result<Arc<Principal>, AuthError> {
        let is_repeated = headers.get_all(AUTHORIZATION).iter().count() > 1;
        let authorization = headers.remove(AUTHORIZATION);
        if is_repeated {
            return Err(AuthError::Malformed);
        }
        let authorization = authorization.as_ref().map(|value| value.to_str().map_err(|_| AuthError::Malformed)).transpose()?;
        self.authenticator.authenticate(authorization).await
    }

    fn refuse<R: From<Bytes>>(&self, error: AuthError) -> Response<R> {
        let reason = error.reason();
        let (status, challenge) = match error {
            AuthError::Missing => (StatusCode::UNAUTHORIZED, Some(self.challenge.missing_token())),
            AuthError::Malformed => (StatusCode::BAD_REQUEST, Some(self.challenge.invalid_request(&error.to_string()))),
            AuthError::InvalidToken(problem) => (StatusCode::UNAUTHORIZED, Some(self.challenge.invalid_token(problem))),
            AuthError::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        // Clients without a token are the normal beginning of an OAuth flow.
        if error == AuthError::Missing {
            tracing::debug!(reason, status = status.as_u16(), "request refused");
        } else {
            tracing::warn!(reason, status = status.as_u16(), "request refused");
        }
        let next = match error {
            AuthError::Missing => format!("send `Authorization: Bearer <token>`; {}", self.advice),
            AuthError::Malformed => "send exactly one `Authorization: Bearer <token>`".to_owned(),
            AuthError::InvalidToken(_) => self.advice.clone(),
            AuthError::Unavailable => format!("keep the token and repeat the request after {RETRY_AFTER_SECONDS} s"),
        };
        let mut response = Response::new(R::from(body(status, &format!("{error}; {next}"))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match challenge {
            Some(challenge) => headers.insert(WWW_AUTHENTICATE, challenge),
            None => headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)),
        };
        response
    }
}

/// A JSON-RPC error without an id, because the request was not read. MCP gives these failures no code of their own, so
/// the code is the HTTP status, far outside the range that JSON-RPC reserves.
fn body(status: StatusCode, message: &str) -> Bytes {
    json!({ "jsonrpc": "2.0", "error": { "code": status.as_u16(), "message": message } }).to_string().into()
}
