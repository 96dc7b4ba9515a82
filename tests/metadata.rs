//! What a client needs to find its way in: protected-resource metadata (RFC 9728) and the challenge that leads there.

mod support;

use http::StatusCode;
use serde_json::{Value, json};
use support::client::McpClient;
use support::issuer::Issuer;
use support::server::Pressmark;
use support::tokens::{ED, jwks, now};
use tempfile::TempDir;

const PUBLIC_URL: &str = "https://mcp.example.com";
const AT_ROOT: &str = "/.well-known/oauth-protected-resource";
const AT_ENDPOINT: &str = "/.well-known/oauth-protected-resource/mcp";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a file can be written");
    folder
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn json_of(response: reqwest::Response) -> Value {
    serde_json::from_str(&response.text().await.expect("a body")).expect("JSON")
}

/// An issuer that publishes its keys, and a server that finds them by discovery.
async fn discovered(folder: &TempDir, arguments: &[&str]) -> (Issuer, Pressmark) {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    issuer.publish("/.well-known/oauth-authorization-server", &issuer.url);
    let (root, url) = (path(folder).to_owned(), issuer.url.clone());
    let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    // Starting waits, and the issuer must answer meanwhile.
    let server = tokio::task::spawn_blocking(move || {
        let settings = [root.as_str(), "--jwt-issuer", &url];
        Pressmark::start(&[&settings[..], &arguments.iter().map(String::as_str).collect::<Vec<_>>()].concat())
    });
    (issuer, server.await.expect("started"))
}

fn token(issuer: &Issuer, audience: &str, scope: &str) -> String {
    let claims = json!({"iss": issuer.url, "aud": audience, "sub": "alice", "exp": now() + 600, "scope": scope});
    ED.sign(&claims)
}

