//! mcp-remote, through which clients that know only local servers come: started as `pressmark connect` configures it.

use std::io::{BufRead as _, BufReader, PipeWriter, Read, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::protected::Protected;
use crate::provider::Provider;
use crate::support::node::{node, package_command};
use crate::support::process::{Process, accepts, wait_until};
use crate::support::server::{Pressmark, run_pressmark_with_environment};
use crate::{folder, serve, served};

const LIMIT: Duration = Duration::from_secs(60);

/// The bridge, with a client's end of it.
struct Bridge {
    input: PipeWriter,
    answers: Receiver<Value>,
    said: Arc<Mutex<String>>,
    process: Process,
    _home: TempDir,
}

impl Bridge {
    /// What a client starts that is configured for this server, by `pressmark connect`, with this token.
    fn start(url: &str, token: Option<&str>) -> Self {
        let connect = ["connect", "claude-desktop", "--url", url];
        let printed = match token {
            Some(token) => {
                run_pressmark_with_environment(&[&connect[..], &["--token-env", "TOKEN"]].concat(), &[("TOKEN", token)])
            }
            None => run_pressmark_with_environment(&connect, &[]),
        };
        let configuration: Value = serde_json::from_slice(&printed.stdout).expect("a configuration");
        let entry = &configuration["mcpServers"]["pressmark"];
        let arguments: Vec<_> =
            entry["args"].as_array().expect("arguments").iter().map(|text| text.as_str().expect("text")).collect();
        assert_eq!((entry["command"].as_str(), &arguments[..2]), (Some("npx"), &["-y", "mcp-remote"][..]));

        let home = tempfile::tempdir().expect("a temporary folder");
        let mut command = node(&[&[&*package_command("mcp-remote")], &arguments[2..]].concat());
        // Without a desktop it opens no browser on the machine of whoever runs this test.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("BROWSER", "true");
        command.env("HOME", home.path()).env("MCP_REMOTE_CONFIG_DIR", home.path());
        for (name, value) in entry["env"].as_object().into_iter().flatten() {
            command.env(name, value.as_str().expect("text"));
        }
        Self::spawn(command, home)
    }

    fn spawn(mut command: Command, home: TempDir) -> Self {
        let (stdin, input) = std::io::pipe().expect("a pipe");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command, "node");
        let (stdout, stderr) = process.take_output();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // It fails when the test has ended.
            lines.filter_map(|line| serde_json::from_str(&line).ok()).all(|answer| sender.send(answer).is_ok());
        });
        let said = Arc::<Mutex<String>>::default();
        collect(stderr, Arc::clone(&said));
        let mut bridge = Self { input, answers, said, process, _home: home };
        // The first that every client says.
        bridge.send(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "desktop", "version": "1"},
        }}));
        bridge
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input, "{message}").expect("the bridge reads");
    }

    fn answer(&self, id: u32) -> Value {
        loop {
            match self.answers.recv_timeout(LIMIT) {
                Ok(answer) if answer["id"] == id => return answer,
                Ok(_) => {}
                Err(_) => panic!("no answer to {id}: {}", self.said()),
            }
        }
    }

    /// What it has told its user.
    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its user visits the page that it asks for as the `number`th, signs in and agrees.
    fn sign_in(&self, number: usize) {
        let page = || {
            let said = self.said();
            let pairs = said.lines().zip(said.lines().skip(1));
            pairs.filter(|(before, _)| before.contains("by visiting")).nth(number).map(|(_, page)| page.to_owned())
        };
        wait_until(LIMIT, "the bridge asks its user to sign in", || page().is_some());
        let page = page().expect("just seen");
        let url = url::Url::parse(&page).expect("a URL");
        let back = url.query_pairs().find(|(name, _)| name == "redirect_uri").expect("a way back").1.into_owned();
        let back = url::Url::parse(&back).expect("a URL").port().expect("a port");
        wait_until(LIMIT, "the bridge waits for its user", || accepts(back));
        let visit = node(&["sign_in.mjs", &page]).output().expect("node runs");
        assert!(visit.status.success(), "{}{}", String::from_utf8_lossy(&visit.stderr), self.said());
    }
}

fn collect(source: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            *into.lock().unwrap_or_else(PoisonError::into_inner) += &format!("{line}\n");
        }
    });
}

/// The bridge connects, lists the tools and calls one.
fn works(bridge: &mut Bridge) {
    let answer = bridge.answer(0);
    assert_eq!(answer["result"]["serverInfo"]["name"], "pressmark", "{answer}");
    bridge.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    bridge.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}));
    let tools = bridge.answer(1);
    let tools = tools["result"]["tools"].as_array().unwrap_or_else(|| panic!("no tools: {tools}"));
    assert!(tools.iter().any(|tool| tool["name"] == "read_file"), "{tools:?}");
    bridge.send(&call(2, "read_file", json!({"path": "/hello.txt"})));
    let answer = bridge.answer(2);
    assert_eq!(answer["result"]["content"][0]["text"], "hello\n", "{answer}");
}

fn call(id: u32, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

#[tokio::test]
async fn with_a_token_in_a_header() {
    let provider = Provider::start();
    let folder = folder();
    let server = serve(&folder, provider.issuer());
    works(&mut Bridge::start(&server.url(), Some(&provider.token("files:read").await)));
}

#[test]
fn with_a_wrong_token() {
    let folder = folder();
    let server = Pressmark::start(&[served(&folder), "--dev-token", "a-token-for-tests"]);
    let mut bridge = Bridge::start(&server.url(), Some("another-token"));
    let status = bridge.process.wait(LIMIT);
    assert!(!status.success(), "{}", bridge.said());
    assert!(bridge.said().contains("this server registers no clients"), "{}", bridge.said());
    assert!(bridge.said().contains("check the token"), "{}", bridge.said());
    assert!(server.stderr().contains("unknown_token"), "{}", server.stderr());
}

/// Without a token it asks its user to sign in where the server says, and again when a call needs more.
#[test]
fn with_a_user_who_signs_in() {
    let server = Protected::start();
    let mut bridge = Bridge::start(server.url(), None);
    bridge.sign_in(0);
    works(&mut bridge);
    bridge.send(&call(3, "write_file", json!({"path": "/new.txt", "content": "x"})));
    bridge.sign_in(1);
    let answer = bridge.answer(3);
    assert_eq!(answer["result"]["structuredContent"]["created"], true, "{answer}");
    assert!(server.folder().join("new.txt").exists());
}
