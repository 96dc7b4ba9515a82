//! `examples/everything`, as one replica and as three.

use std::path::Path;

use tempfile::TempDir;

use crate::support::nginx::Nginx;
use crate::support::server::Pressmark;

/// What every replica serves and knows.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("files")).expect("a folder");
        std::fs::write(folder.path().join("files/hello.txt"), "hello\n").expect("a file");
        std::fs::write(folder.path().join("keys"), "5f".repeat(32)).expect("a file");
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        Path::to_str(&self.folder.path().join(name)).expect("UTF-8").to_owned()
    }
}

/// One replica, whose state is its own memory.
pub(crate) struct OneReplica {
    server: Pressmark,
    _files: Files,
}

impl OneReplica {
    pub(crate) fn start() -> Self {
        let files = Files::new();
        Self { server: Pressmark::start_example("everything", &[&files.path("files"), "--no-auth"]), _files: files }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }
}

/// Three replicas that share their state, behind a balancer that sends each request to the next of them.
pub(crate) struct ThreeReplicas {
    nginx: Nginx,
    replicas: Vec<Pressmark>,
    _files: Files,
}

impl ThreeReplicas {
    /// Over this shared state.
    pub(crate) fn start(state: &str) -> Self {
        let files = Files::new();
        let (folder, keys) = (files.path("files"), files.path("keys"));
        let arguments = [folder.as_str(), "--no-auth", "--state", state, "--seal-keys", &keys];
        let replicas: Vec<_> = (0..3).map(|_| Pressmark::start_example("everything", &arguments)).collect();
        let nginx = Nginx::start(&replicas.iter().map(Pressmark::port).collect::<Vec<_>>());
        Self { nginx, replicas, _files: files }
    }

    pub(crate) fn url(&self) -> String {
        self.nginx.url()
    }

    /// Each replica has had its third of the requests, or nearly so.
    pub(crate) fn assert_all_answered(&self) {
        let answered: Vec<_> = self.replicas.iter().map(|replica| replica.stderr().matches("path=\"/mcp\"").count()).collect();
        let third = answered.iter().sum::<usize>() / 3;
        assert!(third > 50 && answered.iter().all(|count| count.abs_diff(third) <= 10), "{answered:?}");
    }
}
