//! Which signed tokens are taken, and which are not.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pressmark::auth::{Authenticator, Permission};
use pressmark::path::TreePath;
use serde_json::{Value, json};

use crate::outcome::{bearer, outcome};
use crate::support::issuer::Issuer;
use crate::support::tokens::{ED, Key, OTHER_RSA, P256, P384, RSA, jwks, now, with};

async fn issuer_with_every_key() -> (Issuer, Authenticator) {
    let issuer = Issuer::start(jwks(&[&RSA, &P256, &P384, &ED])).await;
    let authenticator = issuer.authenticator().await;
    (issuer, authenticator)
}

#[tokio::test]
async fn every_algorithm_is_taken_from_a_key_that_is_for_it() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    for key in [RSA.clone(), RSA.signing(Algorithm::PS256), P256.clone(), P384.clone(), ED.clone()] {
        let principal = bearer(&authenticator, &key.sign(&issuer.claims())).await.expect("a good token");
        assert_eq!((principal.issuer.as_str(), principal.subject.as_str()), (issuer.url.as_str(), "alice"));
        assert!(principal.scopes.allows(Permission::Read, &TreePath::root()));
        assert!(!principal.scopes.allows(Permission::Write, &TreePath::root()));
    }
}

#[tokio::test]
async fn the_key_decides_the_algorithm() {
    let rsa_for = |alg: &str| json!({ "keys": [with(RSA.jwk(), json!({ "alg": alg })), P256.jwk()] });
    let public = RSA.jwk()["n"].as_str().expect("a modulus").to_owned();
    let hmac = |algorithm, secret: &[u8]| Key { kid: RSA.kid, algorithm, private: EncodingKey::from_secret(secret) };
    let cases = [
        ("PS256", RSA.signing(Algorithm::PS256), "ok"),
        ("PS256", RSA.clone(), "wrong_algorithm"),
        ("RS256", RSA.signing(Algorithm::PS256), "wrong_algorithm"),
        ("RS512", RSA.clone(), "unknown_key"),
        ("HS256", hmac(Algorithm::HS256, public.as_bytes()), "wrong_algorithm"),
        ("RS256", hmac(Algorithm::HS256, public.as_bytes()), "wrong_algorithm"),
        ("RS256", hmac(Algorithm::HS512, &URL_SAFE_NO_PAD.decode(&public).expect("base64")), "wrong_algorithm"),
        ("RS256", RSA.signing(Algorithm::RS384), "wrong_algorithm"),
        ("RS256", RSA.signing(Algorithm::PS512), "wrong_algorithm"),
        ("RS256", RSA.named(P256.kid), "wrong_algorithm"),
        ("RS256", P256.named(RSA.kid), "wrong_algorithm"),
        ("RS256", OTHER_RSA.named(RSA.kid), "wrong_signature"),
    ];
    for (index, (alg, key, wanted)) in cases.into_iter().enumerate() {
        let issuer = Issuer::start(rsa_for(alg)).await;
        let authenticator = issuer.authenticator().await;
        assert_eq!(outcome(&authenticator, &key.sign(&issuer.claims())).await, wanted, "case {index}");
    }
}

#[tokio::test]
async fn keys_for_other_purposes_are_passed_over() {
    for change in
        [json!({ "use": "enc" }), json!({ "key_ops": ["encrypt"] }), json!({ "alg": "RSA-OAEP" }), json!({ "kty": "oct" })]
    {
        let issuer = Issuer::start(json!({ "keys": [with(RSA.jwk(), change.clone()), { "kty": "new" }, 7, P256.jwk()] })).await;
        let authenticator = issuer.authenticator().await;
        assert_eq!(outcome(&authenticator, &RSA.sign(&issuer.claims())).await, "unknown_key", "{change}");
        assert_eq!(outcome(&authenticator, &P256.sign(&issuer.claims())).await, "ok", "{change}");
    }
}

