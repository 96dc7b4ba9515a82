//! Replicas on one folder, and callers of several scopes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::Digest as _;
use tempfile::TempDir;

use crate::support::client::{McpClient, Reply};
use crate::support::redis::RedisServer;
use crate::support::server::Pressmark;

/// Each revision of the handshake.
pub(crate) const HANDSHAKES: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// May do everything.
pub(crate) const ADA: &str = "pm_ada";
/// May do everything, and is somebody else.
pub(crate) const BOB: &str = "pm_bob";
/// May read one team's folder and one file.
pub(crate) const TEAM: &str = "pm_team";
/// May do nothing with files.
pub(crate) const NOBODY: &str = "pm_nobody";

const CALLERS: [(&str, &str); 4] =
    [(ADA, "files"), (BOB, "files"), (TEAM, "files:read:/org/team-a/**\", \"files:read:/notes/mine.md"), (NOBODY, "other")];

/// In every name and every text that the team must never see.
pub(crate) const SECRET: &str = "zebra";

pub(crate) struct World {
    pub(crate) replicas: Vec<Pressmark>,
    root: PathBuf,
    beside: TempDir,
    redis: Option<RedisServer>,
}

impl World {
    /// One server.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut world = Self::folder();
        world.add_replica(arguments);
        world
    }

    /// So many replicas with one Redis.
    pub(crate) fn replicated(count: usize, arguments: &[&str]) -> Self {
        let mut world = Self::folder();
        world.redis = Some(RedisServer::start());
        for _ in 0..count {
            world.add_replica(arguments);
        }
        world
    }

    /// A folder that nothing serves yet.
    pub(crate) fn folder() -> Self {
        let beside = tempfile::tempdir().expect("a temporary folder");
        let root = beside.path().join("served");
        fs::create_dir(&root).expect("a folder can be made");
        let mut keys = String::new();
        for (key, scopes) in CALLERS {
            let hash: String = sha2::Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
            keys.push_str(&format!("[[key]]\nname = \"{key}\"\nsha256 = \"{hash}\"\nscopes = [\"{scopes}\"]\n"));
        }
        let world = Self { replicas: Vec::new(), root, beside, redis: None };
        fs::write(world.beside("keys.toml"), keys).expect("a file can be written");
        world
    }

    pub(crate) fn add_replica(&mut self, arguments: &[&str]) {
        let keys = self.beside("keys.toml");
        let mut all = vec![self.root(), "--api-keys", keys.to_str().expect("UTF-8")];
        let state = self.redis.as_ref().map(RedisServer::url);
        if let Some(state) = &state {
            all.extend(["--state", state]);
        }
        all.extend(arguments);
        let replica = Pressmark::start(&all);
        self.replicas.push(replica);
    }

    /// The served folder.
    pub(crate) fn root(&self) -> &str {
        self.root.to_str().expect("UTF-8")
    }

    /// A path that is not served.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.beside.path().join(name)
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path.trim_start_matches('/')))
    }

    /// Writes files, and the folders above them.
    pub(crate) fn plant(&self, files: &[(&str, &str)]) {
        for (path, content) in files {
            let path = self.at(path);
            fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder can be made");
            fs::write(path, content).expect("a file can be written");
        }
    }

    /// Another program at work in the folder.
    pub(crate) fn shell(&self, script: &str) {
        let status = Command::new("sh").arg("-c").arg(script).current_dir(&self.root).status().expect("sh is everywhere");
        assert!(status.success(), "{script}");
    }

    /// A caller at the first replica.
    pub(crate) fn caller(&self, key: &str) -> McpClient {
        self.caller_at(0, key)
    }

    pub(crate) fn caller_at(&self, replica: usize, key: &str) -> McpClient {
        McpClient::modern(&self.replicas[replica].url(), Some(key))
    }

    /// A caller at the first replica in each revision.
    pub(crate) async fn callers(&self, key: &str) -> Vec<(&'static str, McpClient)> {
        let mut callers = vec![("2026-07-28", self.caller(key))];
        for revision in HANDSHAKES {
            callers.push((revision, McpClient::legacy(&self.replicas[0].url(), Some(key), revision).await));
        }
        callers
    }
}

/// Files of two teams, for callers of whom one must not see the other's.
pub(crate) fn teams() -> [(&'static str, &'static str); 6] {
    [
        ("/org/team-a/plan.md", "# The plan\nWe deploy on Mondays.\n"),
        ("/org/team-a/sub/deep.md", "Deploying needs two people.\n"),
        ("/org/zebra/plan.md", "zebra: deploy on Sundays\n"),
        ("/org/zebra.md", "zebra"),
        ("/notes/mine.md", "to do: deploy\n"),
        ("/notes/zebra.md", "zebra"),
    ]
}

/// The error's code, and its `data.uri`.
pub(crate) fn not_found(reply: &Reply) -> (i64, &Value) {
    (reply.error_code(), &reply.error()["data"]["uri"])
}
