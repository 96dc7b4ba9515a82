//! Three replicas of a server with their state in one place, behind a balancer that deals requests out in turn.

use std::path::PathBuf;

use sha2::Digest as _;
use tempfile::TempDir;

use crate::support::nginx::Nginx;
use crate::support::server::Pressmark;

/// Callers that may do everything, in folders that all see.
pub(crate) const CALLERS: usize = 50;

pub(crate) struct World {
    pub(crate) replicas: Vec<Pressmark>,
    pub(crate) nginx: Nginx,
    folder: TempDir,
}

impl World {
    /// Three of `pressmark serve`.
    pub(crate) fn serve(state: &str) -> Self {
        Self::of(state, Pressmark::start)
    }

    /// Three of `examples/everything`.
    pub(crate) fn everything(state: &str) -> Self {
        Self::of(state, |arguments| Pressmark::start_example("everything", arguments))
    }

    fn of(state: &str, start: impl Fn(&[&str]) -> Pressmark) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        let (files, api_keys, seal_keys) = (at("files"), at("api-keys.toml"), at("seal-keys"));
        std::fs::create_dir(&files).expect("a folder");
        std::fs::write(&seal_keys, "5f".repeat(32)).expect("a file");
        std::fs::write(&api_keys, self::api_keys(CALLERS)).expect("a file");
        let arguments = [files.as_str(), "--api-keys", &api_keys, "--seal-keys", &seal_keys, "--state", state];
        let replicas: Vec<_> = (0..3).map(|_| start(&arguments)).collect();
        let nginx = Nginx::start(&replicas.iter().map(Pressmark::port).collect::<Vec<_>>());
        Self { replicas, nginx, folder }
    }

    /// The balancer.
    pub(crate) fn url(&self) -> String {
        self.nginx.url()
    }

    /// Where on disk the file or folder of this path is.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join("files").join(path.trim_start_matches('/'))
    }

    /// A place on the same file system that the replicas do not serve.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The file of the keys of so many callers.
pub(crate) fn api_keys(callers: usize) -> String {
    let key = |caller| {
        let hash: String = sha2::Sha256::digest(token(caller)).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[key]]\nname = \"caller-{caller}\"\nsha256 = \"{hash}\"\nscopes = [\"files\"]\n")
    };
    (0..callers).map(key).collect()
}

/// What a caller shows.
pub(crate) fn token(caller: usize) -> String {
    format!("pm_{caller}")
}

/// Makes a folder with something in it.
pub(crate) fn fill(folder: &std::path::Path) {
    std::fs::create_dir_all(folder.join("sub")).expect("a folder");
    std::fs::write(folder.join("a.txt"), "a").expect("a file");
    std::fs::write(folder.join("sub/b.txt"), "b").expect("a file");
}