#[tokio::test]
async fn claims() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    let cases = [
        (json!({}), "ok"),
        (json!({ "exp": now() - 55 }), "ok"),
        (json!({ "exp": now() - 65 }), "expired"),
        (json!({ "exp": (now() + 100) as f64 + 0.5 }), "ok"),
        (json!({ "exp": null }), "missing_claim"),
        (json!({ "exp": "tomorrow" }), "malformed_token"),
        (json!({ "exp": -1 }), "missing_claim"),
        (json!({ "exp": 1e300 }), "missing_claim"),
        (json!({ "exp": u64::MAX }), "malformed_token"),
        (json!({ "nbf": now() + 55 }), "ok"),
        (json!({ "nbf": now() + 65 }), "not_yet_valid"),
        (json!({ "nbf": "soon" }), "malformed_token"),
        (json!({ "iss": null }), "missing_claim"),
        (json!({ "iss": format!("{}/", issuer.url) }), "wrong_issuer"),
        (json!({ "iss": issuer.url.to_uppercase() }), "wrong_issuer"),
        (json!({ "iss": [issuer.url] }), "malformed_token"),
        (json!({ "aud": null }), "missing_claim"),
        (json!({ "aud": [] }), "wrong_audience"),
        (json!({ "aud": "https://files.example.com" }), "wrong_audience"),
        (json!({ "aud": ["https://other.example.com", "https://files.example.com/mcp"] }), "ok"),
        (json!({ "aud": { "https://files.example.com/mcp": true } }), "missing_claim"),
        (json!({ "sub": null }), "missing_claim"),
        (json!({ "sub": "" }), "missing_claim"),
        (json!({ "sub": 7 }), "malformed_token"),
        (json!({ "at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng" }), "id_token"),
        (json!({ "c_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng" }), "id_token"),
        (json!({ "nonce": "n-0S6_WzA2Mj" }), "ok"),
        (json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }), "sender_constrained"),
        (json!({ "scope": 7 }), "malformed_token"),
    ];
    for (changes, wanted) in cases {
        let token = ED.sign(&with(issuer.claims(), changes.clone()));
        assert_eq!(outcome(&authenticator, &token).await, wanted, "{changes}");
    }
}

#[tokio::test]
async fn headers() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    let evil = format!("{}/evil", issuer.url);
    let cases: [(Value, &str); 16] = [
        (json!({ "typ": "at+jwt" }), "ok"),
        (json!({ "typ": "application/at+jwt" }), "ok"),
        (json!({ "typ": "AT+JWT" }), "ok"),
        (json!({ "typ": "JWT" }), "ok"),
        (json!({ "typ": null }), "ok"),
        (json!({ "typ": "logout+jwt" }), "wrong_type"),
        (json!({ "typ": "dpop+jwt" }), "wrong_type"),
        (json!({ "typ": "" }), "wrong_type"),
        (json!({ "crit": ["b64"], "b64": false }), "critical_extension"),
        (json!({ "crit": [] }), "critical_extension"),
        (json!({ "crit": "exp" }), "malformed_token"),
        (json!({ "kid": "nobody" }), "unknown_key"),
        (json!({ "kid": null }), "ok"),
        (json!({ "kid": 7 }), "malformed_token"),
        (json!({ "jku": evil, "x5u": evil, "jwk": OTHER_RSA.jwk() }), "ok"),
        (json!({ "x5c": ["bm90IGEgY2VydGlmaWNhdGU="] }), "ok"),
    ];
    for (changes, wanted) in cases {
        let header = with(serde_json::to_value(ED.header()).expect("JSON"), changes.clone());
        assert_eq!(outcome(&authenticator, &sign_raw(&ED, &header, &issuer.claims())).await, wanted, "{changes}");
    }
    // A token that brings its own key, and one that says where to fetch it.
    for changes in [json!({ "jwk": OTHER_RSA.jwk() }), json!({ "jku": evil }), json!({ "x5u": evil })] {
        let header = with(serde_json::to_value(OTHER_RSA.named(RSA.kid).header()).expect("JSON"), changes.clone());
        let token = sign_raw(&OTHER_RSA, &header, &issuer.claims());
        assert_eq!(outcome(&authenticator, &token).await, "wrong_signature", "{changes}");
    }
    assert!(!issuer.asked.lock().expect("not poisoned").contains(&"/evil".to_owned()));
}

