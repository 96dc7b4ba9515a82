//! The TypeScript client comes without a token: its user agrees to what it needs, and to more when a call needs more.

use reqwest::{Certificate, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::protected::Protected;
use crate::support::client::{LEGACY, MODERN};
use crate::support::node::node;

/// What `tests/clients/authorize.mjs` has done and seen.
#[derive(Debug, Deserialize)]
struct Report {
    version: String,
    exchanges: Vec<Exchange>,
    pages: Vec<Page>,
    /// The scopes of each token that it got.
    scopes: Vec<String>,
    results: Vec<Outcome>,
}

/// A request of the client, and how it was answered.
#[derive(Debug, Deserialize)]
struct Exchange {
    method: String,
    url: String,
    bearer: bool,
    form: Option<Map<String, Value>>,
    status: u16,
    challenge: Option<String>,
}

/// Where the client has sent its user, by the parameters of the address.
#[derive(Debug, Deserialize)]
struct Page {
    response_type: String,
    code_challenge_method: String,
    scope: String,
    resource: String,
    answer: Answer,
    /// What the client says when the code seems to come from another issuer.
    forged: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    iss: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    failed: bool,
    text: String,
}

#[test]
fn in_the_revision_without_a_handshake() {
    agrees_to_more_and_more(&Protected::start(), "auto", MODERN);
}

#[test]
fn with_a_handshake() {
    agrees_to_more_and_more(&Protected::start(), "legacy", LEGACY);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_tls() {
    let protected = Protected::start_with_tls();
    let certificate = std::fs::read(protected.certificate()).expect("a certificate");
    let certificate = Certificate::from_pem(&certificate).expect("a certificate");
    let https =
        reqwest::Client::builder().no_proxy().https_only(true).add_root_certificate(certificate).build().expect("a client");

    // The server itself speaks HTTP on another port; clients hear of neither.
    let refused = https.post(format!("{}/mcp", protected.url())).body("{}").send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()["www-authenticate"].to_str().expect("ASCII");
    let (_, rest) = challenge.split_once("resource_metadata=\"").expect("a place to look at");
    let (place, _) = rest.split_once('"').expect("a quoted value");
    assert_eq!(place, format!("{}/.well-known/oauth-protected-resource/mcp", protected.url()));
    for place in [place.to_owned(), format!("{}/.well-known/oauth-protected-resource", protected.url())] {
        let metadata = https.get(&place).send().await.expect("an answer");
        assert_eq!(metadata.status(), StatusCode::OK, "{place}");
        let metadata: Value = serde_json::from_str(&metadata.text().await.expect("a text")).expect("JSON");
        assert_eq!(metadata["resource"], format!("{}/mcp", protected.url()), "{place}");
        assert_eq!(metadata["authorization_servers"][0], protected.issuer(), "{place}");
    }

    tokio::task::spawn_blocking(move || agrees_to_more_and_more(&protected, "auto", MODERN)).await.expect("the client works");
}

/// Runs the client from its first call without a token to the last with all scopes.
fn agrees_to_more_and_more(protected: &Protected, mode: &str, version: &str) {
    let (url, issuer) = (protected.url(), protected.issuer());
    let mut command = node(&["authorize.mjs", &format!("{url}/mcp"), mode]);
    command.env("no_proxy", "127.0.0.1");
    if let Some(certificate) = protected.certificate().to_str().filter(|_| url.starts_with("https")) {
        command.env("NODE_EXTRA_CA_CERTS", certificate);
    }
    let output = command.output().expect("node runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stderr, "", "the client warns of something");
    let report: Report = serde_json::from_str(&stdout).expect("a report");
    assert_eq!(report.version, version);

    // It finds its way by what it is told: the challenge, the resource, the authorization server, which registers it.
    let first: Vec<_> = report.exchanges.iter().take(5).map(|it| (it.method.as_str(), it.url.clone(), it.status)).collect();
    let wanted = [
        ("POST", format!("{url}/mcp"), 401),
        ("GET", format!("{url}/.well-known/oauth-protected-resource/mcp"), 200),
        ("GET", format!("{issuer}/.well-known/oauth-authorization-server"), 200),
        ("POST", format!("{issuer}/reg"), 201),
        ("POST", format!("{issuer}/token"), 200),
    ];
    assert_eq!(first, wanted);
    assert!(report.exchanges.iter().filter(|it| it.url.starts_with(issuer)).all(|it| !it.bearer), "tokens go to the server only");

    // Each refusal names what is missing, the user is asked for that beside what there is, and the call is repeated.
    let missing: Vec<_> = report.exchanges.iter().filter(|it| it.status == 403).map(challenged_scope).collect();
    assert_eq!(missing, ["files:write", "files:delete"]);
    let steps = ["files:read", "files:read files:write", "files:read files:write files:delete"];
    assert_eq!(report.scopes, steps);
    assert_eq!(report.pages.iter().map(|page| page.scope.as_str()).collect::<Vec<_>>(), steps);
    for page in &report.pages {
        assert_eq!((page.response_type.as_str(), page.code_challenge_method.as_str()), ("code", "S256"));
        assert_eq!(page.resource, format!("{url}/mcp"));
        assert_eq!((page.answer.iss.as_deref(), &page.answer.error), (Some(issuer), &None));
        assert_eq!(page.forged, "IssuerMismatchError");
    }
    let codes: Vec<_> = report.exchanges.iter().filter_map(|it| it.form.as_ref()).collect();
    assert_eq!(codes.len(), steps.len());
    for form in codes {
        assert_eq!((&form["grant_type"], &form["resource"]), (&"authorization_code".into(), &format!("{url}/mcp").into()));
        assert!(form.contains_key("code_verifier"), "{form:?}");
    }
    assert!(report.results.iter().all(|result| !result.failed), "{:?}", report.results);
    assert!(report.results[0].text.contains("hello.txt"), "{:?}", report.results);
    assert!(!protected.folder().join("written.txt").exists(), "what was written is deleted again");
    let calls: Vec<_> = protected.log().lines().filter(|line| line.contains("alice")).map(str::to_owned).collect();
    assert!(!calls.is_empty(), "the user's name stands in the log: {}", protected.log());
}

/// The scope that a 403 says is missing.
fn challenged_scope(exchange: &Exchange) -> &str {
    let challenge = exchange.challenge.as_deref().expect("a challenge");
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("resource_metadata="), "{challenge}");
    let (_, rest) = challenge.split_once(", scope=\"").expect("a scope");
    rest.split_once('"').expect("a quoted value").0
}
