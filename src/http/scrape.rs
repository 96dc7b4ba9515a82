//! `GET /metrics`, on a listener of its own: whoever reaches it may read, so that it is not for the world.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;

use crate::metrics::{MEDIA_TYPE, Metrics};

/// Answers scrapes until it is dropped.
pub async fn serve_metrics(listener: TcpListener, metrics: Arc<Metrics>) {
    let scrape = async move || match metrics.encode() {
        Ok(text) => Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text)),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    };
    if let Err(error) = axum::serve(listener, Router::new().route("/metrics", get(scrape))).await {
        tracing::warn!(%error, "metrics are not served any more");
    }
}
