//! Every route and every layer. Of a stack of layers the top one runs first.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderValue, Method};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::authenticate::AuthenticateLayer;
use super::authorize::AuthorizeLayer;
use super::challenge::Challenge;
use super::endpoint::{self, Endpoint};
use super::health::{self, Readiness};
use super::log::log_request;
use super::origin::Origins;
use super::respond::Refusal;
use super::session;
use super::shutdown::Shutdown;
use super::well_known::{PROTECTED_RESOURCE_PATHS, ProtectedResource};
use crate::auth::Authenticator;
use crate::mcp::legacy::{Calls, SessionLimits, Sessions};
use crate::mcp::{Dispatch, Features, RequestStates, ServerInfo, Tasks};
use crate::tools::HeaderParams;

/// What the routes need besides the features.
pub struct HttpOptions {
    /// How the server names itself.
    pub info: ServerInfo,
    /// Seals what calls learn in several rounds.
    pub request_states: RequestStates,
    /// The calls that outlive their request.
    pub tasks: Tasks,
    /// Who checks credentials.
    pub authenticator: Arc<Authenticator>,
    /// This server as callers know it: what its challenges and its metadata say.
    pub resource: ProtectedResource,
    /// Whose web pages may call.
    pub origins: Origins,
    /// What `/readyz` looks at.
    pub readiness: Readiness,
    /// When streams have to end.
    pub shutdown: Shutdown,
    /// How many sessions there may be, and for how long.
    pub sessions: SessionLimits,
    /// How long the connection of a session's stream is held; `None`: as long as the client does.
    pub max_stream_age: Option<Duration>,
    /// The largest request body, in bytes.
    pub max_request_bytes: usize,
    /// How long a request body may take to arrive.
    pub body_timeout: Duration,
}

/// The whole server as a service.
pub fn router(features: Arc<Features>, options: HttpOptions) -> Router {
    let header_params = Arc::new(features.tools.header_params());
    let info = Arc::new(options.info);
    let sessions = Sessions::new(Arc::clone(&options.readiness.state), options.sessions);
    let dispatch = Dispatch::new(Arc::clone(&features), options.request_states, sessions.clone(), options.tasks);
    let service = AuthorizeLayer::new(Arc::clone(&features)).layer(dispatch);
    let calls = Calls::new(sessions.clone(), features, Arc::clone(&info), BoxCloneSyncService::new(service.clone()));
    let endpoint = Endpoint {
        header_params: Arc::clone(&header_params),
        service,
        sessions,
        calls,
        max_stream_age: options.max_stream_age,
        info,
        challenge: Arc::new(Challenge::new(&options.resource)),
        shutdown: options.shutdown,
        max_request_bytes: options.max_request_bytes,
        body_timeout: options.body_timeout,
    };
    let mcp = Router::new()
        .route(
            "/mcp",
            post(endpoint::post).get(session::get).delete(session::delete).fallback(|| async { Refusal::MethodNotAllowed }),
        )
        .with_state(endpoint)
        .layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(options.origins.clone(), check_origin))
                .layer(cors(options.origins, &header_params))
                .layer(AuthenticateLayer::new(options.authenticator, &options.resource)),
        );
    let probes =
        Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz)).with_state(options.readiness);
    let [at_root, at_endpoint] = PROTECTED_RESOURCE_PATHS;
    let metadata = Router::new().route(at_root, options.resource.handler()).route(at_endpoint, options.resource.handler());

    mcp.merge(probes).merge(metadata).fallback(any(|| async { Refusal::NotFound })).layer(
        ServiceBuilder::new().layer(from_fn(log_request)).layer(CatchPanicLayer::custom(|_| Refusal::Panicked.into_response())),
    )
}

/// Before anything else: a page of a foreign origin gets 403, whatever it asks for.
async fn check_origin(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    if request.headers().get_all(ORIGIN).iter().any(|origin| !origins.allow(origin)) {
        return Refusal::Origin.into_response();
    }
    next.run(request).await
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
