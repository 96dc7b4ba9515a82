//! Settings: where they come from, and what is said of those that cannot be used.

use pressmark::app::App;
use pressmark::config::Settings;
use serde_json::json;

use super::support::client::McpClient;
use super::support::server::{Pressmark, run_pressmark, run_pressmark_with_environment};
use super::{folder, path};

#[test]
fn wrong_settings_are_one_line_and_exit_code_2() {
    let folder = folder();
    let config = folder.path().join("pressmark.toml");
    std::fs::write(&config, "listen = \"127.0.0.1:0\"\ndev-tokken = \"hunter2\"\n").expect("a file can be written");
    let config = config.to_str().expect("UTF-8");
    let typed = config.replace("pressmark.toml", "typed.toml");
    std::fs::write(&typed, "max-result-bytes = \"hunter2\"\n").expect("a file can be written");
    let beside = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(beside.path(), "hunter2\n").expect("a file can be written");
    let seal_keys = beside.path().to_str().expect("UTF-8");
    let path = path(&folder);
    let cases: &[(&[&str], &str)] = &[
        (&["serve"], "nothing to serve"),
        (&["serve", path, "--lisen", "127.0.0.1:0"], "--listen"),
        (&["serve", path, "--listen", "8080"], "--listen: '8080': write it like 127.0.0.1:8080, or 0.0.0.0:8080 for all"),
        (&["serve", path, "--listen", ":8080"], "write it like 127.0.0.1:8080"),
        (&["serve", path, "--listen", "localhost:x"], "write it like 127.0.0.1:8080"),
        (&["serve", path, "--port", "8080"], "did you mean --listen"),
        (&["serve", path, "--listen", "0.0.0.0:0", "--dev-token", "hunter2-is-weak"], "at least 16 characters"),
        (&["serve", path, "--mount", "a=/tmp", "--mount", "a=/tmp"], "/a"),
        (&["serve", path, "--mount", "/a=/tmp"], "name of a mount"),
        (&["serve", path, "--jwt-issuer", "http://login.example.com"], "--jwt-issuer: it must be an https URL"),
        (&["serve", path, "--jwks-url", "http://login.example.com"], "--jwks-url: it must be an https URL"),
        (&["serve", path, "--seal-keys", seal_keys], "line 1 is not a key"),
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
        (&["serve", path, "--log-format", "xml"], "--log-format: 'xml' is not text or json"),
        (&["serve", path, "--workers", "many"], "--workers: 'many': write a whole number"),
        (&["serve", path, "--mount", "docs"], "NAME=URL"),
        (&["serve", path, "--mount", "docs=s3://bucket"], "s3"),
        (&["serve", path, "--config", "/nowhere.toml"], "--config"),
        (
            &["serve", path, "--config", config],
            "pressmark.toml, line 2: there is no setting `dev-tokken`; did you mean `dev-token`?",
        ),
        (&["serve", path, "--config", &typed], "typed.toml, line 1: `max-result-bytes`: must be a number"),
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
        (
            vec!["serve", path(&folder), "--state", "redis://:secret@127.0.0.1:1"],
            "shared state is unavailable: Redis cannot be reached (connection refused) (redis://127.0.0.1:1); see that",
        ),
        (vec!["serve", path(&folder), "--api-keys", "/no/such/keys.toml"], "/no/such/keys.toml"),
    ] {
        let output = run_pressmark(&arguments);
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named) && !stderr.contains("secret"), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("pressmark: ") && stderr.lines().count() == 1, "{stderr}");
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

#[test]
fn the_default_address_is_of_this_machine_only() {
    let settings = Settings { path: Some(".".to_owned()), ..Settings::default() };
    assert!(settings.resolve().expect("a configuration").listen.is_of_this_machine());
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

#[test]
fn variables_that_look_like_settings_are_not_ignored() {
    let folder = folder();
    for (variable, value, told) in [
        ("PRESSMARK_READONLY", "true", "PRESSMARK_READONLY is no setting; did you mean PRESSMARK_READ_ONLY?"),
        ("PRESSMARK_DEV_TOKN", "hunter2", "did you mean PRESSMARK_DEV_TOKEN?"),
        ("PRESSMARK_READ_ONLY", "1", "PRESSMARK_READ_ONLY: '1' is not true or false"),
        ("PRESSMARK_LOG_FORMAT", "yaml", "PRESSMARK_LOG_FORMAT: 'yaml' is not text or json"),
        ("PRESSMARK_LISTEN", ":8080", "PRESSMARK_LISTEN: ':8080': write it like"),
        ("PRESSMARK_STATE", "", "PRESSMARK_STATE is empty"),
    ] {
        let output = run_pressmark_with_environment(&["serve", path(&folder)], &[(variable, value)]);
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{variable}: {stderr}");
        assert!(stderr.contains(told) && !stderr.contains("hunter2"), "{variable}: {stderr}");
    }
    // What Kubernetes sets for a service of this name is nobody's mistake; a name like no setting's may be.
    let server = Pressmark::start_with_environment(
        &[path(&folder)],
        &[
            ("PRESSMARK_SERVICE_HOST", "10.0.0.1"),
            ("PRESSMARK_SERVICE_PORT", "8080"),
            ("PRESSMARK_SERVICE_PORT_HTTP", "8080"),
            ("PRESSMARK_PORT", "tcp://10.0.0.1:8080"),
            ("PRESSMARK_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("PRESSMARK_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("PRESSMARK_FAVOURITE_COLOUR", "green"),
        ],
    );
    let warned = server.stderr();
    assert!(warned.contains("PRESSMARK_FAVOURITE_COLOUR is no setting and is ignored"), "{warned}");
    assert_eq!(warned.matches("PRESSMARK_").count(), 1, "{warned}");
}

#[test]
fn localhost_is_this_machine() {
    let listen = Settings::from_toml("listen = \"localhost:8080\"").expect("settings").listen.expect("an address");
    assert_eq!(listen.to_string(), "127.0.0.1:8080");
    assert!(Settings::from_toml("listen = \":8080\"").expect_err("no address").to_string().contains("0.0.0.0:8080"));
}

#[tokio::test]
async fn an_address_that_is_no_url_is_told_apart() {
    let folder = folder();
    let settings = Settings {
        path: Some(path(&folder).to_owned()),
        listen: Some("0.0.0.0:0".parse().expect("an address")),
        dev_token: Some("a-token-of-somebody".to_owned()),
        ..Settings::default()
    };
    let app = App::new(settings.resolve().expect("a configuration")).await.expect("parts").bind().await.expect("a port");
    assert!(app.banner().contains("every address of this machine; set --public-url"), "{}", app.banner());
}

#[test]
fn a_token_that_was_given_is_not_printed_again() {
    let folder = folder();
    let server =
        Pressmark::start(&[path(&folder), "--dev-token", "a-token-of-somebody", "--public-url", "https://mcp.example.com"]);
    let banner = server.stdout();
    assert!(banner.contains("Bearer YOUR-TOKEN") && !banner.contains("a-token-of-somebody"), "{banner}");
    assert!(banner.contains(&format!("listen   127.0.0.1:{}", server.port())), "{banner}");
}
