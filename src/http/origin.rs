//! Which web pages may call: the defence against DNS rebinding (2026-07-28, basic/transports/streamable-http,
//! "Security & Endpoint").

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

use super::respond::Refusal;
use crate::auth::is_loopback;
use crate::tools::HeaderParams;

/// The origins whose pages may call this server.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Arc<[String]>,
    loopback: bool,
}

impl Origins {
    /// Exactly the origins of these URLs; with `loopback`, also any page that this machine serves to itself.
    #[must_use]
    pub fn new<'a>(urls: impl IntoIterator<Item = &'a Url>, loopback: bool) -> Self {
        Self { allowed: urls.into_iter().map(|url| url.origin().ascii_serialization()).collect(), loopback }
    }

    /// May a page of this origin call? The opaque origin `null` never may.
    #[must_use]
    pub fn allow(&self, origin: &HeaderValue) -> bool {
        let Some(url) = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()) else { return false };
        if !matches!(url.scheme(), "http" | "https") || !url.origin().is_tuple() {
            return false;
        }
        self.allowed.contains(&url.origin().ascii_serialization()) || (self.loopback && is_loopback(&url))
    }
}

/// Before anything else: a page of a foreign origin gets 403, whatever it asks for; one of an allowed origin gets what its
/// browser needs (CORS). Requests of programs name no origin and pass untouched.
#[derive(Clone)]
pub(super) struct OriginLayer {
    origins: Origins,
    // Shared: it is a dozen header values, and the service is cloned for each request.
    cors: Arc<CorsLayer>,
}

/// The service that [`OriginLayer`] makes.
#[derive(Clone)]
pub struct CheckOrigin<S> {
    origins: Origins,
    cors: Arc<CorsLayer>,
    inner: S,
}

impl OriginLayer {
    /// Lets pages of these origins call, with the headers that these arguments are repeated in.
    pub(super) fn new(origins: Origins, header_params: &HeaderParams) -> Self {
        let cors = Arc::new(cors(origins.clone(), header_params));
        Self { origins, cors }
    }
}

impl<S> Layer<S> for OriginLayer {
    type Service = CheckOrigin<S>;

    fn layer(&self, inner: S) -> CheckOrigin<S> {
        CheckOrigin { origins: self.origins.clone(), cors: Arc::clone(&self.cors), inner }
    }
}

impl<S, B> Service<Request<B>> for CheckOrigin<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible> + Clone,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut origins = request.headers().get_all(ORIGIN).iter().peekable();
        if origins.peek().is_none() {
            return Either::Left(self.inner.call(request));
        }
        if !origins.all(|origin| self.origins.allow(origin)) {
            return Either::Right(Box::pin(ready(Ok(Refusal::Origin.into_response()))));
        }
        Either::Right(Box::pin(self.cors.layer(self.inner.clone()).call(request)))
    }
}

/// What pages of allowed origins need from a browser to call at all.
fn cors(origins: Origins, header_params: &HeaderParams) -> CorsLayer {
    let headers =
        ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "last-event-id"].map(HeaderName::from_static);
    let params = header_params.values().flatten();
    let params = params.filter_map(|param| HeaderName::try_from(format!("mcp-param-{}", param.name)).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin: &HeaderValue, _| origins.allow(origin)))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(headers.into_iter().chain([AUTHORIZATION, CONTENT_TYPE]).chain(params).collect::<Vec<_>>())
        .expose_headers([WWW_AUTHENTICATE, HeaderName::from_static("mcp-session-id")])
        .max_age(Duration::from_secs(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_origins_match() {
        let public = Url::parse("https://mcp.example.com").expect("a URL");
        let origins = Origins::new([&public], true);
        let allowed = |origin: &str| origins.allow(&HeaderValue::from_str(origin).expect("a header value"));
        for origin in ["https://mcp.example.com", "http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]"] {
            assert!(allowed(origin), "{origin}");
        }
        for origin in [
            "https://mcp.example.com.evil.test",
            "http://mcp.example.com",
            "http://localhost.evil.test",
            "http://127.0.0.1.evil.test",
            "null",
            "",
            "localhost",
            "ftp://localhost",
            "file:///x",
        ] {
            assert!(!allowed(origin), "{origin}");
        }
        assert!(!Origins::new([&public], false).allow(&HeaderValue::from_static("http://localhost:3000")));
    }
}
