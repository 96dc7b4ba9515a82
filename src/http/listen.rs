//! Accepts connections and serves them until it is told to stop.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

/// How long a client may take to send the head of a request; ends connections that send it drop by drop. It is also how
/// long an idle connection is kept: longer than the 60 s after which common balancers close theirs, so that it is never
/// the server that closes a connection just as a balancer reuses it.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(75);
/// How long to rest when the system has no file descriptor left for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 and HTTP/2 without TLS on one port. When `stop` is ready no connection is accepted any more, idle ones
/// are closed, and calls under way have `drain` to finish. Returns the number of connections that did not.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>, drain: Duration) -> usize {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(256);
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        // Answers are written whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let spoken = Arc::new(AtomicBool::new(false));
        let has_spoken = Arc::clone(&spoken);
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            spoken.store(true, Ordering::Relaxed);
            let response = router.clone().oneshot(request.map(Body::new));
            async move { response.await.map_err(|never: Infallible| never) }
        });
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = match tokio::time::timeout(HEADER_READ_TIMEOUT, &mut connection).await {
                Ok(ended) => ended,
                // hyper's own limit begins once it knows which protocol is spoken; who never says so gets no longer.
                Err(_) if !has_spoken.load(Ordering::Relaxed) => return,
                Err(_) => connection.await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    let left = graceful.count();
    match tokio::time::timeout(drain, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => left,
    }
}