/// The value of `resource_metadata` in a challenge.
fn metadata_url(challenge: &str) -> &str {
    let (_, rest) = challenge.split_once("resource_metadata=\"").expect("a place to go to");
    rest.split_once('"').expect("the end of the value").0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_finds_its_way_from_the_challenge_to_the_tools() {
    let folder = folder();
    let (issuer, server) = discovered(&folder, &[]).await;
    // Without a public URL the server is where it listens.
    let refused = McpClient::modern(&server.url(), None).request("tools/list", json!({})).await;
    let challenge = refused.headers["www-authenticate"].to_str().expect("ASCII").to_owned();
    let url = metadata_url(&challenge);
    assert_eq!(url, format!("{}{AT_ENDPOINT}", server.url()));
    let metadata = json_of(http().get(url).send().await.expect("an answer")).await;
    assert_eq!(metadata["authorization_servers"], json!([issuer.url]));
    let resource = metadata["resource"].as_str().expect("a URI");
    assert_eq!(resource, format!("{}/mcp", server.url()));
    // The issuer gives a token for that resource, with the scope that the challenge asks for; it is enough to begin.
    assert!(challenge.contains("scope=\"files:read\""), "{challenge}");
    let token = token(&issuer, resource, "files:read");
    let client = McpClient::modern(&server.url(), Some(&token));
    assert_eq!(client.call_tool("read_file", json!({"path": "/hello.txt"})).await.content(0), "hello\n");
    let denied = client.call_tool("delete_file", json!({"path": "/hello.txt"})).await;
    let challenge = denied.headers["www-authenticate"].to_str().expect("ASCII");
    assert_eq!((denied.status, metadata_url(challenge)), (StatusCode::FORBIDDEN, url));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_url_counts_and_nothing_that_a_request_says() {
    let folder = folder();
    let (issuer, server) = discovered(&folder, &["--public-url", "https://mcp.example.com/"]).await;
    let document = json!({
        "resource": "https://mcp.example.com/mcp",
        "authorization_servers": [issuer.url],
        "scopes_supported": ["files", "files:read", "files:write", "files:delete"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Pressmark",
    });
    let hostile = [
        ("host", "evil.example.com"),
        ("x-forwarded-host", "evil.example.com"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example.com;proto=http"),
        ("x-original-url", "/evil"),
    ];
    let with_headers = |mut request: reqwest::RequestBuilder| {
        for (name, value) in hostile {
            request = request.header(name, value);
        }
        request
    };
    for place in [AT_ROOT, AT_ENDPOINT] {
        let url = format!("{}{place}", server.url());
        for request in [http().get(&url), with_headers(http().get(&url)), http().get(format!("{url}?resource=evil"))] {
            let response = request.header("origin", "https://page.example.com").send().await.expect("an answer");
            assert_eq!(response.status(), StatusCode::OK, "public: it needs no token, and pages of any origin may read it");
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.headers()["access-control-allow-origin"], "*");
            assert!(response.headers().get("access-control-allow-credentials").is_none());
            assert_eq!(json_of(response).await, document, "{place}");
        }
        let preflight = http()
            .request(http::Method::OPTIONS, &url)
            .header("origin", "https://page.example.com")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "mcp-protocol-version")
            .send()
            .await
            .expect("an answer");
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
        let allowed = |name: &str| preflight.headers()[name].to_str().expect("ASCII").to_owned();
        assert_eq!(allowed("access-control-allow-origin"), "*");
        assert_eq!(allowed("access-control-allow-methods"), "GET");
        assert_eq!(allowed("access-control-allow-headers"), "mcp-protocol-version");
        assert_eq!(http().post(&url).send().await.expect("an answer").status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    for place in ["/.well-known/oauth-protected-resource/", "/.well-known/oauth-protected-resource/other", "/.well-known/"] {
        let response = http().get(format!("{}{place}", server.url())).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{place}");
    }

    let challenge = format!(r#"Bearer resource_metadata="{PUBLIC_URL}{AT_ENDPOINT}", scope="files:read""#);
    let request = with_headers(http().post(format!("{}/mcp", server.url()))).send().await.expect("an answer");
    assert_eq!(
        (request.status(), &request.headers()["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &challenge.parse().unwrap())
    );
    // The audience of tokens is the public URL too, and not where the server happens to listen.
    for (audience, status) in
        [(format!("{PUBLIC_URL}/mcp"), 200), (format!("{}/mcp", server.url()), 401), (PUBLIC_URL.to_owned(), 401)]
    {
        let token = token(&issuer, &audience, "files:read");
        let reply = McpClient::modern(&server.url(), Some(&token)).request("tools/list", json!({})).await;
        assert_eq!(reply.status.as_u16(), status, "{audience}: {}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_can_mend_about_tokens_is_said_once() {
    let folder = folder();
    let (issuer, server) = discovered(&folder, &["--public-url", PUBLIC_URL, "--log-format", "json"]).await;
    let audience = format!("{PUBLIC_URL}/mcp");
    let lacking = |claim: &str| {
        let mut claims = json!({"iss": issuer.url, "aud": audience, "sub": "alice", "exp": now() + 600, "scope": "files:read"});
        claims.as_object_mut().expect("an object").remove(claim);
        ED.sign(&claims)
    };
    for claim in ["exp", "iss", "aud", "sub"] {
        let reply = McpClient::modern(&server.url(), Some(&lacking(claim))).request("tools/list", json!({})).await;
        let said = reply.error()["message"].as_str().expect("a message");
        assert!(reply.status == 401 && said.contains(&format!("lacks the claim `{claim}`")), "{claim}: {said}");
    }
    for (scope, audience) in [("files:read", "https://other.example.com"), ("openid profile", audience.as_str())] {
        for lifetime in [600, 601] {
            let claims = json!({"iss": issuer.url, "aud": audience, "sub": "bob", "exp": now() + lifetime, "scope": scope});
            McpClient::modern(&server.url(), Some(&ED.sign(&claims))).request("tools/list", json!({})).await;
        }
    }
    let log = server.stderr();
    let warned: Vec<&str> = log.lines().filter(|line| line.contains("\"WARN\"")).collect();
    assert_eq!(warned.len(), 2, "{warned:#?}");
    assert!(warned[0].contains(&format!("`aud` must name {audience}")), "{warned:#?}");
    assert!(warned[1].contains("\"principal\":\"bob\"") && warned[1].contains("`scp`"), "{warned:#?}");
}

#[tokio::test]
async fn without_an_authorization_server_there_is_no_metadata() {
    let folder = folder();
    let beside = tempfile::tempdir().expect("a temporary folder");
    let keys = beside.path().join("keys.json");
    std::fs::write(&keys, jwks(&[&ED]).to_string()).expect("a file can be written");
    let keys = keys.to_str().expect("UTF-8");
    for settings in [&["--dev-token", "t0ken"][..], &["--jwks-file", keys], &["--no-auth"]] {
        let server = Pressmark::start(&[&[path(&folder), "--public-url", PUBLIC_URL], settings].concat());
        for place in [AT_ROOT, AT_ENDPOINT] {
            let response = http().get(format!("{}{place}", server.url())).send().await.expect("an answer");
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{settings:?}");
            assert_eq!(json_of(response).await, json!({"error": "this server has no authorization server"}));
        }
        if settings != ["--no-auth"] {
            let reply = McpClient::modern(&server.url(), None).request("tools/list", json!({})).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
            assert_eq!(reply.headers["www-authenticate"], r#"Bearer realm="pressmark", scope="files:read""#);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_in_the_authorization_header_only() {
    let folder = folder();
    let (issuer, server) = discovered(&folder, &["--public-url", PUBLIC_URL, "--dev-token", "dev-t0ken"]).await;
    let signed = token(&issuer, &format!("{PUBLIC_URL}/mcp"), "files");
    let client = McpClient::modern(&server.url(), None);
    let message = client.message("tools/list", json!({}));
    let bad = StatusCode::BAD_REQUEST;
    let none = StatusCode::UNAUTHORIZED;
    for token in ["dev-t0ken", &signed] {
        let bearer = format!("Bearer {token}");
        let post = |query: &str| {
            let url = format!("{}/mcp{query}", server.url());
            http().post(url).headers(client.headers(&message)).body(message.to_string())
        };
        let query = format!("?access_token={token}&token={token}&authorization=Bearer%20{token}&api_key={token}");
        let requests = [
            ("no token", post(""), none),
            ("in the URL", post(&query), none),
            ("in a cookie", post("").header("cookie", format!("access_token={token}; Authorization={bearer}")), none),
            ("in another header", post("").header("x-api-key", token).header("proxy-authorization", &bearer), none),
            ("of another scheme", post("").header("authorization", format!("Basic {token}")), none),
            ("without a scheme", post("").header("authorization", token), none),
            ("with something after it", post("").header("authorization", format!("{bearer} {token}")), bad),
            ("beside another", post("").header("authorization", &bearer).header("authorization", "Bearer other"), bad),
            ("after another", post("").header("authorization", "Bearer other").header("authorization", &bearer), bad),
            ("in both", post(&query).header("authorization", "Bearer other"), none),
            ("as it should be", post("").header("authorization", &bearer), StatusCode::OK),
            ("in lower case", post("").header("authorization", format!("bearer {token}")), StatusCode::OK),
        ];
        for (what, request, wanted) in requests {
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), wanted, "{what}");
            assert_eq!(response.headers().contains_key("www-authenticate"), wanted != StatusCode::OK, "{what}");
            let body = response.text().await.expect("a body");
            assert!(!body.contains(token), "{what}: {body}");
        }
        let form = http().post(format!("{}/mcp", server.url())).header("content-type", "application/x-www-form-urlencoded");
        let response = form.body(format!("access_token={token}")).send().await.expect("an answer");
        assert_eq!(response.status(), none, "in a form");
        assert!(!server.stderr().contains(token), "a token was logged");
    }
}
