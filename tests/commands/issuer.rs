//! An authorization server on a thread of its own, so that tests may wait for a command.

use std::time::{Duration, SystemTime};

use axum::routing::get;
use serde_json::{Value, json};

use super::support::tokens::{P256, jwks};

/// The server; it answers until the tests end.
pub(super) struct Issuer {
    pub(super) url: String,
}

impl Issuer {
    /// With metadata by RFC 8414, and a clock that is so far behind.
    pub(super) fn start(behind: Duration) -> Self {
        Self::start_with(behind, jwks(&[&P256]))
    }

    pub(super) fn start_with(behind: Duration, keys: Value) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener for Tokio");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let metadata = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        let date = move || [("date", httpdate::fmt_http_date(SystemTime::now() - behind))];
        let router = axum::Router::new()
            .route("/.well-known/oauth-authorization-server", get(async move || (date(), metadata.to_string())))
            .route("/keys", get(async move || (date(), keys.to_string())));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await.expect("serves");
            });
        });
        Self { url }
    }
}
