//! HTTP: the only folder that knows axum. Routes and layers stand in `router`, top runs first.

mod answer;
mod authorize;
mod endpoint;
mod health;
mod listen;
mod log;
mod origin;
mod read_message;
mod respond;
mod router;
mod sse;

pub use listen::serve;
pub use origin::Origins;
pub use router::{HttpOptions, router};
