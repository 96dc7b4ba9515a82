//! Streams that are open when their caller's credentials end.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pressmark::config::Settings;
use serde_json::{Value, json};
use sha2::Digest as _;
use tempfile::TempDir;

use crate::agent::{Agent, Events, LIMIT};
use crate::support::client::{EventStream, McpClient};
use crate::support::in_process::Server;
use crate::support::tokens::{ED, P256, jwks, now};
use crate::tools::Gate;
use crate::world::replica;

const AUDIENCE: &str = "https://files.example.com/mcp";

/// A file that says whose requests are taken.
struct Credentials {
    _folder: TempDir,
    path: PathBuf,
}

impl Credentials {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Self { path: folder.path().join("credentials"), _folder: folder };
        file.replace(content);
        file
    }

    fn replace(&self, content: &str) {
        let next = self.path.with_extension("next");
        fs::write(&next, content).expect("written");
        fs::rename(&next, &self.path).expect("renamed");
    }
}

/// An API key whose name is its secret.
fn key(name: &str, rest: &str) -> String {
    let hash: String = sha2::Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\n{rest}\n")
}

fn seconds_from_now(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_secs(now() + seconds)).to_string()
}

/// A stream of each kind: what is told in both eras, and a call that has reported and waits.
struct Streams {
    listening: EventStream,
    call: EventStream,
    session: Events,
    session_call: Events,
}

impl Streams {
    async fn open(server: &Server, token: &str) -> Self {
        let client = McpClient::modern(&server.url, Some(token));
        let filter = json!({"resourceSubscriptions": ["test://watched/a"]});
        let mut listening = client.open("subscriptions/listen", json!({"notifications": filter})).await;
        assert_eq!(told(&mut listening).await["method"], "notifications/subscriptions/acknowledged");
        let logged = json!({"name": "waits", "arguments": {}, "_meta": {"io.modelcontextprotocol/logLevel": "debug"}});
        let mut call = client.open("tools/call", logged).await;
        assert_eq!(told(&mut call).await["method"], "notifications/message");
        let agent = Agent::connect_as(&server.url, "2025-11-25", json!({}), token).await;
        let subscribed = agent.ask(&server.url, "resources/subscribe", json!({"uri": "test://watched/a"})).await;
        assert_eq!(subscribed["result"], json!({}));
        let mut session = agent.listen(&server.url, None).await;
        session.silent_after_priming().await;
        let mut session_call = agent.open(&server.url, &agent.tool_call("waits", json!({}))).await;
        assert_eq!(session_call.message().await.expect("a message")["method"], "notifications/message");
        Self { listening, call, session, session_call }
    }

    /// All of them hear of a change that belongs to no call, and the calls go on.
    async fn are_open(&mut self, gate: &Gate) {
        gate.change();
        assert_eq!(told(&mut self.listening).await["method"], "notifications/resources/updated");
        let message = self.session.message().await.expect("a message");
        assert_eq!(message["method"], "notifications/resources/updated");
        self.session_call.silent().await;
        let more = tokio::time::timeout(Duration::from_millis(300), self.call.next()).await;
        assert!(more.is_err(), "{more:?}");
    }

    /// All of them come to their end without another change told.
    async fn end(mut self) {
        let last = told(&mut self.listening).await;
        assert_eq!(last["result"]["resultType"], "complete", "{last}");
        assert_eq!(ended(&mut self.listening).await, None);
        assert_eq!(ended(&mut self.call).await, None, "its call is cancelled");
        for stream in [&mut self.session, &mut self.session_call] {
            let last = stream.next().await.expect("an event");
            assert!(last.message.is_none() && last.retry.is_some() && last.id.is_some(), "{last:?}");
            assert!(stream.next().await.is_none());
        }
    }
}

async fn told(stream: &mut EventStream) -> Value {
    ended(stream).await.expect("the stream goes on")
}

async fn ended(stream: &mut EventStream) -> Option<Value> {
    tokio::time::timeout(LIMIT, stream.next()).await.expect("in time")
}

#[tokio::test]
async fn a_key_that_is_withdrawn_ends_the_streams_of_its_bearer_and_no_others() {
    let full = "scopes = \"files\"";
    let file = Credentials::new(&[key("pm_gone", full), key("pm_other", full), key("pm_same", full)].concat());
    let gate = Gate::default();
    let server = replica(Settings { api_keys: Some(file.path.clone()), ..Settings::default() }, &gate).await;
    let gone = Streams::open(&server, "pm_gone").await;
    let other = Streams::open(&server, "pm_other").await;
    let mut same = Streams::open(&server, "pm_same").await;
    file.replace(&[key("pm_same", full), key("pm_other", "scopes = \"files:read:/a/**\"")].concat());
    gone.end().await;
    other.end().await;
    same.are_open(&gate).await;
    let deadline = tokio::time::Instant::now() + LIMIT;
    // The calls whose answers nobody may have.
    while gate.dropped.load(Ordering::SeqCst) < 2 {
        assert!(tokio::time::Instant::now() < deadline, "they are not cancelled");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(same);
    server.stop().await;
}

#[tokio::test]
async fn a_key_that_expires_ends_the_streams_of_its_bearer() {
    let file = Credentials::new(&key("pm_brief", &format!("scopes = \"files\"\nexpires = {}", seconds_from_now(8))));
    let gate = Gate::default();
    let server = replica(Settings { api_keys: Some(file.path.clone()), ..Settings::default() }, &gate).await;
    let mut streams = Streams::open(&server, "pm_brief").await;
    streams.are_open(&gate).await;
    streams.end().await;
    server.stop().await;
}

#[tokio::test]
async fn a_token_ends_its_streams_when_it_expires_and_when_its_issuer_withdraws_the_key() {
    let file = Credentials::new(&jwks(&[&ED, &P256]).to_string());
    let gate = Gate::default();
    let settings =
        Settings { jwks_file: Some(file.path.clone()), jwt_audience: Some(AUDIENCE.to_owned()), ..Settings::default() };
    let server = replica(settings, &gate).await;
    let claims = |expires: u64| json!({"aud": AUDIENCE, "sub": "alice", "exp": expires, "scope": "files"});
    // A token is taken for a minute longer than it says, for clocks that disagree: a stream lasts no longer.
    let brief = Streams::open(&server, &ED.sign(&claims(now() - 52))).await;
    let mut lasting = Streams::open(&server, &P256.sign(&claims(now() + 3600))).await;
    brief.end().await;
    file.replace(&jwks(&[&P256]).to_string());
    tokio::time::sleep(Duration::from_secs(3)).await;
    lasting.are_open(&gate).await;
    file.replace(&jwks(&[&ED]).to_string());
    lasting.end().await;
    server.stop().await;
}
