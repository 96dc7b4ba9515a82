//! What an operator sees: start-up, probes, logs, shutdown, and a panic that harms one request only.

mod support;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use pressmark::config::Settings;
use serde_json::{Value, json};
use support::client::McpClient;
use support::process::{Process, wait_until};
use support::server::{Pressmark, run_pressmark};

const TOKEN: &str = "a-secret-token-for-tests";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a file can be written");
    folder
}

fn path(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

#[tokio::test]
async fn the_first_run_prints_all_that_a_client_needs() {
    let folder = folder();
    let server = Pressmark::start(&[path(&folder)]);
    let banner = server.stdout();
    let url = format!("{}/mcp", server.url());
    assert!(banner.lines().count() < 20, "a few lines: {banner}");
    for told in [url.as_str(), path(&folder), "writable", "memory", "development token"] {
        assert!(banner.contains(told), "{told} is not in {banner}");
    }
    let configuration: Value = serde_json::from_str(&banner[banner.find('{').expect("JSON")..]).expect("JSON to paste");
    let entry = &configuration["mcpServers"]["pressmark"];
    assert_eq!(entry["url"], url);
    let token = entry["headers"]["Authorization"].as_str().and_then(|value| value.strip_prefix("Bearer ")).expect("a token");
    let reply = McpClient::modern(&server.url(), Some(token)).call_tool("read_file", json!({"path": "/hello.txt"})).await;
    assert_eq!(reply.content(0), "hello\n");
    assert_eq!(McpClient::modern(&server.url(), None).request("tools/list", json!({})).await.status, 401);
}

#[tokio::test]
async fn each_request_is_one_line_without_secrets() {
    let folder = folder();
    let server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--log-format", "json"]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let params = json!({"name": "read_file", "arguments": {"path": "/hello.txt"}, "_meta": {"traceparent": parent}});
    let reply = client.request("tools/call", params).await;
    McpClient::modern(&server.url(), Some("a-wrong-secret")).request("tools/list", json!({})).await;
    let lines = || server.stderr().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>();
    let find = |status: u16| {
        lines().into_iter().find(|line| line["message"] == "request" && line["status"] == status && line["path"] == "/mcp")
    };
    wait_until(Duration::from_secs(5), "both requests are logged", || find(200).is_some() && find(401).is_some());
    let line = find(200).expect("just seen");
    assert_eq!(
        (&line["method"], &line["tool"], &line["traceparent"]),
        (&json!("tools/call"), &json!("read_file"), &json!(parent))
    );
    assert_eq!((&line["issuer"], line["bytes"].as_u64()), (&json!("dev-token"), Some(reply.text.len() as u64)));
    assert!(line["principal"].is_string() && line["duration_us"].is_u64());
    client.request("prompts/get", json!({"name": "review_changes", "arguments": {"since": "1 hour"}})).await;
    let find = || lines().into_iter().find(|line| line["method"] == "prompts/get");
    wait_until(Duration::from_secs(5), "the prompt is logged", || find().is_some());
    let line = find().expect("just seen");
    assert_eq!((&line["prompt"], line.get("tool")), (&json!("review_changes"), None));
    let log = server.stderr();
    for secret in [TOKEN, "a-wrong-secret", "Bearer", "hello\\n"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn sigterm_finishes_what_is_under_way() {
    let folder = folder();
    let mut server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let message = client.message("tools/call", json!({"name": "read_file", "arguments": {"path": "/hello.txt"}}));
    let request = client.raw(&message, "Connection: close\r\n");
    let (begun, rest) = request.split_at(request.len() - 20);

    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    stream.write_all(begun).expect("the head and a part of the body are sent");
    // The server has to have seen the head before it is told to stop.
    std::thread::sleep(Duration::from_millis(300));
    server.terminate();
    wait_until(Duration::from_secs(5), "no connection is accepted any more", || {
        std::net::TcpStream::connect(("127.0.0.1", server.port())).is_err()
    });
    stream.write_all(rest).expect("the rest is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hello\\n"), "{answer}");
    assert!(server.wait(Duration::from_secs(10)).success());
}

#[test]
fn sigterm_without_work_ends_at_once() {
    let folder = folder();
    let mut server = Pressmark::start(&[path(&folder)]);
    let idle = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    let start = Instant::now();
    server.terminate();
    assert!(server.wait(Duration::from_secs(10)).success());
    assert!(start.elapsed() < Duration::from_secs(5), "an idle connection holds nothing up");
    drop(idle);
}

#[test]
fn wrong_settings_are_one_line_and_exit_code_2() {
    let folder = folder();
    let config = folder.path().join("pressmark.toml");
    std::fs::write(&config, "listen = \"127.0.0.1:0\"\ndev-tokken = \"hunter2\"\n").expect("a file can be written");
    let config = config.to_str().expect("UTF-8");
    let path = path(&folder);
    let cases: &[(&[&str], &str)] = &[
        (&["serve"], "nothing to serve"),
        (&["serve", path, "--lisen", "127.0.0.1:0"], "--listen"),
        (&["serve", path, "--listen", "8080"], "--listen"),
        (&["serve", path, "--listen", "0.0.0.0:0"], "--api-keys"),
        (&["serve", path, "--listen", "0.0.0.0:0", "--no-auth"], "--no-auth"),
        (&["serve", path, "--no-auth", "--dev-token", "x"], "--no-auth"),
        (&["serve", path, "--jwks-file", "a", "--jwks-url", "https://example.com/b"], "--jwks-url"),
        (&["serve", path, "--jwt-audience", "x"], "--jwt-issuer"),
        (&["serve", path, "--jwt-issuer", "example.com"], "--jwt-issuer"),
        (&["serve", path, "--state", "postgres://x:secret@y/"], "--state"),
        (&["serve", path, "--public-url", "mcp.example.com"], "--public-url"),
        (&["serve", path, "--allow-origin", "https://example.com/page"], "--allow-origin"),
        (&["serve", path, "--request-timeout", "soon"], "--request-timeout"),
        (&["serve", path, "--max-result-bytes", "10"], "--max-result-bytes"),
        (&["serve", path, "--workers", "0"], "--workers"),
        (&["serve", path, "--workers", "999999999"], "--workers"),
        (&["serve", path, "--public-url", "https://mcp.example.com/mcp"], "leave /mcp out"),
        (&["serve", path, "--cursor-ttl", "0s"], "longer"),
        (&["serve", path, "--log-format", "xml"], "--log-format"),
        (&["serve", path, "--mount", "docs"], "NAME=URL"),
        (&["serve", path, "--mount", "docs=s3://bucket"], "s3"),
        (&["serve", path, "--config", "/nowhere.toml"], "--config"),
        (&["serve", path, "--config", config], "line 2"),
        (&["sevre", path], "serve"),
    ];
    for (arguments, named) in cases {
        let output = run_pressmark(arguments);
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains(named), "{arguments:?}: {named} is not named: {stderr}");
        assert!(!stderr.contains("secret") && !stderr.contains("hunter2"), "{stderr}");
    }
}

#[test]
fn what_fails_at_the_start_is_one_line_and_exit_code_1() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (arguments, named) in [
        (vec!["serve", "/no/such/folder"], "/no/such/folder"),
        (vec!["serve", path(&folder), "--listen", &address], "--listen"),
        (vec!["serve", path(&folder), "--state", "redis://:secret@127.0.0.1:1"], "shared state"),
        (vec!["serve", path(&folder), "--api-keys", "/no/such/keys.toml"], "/no/such/keys.toml"),
    ] {
        let output = run_pressmark(&arguments);
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named) && !stderr.contains("secret"), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().filter(|line| line.starts_with("pressmark:")).count(), 1, "{stderr}");
    }
}

