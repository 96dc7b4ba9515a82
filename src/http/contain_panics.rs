//! A panic harms its own request and nothing else.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use futures_util::future::CatchUnwind;
use http::Request;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::respond::Refusal;

/// Answers a request whose handling panics with an error. The panic itself was logged where it happened.
#[derive(Clone, Copy)]
pub(super) struct ContainPanicsLayer;

/// The service that [`ContainPanicsLayer`] makes.
#[derive(Clone)]
pub struct ContainPanics<S>(S);

impl<S> Layer<S> for ContainPanicsLayer {
    type Service = ContainPanics<S>;

    fn layer(&self, inner: S) -> ContainPanics<S> {
        ContainPanics(inner)
    }
}

impl<S, B> Service<Request<B>> for ContainPanics<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Contained<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let begun = catch_unwind(AssertUnwindSafe(|| self.0.call(request)));
        Contained { inner: begun.ok().map(|inner| AssertUnwindSafe(inner).catch_unwind()) }
    }
}

pin_project! {
    /// The answer, whatever happens on the way to it.
    pub struct Contained<F> {
        // None: there was a panic already when the request was handed over.
        #[pin]
        inner: Option<CatchUnwind<AssertUnwindSafe<F>>>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Contained<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = match self.project().inner.as_pin_mut() {
            Some(inner) => ready!(inner.poll(cx)).ok(),
            None => None,
        };
        Poll::Ready(answered.unwrap_or_else(|| Ok(Refusal::Panicked.into_response())))
    }
}
