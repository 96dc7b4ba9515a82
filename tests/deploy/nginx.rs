//! `deploy/nginx`: which calls are sent again, how many are let through, who is refused.

use std::sync::atomic::Ordering;

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::replicas::{Replicas, StandIn, TOKEN, start_breaking};
use crate::support::client::{LEGACY, McpClient};
use crate::support::nginx::{Nginx, Site, copy_configuration};
use crate::support::process::free_port;
use crate::support::server::Pressmark;
use crate::support::tokens::{ED, jwks, now};
use crate::{replaced, succeeds};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_changes_nothing_is_sent_again_and_no_other() {
    let good = StandIn::start().await;
    let (breaking, broken) = start_breaking().await;
    let nginx = Nginx::start(&[breaking, good.port]);
    let client = McpClient::modern(&nginx.url(), Some(TOKEN));

    for (method, params) in [
        ("tools/call", json!({"name": "read_file", "arguments": {}})),
        ("tools/call", json!({"name": "search_text", "arguments": {}})),
        ("tools/list", json!({})),
        ("resources/read", json!({"uri": "file:///a"})),
        ("server/discover", json!({})),
    ] {
        for _ in 0..4 {
            let reply = client.request(method, params.clone()).await;
            assert_eq!(reply.status, StatusCode::OK, "{method}: {}", reply.text);
        }
    }
    assert_eq!(good.calls(), 20);
    let repeated = broken.swap(0, Ordering::Relaxed);
    assert!(repeated >= 5, "only {repeated} calls met the server that breaks");

    let legacy = Some(LEGACY);
    for (name, version) in [("delete_file", None), ("a_tool_of_your_own", None), ("read_file", legacy)] {
        let before = (good.calls(), broken.load(Ordering::Relaxed));
        let mut lost = 0;
        for _ in 0..8 {
            let message = client.message("tools/call", json!({"name": name, "arguments": {}}));
            let mut headers = client.headers(&message);
            if let Some(version) = version {
                headers.insert("mcp-protocol-version", version.parse().expect("a header"));
            }
            let reply = client.post(&headers, message.to_string()).await;
            if reply.status == StatusCode::BAD_GATEWAY {
                assert_eq!(reply.error_code(), 502, "{}", reply.text);
                lost += 1;
            } else {
                assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
            }
        }
        assert!(lost > 0, "{name}");
        let deliveries = good.calls() - before.0 + broken.load(Ordering::Relaxed) - before.1;
        assert_eq!(deliveries, 8, "each {name} was delivered once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_no_replica_was_sent_goes_to_the_next_one() {
    let good = StandIn::start().await;
    let nginx = Nginx::start(&[free_port(), good.port, free_port()]);
    let client = McpClient::modern(&nginx.url(), Some(TOKEN));
    for _ in 0..12 {
        let reply = client.call_tool("delete_file", json!({"path": "/a"})).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", nginx.log());
    }
    assert_eq!(good.calls(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_have_a_rate_of_their_own() {
    let good = StandIn::start().await;
    let nginx = Nginx::start_at(&Site { replicas: &[good.port], limits: true, server: "" });
    let client = McpClient::modern(&nginx.url(), Some(TOKEN));
    let search = async || client.call_tool("search_text", json!({"pattern": "x"})).await;
    let (mut passed, mut refused) = (0, Vec::new());
    for _ in 0..60 {
        let reply = search().await;
        match reply.status {
            StatusCode::OK => passed += 1,
            _ => refused.push(reply),
        }
    }
    assert!(passed > 20 && !refused.is_empty(), "{passed} passed");
    for reply in refused {
        assert_eq!((reply.status, reply.error_code()), (StatusCode::TOO_MANY_REQUESTS, 429), "{}", reply.text);
        assert!(reply.headers[CONTENT_TYPE] == "application/json" && reply.headers[RETRY_AFTER] == "1", "{:?}", reply.headers);
    }
    let other = client.call_tool("read_file", json!({})).await;
    assert_eq!(other.status, StatusCode::OK, "another tool has a rate of its own");
    let somebody = McpClient::modern(&nginx.url(), Some("another-token"));
    let other = somebody.call_tool("search_text", json!({"pattern": "x"})).await;
    assert_eq!(other.status, StatusCode::OK, "another caller, too");
    assert_eq!(good.calls(), passed + 2, "what is refused reaches nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_does_not_allow_reaches_no_replica() {
    let good = StandIn::start().await;
    let nginx = Nginx::start_at(&Site { replicas: &[good.port], limits: true, server: "include authz.conf;" });
    let client = McpClient::modern(&nginx.url(), Some(TOKEN));
    let nobody = McpClient::modern(&nginx.url(), None);

    let reply = nobody.call_tool("read_file", json!({})).await;
    assert_eq!((reply.status, reply.error_code()), (StatusCode::UNAUTHORIZED, 401));
    assert_eq!(reply.headers[WWW_AUTHENTICATE], r#"Bearer scope="files:read""#);
    let reply = client.call_tool("delete_file", json!({})).await;
    assert_eq!((reply.status, reply.error_code()), (StatusCode::FORBIDDEN, 403));
    assert_eq!(reply.headers[WWW_AUTHENTICATE], r#"Bearer error="insufficient_scope", scope="files:delete""#);
    assert_eq!(good.calls(), 0);
    let reply = client.call_tool("read_file", json!({})).await;
    assert_eq!((reply.status, good.calls()), (StatusCode::OK, 1), "{}", reply.text);

    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let preflight = http.request(http::Method::OPTIONS, format!("{}/mcp", nginx.url())).send().await.expect("an answer");
    assert_eq!(preflight.status(), 204, "browsers ask without a token");
    assert!(nginx.access_log().contains(r#""name":"delete_file""#) && !nginx.access_log().contains(TOKEN));

    // With nobody to ask, nobody is let in.
    drop(good);
    let reply = client.call_tool("read_file", json!({})).await;
    assert_eq!((reply.status, reply.error_code()), (StatusCode::SERVICE_UNAVAILABLE, 503), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pressmark_does_not_allow_does_not_reach_it() {
    const ISSUER: &str = "https://issuer.example.com";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (served, keys) = (folder.path().join("served"), folder.path().join("keys.json"));
    for part in ["a", "b"] {
        std::fs::create_dir_all(served.join(part)).expect("a folder can be made");
        std::fs::write(served.join(part).join("x"), part).expect("a file can be written");
    }
    std::fs::write(&keys, jwks(&[&ED]).to_string()).expect("a file can be written");
    let metrics = format!("127.0.0.1:{}", free_port());
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let options = ["--jwt-issuer", ISSUER, "--public-url", "https://mcp.example.com", "--path-headers", "--metrics-listen"];
    let server = Pressmark::start(&[&[&*path(&served), "--jwks-file", &*path(&keys)], &options[..], &[&*metrics]].concat());
    let nginx = Nginx::start_at(&Site { replicas: &[server.port()], limits: false, server: "include authz.conf;" });
    // Bodies of requests: `/authz` gets none.
    let received = async || {
        let text = reqwest::get(format!("http://{metrics}/metrics")).await.expect("an answer").text().await.expect("a body");
        let line = text.lines().find_map(|line| line.strip_prefix("pressmark_received_bytes_total "));
        line.expect("counted").parse::<f64>().expect("a number")
    };
    let caller = |scope: &str| {
        let audience = "https://mcp.example.com/mcp";
        let claims = json!({"iss": ISSUER, "aud": audience, "sub": "alice", "exp": now() + 600, "scope": scope});
        McpClient::modern(&nginx.url(), Some(&ED.sign(&claims)))
    };
    let call = async |client: &McpClient, tool: &str, path: &'static str| {
        let message = client.message("tools/call", json!({"name": tool, "arguments": {"path": path}}));
        let mut headers = client.headers(&message);
        headers.insert("mcp-param-path", HeaderValue::from_static(path));
        client.post(&headers, message.to_string()).await
    };
    let reader = caller("files:read:/a/**");
    for (client, tool, path, status) in [
        (&McpClient::modern(&nginx.url(), None), "read_file", "/a/x", 401),
        (&McpClient::modern(&nginx.url(), Some("no-token")), "read_file", "/a/x", 401),
        (&reader, "delete_file", "/a/x", 403),
        (&reader, "read_file", "/b/x", 403),
    ] {
        let reply = call(client, tool, path).await;
        assert_eq!(reply.status, status, "{tool} of {path}: {}", reply.text);
        let challenge = reply.headers[WWW_AUTHENTICATE].to_str().expect("ASCII");
        let place =
            r#"Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="files:"#;
        assert!(challenge.starts_with(place), "{challenge}");
    }
    assert_eq!(received().await, 0.0, "none of them reached the server");
    assert_eq!(call(&reader, "read_file", "/a/x").await.content(0), "a");
    assert!(received().await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nginx_itself_says_is_json() {
    let good = StandIn::start().await;
    let nginx = Nginx::start(&[good.port]);
    let client = McpClient::modern(&nginx.url(), Some(TOKEN));
    let large = client.post(&client.headers(&json!({"method": "ping"})), "x".repeat(5 << 20)).await;
    assert_eq!((large.status, large.error_code()), (StatusCode::PAYLOAD_TOO_LARGE, 413));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    for path in ["/", "/readyz", "/authz", "/authz/ask", "/mcp/repeatable", "/metrics", "/mcp/"] {
        let reply = http.get(format!("{}{path}", nginx.url())).send().await.expect("an answer");
        assert_eq!(reply.status(), 404, "{path}");
        let body: Value = serde_json::from_str(&reply.text().await.expect("a body")).expect("JSON");
        assert_eq!(body["error"]["code"], 404, "{path}");
    }
    assert_eq!(good.calls(), 0);
    // The name that the client used comes through; what it says of its own address does not.
    let message = client.message("tools/call", json!({"name": "read_file", "arguments": {}}));
    let mut headers = client.headers(&message);
    headers.insert("host", "mcp.example.com:8443".parse().expect("a header"));
    headers.insert("x-forwarded-for", "192.0.2.1".parse().expect("a header"));
    let reply = client.post(&headers, message.to_string()).await;
    assert_eq!(reply.result()["host"], "mcp.example.com:8443");
    assert_eq!(
        (&reply.result()["client"], &reply.result()["authorization"]),
        (&json!("127.0.0.1"), &json!(format!("Bearer {TOKEN}")))
    );
}

/// With `site/` as it is shipped, but for ports and the places of certificate and log: TLS, HTTP/2, the metadata.
#[test]
fn the_site_as_shipped_speaks_tls() {
    let replicas = Replicas::start();
    let (directory, port) = (tempfile::tempdir().expect("a folder"), free_port());
    copy_configuration(directory.path());
    let edit = |file: &str, changes: &[(&str, &str)]| {
        let path = directory.path().join("site").join(file);
        let text = std::fs::read_to_string(&path).expect("a file");
        let text = changes.iter().fold(text, |text, (from, to)| replaced(&text, from, to));
        std::fs::write(path, text).expect("a file");
    };
    let at = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (certificate, key) = (at("tls.crt"), at("tls.key"));
    let ipv6 = "listen [::]:443 ssl http2;";
    edit(
        "server.conf",
        &[(ipv6, ""), ("443", &port.to_string()), ("/etc/nginx/tls/tls.crt", &certificate), ("/etc/nginx/tls/tls.key", &key)],
    );
    let [one, two, three] = replicas.ports().map(|port| format!("127.0.0.1:{port}"));
    edit("replicas.conf", &[("127.0.0.1:8081", &one), ("127.0.0.1:8082", &two), ("127.0.0.1:8083", &three)]);
    edit("http.conf", &[("access_log /var/log/nginx/pressmark.log", "access_log access.log")]);
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n"));
    edit("http.conf", &[("# What belongs", &format!("{}# What belongs", folders.concat()))]);
    succeeds(
        std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mcp.example.com"])
            .args(["-keyout", &key, "-out", &certificate]),
    );
    let nginx = Nginx::start_in(directory, port);
    let curl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args(["--silent", "--http2", "--noproxy", "*", "--cacert", &certificate]);
        command.args(["--resolve", &format!("mcp.example.com:{port}:127.0.0.1")]).args(arguments);
        succeeds(&mut command)
    };
    let url = format!("https://mcp.example.com:{port}");
    let metadata: Value =
        serde_json::from_str(&curl(&[&format!("{url}/.well-known/oauth-protected-resource/mcp")])).expect("JSON");
    assert_eq!(metadata["resource"], "https://mcp.example.com/mcp", "{}", nginx.log());
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a.txt"}}}"#;
    let bearer = format!("{AUTHORIZATION}: Bearer {TOKEN}");
    let answer = curl(&[
        "--write-out",
        " over HTTP/%{http_version}",
        "--header",
        &bearer,
        "--header",
        "content-type: application/json",
        "--data",
        call,
        &format!("{url}/mcp"),
    ]);
    assert!(answer.contains("needle") && answer.ends_with(" over HTTP/2"), "{answer}");
}