#[tokio::test]
async fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let folder = folder();
    let config = folder.path().join("pressmark.toml");
    std::fs::write(&config, format!("path = {:?}\ndev-token = \"from-the-file\"\nread-only = true\n", path(&folder)))
        .expect("a file");
    let config = config.to_str().expect("UTF-8");
    let status = async |server: &Pressmark, token: &str| {
        McpClient::modern(&server.url(), Some(token)).request("tools/list", json!({})).await.status.as_u16()
    };
    let file = Pressmark::start(&["--config", config]);
    assert!(file.stdout().contains("read-only"), "{}", file.stdout());
    assert_eq!(status(&file, "from-the-file").await, 200);
    let environment =
        Pressmark::start_with_environment(&[], &[("PRESSMARK_CONFIG", config), ("PRESSMARK_DEV_TOKEN", "from-the-environment")]);
    assert_eq!((status(&environment, "from-the-file").await, status(&environment, "from-the-environment").await), (401, 200));
    let flag = Pressmark::start_with_environment(
        &["--config", config, "--dev-token", "from-a-flag"],
        &[("PRESSMARK_DEV_TOKEN", "from-the-environment")],
    );
    assert_eq!((status(&flag, "from-the-environment").await, status(&flag, "from-a-flag").await), (401, 200));
}

