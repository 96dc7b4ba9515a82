//! The identity provider of `deploy/identity`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::process::{Process, accepts, free_port, wait_until};
use crate::{RESOURCE, http};

const SECRET: &str = "a-secret-of-programs";
/// The provider takes a second to start on a quiet machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The provider, stopped when it goes out of scope.
pub(crate) struct Provider {
    issuer: String,
    listen: u16,
    resources: String,
    http: reqwest::Client,
    directory: TempDir,
    process: Process,
}

impl Provider {
    /// Its issuer is where it listens; its tokens are for [`RESOURCE`].
    pub(crate) fn start() -> Self {
        Self::start_for(RESOURCE)
    }

    /// The same for these resources, with spaces between.
    pub(crate) fn start_for(resources: &str) -> Self {
        let port = free_port();
        Self::start_as(&format!("http://127.0.0.1:{port}"), port, resources)
    }

    /// It calls itself by another URL than where it listens, as behind a proxy.
    pub(crate) fn start_as(issuer: &str, listen: u16, resources: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let process = launch(issuer, listen, resources, &directory);
        let mut provider =
            Self { issuer: issuer.to_owned(), listen, resources: resources.to_owned(), http: http(), directory, process };
        provider.wait_until_it_listens();
        provider
    }

    /// Its URL, as its tokens name it.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token for the client `agent`, whose scopes are not limited.
    pub(crate) async fn token(&self, scope: &str) -> String {
        self.token_of("agent", scope, RESOURCE).await
    }

    /// A token by client credentials (RFC 6749, section 4.4) for this resource (RFC 8707).
    pub(crate) async fn token_of(&self, client: &str, scope: &str, resource: &str) -> String {
        let answer = self.ask_for_token(client, scope, resource).await;
        answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("no token for {client}, {scope}, {resource}: {answer}"))
            .to_owned()
    }

    /// What it answers to one who asks for a token.
    pub(crate) async fn ask_for_token(&self, client: &str, scope: &str, resource: &str) -> Value {
        let form = format!("grant_type=client_credentials&scope={}&resource={resource}", scope.replace(' ', "+"));
        let request = self.http.post(format!("{}/token", self.address())).basic_auth(client, Some(SECRET));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let text = request.send().await.expect("the provider answers").text().await.expect("a whole answer");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The names of the keys that it publishes; the first one signs.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let answer = self.http.get(format!("{}/jwks", self.address())).send().await.expect("the provider answers");
        assert_eq!(answer.status(), StatusCode::OK);
        let keys: Value = serde_json::from_str(&answer.text().await.expect("a whole answer")).expect("JSON");
        keys["keys"].as_array().expect("keys").iter().map(|key| key["kid"].as_str().expect("a name").to_owned()).collect()
    }

    /// One step of a planned rotation: a key is published, it signs, the old one is withdrawn. Gives the keys afterwards.
    pub(crate) async fn rotate_by_a_step(&self) -> Vec<String> {
        self.rotate("HUP").await
    }

    /// A new key signs, and all others are withdrawn. Gives the keys afterwards.
    pub(crate) async fn rotate_at_once(&self) -> Vec<String> {
        self.rotate("USR2").await
    }

    async fn rotate(&self, signal: &str) -> Vec<String> {
        let before = self.keys().await;
        self.process.signal(signal);
        loop {
            let keys = self.keys().await;
            if keys != before {
                return keys;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// It takes connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// It dies. Its keys die with it.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// It is started again, where it was.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = launch(&self.issuer, self.listen, &self.resources, &self.directory);
        self.wait_until_it_listens();
    }

    /// Where it can be asked, whoever stands in front of it.
    fn address(&self) -> String {
        let issuer = url::Url::parse(&self.issuer).expect("a URL");
        format!("http://127.0.0.1:{}{}", self.listen, issuer.path().trim_end_matches('/'))
    }

    fn wait_until_it_listens(&mut self) {
        let (port, log, process) = (self.listen, self.directory.path().join("log"), &mut self.process);
        wait_until(LIMIT, "the identity provider accepts connections", || {
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(process.ended().is_none(), "the identity provider ended at its start: {}", log());
            accepts(port)
        });
    }
}

fn launch(issuer: &str, listen: u16, resources: &str, directory: &TempDir) -> Process {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (node, packages) = (root.join(".tools/bin/node"), root.join("deploy/identity/node_modules"));
    for needed in [&node, &packages] {
        assert!(needed.exists(), "{} is missing; run scripts/test once, which installs it", needed.display());
    }
    let log = std::fs::File::create(directory.path().join("log")).expect("a file");
    let mut command = Command::new(node);
    command.arg(root.join("deploy/identity/provider.mjs"));
    command.env("IDENTITY_ISSUER", issuer).env("IDENTITY_LISTEN", format!("127.0.0.1:{listen}"));
    command.env("IDENTITY_RESOURCE", resources).env("IDENTITY_SECRET", SECRET);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    Process::spawn(&mut command, "node")
}