/// A token with a header that no honest library would write.
fn sign_raw(key: &Key, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.private, key.algorithm).expect("a signature");
    format!("{message}.{signature}")
}

#[tokio::test]
async fn what_is_no_signed_token() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    let good = ED.sign(&issuer.claims());
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (_, payload) = message.split_once('.').expect("two parts");
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"ed"}"#);
    let none_in_capitals = URL_SAFE_NO_PAD.encode(r#"{"alg":"NONE","kid":"ed"}"#);
    let two_algorithms = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","alg":"HS256","kid":"ed"}"#);
    let no_json = URL_SAFE_NO_PAD.encode(r#"{"alg":"#);
    let deep = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","kid":"ed","x":{}}}"#, "[".repeat(5000)));
    for (token, wanted) in [
        (format!("{none}.{payload}."), "malformed_token"),
        (format!("{none}.{payload}.{signature}"), "malformed_token"),
        (format!("{none_in_capitals}.{payload}."), "malformed_token"),
        (format!("{two_algorithms}.{payload}.{signature}"), "malformed_token"),
        (format!("{no_json}.{payload}.{signature}"), "malformed_token"),
        (format!("{deep}.{payload}.{signature}"), "malformed_token"),
        (format!("{message}."), "wrong_signature"),
        (message.to_owned(), "malformed_token"),
        (format!("{good}.{signature}"), "malformed_token"),
        (format!("{good}="), "malformed_token"),
        ("garbage".to_owned(), "malformed_token"),
        ("..".to_owned(), "malformed_token"),
        ("a.b.c".to_owned(), "malformed_token"),
        ("pm_unknown".to_owned(), "malformed_token"),
        (ED.sign(&with(issuer.claims(), json!({ "padding": "x".repeat(16 * 1024) }))), "too_long"),
        (ED.sign(&with(issuer.claims(), json!({ "padding": "x".repeat(8 * 1024) }))), "ok"),
    ] {
        assert_eq!(outcome(&authenticator, &token).await, wanted, "{}", &token[..token.len().min(100)]);
    }
}

#[tokio::test]
async fn no_character_of_a_token_can_be_changed() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    let good = ED.sign(&issuer.claims());
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_ne!(outcome(&authenticator, &changed).await, "ok", "character {at}");
    }
    assert_eq!(outcome(&authenticator, &good).await, "ok");
}

#[tokio::test]
async fn without_a_key_id_every_key_that_fits_is_tried() {
    let issuer = Issuer::start(jwks(&[&OTHER_RSA, &RSA, &ED])).await;
    let authenticator = issuer.authenticator().await;
    let without_kid = |key: &Key| key.sign_with(&Header::new(key.algorithm), &issuer.claims());
    assert_eq!(outcome(&authenticator, &without_kid(&RSA)).await, "ok");
    assert_eq!(outcome(&authenticator, &without_kid(&RSA.signing(Algorithm::PS256))).await, "ok");
    assert_eq!(outcome(&authenticator, &without_kid(&P256)).await, "wrong_algorithm");
}

#[tokio::test]
async fn scopes_and_subject() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    let path = |text| TreePath::parse(text).expect("a path");
    for changes in [
        json!({ "scope": "openid files:write:/team-a/** files:delete" }),
        json!({ "scope": null, "scp": ["openid", "files:write:/team-a/**", "files:delete"] }),
        json!({ "scope": null, "scp": "openid files:write:/team-a/** files:delete" }),
    ] {
        let principal = bearer(&authenticator, &ED.sign(&with(issuer.claims(), changes))).await.expect("a good token");
        assert!(principal.scopes.allows(Permission::Write, &path("/team-a/x")));
        assert!(!principal.scopes.allows(Permission::Write, &path("/team-b/x")));
        assert!(principal.scopes.allows(Permission::Delete, &path("/team-b/x")));
    }
    for (changes, subject) in [
        (json!({ "client_id": "robot" }), "alice"),
        (json!({ "sub": null, "client_id": "robot", "azp": "other" }), "client:robot"),
        (json!({ "sub": "", "azp": "robot" }), "client:robot"),
    ] {
        let principal = bearer(&authenticator, &ED.sign(&with(issuer.claims(), changes))).await.expect("a good token");
        assert_eq!(principal.subject, subject);
    }
    let principal =
        bearer(&authenticator, &ED.sign(&with(issuer.claims(), json!({ "scope": null })))).await.expect("a good token");
    assert!(!principal.scopes.sees(&TreePath::root()), "no scope grants nothing");
}

