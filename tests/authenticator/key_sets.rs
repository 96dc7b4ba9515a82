//! Where keys come from, and what happens when they change or cannot be had.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pressmark::auth::{AuthConfig, Authenticator, KeySource, RefreshPolicy};
use serde_json::json;

use crate::outcome::{becomes, outcome};
use crate::support::issuer::{Issuer, Mood, patient};
use crate::support::tokens::{ED, P256, P384, RSA, jwks, with};

#[tokio::test]
async fn metadata_is_found_in_every_place_where_it_may_be() {
    let cases: [(&str, &str, &[&str]); 6] = [
        ("", "/.well-known/oauth-authorization-server", &[]),
        ("", "/.well-known/openid-configuration", &["/.well-known/oauth-authorization-server"]),
        ("/", "/.well-known/openid-configuration", &["/.well-known/oauth-authorization-server"]),
        ("/tenant", "/.well-known/oauth-authorization-server/tenant", &[]),
        ("/tenant", "/.well-known/openid-configuration/tenant", &["/.well-known/oauth-authorization-server/tenant"]),
        (
            "/a/b/",
            "/a/b/.well-known/openid-configuration",
            &["/.well-known/oauth-authorization-server/a/b", "/.well-known/openid-configuration/a/b"],
        ),
    ];
    for (path, metadata, before) in cases {
        let issuer = Issuer::start(jwks(&[&ED])).await;
        let name = format!("{}{path}", issuer.url);
        issuer.publish(metadata, &name);
        let mut config = issuer.config(KeySource::Discovery);
        config.jwt.as_mut().expect("configured").issuer = Some(name.clone());
        let authenticator = Authenticator::start(config).await.expect("starts");
        assert!(authenticator.is_ready(), "{name}");
        let token = ED.sign(&with(issuer.claims(), json!({ "iss": name })));
        assert_eq!(outcome(&authenticator, &token).await, "ok", "{name}");
        let asked: Vec<String> = before.iter().chain(&[metadata, "/keys"]).map(|&path| path.to_owned()).collect();
        assert_eq!(*issuer.asked.lock().expect("not poisoned"), asked, "{name}");
    }
}

#[tokio::test]
async fn metadata_that_cannot_be_trusted_gives_no_keys() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let good = json!({ "issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url) });
    for change in [
        json!({ "issuer": format!("{}/", issuer.url) }),
        json!({ "issuer": "https://evil.example" }),
        json!({ "issuer": null }),
        json!({ "jwks_uri": "http://keys.example/keys" }),
        json!({ "jwks_uri": "file:///etc/passwd" }),
        json!({ "jwks_uri": "/keys" }),
        json!({ "jwks_uri": null }),
    ] {
        let metadata = with(good.clone(), change.clone());
        *issuer.metadata.lock().expect("not poisoned") = vec![("/.well-known/oauth-authorization-server".to_owned(), metadata)];
        let authenticator = Authenticator::start(issuer.config(KeySource::Discovery)).await.expect("starts");
        assert!(!authenticator.is_ready(), "{change}");
        assert_eq!(outcome(&authenticator, &ED.sign(&issuer.claims())).await, "no_keys", "{change}");
    }
    assert_eq!(issuer.key_fetches(), 0);
}

#[tokio::test]
async fn an_answer_out_of_bounds_gives_no_keys() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let token = ED.sign(&issuer.claims());
    for mood in [Mood::Slow, Mood::Huge, Mood::HugeInChunks, Mood::Redirecting, Mood::Failing] {
        issuer.set_mood(mood);
        let began = Instant::now();
        let authenticator = issuer.authenticator().await;
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(outcome(&authenticator, &token).await, "no_keys");
        assert_eq!(outcome(&authenticator, "garbage").await, "malformed_token");
    }
    assert!(!issuer.asked.lock().expect("not poisoned").contains(&"/elsewhere".to_owned()));
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let mut config = issuer.config(issuer.keys_url());
    config.refresh.unknown_key = Duration::from_millis(1500);
    // Made beforehand, because it takes long.
    let rotated = jwks(&[&RSA]);
    let authenticator = Authenticator::start(config).await.expect("starts");
    assert_eq!(issuer.key_fetches(), 1);

    issuer.set_keys(jwks(&[&ED, &P256]));
    let began = Instant::now();
    assert_eq!(outcome(&authenticator, &P256.sign(&issuer.claims())).await, "ok");
    assert_eq!(issuer.key_fetches(), 2);

    // Rotated again at once: not fetched again before its time.
    issuer.set_keys(rotated);
    let token = RSA.sign(&issuer.claims());
    assert_eq!(outcome(&authenticator, &token).await, "unknown_key");
    assert_eq!(outcome(&authenticator, &token).await, "unknown_key");
    assert!(began.elapsed() < Duration::from_millis(1500), "too slow to tell");
    assert_eq!(issuer.key_fetches(), 2);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(outcome(&authenticator, &token).await, "ok");
    assert_eq!(issuer.key_fetches(), 3);

    // The old keys are gone, also for tokens checked a moment ago.
    assert_eq!(outcome(&authenticator, &P256.sign(&issuer.claims())).await, "unknown_key");
}

