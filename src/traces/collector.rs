//! The HTTP client that reaches the collector: the one that this program has for everything else.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use reqwest::redirect;
use url::{Host, Url};

/// An answer is a few bytes; of a longer one, the rest is left alone.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A client of one collector. Cheap to clone.
#[derive(Clone)]
pub(super) struct Collector {
    client: reqwest::Client,
    /// Scheme, host and port.
    place: Arc<str>,
    /// Why the last attempt failed.
    // A `std::sync::Mutex`: held to put a text in or to take it out.
    problem: Arc<Mutex<Option<String>>>,
}

impl Collector {
    /// A client that waits for an answer for so long.
    pub(super) fn new(url: &Url, timeout: Duration) -> Result<Self, String> {
        let mut client = reqwest::Client::builder().timeout(timeout).redirect(redirect::Policy::none());
        if is_loopback(url) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| innermost(&error))?;
        Ok(Self { client, place: url.origin().ascii_serialization().into(), problem: Arc::default() })
    }

    /// Where it is: scheme, host and port.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Why the last attempt failed, once.
    pub(super) fn take_problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, problem: String) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match self.exchange(request).await {
            Ok(response) => {
                if !response.status().is_success() {
                    self.note(format!("it answered with status {}", response.status().as_u16()));
                }
                Ok(response)
            }
            Err(error) => {
                let problem = innermost(&error);
                self.note(problem.clone());
                Err(problem.into())
            }
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> reqwest::Result<Response<Bytes>> {
        let mut answer = self.client.execute(request.try_into()?).await?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'f>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        Box::pin(self.send(request))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collector").field(&self.place).finish()
    }
}

/// Is it on this machine, where no proxy leads?
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The innermost reason of a failure: the outer ones only say that it failed, and where.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no complete answer in time".to_owned();
    }
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(Error::source) {
        cause = Some(inner);
    }
    cause.map_or_else(|| "the request could not be sent".to_owned(), ToString::to_string)
}
