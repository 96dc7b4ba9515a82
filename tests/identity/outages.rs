//! A provider that is down, frozen, or says something else than keys: at the start of a server, and later.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{sleep, timeout};

use crate::front::Front;
use crate::provider::Provider;
use crate::support::server::Pressmark;
use crate::{RESOURCE, folder, http, list, serve};

/// Longer than a server waits before it asks a provider again.
const LIMIT: Duration = Duration::from_secs(60);
const GARBAGE: &str = "<html><h1>Under maintenance</h1></html>";

/// What `/readyz` says.
async fn readiness(server: &Pressmark) -> (StatusCode, String) {
    let response = http().get(format!("{}/readyz", server.url())).send().await.expect("an answer");
    (response.status(), response.text().await.expect("a text"))
}

/// The server is alive, but sends everybody away until it has keys.
async fn waits_for_keys(server: &Pressmark, token: &str) {
    let alive = http().get(format!("{}/healthz", server.url())).send().await.expect("an answer");
    assert_eq!(alive.status(), StatusCode::OK);
    let (status, text) = readiness(server).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("the keys of the token issuer have not been loaded"), "{text}");
    is_asked_to_wait(server, token).await;
}

/// The token may be good: its bearer must not throw it away.
async fn is_asked_to_wait(server: &Pressmark, token: &str) {
    let reply = list(&server.url(), token).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.text);
    assert_eq!(reply.headers.get("retry-after").map(|seconds| seconds.as_bytes()), Some(&b"5"[..]));
    assert_eq!(reply.headers.get("www-authenticate"), None);
    assert!(reply.text.contains("keep the token and repeat the request"), "{}", reply.text);
}

async fn becomes_ready(server: &Pressmark) {
    let ready = async {
        while readiness(server).await.0 != StatusCode::OK {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(LIMIT, ready).await.expect("the server becomes ready");
}

async fn is_taken(server: &Pressmark, token: &str) {
    let reply = list(&server.url(), token).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

async fn becomes_taken(server: &Pressmark, token: &str) {
    let taken = async {
        while list(&server.url(), token).await.status != StatusCode::OK {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(LIMIT, taken).await.expect("the token is taken");
}

#[tokio::test]
async fn down_at_the_start() {
    let mut provider = Provider::start();
    let token = provider.token("files:read").await;
    provider.kill();
    let folder = folder();
    let server = serve(&folder, provider.issuer());
    waits_for_keys(&server, &token).await;
    provider.restart();
    becomes_ready(&server).await;
    is_taken(&server, &provider.token("files:read").await).await;
    // The provider came back with other keys.
    assert_eq!(list(&server.url(), &token).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn frozen_at_the_start() {
    let provider = Provider::start();
    let token = provider.token("files:read").await;
    provider.freeze();
    let folder = folder();
    let server = serve(&folder, provider.issuer());
    waits_for_keys(&server, &token).await;
    provider.thaw();
    becomes_ready(&server).await;
    is_taken(&server, &token).await;
}

#[tokio::test]
async fn frozen_later() {
    let provider = Provider::start();
    let folder = folder();
    let server = serve(&folder, provider.issuer());
    let (used, unused) = (provider.token("files:read").await, provider.token("files:read").await);
    is_taken(&server, &used).await;
    provider.rotate_at_once().await;
    let new = provider.token("files:read").await;
    provider.freeze();

    is_taken(&server, &used).await;
    is_taken(&server, &unused).await;
    // Whether the new key is one of the provider's cannot be known; those whose key is known do not wait for that.
    let others = async {
        sleep(Duration::from_millis(500)).await;
        is_taken(&server, &used).await;
    };
    let mut waiting = std::pin::pin!(is_asked_to_wait(&server, &new));
    tokio::select! {
        () = &mut waiting => panic!("the provider was not waited for, or others wait as well"),
        () = others => {}
    }
    waiting.await;
    assert_eq!(readiness(&server).await.0, StatusCode::OK);
    assert!(server.stderr().contains("cannot refresh the key set; the last good one stays in force"), "{}", server.stderr());

    provider.thaw();
    becomes_taken(&server, &new).await;
    assert_eq!(list(&server.url(), &used).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn garbage_at_the_start_and_later() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let broken = directory.path().join("broken");
    let garbage = format!("if (-f {}) {{ return 200 '{GARBAGE}'; }}", broken.display());
    let front = Front::start(&format!("location = /jwks {{ {garbage} proxy_pass PROVIDER; }}"));
    let provider = Provider::start_as(&front.url(), front.provider(), RESOURCE);
    let set_broken = || std::fs::write(&broken, "").expect("a file can be written");
    let mend = || std::fs::remove_file(&broken).expect("a file can be removed");

    set_broken();
    let folder = folder();
    let server = serve(&folder, provider.issuer());
    let used = provider.token("files:read").await;
    waits_for_keys(&server, &used).await;
    assert!(server.stderr().contains("it is not a JWK set: JSON with an array `keys`"), "{}", server.stderr());
    mend();
    becomes_ready(&server).await;
    is_taken(&server, &used).await;

    set_broken();
    provider.rotate_at_once().await;
    let new = provider.token("files:read").await;
    is_asked_to_wait(&server, &new).await;
    is_taken(&server, &used).await;
    assert_eq!(readiness(&server).await.0, StatusCode::OK);
    mend();
    becomes_taken(&server, &new).await;
}
