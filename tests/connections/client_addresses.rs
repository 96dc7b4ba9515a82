//! Whom a request is said to come from, in the log.

use std::time::Duration;

use serde_json::Value;

use super::support::nginx::{Nginx, Site};
use super::support::process::wait_until;
use super::support::server::Pressmark;

/// Asks from this address of this machine, with these headers, and gives the client in the log line.
async fn logged(server: &Pressmark, url: &str, from: &str, headers: &[(&str, &str)]) -> String {
    let before = lines(server).len();
    let client = reqwest::Client::builder().no_proxy().local_address(from.parse::<std::net::IpAddr>().expect("an address"));
    let mut request = client.build().expect("a client").get(format!("{url}/mcp"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    assert_eq!(request.send().await.expect("an answer").status(), 401);
    wait_until(Duration::from_secs(10), "the request is logged", || lines(server).len() > before);
    lines(server)[before]["client"].as_str().unwrap_or_default().to_owned()
}

fn lines(server: &Pressmark) -> Vec<Value> {
    let stderr = server.stderr();
    let lines = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["path"] == "/mcp").collect()
}

fn start(folder: &tempfile::TempDir, more: &[&str]) -> Pressmark {
    let arguments = [folder.path().to_str().expect("UTF-8"), "--log-format", "json"];
    Pressmark::start(&[&arguments[..], more].concat())
}

#[tokio::test]
async fn only_trusted_proxies_are_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let nobody = start(&folder, &[]);
    let spoofed = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
    assert_eq!(logged(&nobody, &nobody.url(), "127.0.0.1", &spoofed).await, "127.0.0.1");

    let one = start(&folder, &["--trusted-proxies", "127.0.0.2,10.0.0.0/8"]);
    assert_eq!(logged(&one, &one.url(), "127.0.0.1", &spoofed).await, "127.0.0.1", "another one says so");
    assert_eq!(logged(&one, &one.url(), "127.0.0.2", &spoofed).await, "203.0.113.9");
    assert_eq!(logged(&one, &one.url(), "127.0.0.2", &[]).await, "127.0.0.2");
    let chain = [("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.1.2.3")];
    assert_eq!(logged(&one, &one.url(), "127.0.0.2", &chain).await, "203.0.113.9");
    let broken = [("x-forwarded-for", "203.0.113.9, <script>")];
    assert_eq!(logged(&one, &one.url(), "127.0.0.2", &broken).await, "127.0.0.2");
}

#[tokio::test]
async fn nginx_as_it_is_shipped_tells_the_client_and_nothing_that_the_client_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(&folder, &["--trusted-proxies", "127.0.0.1"]);
    let nginx = Nginx::start_at(&Site { replicas: &[server.port()], limits: false, server: "" });
    for headers in [vec![], vec![("x-forwarded-for", "203.0.113.9")], vec![("forwarded", "for=203.0.113.9")]] {
        assert_eq!(logged(&server, &nginx.url(), "127.0.0.3", &headers).await, "127.0.0.3", "{headers:?}");
    }
}

#[test]
fn a_network_that_is_none_is_refused() {
    let output = super::support::server::run_pressmark(&["serve", ".", "--trusted-proxies", "10.0.0.0/8,proxy.internal"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--trusted-proxies proxy.internal: write a network like 10.0.0.0/8"), "{stderr}");
}
