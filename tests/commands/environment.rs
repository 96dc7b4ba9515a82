//! Variables that are set and empty, as compose files and charts leave them.

use super::support::server::Pressmark;
use super::{folder, run_in, text};

#[test]
fn an_empty_variable_counts_as_not_set() {
    let folder = folder();
    let names = [
        "ALLOW_ORIGIN",
        "AUDIT_LOG",
        "KEEP_ALIVE",
        "LISTEN",
        "LOG_FORMAT",
        "MAX_SESSIONS",
        "METRICS_LISTEN",
        "NO_AUTH",
        "OTLP_ENDPOINT",
        "PUBLIC_URL",
        "TRUSTED_PROXIES",
    ];
    let names = names.map(|name| format!("PRESSMARK_{name}"));
    let empty: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let server = Pressmark::start_with_environment(&[text(folder.path())], &empty);
    assert!(server.stdout().contains(&server.url()), "{}", server.stdout());
    assert!(!server.stderr().contains("PRESSMARK_"), "{}", server.stderr());
    let asked = run_in(&["healthcheck", "--timeout", "1s"], &empty);
    let told = format!("{}{}", asked.stdout, asked.stderr);
    assert!(told.contains("http://127.0.0.1:8080/healthz"), "{asked:?}");
    let connected = run_in(&["connect", "cursor"], &empty);
    assert!(connected.code == Some(0) && connected.stdout.contains("\"http://127.0.0.1:8080/mcp\""), "{connected:?}");
}

/// It may be a secret that has not arrived; what follows must not be a server without it.
#[test]
fn an_empty_variable_that_would_protect_is_an_error() {
    let folder = folder();
    for setting in [
        "API_KEYS",
        "CALLS_PER_SECOND",
        "CONFIG",
        "DEV_TOKEN",
        "JWKS_FILE",
        "JWKS_URL",
        "JWT_AUDIENCE",
        "JWT_ISSUER",
        "MOUNT",
        "READ_ONLY",
        "SEAL_KEYS",
        "STATE",
        "TLS_CERT",
        "TLS_KEY",
    ] {
        let name = format!("PRESSMARK_{setting}");
        let said = run_in(&["doctor", text(folder.path())], &[(name.as_str(), "")]);
        let told = format!("pressmark: {name} is empty; give it a value, or remove it\n");
        assert_eq!((said.code, said.stdout.as_str(), said.stderr), (Some(2), "", told));
    }
    let said = run_in(&["keys", "list"], &[("PRESSMARK_API_KEYS", "")]);
    assert!(said.code == Some(2) && said.stderr.contains("PRESSMARK_API_KEYS is empty"), "{said:?}");
    // What is said on the command line is meant so.
    let said = run_in(&["doctor", text(folder.path()), "--public-url", ""], &[("PRESSMARK_PUBLIC_URL", "")]);
    assert!(said.code == Some(2) && said.stderr.contains("--public-url: not an http"), "{said:?}");
}