#[tokio::test]
async fn folders_are_mounted_by_name_from_paths_and_urls() {
    let (one, two) = (folder(), folder());
    let (by_path, by_url) = (format!("one={}", path(&one)), format!("two=file://{}", path(&two)));
    let server = Pressmark::start(&["--mount", &by_path, "--mount", &by_url, "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    for file in ["/one/hello.txt", "/two/hello.txt"] {
        assert_eq!(client.call_tool("read_file", json!({"path": file})).await.content(0), "hello\n", "{file}");
    }
    let root = client.call_tool("list_directory", json!({})).await;
    assert!(root.content(0).contains("one/") && root.content(0).contains("two/"), "{}", root.text);
}

#[test]
fn the_default_address_is_of_this_machine_only() {
    let settings = Settings { path: Some(".".to_owned()), ..Settings::default() };
    assert!(settings.resolve().expect("a configuration").listen.ip().is_loopback());
}

#[test]
fn help_and_version() {
    for (arguments, told) in [
        (vec!["--version"], vec![env!("CARGO_PKG_VERSION")]),
        (vec!["--help"], vec!["serve"]),
        (
            vec!["serve", "--help"],
            vec![
                "--mount",
                "--read-only",
                "--listen",
                "--public-url",
                "--state",
                "--jwt-issuer",
                "--jwks-file",
                "--jwks-url",
                "--jwt-audience",
                "--api-keys",
                "--dev-token",
                "--no-auth",
                "--allow-origin",
                "--max-result-bytes",
                "--max-request-bytes",
                "--request-timeout",
                "--cursor-ttl",
                "--workers",
                "--log-format",
                "--config",
                "PRESSMARK_LISTEN",
            ],
        ),
    ] {
        let output = run_pressmark(&arguments);
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0));
        for told in told {
            assert!(stdout.contains(told), "{told} is not in {stdout}");
        }
    }
}

#[tokio::test]
async fn the_minimal_example_runs() {
    // A run of this test alone does not build the examples.
    let built =
        std::process::Command::new(env!("CARGO")).args(["build", "--quiet", "--example", "minimal"]).status().expect("cargo");
    assert!(built.success());
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_pressmark")).with_file_name("examples").join("minimal");
    let folder = folder();
    let mut command = std::process::Command::new(&binary);
    command.current_dir(folder.path()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut example = Process::spawn(&mut command, "nothing: cargo test builds the examples");
    let (stdout, _stderr) = example.take_output();
    let mut banner = String::new();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
    while serde_json::from_str::<Value>(&banner[banner.find('{').unwrap_or(banner.len())..]).is_err() {
        banner.push_str(&lines.next().expect("the example goes on").expect("UTF-8"));
        banner.push('\n');
    }
    let configuration: Value = serde_json::from_str(&banner[banner.find('{').expect("JSON")..]).expect("JSON");
    let entry = &configuration["mcpServers"]["pressmark"];
    let url = entry["url"].as_str().expect("a URL").trim_end_matches("/mcp").to_owned();
    let token = entry["headers"]["Authorization"].as_str().expect("a header").trim_start_matches("Bearer ").to_owned();
    let client = McpClient::modern(&url, Some(&token));
    let reply = client.call_tool("greet", json!({"name": "Ada"})).await;
    assert_eq!((reply.content(0), &reply.structured()["letters"]), ("Hello, Ada!", &json!(3)));
    assert!(client.call_tool("greet", json!({"name": ""})).await.is_tool_error());
    assert_eq!(client.call_tool("read_file", json!({"path": "/hello.txt"})).await.content(0), "hello\n");
}
