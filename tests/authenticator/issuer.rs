//! An authorization server on a local port, and the keys that it signs with.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use axum::body::Body;
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pressmark::auth::{AuthConfig, AuthError, Authenticator, JwtConfig, KeySource, Principal, RefreshPolicy};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const AUDIENCE: &str = "https://files.example.com/mcp";

/// A key pair of the issuer.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) kid: &'static str,
    pub(crate) algorithm: Algorithm,
    pub(crate) private: EncodingKey,
}

pub(crate) static RSA: LazyLock<Key> = LazyLock::new(|| rsa_key("rsa"));
pub(crate) static OTHER_RSA: LazyLock<Key> = LazyLock::new(|| rsa_key("other-rsa"));
pub(crate) static P256: LazyLock<Key> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("DER").as_ref());
    Key { kid: "p256", algorithm: Algorithm::ES256, private }
});
pub(crate) static P384: LazyLock<Key> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
    let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("DER").as_ref());
    Key { kid: "p384", algorithm: Algorithm::ES384, private }
});
pub(crate) static ED: LazyLock<Key> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let private = EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("DER").as_ref());
    Key { kid: "ed", algorithm: Algorithm::EdDSA, private }
});

fn rsa_key(kid: &'static str) -> Key {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(pair.as_der().expect("DER").as_ref() as &[u8])
    );
    Key { kid, algorithm: Algorithm::RS256, private: EncodingKey::from_rsa_pem(pem.as_bytes()).expect("PEM") }
}

impl Key {
    /// The same key under another name.
    pub(crate) fn named(&self, kid: &'static str) -> Self {
        Self { kid, ..self.clone() }
    }

    /// The same key, signing in another way.
    pub(crate) fn signing(&self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self.clone() }
    }

    /// The public half as a JWK, with `kid` and no `alg`.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm).expect("a JWK")).expect("JSON");
        jwk["kid"] = self.kid.into();
        jwk.as_object_mut().expect("an object").remove("alg");
        jwk
    }

    pub(crate) fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.to_owned());
        header
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    pub(crate) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).expect("a token")
    }
}

/// A key set of these keys.
pub(crate) fn jwks(keys: &[&Key]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// `claims` with `changes` on top; a change to null takes the claim away.
pub(crate) fn with(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// How the issuer answers for its keys.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Good,
    Slow,
    Huge,
    /// As large, without saying so beforehand.
    HugeInChunks,
    Redirecting,
    Failing,
}

/// The server. It stops when it is dropped.
pub(crate) struct Issuer {
    pub(crate) url: String,
    state: Arc<IssuerState>,
    server: tokio::task::JoinHandle<()>,
}

pub(crate) struct IssuerState {
    pub(crate) keys: Mutex<Value>,
    pub(crate) mood: Mutex<Mood>,
    /// Paths under which metadata is found, and the metadata.
    pub(crate) metadata: Mutex<Vec<(String, Value)>>,
    pub(crate) asked: Mutex<Vec<String>>,
    key_fetches: AtomicUsize,
}

impl Issuer {
    pub(crate) async fn start(keys: Value) -> Self {
        Self::start_at("127.0.0.1:0", keys).await
    }

    /// On this address, without metadata.
    pub(crate) async fn start_at(address: &str, keys: Value) -> Self {
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
    pub(crate) fn publish(&self, path: &str, issuer: &str) {
        let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{}/keys", self.url), "token_endpoint": "https://unused" });
        self.metadata.lock().expect("not poisoned").push((path.to_owned(), metadata));
    }

    pub(crate) fn keys_url(&self) -> KeySource {
        KeySource::Url(format!("{}/keys", self.url))
    }

    pub(crate) fn key_fetches(&self) -> usize {
        self.key_fetches.load(Ordering::SeqCst)
    }

    pub(crate) fn set_keys(&self, keys: Value) {
        *self.keys.lock().expect("not poisoned") = keys;
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.mood.lock().expect("not poisoned") = mood;
    }

    /// Claims of a token that is good for an hour.
    pub(crate) fn claims(&self) -> Value {
        json!({ "iss": self.url, "aud": AUDIENCE, "sub": "alice", "exp": now() + 3600, "scope": "files:read" })
    }

    /// Takes tokens of this issuer with keys from `keys`.
    pub(crate) fn config(&self, keys: KeySource) -> AuthConfig {
        let jwt = JwtConfig { issuer: Some(self.url.clone()), keys, audiences: vec![AUDIENCE.to_owned()] };
        AuthConfig { jwt: Some(jwt), refresh: patient(), ..AuthConfig::default() }
    }

    pub(crate) async fn authenticator(&self) -> Authenticator {
        Authenticator::start(self.config(self.keys_url())).await.expect("starts")
    }

    /// The process dies, open connections and all.
    pub(crate) async fn stop(mut self) {
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
pub(crate) fn patient() -> RefreshPolicy {
    RefreshPolicy { key_set: Duration::from_secs(600), fetch_timeout: Duration::from_secs(2), ..RefreshPolicy::default() }
}

pub(crate) async fn bearer(authenticator: &Authenticator, token: &str) -> Result<Arc<Principal>, AuthError> {
    authenticator.authenticate(Some(&format!("Bearer {token}"))).await
}

/// `ok`, or the reason why not.
pub(crate) async fn outcome(authenticator: &Authenticator, token: &str) -> &'static str {
    bearer(authenticator, token).await.map_or_else(AuthError::reason, |_| "ok")
}

/// Asks again until `token` is answered with `wanted`.
pub(crate) async fn becomes(authenticator: &Authenticator, token: &str, wanted: &str) {
    for _ in 0..200 {
        if outcome(authenticator, token).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still {} and not {wanted}", outcome(authenticator, token).await);
}