#[tokio::test]
async fn without_an_issuer_nobody_poses_as_an_api_key() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let mut config = issuer.config(issuer.keys_url());
    config.jwt.as_mut().expect("configured").issuer = None;
    let authenticator = Authenticator::start(config).await.expect("starts");
    assert_eq!(authenticator.issuer(), None);
    for (iss, wanted) in [("https://anybody.example", "ok"), ("api-key", "wrong_issuer"), ("no-auth", "wrong_issuer")] {
        assert_eq!(outcome(&authenticator, &ED.sign(&with(issuer.claims(), json!({ "iss": iss })))).await, wanted, "{iss}");
    }
}

#[tokio::test]
async fn a_token_is_checked_once_a_minute_at_most() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    let token = RSA.sign(&issuer.claims());
    let first = bearer(&authenticator, &token).await.expect("a good token");
    for _ in 0..20 {
        let again = bearer(&authenticator, &token).await.expect("a good token");
        assert!(std::sync::Arc::ptr_eq(&first, &again));
    }
    assert_eq!(authenticator.tokens_checked(), 1);
    assert_eq!(outcome(&authenticator, &RSA.sign(&with(issuer.claims(), json!({ "jti": "2" })))).await, "ok");
    assert_eq!(authenticator.tokens_checked(), 2);
}

#[tokio::test]
async fn a_token_is_not_remembered_past_its_expiry() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    let token = ED.sign(&with(issuer.claims(), json!({ "exp": now() + 4 })));
    assert_eq!(outcome(&authenticator, &token).await, "ok");
    assert_eq!(outcome(&authenticator, &token).await, "ok");
    assert_eq!(authenticator.tokens_checked(), 1);
    tokio::time::sleep(Duration::from_millis(4100)).await;
    // Within the leeway it is taken, and checked each time.
    assert_eq!(outcome(&authenticator, &token).await, "ok");
    assert_eq!(outcome(&authenticator, &token).await, "ok");
    assert_eq!(authenticator.tokens_checked(), 3);
}

#[tokio::test]
async fn made_up_tokens_wait_for_each_other_and_for_nobody_else() {
    let (issuer, authenticator) = issuer_with_every_key().await;
    let (known, new) = (ED.sign(&issuer.claims()), ED.sign(&with(issuer.claims(), json!({ "jti": "new" }))));
    assert_eq!(outcome(&authenticator, &known).await, "ok");
    let signed = P384.sign(&issuer.claims());
    let (signed, _) = signed.rsplit_once('.').expect("a signature");
    let made_up = (0..5_000).map(|_| format!("{signed}.{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 96]>())));
    let made_up: Vec<_> = made_up.collect();
    let strangers = join_all(made_up.iter().map(|token| outcome(&authenticator, token)));
    let after_them = async {
        assert_eq!(outcome(&authenticator, &known).await, "ok", "whoever is known waits for nobody");
        assert_eq!(outcome(&authenticator, "x.y.z").await, "malformed_token", "nor does what needs no check");
    };
    let (outcomes, ()) = tokio::join!(strangers, after_them);
    let count = |wanted: &str| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert!(count("busy") > 0 && count("wrong_signature") >= 1_024, "{} and {}", count("busy"), count("wrong_signature"));
    assert_eq!(count("busy") + count("wrong_signature"), outcomes.len(), "nobody is let in");
    assert_eq!(outcome(&authenticator, &new).await, "ok", "there is room again");
}
