//! Listening on a Unix socket.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::net::UnixStream;

use super::connection::Connection;
use super::support::certificate::Authority;
use super::support::client::McpClient;
use super::support::nginx::Nginx;
use super::support::process::wait_until;
use super::support::server::{Pressmark, run_pressmark};
use super::{TOKEN, ping};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn connect(path: &Path) -> Connection {
    Connection::on(UnixStream::connect(path).await.expect("a connection"))
}

#[tokio::test]
async fn a_socket_comes_and_goes_with_its_server() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("hello.txt"), "hello\n").expect("written");
    let sockets = tempfile::tempdir().expect("a folder");
    let path = sockets.path().join("pressmark.sock");
    let listen = format!("unix:{}", path.display());
    let arguments = [text(folder.path()), "--dev-token", TOKEN];
    let mut server = Pressmark::start_at(&listen, &arguments);
    let metadata = fs::symlink_metadata(&path).expect("a socket");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    let banner = server.stdout();
    assert!(banner.contains(&format!("{listen}; set --public-url")), "{banner}");

    // A path that somebody needs is left alone.
    let second = run_pressmark(&["serve", text(folder.path()), "--listen", &listen]);
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(1) && stderr.contains("another program listens"), "{stderr}");
    let client = McpClient::modern("http://localhost", Some(TOKEN));
    let mut connection = connect(&path).await;
    connection.send(ping(&client, 1)).await;
    assert!(connection.answer().await.1.contains("hello"));
    let alive = run_pressmark(&["healthcheck", "--listen", &listen]);
    let said = String::from_utf8_lossy(&alive.stdout);
    assert_eq!((alive.status.code(), &*said), (Some(0), &*format!("http://localhost/healthz at {listen} answers 200\n")));

    // What a killed server leaves behind is in nobody's way; what one leaves that was told to stop is nothing.
    server.kill();
    let dead = run_pressmark(&["healthcheck", "--listen", &listen]);
    assert_eq!(dead.status.code(), Some(1), "{}", String::from_utf8_lossy(&dead.stderr));
    server.restart();
    let mut connection = connect(&path).await;
    connection.send(ping(&client, 2)).await;
    assert!(connection.answer().await.1.contains("hello"));
    server.terminate();
    assert!(server.wait(Duration::from_secs(10)).success());
    assert!(!path.exists());
}

#[tokio::test]
async fn nginx_as_it_is_shipped_passes_calls_and_streams_on() {
    let (folder, sockets) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    fs::write(folder.path().join("hello.txt"), "hello\n").expect("written");
    let path = sockets.path().join("pressmark.sock");
    let arguments = [text(folder.path()), "--dev-token", TOKEN, "--trusted-proxies", "unix", "--log-format", "json"];
    let server = Pressmark::start_at(&format!("unix:{}", path.display()), &arguments);
    let nginx = Nginx::start_before(&path);
    let client = McpClient::modern(&nginx.url(), Some(TOKEN));
    let filter = json!({"notifications": {"resourceSubscriptions": ["file:///hello.txt"]}});
    let mut changes = client.open("subscriptions/listen", filter).await;
    assert_eq!(changes.next().await.expect("an acknowledgment")["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(client.call_tool("read_file", json!({"path": "/hello.txt"})).await.content(0), "hello\n");
    assert!(
        !client
            .call_tool("write_file", json!({"path": "/hello.txt", "content": "changed", "overwrite": true}))
            .await
            .is_tool_error()
    );
    assert_eq!(changes.next().await.expect("a change")["method"], "notifications/resources/updated");
    wait_until(Duration::from_secs(10), "the calls are logged", || server.stderr().contains("\"tool\":\"write_file\""));
    let log = server.stderr();
    let asked = log.lines().filter(|line| line.contains("\"tool\":\"read_file\""));
    assert!(asked.clone().count() > 0 && asked.clone().all(|line| line.contains("\"client\":\"127.0.0.1\"")), "{log}");
}

#[test]
fn what_is_no_socket_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("notes.txt");
    fs::write(&file, "mine").expect("written");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    for path in [&file, &link] {
        let output =
            run_pressmark(&["serve", text(folder.path()), "--read-only", "--listen", &format!("unix:{}", path.display())]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains("there is a file that is no socket"), "{stderr}");
    }
    assert_eq!(fs::read_to_string(&link).expect("still there"), "mine");
    let relative = run_pressmark(&["serve", text(folder.path()), "--listen", "unix:pressmark.sock"]);
    assert_eq!(relative.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&relative.stderr).contains("the whole path"));

    // A caller could delete it.
    let served = format!("unix:{}", folder.path().join("pressmark.sock").display());
    let within_reach = run_pressmark(&["serve", text(folder.path()), "--listen", &served]);
    let stderr = String::from_utf8_lossy(&within_reach.stderr);
    assert!(within_reach.status.code() == Some(1) && stderr.contains("callers could remove the socket"), "{stderr}");
}

