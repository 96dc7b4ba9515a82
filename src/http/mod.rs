//! HTTP: the only folder that knows axum. Routes and layers stand in `router`, top runs first.

mod answer;
pub mod authenticate;
mod authorize;
mod authz;
mod call_rates;
pub mod challenge;
mod connection;
mod contain_panics;
mod endpoint;
mod health;
mod http1;
mod http2;
mod listen;
mod listen_stream;

mod origin;
mod param_headers;
mod read_message;
mod record;
mod respond;
mod router;
mod scrape;
mod session;
mod session_stream;
mod shutdown;
mod sse;
mod stream_end;
pub mod well_known;

pub use challenge::Challenge;
pub use health::Readiness;
pub use listen::serve;
pub use origin::Origins;
pub use router::{HttpOptions, Routes, Server, router};
pub use scrape::serve_metrics;
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use well_known::ProtectedResource;
