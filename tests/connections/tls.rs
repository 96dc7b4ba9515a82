//! TLS of the server's own, as clients meet it.

use std::process::{Command, Stdio};
use std::time::Duration;

use pressmark::config::Settings;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::TOKEN;
use super::connection::Place;
use super::support::certificate::Authority;
use super::support::client::McpClient;
use super::support::process::free_port;
use super::support::server::Pressmark;

/// A server with TLS over a folder of its own.
fn start(authority: &Authority, more: &[&str]) -> (Pressmark, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("written");
    let options = authority.options("server");
    let mut arguments = vec![folder.path().to_str().expect("UTF-8"), "--dev-token", TOKEN];
    arguments.extend(options.iter().map(String::as_str));
    arguments.extend(more);
    (Pressmark::start(&arguments), folder)
}

/// What curl says of `/healthz`: the version of HTTP and the status, or how it failed.
fn curl(server: &Pressmark, authority: &Authority, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--output", "/dev/null"]);
    command.args(["--write-out", "%{http_version} %{http_code}", "--cacert"]).arg(authority.root()).args(arguments);
    let done = command.arg(format!("https://localhost:{}/healthz", server.port())).output().expect("curl (scripts/test)");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stderr)) }
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http_are_spoken_on_one_port() {
    let authority = Authority::new();
    authority.issue("server");
    let (server, _folder) = start(&authority, &[]);
    for (arguments, expected) in [
        (vec!["--http2"], "2 200"),
        (vec!["--http1.1"], "1.1 200"),
        (vec!["--no-alpn"], "1.1 200"),
        (vec!["--tls-max", "1.2", "--http2"], "2 200"),
        (vec!["--tlsv1.3", "--http2"], "2 200"),
    ] {
        assert_eq!(curl(&server, &authority, &arguments).as_deref(), Ok(expected), "{arguments:?}");
    }
    // The client may speak it, were the server willing to.
    let old = curl(&server, &authority, &["--tls-max", "1.1", "--tlsv1.0", "--ciphers", "DEFAULT@SECLEVEL=0"]);
    assert!(old.as_ref().is_err_and(|error| error.contains("alert")), "{old:?}");

    let client = McpClient::modern(&server.url(), Some(TOKEN)).trusting(&authority.root());
    assert_eq!(client.call_tool("read_file", json!({"path": "/hello.txt"})).await.content(0), "hello\n");
    let mut stream =
        client.open("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": ["file:///hello.txt"]}})).await;
    stream.next().await.expect("the acknowledgement");
    let text = "changed\n".repeat(4_000);
    let written = client.call_tool("write_file", json!({"path": "/hello.txt", "content": text, "overwrite": true})).await;
    assert!(!written.is_tool_error(), "{}", written.text);
    assert_eq!(stream.next().await.expect("an event")["method"], "notifications/resources/updated");
    let resource = client.request("resources/read", json!({"uri": "file:///hello.txt"})).await;
    assert_eq!(resource.result()["contents"][0]["text"], text, "more than one record");
}

#[test]
fn keys_of_every_usual_kind_are_taken() {
    let authority = Authority::new();
    let rsa: &[&str] = &["-newkey", "rsa:2048"];
    authority.issue_with("pkcs8", rsa);
    authority.issue_with("ed25519", &["-newkey", "ed25519"]);
    authority.issue_with("pkcs1", rsa);
    authority.openssl(&[&["rsa", "-traditional", "-in", "pkcs1.key", "-out", "pkcs1.key"]]);
    authority.openssl(&[&["ecparam", "-name", "secp384r1", "-genkey", "-out", "sec1.key"]]);
    authority.issue_with("sec1", &["-key", "sec1.key"]);
    let begin = |name: &str| std::fs::read_to_string(authority.file(name)).expect("a key");
    assert!(begin("pkcs1.key").starts_with("-----BEGIN RSA PRIVATE KEY"));
    assert!(begin("sec1.key").starts_with("-----BEGIN EC PARAMETERS"));
    // A chain and its key in one file, with what people write between.
    let together = format!("# of the server\n{}\n{}", begin("pkcs8.crt"), begin("pkcs8.key"));
    for name in ["together.crt", "together.key"] {
        std::fs::write(authority.file(name), &together).expect("written");
    }
    for name in ["pkcs8", "pkcs1", "sec1", "ed25519", "together"] {
        for file in ["crt", "key"] {
            std::fs::copy(authority.file(&format!("{name}.{file}")), authority.file(&format!("server.{file}"))).expect("copied");
        }
        let (server, _folder) = start(&authority, &[]);
        assert_eq!(curl(&server, &authority, &["--http2"]).as_deref(), Ok("2 200"), "{name}");
    }
}