#[tokio::test]
async fn while_the_issuer_is_away_an_unknown_key_may_be_a_new_one() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let mut config = issuer.config(issuer.keys_url());
    config.refresh.unknown_key = Duration::from_millis(200);
    let authenticator = Authenticator::start(config).await.expect("starts");
    issuer.set_mood(Mood::Failing);
    issuer.set_keys(jwks(&[&ED, &P256]));
    let (new, wrong) = (P256.sign(&issuer.claims()), P384.sign(&issuer.claims()));
    for token in [&new, &wrong, &new] {
        assert_eq!(outcome(&authenticator, token).await, "no_keys");
    }
    assert_eq!(outcome(&authenticator, &ED.sign(&issuer.claims())).await, "ok");
    issuer.set_mood(Mood::Good);
    becomes(&authenticator, &new, "ok").await;
    assert_eq!(outcome(&authenticator, &wrong).await, "unknown_key");
}

#[tokio::test]
async fn a_removed_key_is_forgotten_with_the_tokens_it_signed() {
    let issuer = Issuer::start(jwks(&[&ED, &P256])).await;
    let mut config = issuer.config(issuer.keys_url());
    config.refresh.key_set = Duration::from_millis(200);
    let authenticator = Authenticator::start(config).await.expect("starts");
    let (removed, kept) = (P256.sign(&issuer.claims()), ED.sign(&issuer.claims()));
    assert_eq!(outcome(&authenticator, &removed).await, "ok");
    assert_eq!(outcome(&authenticator, &kept).await, "ok");
    issuer.set_keys(jwks(&[&ED]));
    becomes(&authenticator, &removed, "unknown_key").await;
    let checked = authenticator.tokens_checked();
    assert_eq!(outcome(&authenticator, &kept).await, "ok");
    assert_eq!(authenticator.tokens_checked(), checked, "a token of a key that stayed is still remembered");
}

#[tokio::test]
async fn one_fetch_serves_all_who_wait() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let authenticator = issuer.authenticator().await;
    issuer.set_keys(jwks(&[&ED, &P256]));
    let tokens: Vec<_> = (0..50).map(|jti| P256.sign(&with(issuer.claims(), json!({ "jti": jti })))).collect();
    let outcomes = join_all(tokens.iter().map(|token| outcome(&authenticator, token))).await;
    assert_eq!(outcomes, vec!["ok"; 50]);
    assert_eq!(issuer.key_fetches(), 2);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_break_off_the_fetch() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let authenticator = issuer.authenticator().await;
    issuer.set_keys(jwks(&[&P256]));
    let token = P256.sign(&issuer.claims());
    let hung_up = tokio::time::timeout(Duration::from_millis(10), outcome(&authenticator, &token)).await;
    assert!(hung_up.is_err(), "the fetch takes longer than that");
    assert_eq!(outcome(&authenticator, &token).await, "ok");
    assert_eq!(issuer.key_fetches(), 2);
}

#[tokio::test]
async fn the_last_good_keys_outlive_the_issuer() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let mut config = issuer.config(issuer.keys_url());
    config.refresh = RefreshPolicy { key_set: Duration::from_millis(50), retry: Duration::from_millis(50), ..patient() };
    let authenticator = Authenticator::start(config).await.expect("starts");
    // Answers that are no key set, then none at all.
    for keys in [json!({ "keys": [] }), json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] }), json!([]), json!("<html>")] {
        issuer.set_keys(keys);
        let before = issuer.key_fetches();
        while issuer.key_fetches() < before + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(outcome(&authenticator, &ED.sign(&issuer.claims())).await, "ok");
    }
    let token = ED.sign(&with(issuer.claims(), json!({ "jti": "after" })));
    issuer.stop().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(authenticator.is_ready());
    assert_eq!(outcome(&authenticator, &token).await, "ok");
}

