//! What is said over HTTP to those who may not come in, and what is never said or logged.

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use pressmark::auth::{AuthConfig, Authenticator, Permission, Scope};
use pressmark::http::authenticate::{AuthenticateLayer, Authenticated};
use pressmark::http::challenge::Challenge;
use pressmark::http::well_known::{PROTECTED_RESOURCE_PATHS, ProtectedResource};
use pressmark::metrics::Metrics;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::issuer::Issuer;
use crate::support::tokens::{ED, OTHER_RSA, RSA, jwks, now, with};

const PUBLIC_URL: &str = "https://files.example.com/";
const PLACE: &str = r#"resource_metadata="https://files.example.com/.well-known/oauth-protected-resource/mcp""#;

/// Sends a request with these `Authorization` headers through the layer to a service that answers with the caller's
/// name and with every header it got.
async fn send(authenticator: &Arc<Authenticator>, authorization: &[&[u8]]) -> (StatusCode, HeaderMap, String) {
    let resource = ProtectedResource::new(PUBLIC_URL, authenticator.issuer());
    let service = AuthenticateLayer::new(Arc::clone(authenticator), &resource, Metrics::new().auth_failures()).layer(service_fn(
        |request: Authenticated<Body>| async move {
            let (principal, request) = request.into_parts();
            let principal = &principal.subject;
            let seen = format!("{principal} {:?}", request.headers());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(seen))))
        },
    ));
    // A body that is never finished: an answer comes before it is read.
    let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    let mut request = Request::post("/mcp?access_token=dev").body(body).expect("a request");
    for value in authorization {
        request.headers_mut().append("authorization", (*value).try_into().expect("a header"));
    }
    let (head, body) = service.oneshot(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (head.status, head.headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

async fn dev_authenticator() -> Arc<Authenticator> {
    let config = AuthConfig { dev_token: Some("dev".to_owned()), ..AuthConfig::default() };
    Arc::new(Authenticator::start(config).await.expect("starts"))
}

#[tokio::test]
async fn refusals_with_an_authorization_server() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let authenticator = Arc::new(issuer.authenticator().await);
    let bearer = |claims: &Value| format!("Bearer {}", ED.sign(claims));
    let expired = bearer(&with(issuer.claims(), json!({ "exp": now() - 100 })));
    let foreign = bearer(&with(issuer.claims(), json!({ "aud": "https://other.example.com/mcp" })));
    let good = bearer(&issuer.claims());
    let invalid = |description: &str| {
        format!(r#"Bearer {PLACE}, scope="files:read", error="invalid_token", error_description="{description}""#)
    };
    let malformed = format!(
        r#"Bearer {PLACE}, error="invalid_request", error_description="the Authorization header is not of the form `Bearer <token>`, sent once""#
    );
    let cases: [(&[&[u8]], u16, String); 8] = [
        (&[], 401, format!(r#"Bearer {PLACE}, scope="files:read""#)),
        (&[b"Basic eDp5"], 401, format!(r#"Bearer {PLACE}, scope="files:read""#)),
        (&[b"Bearer garbage"], 401, invalid("the token is not a well-formed signed JWT")),
        (&[expired.as_bytes()], 401, invalid("the token has expired")),
        (&[foreign.as_bytes()], 401, invalid("the token is for another audience")),
        (&[b"Bearer"], 400, malformed.clone()),
        (&[b"Bearer t\xff"], 400, malformed.clone()),
        (&[good.as_bytes(), good.as_bytes()], 400, malformed),
    ];
    for (authorization, status, challenge) in cases {
        let (got, headers, body) = send(&authenticator, authorization).await;
        assert_eq!(got.as_u16(), status, "{challenge}");
        assert_eq!(headers["www-authenticate"], challenge);
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["cache-control"], "no-store");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((&body["jsonrpc"], &body["error"]["code"], body.get("id")), (&json!("2.0"), &json!(status), None));
        assert!(body["error"]["message"].as_str().expect("a text").len() > 40, "{body}");
    }
    let (status, _, seen) = send(&authenticator, &[good.as_bytes()]).await;
    assert_eq!((status, seen.as_str()), (StatusCode::OK, "alice {}"), "the token goes no further");
}

#[tokio::test]
async fn without_an_authorization_server_nobody_is_sent_to_one() {
    let authenticator = dev_authenticator().await;
    let (status, headers, body) = send(&authenticator, &[]).await;
    assert_eq!(status, 401, "a token in the URL is none");
    assert_eq!(headers["www-authenticate"], r#"Bearer realm="pressmark", scope="files:read""#);
    let message = "this server needs a bearer token; send `Authorization: Bearer <token>`; use the token that `pressmark serve` \
                   printed when it started, or that was given to it as --dev-token";
    assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON")["error"]["message"], message);
    let (_, headers, _) = send(&authenticator, &[b"Bearer wrong"]).await;
    let wanted = r#"Bearer realm="pressmark", scope="files:read", error="invalid_token", error_description="the token is not known to this server""#;
    assert_eq!(headers["www-authenticate"], wanted);
    let (status, _, seen) = send(&authenticator, &[b"Bearer dev"]).await;
    assert_eq!((status, seen.as_str()), (StatusCode::OK, "developer {}"));
}

#[tokio::test]
async fn without_keys_the_client_is_told_to_come_back() {
    let issuer = Issuer::start(json!({})).await;
    let authenticator = Arc::new(issuer.authenticator().await);
    let token = format!("Bearer {}", ED.sign(&issuer.claims()));
    let (status, headers, body) = send(&authenticator, &[token.as_bytes()]).await;
    assert_eq!(status, 503);
    assert_eq!(headers["retry-after"], "5");
    assert!(!headers.contains_key("www-authenticate"), "the token may be good");
    assert!(body.contains("repeat the request after 5 s"), "{body}");
}

#[test]
fn a_forbidden_call_is_told_everything_it_needs() {
    let challenge = Challenge::new(&ProtectedResource::new(PUBLIC_URL, Some("https://issuer.example.com")));
    let needed = [Scope::Files(Permission::Write), Scope::Files(Permission::Delete), Scope::Named("reports")];
    let header = challenge.insufficient_scope(&needed, "move_file needs \"more\" \\ élan\r\nX-Evil: 1");
    let wanted = format!(
        r#"Bearer {PLACE}, scope="files:write files:delete reports", error="insufficient_scope", error_description="move_file needs 'more' / ?lan??X-Evil: 1""#
    );
    assert_eq!(header, wanted);
}

#[tokio::test]
async fn protected_resource_metadata() {
    let get = async |resource: &ProtectedResource, method: &str, path: &str| {
        let router =
            PROTECTED_RESOURCE_PATHS.iter().fold(axum::Router::new(), |router, path| router.route(path, resource.handler()));
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let (head, body) = router.oneshot(request).await.expect("an answer").into_parts();
        (head, body.collect().await.expect("a body").to_bytes())
    };
    let resource = ProtectedResource::new(PUBLIC_URL, Some("https://issuer.example.com/tenant"));
    assert_eq!(resource.resource(), "https://files.example.com/mcp");
    for path in PROTECTED_RESOURCE_PATHS {
        let (head, body) = get(&resource, "GET", path).await;
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(head.headers["access-control-allow-origin"], "*");
        let document = json!({
            "resource": "https://files.example.com/mcp",
            "authorization_servers": ["https://issuer.example.com/tenant"],
            "scopes_supported": ["files", "files:read", "files:write", "files:delete"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Pressmark",
        });
        assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON"), document);
        let (head, _) = get(&resource, "OPTIONS", path).await;
        assert_eq!(
            (head.status, &head.headers["access-control-allow-methods"]),
            (StatusCode::NO_CONTENT, &"GET".parse().expect("a value"))
        );
        assert_eq!(get(&resource, "POST", path).await.0.status, 405);
        assert_eq!(get(&ProtectedResource::new(PUBLIC_URL, None), "GET", path).await.0.status, 404);
    }
}

/// Everything that is logged, down to the finest level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_token_is_ever_shown() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process, so that the tests that run beside this one are read, too.
    tracing::subscriber::set_global_default(subscriber).expect("the only one");

    let issuer = Issuer::start(jwks(&[&ED])).await;
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys.toml");
    std::fs::write(&keys, "").expect("written");
    let config =
        AuthConfig { dev_token: Some("dev-s3cret".to_owned()), api_keys: Some(keys), ..issuer.config(issuer.keys_url()) };
    let mut shown = format!("{config:?}");
    let authenticator = Arc::new(Authenticator::start(config).await.expect("starts"));
    shown += &format!("{authenticator:?}");
    let tokens = [
        "dev-s3cret".to_owned(),
        "wrong-s3cret".to_owned(),
        "pm_s3cret".to_owned(),
        ED.sign(&issuer.claims()),
        ED.sign(&with(issuer.claims(), json!({ "exp": now() - 100 }))),
        OTHER_RSA.named(ED.kid).sign(&issuer.claims()),
        RSA.sign(&issuer.claims()),
    ];
    for token in &tokens {
        let result = authenticator.authenticate(Some(&format!("Bearer {token}"))).await;
        shown += &format!("{result:?}");
        if let Err(error) = result {
            shown += &format!("{error} {}", error.reason());
        }
        let (_, headers, body) = send(&authenticator, &[format!("Bearer {token}").as_bytes()]).await;
        shown += &format!("{headers:?} {body}");
        shown += &send(&authenticator, &[format!("Bearer {token} {token}").as_bytes()]).await.2;
    }
    let log = String::from_utf8(log.0.lock().expect("not poisoned").clone()).expect("UTF-8");
    assert!(log.contains("fetched the key set"), "it is a log: {log}");
    shown += &log;
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 5) {
            assert!(!shown.contains(part), "{part} is in {shown}");
        }
    }
    assert!(!shown.contains("s3cret"));
}