/// Whoever does not get through the handshake holds nobody else up, is given up, and is counted.
#[tokio::test]
async fn handshakes_that_come_to_nothing_are_counted() {
    let authority = Authority::new();
    authority.issue("server");
    let metrics = format!("127.0.0.1:{}", free_port());
    let (server, _folder) = start(&authority, &["--metrics-listen", &metrics]);
    let connect = || TcpStream::connect(("127.0.0.1", server.port()));

    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connect().await.expect("a connection"));
    }
    let mut half = connect().await.expect("a connection");
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.expect("sent");
    let mut plain = connect().await.expect("a connection");
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    drop(connect().await.expect("a connection"));
    assert_eq!(curl(&server, &authority, &[]).as_deref(), Ok("2 200"), "nobody waits for those");
    let distrustful = curl(&server, &authority, &["--cacert", "/etc/ssl/certs/ca-certificates.crt"]);
    assert!(distrustful.is_err(), "{distrustful:?}");

    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let ended = tokio::time::timeout(Duration::from_secs(60), half.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "who goes silent in a handshake is given up");
    let failures = async |reason: &str| {
        let text = reqwest::get(format!("http://{metrics}/metrics")).await.expect("metrics").text().await.expect("text");
        let series = format!("pressmark_tls_handshake_failures_total{{reason=\"{reason}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).parse::<u64>().expect("a number")
    };
    // Probes of the port that the test itself began with are closed ones, too.
    for (reason, least) in [("timeout", 101), ("refused", 2), ("closed", 1)] {
        let limit = tokio::time::Instant::now() + Duration::from_secs(30);
        while failures(reason).await < least {
            assert!(tokio::time::Instant::now() < limit, "{reason}: {}", failures(reason).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(!server.stderr().contains("handshake"), "nothing that strangers do fills the log: {}", server.stderr());
    drop(silent);
}

/// A client that reads an answer slowly is no dead one, and one that reads nothing is.
#[tokio::test]
async fn large_answers_come_whole_to_clients_that_take_their_time() {
    let place = Place::with_tls(Settings::default(), |app| app).await;
    let client = place.server.client();
    let text = "x".repeat(900_000);
    let message =
        client.message("tools/call", json!({"name": "write_file", "arguments": {"path": "/large.txt", "content": text}}));
    let mut connection = place.connect().await;
    connection.send(client.raw(&message, "")).await;
    let written = connection.answer().await;
    assert!(written.0.starts_with("http/1.1 200") && !written.1.contains("isError\":true"), "{written:?}");
    connection.send(client.raw(&client.message("resources/read", json!({"uri": "file:///large.txt"})), "").repeat(8)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..8 {
        assert!(connection.answer().await.1.contains(&text));
    }
    place.server.stop().await;
    connection.closes().await;
}

/// The whole of what a client of other people's does, over TLS; it is told whom to trust as its users do it.
#[test]
fn a_client_in_javascript_is_served() {
    let authority = Authority::new();
    authority.issue("server");
    let (server, _folder) = start(&authority, &[]);
    let script = format!(
        "import {{ Client, StreamableHTTPClientTransport }} from '@modelcontextprotocol/client';
        const client = new Client({{ name: 'c', version: '1' }}, {{ versionNegotiation: {{ mode: 'auto' }} }});
        const requestInit = {{ headers: {{ Authorization: 'Bearer {TOKEN}' }} }};
        await client.connect(new StreamableHTTPClientTransport(new URL('{}/mcp'), {{ requestInit }}));
        const result = await client.callTool({{ name: 'read_file', arguments: {{ path: '/hello.txt' }} }});
        console.log(result.content[0].text);
        process.exit(0);",
        server.url()
    );
    let mut command = super::support::node::node(&["--input-type=module", "--eval", &script]);
    command.env("NODE_EXTRA_CA_CERTS", authority.root()).stdin(Stdio::null());
    let done = command.output().expect("node runs");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "hello\n\n", "{}", String::from_utf8_lossy(&done.stderr));
}
