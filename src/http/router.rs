//! Every route and every layer. Of a stack of layers the top one runs first.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use axum::routing::{any, get};
use futures_util::future::Either;
use http::Request;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, Service, ServiceBuilder};

use super::authenticate::{Authenticate, AuthenticateLayer};
use super::authorize::AuthorizeLayer;
use super::authz::Authz;
use super::call_rates::CallRates;
use super::challenge::Challenge;
use super::client_address::TrustedProxies;
use super::contain_panics::{ContainPanics, ContainPanicsLayer};
use super::endpoint::{Endpoint, Mcp};
use super::health::{self, Readiness};
use super::origin::{CheckOrigin, OriginLayer, Origins};
use super::record::{RecordLayer, RecordRequests, Watch};
use super::respond::Refusal;
use super::shutdown::Shutdown;
use super::well_known::{PROTECTED_RESOURCE_PATHS, ProtectedResource};
use crate::auth::Authenticator;
use crate::mcp::legacy::{Calls, SessionLimits, Sessions};
use crate::mcp::{Dispatch, Features, RequestStates, ResultWriter, ServerInfo, Tasks};
use crate::metrics::Metrics;

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
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who is believed when they say whom a request comes from.
    pub proxies: TrustedProxies,
    /// Who else wants to know of requests.
    pub watch: Watch,
    /// When streams have to end.
    pub shutdown: Shutdown,
    /// How many sessions there may be, and for how long.
    pub sessions: SessionLimits,
    /// How long a stream of events is held open; `None`: as long as the client does and its credentials hold good.
    pub max_stream_age: Option<Duration>,
    /// The largest request body, in bytes.
    pub max_request_bytes: usize,
    /// How long a request body may take to arrive.
    pub body_timeout: Duration,
    /// How often a caller may call; `None`: as often as it likes.
    pub calls_per_second: Option<NonZeroU32>,
}

/// The whole server as a service. Cheap to clone.
pub type Server = RecordRequests<ContainPanics<Routes>>;

/// Every route. The endpoint's stands apart: nearly every request is for it, and a router of axum costs a dozen
/// allocations, and its layers another dozen.
#[derive(Clone)]
pub struct Routes {
    mcp: CheckOrigin<Authenticate<Mcp>>,
    authz: Authenticate<Authz>,
    others: Router,
}

/// Makes the server.
pub fn router(features: Arc<Features>, options: HttpOptions) -> Server {
    let watch = options.watch.clone();
    let header_params = Arc::new(features.tools.header_params());
    let requests = Arc::new(options.metrics.requests(features.tools.descriptions().map(|tool| tool.spec.name)));
    let writer = Arc::new(ResultWriter::new(options.info));
    let sessions = Sessions::new(Arc::clone(&options.readiness.state), options.sessions);
    let dispatch = Dispatch::new(Arc::clone(&features), options.request_states, sessions.clone(), options.tasks);
    let service = AuthorizeLayer::new(Arc::clone(&features)).layer(dispatch);
    let calls =
        Calls::new(sessions.clone(), Arc::clone(&features), Arc::clone(&writer), BoxCloneSyncService::new(service.clone()));
    let challenge = Arc::new(Challenge::new(&options.resource));
    let authenticate = AuthenticateLayer::new(options.authenticator, &options.resource, options.metrics.auth_failures());
    let authz = Authz::new(features, Arc::clone(&challenge), Arc::clone(&requests), watch.audit.clone());
    let authz = authenticate.for_gateways().layer(authz);
    let mcp = ServiceBuilder::new().layer(OriginLayer::new(options.origins, &header_params)).layer(authenticate).service(
        Mcp::new(Endpoint {
            header_params,
            service,
            sessions,
            calls,
            max_stream_age: options.max_stream_age,
            writer,
            challenge,
            shutdown: options.shutdown,
            max_request_bytes: options.max_request_bytes,
            body_timeout: options.body_timeout,
            call_rates: options.calls_per_second.map(CallRates::new),
            requests: Arc::clone(&requests),
            watch: options.watch,
        }),
    );

    let probes =
        Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz)).with_state(options.readiness);
    let [at_root, at_endpoint] = PROTECTED_RESOURCE_PATHS;
    let metadata = Router::new().route(at_root, options.resource.handler()).route(at_endpoint, options.resource.handler());
    let others = probes.merge(metadata).route("/register", any(|| async { Refusal::NoRegistration }));
    let others = others.fallback(any(|| async { Refusal::NotFound }));

    let record = RecordLayer::new(requests, watch, options.proxies);
    ServiceBuilder::new().layer(record).layer(ContainPanicsLayer).service(Routes { mcp, authz, others })
}

impl Service<Request<Body>> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<
        <CheckOrigin<Authenticate<Mcp>> as Service<Request<Body>>>::Future,
        Either<<Authenticate<Authz> as Service<Request<Body>>>::Future, RouteFuture<Infallible>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.mcp.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.uri().path() {
            "/mcp" => Either::Left(self.mcp.call(request)),
            "/authz" => Either::Right(Either::Left(self.authz.call(request))),
            _ => Either::Right(Either::Right(self.others.call(request))),
        }
    }
}
