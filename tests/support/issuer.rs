//! An authorization server on a local port.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use http::{Response, StatusCode};
use pressmark::auth::{AuthConfig, Authenticator, JwtConfig, KeySource, RefreshPolicy};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::tokens::now;

pub const AUDIENCE: &str = "https://files.example.com/mcp";

/// How the issuer answers for its keys.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    Good,
    Slow,
    Huge,
    /// As large, without saying so beforehand.
    HugeInChunks,
    Redirecting,
    Failing,
}

/// The server. It stops when it is dropped.
pub struct Issuer {
    pub url: String,
    state: Arc<IssuerState>,
    server: tokio::task::JoinHandle<()>,
}

pub struct IssuerState {
    pub keys: Mutex<Value>,
    pub mood: Mutex<Mood>,
    /// Paths under which metadata is found, and the metadata.
    pub metadata: Mutex<Vec<(String, Value)>>,
    pub asked: Mutex<Vec<String>>,
    key_fetches: AtomicUsize,
}

impl Issuer {
    pub async fn start(keys: Value) -> Self {
        Self::start_at("127.0.0.1:0", keys).await
    }

    /// On this address, without metadata.
    pub async fn start_at(address: &str, keys: Value) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(IssuerState {
            keys: Mutex::new(keys),
            mood: Mutex::new(Mood::Good),
            metadata: Mutex::default(),
            asked: Mutex::default(),
            key_fetches: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&state);
        let router = axum::Router::new().fallback(move |request: Request| answer(Arc::clone(&serving), request));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, state, server }
    }

    /// With metadata under `path` for the issuer `issuer`, which keys at `/keys` belong to.
    pub fn publish(&self, path: &str, issuer: &str) {
        let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{}/keys", self.url), "token_endpoint": "https://unused" });
        self.metadata.lock().expect("not poisoned").push((path.to_owned(), metadata));
    }

    pub fn keys_url(&self) -> KeySource {
        KeySource::Url(format!("{}/keys", self.url))
    }

    pub fn key_fetches(&self) -> usize {
        self.key_fetches.load(Ordering::SeqCst)
    }

    pub fn set_keys(&self, keys: Value) {
        *self.keys.lock().expect("not poisoned") = keys;
    }

    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock().expect("not poisoned") = mood;
    }

    /// Claims of a token that is good for an hour.
    pub fn claims(&self) -> Value {
        json!({ "iss": self.url, "aud": AUDIENCE, "sub": "alice", "exp": now() + 3600, "scope": "files:read" })
    }

    /// Takes tokens of this issuer with keys from `keys`.
    pub fn config(&self, keys: KeySource) -> AuthConfig {
        let jwt = JwtConfig { issuer: Some(self.url.clone()), keys, audiences: vec![AUDIENCE.to_owned()] };
        AuthConfig { jwt: Some(jwt), refresh: patient(), ..AuthConfig::default() }
    }

    pub async fn authenticator(&self) -> Authenticator {
        Authenticator::start(self.config(self.keys_url())).await.expect("starts")
    }

    /// The process dies, open connections and all.
    pub async fn stop(mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl std::ops::Deref for Issuer {
    type Target = IssuerState;

    fn deref(&self) -> &IssuerState {
        &self.state
    }
}

async fn answer(state: Arc<IssuerState>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    state.asked.lock().expect("not poisoned").push(path.clone());
    if path != "/keys" {
        let metadata = state.metadata.lock().expect("not poisoned");
        return match metadata.iter().find(|(at, _)| *at == path) {
            Some((_, metadata)) => Response::new(Body::from(metadata.to_string())),
            None => status(StatusCode::NOT_FOUND),
        };
    }
    state.key_fetches.fetch_add(1, Ordering::SeqCst);
    let mood = *state.mood.lock().expect("not poisoned");
    let keys = state.keys.lock().expect("not poisoned").to_string();
    let huge = || format!("{keys}{}", " ".repeat(1024 * 1024));
    match mood {
        Mood::Good => {
            // Long enough for several callers to find the fetch under way.
            tokio::time::sleep(Duration::from_millis(50)).await;
            Response::new(Body::from(keys))
        }
        Mood::Slow => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Response::new(Body::from(keys))
        }
        Mood::Huge => Response::new(Body::from(huge())),
        Mood::HugeInChunks => {
            let pieces: Vec<_> =
                huge().into_bytes().chunks(64 * 1024).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
            Response::new(Body::from_stream(futures_util::stream::iter(pieces)))
        }
        Mood::Redirecting => {
            let mut response = status(StatusCode::FOUND);
            response.headers_mut().insert("location", "/elsewhere".parse().expect("a header"));
            response
        }
        Mood::Failing => status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Nothing is refreshed while a test runs, unless the test says so.
pub fn patient() -> RefreshPolicy {
    RefreshPolicy { key_set: Duration::from_secs(600), fetch_timeout: Duration::from_secs(2), ..RefreshPolicy::default() }
}