/// A server that took the place of another keeps it when the other one goes.
#[test]
fn a_socket_that_is_another_ones_is_not_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pressmark.sock");
    let mut server = Pressmark::start_at(&format!("unix:{}", path.display()), &[text(folder.path()), "--read-only"]);
    fs::remove_file(&path).expect("removed");
    let _other = UnixListener::bind(&path).expect("a socket");
    server.terminate();
    assert!(server.wait(Duration::from_secs(10)).success());
    assert!(path.exists());
}

/// No browser opens a Unix socket: a page of this machine comes by a proxy, and is as foreign as any other.
#[tokio::test]
async fn pages_have_to_be_allowed_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("hello.txt"), "hello\n").expect("written");
    let path = folder.path().join("pressmark.sock");
    let arguments = [text(folder.path()), "--read-only", "--no-auth", "--public-url", "https://mcp.example.com"];
    let _server = Pressmark::start_at(&format!("unix:{}", path.display()), &arguments);
    let client = McpClient::modern("http://localhost", None);
    let message = client.message("tools/call", json!({"name": "read_file", "arguments": {"path": "/hello.txt"}}));
    for (origin, status) in [
        ("", "200"),
        ("Origin: https://mcp.example.com\r\n", "200"),
        ("Origin: http://localhost:3000\r\n", "403"),
        ("Origin: http://127.0.0.1\r\n", "403"),
    ] {
        let mut connection = connect(&path).await;
        connection.send(client.raw(&message, origin)).await;
        let head = connection.answer().await.0;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{origin}: {head}");
    }
}

#[tokio::test]
async fn healthcheck_finds_servers_with_tls() {
    let authority = Authority::new();
    authority.issue("server");
    let options = authority.options("server");
    let folder = tempfile::tempdir().expect("a folder");
    let listen = format!("unix:{}/pressmark.sock", folder.path().display());
    let mut arguments = vec![text(folder.path()), "--read-only", "--dev-token", TOKEN];
    arguments.extend(options.iter().map(String::as_str));
    let (by_port, _by_path) = (Pressmark::start(&arguments), Pressmark::start_at(&listen, &arguments));
    let address = format!("127.0.0.1:{}", by_port.port());
    for (listen, expected) in [
        (&address, format!("https://{address}/healthz answers 200\n")),
        (&listen, format!("https://localhost/healthz at {listen} answers 200\n")),
    ] {
        let alive = run_pressmark(&["healthcheck", "--listen", listen, "--tls-cert", &options[1]]);
        assert_eq!(String::from_utf8_lossy(&alive.stdout), expected, "{}", String::from_utf8_lossy(&alive.stderr));
    }
    let config = folder.path().join("pressmark.toml");
    let lines = format!("listen = {address:?}\ntls-cert = {:?}\ntls-key = {:?}\n", options[1], options[3]);
    fs::write(&config, lines).expect("written");
    let alive = run_pressmark(&["healthcheck", "--config", text(&config)]);
    assert_eq!(alive.status.code(), Some(0), "{}", String::from_utf8_lossy(&alive.stderr));
    // Without the setting the server is asked in plain HTTP, and that is told.
    let plain = run_pressmark(&["healthcheck", "--listen", &address]);
    assert_eq!(plain.status.code(), Some(1), "{}", String::from_utf8_lossy(&plain.stdout));
}
