//! What is refused at the start, and in which words.

use bytes::Bytes;
use pressmark::state::SharedState;

use super::support::process::free_port;
use super::support::redis::{RedisServer, SentinelSet};
use super::{TTL, connect, try_connect};

async fn refused(url: &str) -> String {
    let error = try_connect(url).await.expect_err("no state to be had there").to_string();
    assert!(!error.contains("hunter2") && !error.contains("127.0.0.1") && !error.contains('\n'), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listening_or_nobody_answering_is_said_soon() {
    let port = free_port();
    for scheme in ["redis", "rediss", "redis+cluster"] {
        let error = refused(&format!("{scheme}://:hunter2@127.0.0.1:{port}")).await;
        assert!(error.starts_with("shared state is unavailable: "), "{error}");
    }
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mute = mute.local_addr().expect("bound").port();
    for url in [
        format!("redis://127.0.0.1:{mute}"),
        format!("rediss://127.0.0.1:{mute}"),
        format!("redis+cluster://127.0.0.1:{mute}"),
        format!("redis+sentinel://127.0.0.1:{mute},127.0.0.1:{port}/main"),
    ] {
        refused(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_the_database_are_used() {
    let server = RedisServer::start_with(&["requirepass hun@ter2/"]);
    let address = format!("127.0.0.1:{}", server.port());
    let state = connect(&format!("redis://:hun%40ter2%2F@{address}/3")).await;
    state.put("numbered", Bytes::from_static(b"1"), TTL).await.expect("a write");
    assert_eq!(server.cli(&["-n", "3", "GET", "numbered"]), "1");
    for url in [format!("redis://{address}"), format!("redis://:hunter2@{address}"), format!("redis://me:hunter2@{address}")] {
        assert!(refused(&url).await.contains("refuses the credentials"));
    }
}

/// The system's certificate authorities are read from the environment, which a test may not change in its own process:
/// it runs itself in another.
#[tokio::test(flavor = "multi_thread")]
async fn tls_trusts_the_certificate_authorities_of_the_system_and_no_others() {
    const URL: &str = "TLS_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        let state = connect(&url).await;
        state.put("over-tls", Bytes::from_static(b"1"), TTL).await.expect("a write");
        return;
    }
    let server = RedisServer::start_with_tls();
    let url = format!("rediss://127.0.0.1:{}", server.port());
    let error = refused(&url).await;
    assert!(error.contains("the TLS handshake with Redis failed"), "{error}");
    let name = "start::tls_trusts_the_certificate_authorities_of_the_system_and_no_others";
    let ran = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", name])
        .envs([(URL, url.as_str()), ("SSL_CERT_FILE", server.certificate().to_str().expect("UTF-8"))])
        .output()
        .expect("this test runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert_eq!(server.calls("getex"), 1, "the other process was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_cannot_do_what_is_needed_is_refused() {
    let old = RedisServer::start_with(&["rename-command GETEX \"\""]);
    assert!(refused(&old.url()).await.contains("Redis 6.2 or later is needed"));

    let replica = RedisServer::start_with(&[&format!("replicaof 127.0.0.1 {}", free_port())]);
    assert!(refused(&replica.url()).await.contains("read-only replica"));

    let full = RedisServer::start_with(&["maxmemory 1", "maxmemory-policy noeviction"]);
    assert!(refused(&full.url()).await.contains("out of memory"));

    let rights = ["~* +get +set", "~* &* +@all -eval", "~* &* +@all -xadd", "~* +@all resetchannels", "~other:* &* +@all"];
    for rights in rights {
        let restricted = RedisServer::start_with(&[&format!("user reader on >hunter2 {rights}")]);
        let error = refused(&format!("redis://reader:hunter2@127.0.0.1:{}", restricted.port())).await;
        assert!(error.contains("lacks permission"), "{rights}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_is_asked_for_the_right_service_by_whichever_is_left() {
    let mut set = SentinelSet::start();
    let error = refused(&set.url().replace("/main", "/other")).await;
    assert!(error.contains("knows no service of this name"), "{error}");
    set.kill_sentinel(0);
    set.kill_sentinel(2);
    connect(&set.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_ask_for_a_password_get_the_one_of_the_servers() {
    let set = SentinelSet::start_with_password("hunter2");
    connect(&set.url().replace("://", "://:hunter2@")).await;
    assert!(refused(&set.url()).await.contains("refuses the credentials"));
}