#[tokio::test]
async fn an_issuer_that_comes_late_is_waited_for() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let address = issuer.url.strip_prefix("http://").expect("http").to_owned();
    let token = ED.sign(&issuer.claims());
    let mut config = issuer.config(issuer.keys_url());
    config.refresh.retry = Duration::from_millis(50);
    issuer.stop().await;

    let authenticator = Authenticator::start(config).await.expect("starts without the issuer");
    assert!(!authenticator.is_ready());
    assert_eq!(outcome(&authenticator, &token).await, "no_keys");

    let _issuer = Issuer::start_at(&address, jwks(&[&ED])).await;
    becomes(&authenticator, &token, "ok").await;
    assert!(authenticator.is_ready());
}

#[tokio::test]
async fn a_key_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    std::fs::write(&path, jwks(&[&ED]).to_string()).expect("written");
    let issuer = Issuer::start(json!(null)).await;
    let mut config = issuer.config(KeySource::File(path.clone()));
    config.refresh.files = Duration::from_millis(50);
    let authenticator = Authenticator::start(config).await.expect("starts");
    let (old, new) = (ED.sign(&issuer.claims()), P256.sign(&issuer.claims()));
    assert_eq!(outcome(&authenticator, &old).await, "ok");
    assert_eq!(outcome(&authenticator, &new).await, "unknown_key");

    std::fs::write(&path, "{ half a fi").expect("written");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(outcome(&authenticator, &old).await, "ok", "a broken file changes nothing");

    std::fs::write(&path, jwks(&[&P256]).to_string()).expect("written");
    becomes(&authenticator, &new, "ok").await;
    assert_eq!(outcome(&authenticator, &old).await, "unknown_key");
    assert_eq!(issuer.asked.lock().expect("not poisoned").len(), 0);
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.json");
    std::fs::write(&empty, r#"{"keys":[]}"#).expect("written");
    let with_issuer = |issuer_url: Option<&str>, keys: KeySource| {
        let mut config = issuer.config(keys);
        config.jwt.as_mut().expect("configured").issuer = issuer_url.map(str::to_owned);
        config
    };
    let no_audience = {
        let mut config = issuer.config(issuer.keys_url());
        config.jwt.as_mut().expect("configured").audiences.clear();
        config
    };
    let cases = [
        (AuthConfig::default(), "authentication: no way to authenticate callers is configured"),
        (AuthConfig { no_auth: true, ..issuer.config(issuer.keys_url()) }, "authentication: \"no authentication\" excludes"),
        (no_audience, "JWT audience: name at least one"),
        (with_issuer(None, KeySource::Discovery), "JWT issuer: discovery of its keys needs an issuer"),
        (with_issuer(Some("http://issuer.example"), KeySource::Discovery), "JWT issuer: it must be an https URL"),
        (with_issuer(Some("https://u:p@issuer.example"), KeySource::Discovery), "without user, password and fragment"),
        (with_issuer(Some("https://issuer.example/?a=b"), KeySource::Discovery), "it must be a URL without a query"),
        (with_issuer(Some("issuer"), KeySource::Discovery), "JWT issuer: relative URL without a base"),
        (with_issuer(None, KeySource::Url("http://keys.example".to_owned())), "JWK set URL: it must be an https URL"),
        (with_issuer(None, KeySource::File(folder.path().join("none.json"))), "No such file or directory"),
        (with_issuer(None, KeySource::File(empty)), "it has no key for RS256, PS256, ES256, ES384 or EdDSA"),
        (with_issuer(None, KeySource::File(folder.path().to_owned())), "it is not a regular file"),
    ];
    for (config, wanted) in cases {
        let error = Authenticator::start(config).await.expect_err(wanted).to_string();
        assert!(error.contains(wanted) && !error.contains('\n'), "{error} / {wanted}");
        assert!(!error.contains(":p@"), "{error}");
    }
}
