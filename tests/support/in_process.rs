//! A server in the test's own process, with tools that no release has.

use pressmark::app::App;
use pressmark::config::Settings;
use tempfile::TempDir;
use tokio::sync::oneshot::{Sender, channel};
use tokio::task::JoinHandle;

use super::client::McpClient;

/// What clients of these servers send.
pub const TOKEN: &str = "a-secret-token-for-tests";

/// A server in this process, so that its tools can be ours.
pub struct Server {
    pub url: String,
    stop: Sender<()>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl Server {
    /// Starts it over a folder of its own that holds `hello.txt`, with what `with` adds.
    pub async fn start(settings: Settings, with: impl FnOnce(App) -> App) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a file can be written");
        let settings = Settings {
            path: Some(folder.path().to_str().expect("UTF-8").to_owned()),
            listen: settings.listen.clone().or_else(|| Some("127.0.0.1:0".parse().expect("an address"))),
            dev_token: Some(TOKEN.to_owned()),
            ..settings
        };
        let app = App::new(settings.resolve().expect("a configuration")).await.expect("parts");
        let app = with(app).bind().await.expect("a port");
        let url = app.url().as_str().trim_end_matches("/mcp").to_owned();
        let (stop, stopped) = channel::<()>();
        let task = tokio::spawn(app.serve(async { stopped.await.unwrap_or_default() }));
        Self { url, stop, task, _folder: folder }
    }

    /// A client of the revision without a handshake.
    pub fn client(&self) -> McpClient {
        McpClient::modern(&self.url, Some(TOKEN))
    }

    /// Stops it and waits until it has ended.
    pub async fn stop(self) {
        self.stop.send(()).expect("the server runs");
        self.task.await.expect("it ends well");
    }
}
