//! A real Prometheus, with the rules of `deploy/grafana`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::support::process::{Process, free_port};

const PACKAGE: &str = "prometheus";
const LIMIT: Duration = Duration::from_secs(60);

/// It scrapes one server each second. It stops when it is dropped.
pub(super) struct Prometheus {
    url: String,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes `http://TARGET/metrics` as the job `pressmark`.
    pub(super) fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (configuration, port) = (folder.path().join("prometheus.yml"), free_port());
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana/alerts.yaml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{rules}]\n\
             scrape_configs: [{{ job_name: pressmark, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
        );
        std::fs::write(&configuration, text).expect("a file can be written");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=error").stdin(Stdio::null());
        let process = Process::spawn(&mut command, PACKAGE);
        Self { url: format!("http://127.0.0.1:{port}"), _process: process, _folder: folder }
    }

    /// What a query selects now.
    ///
    /// # Errors
    /// What Prometheus said.
    pub(super) async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let answer = self.get("query", &[("query", query)]).await?;
        answer["result"].as_array().cloned().ok_or_else(|| format!("no vector: {answer}"))
    }

    /// All rules, as Prometheus has read them.
    pub(super) async fn rules(&self) -> Vec<Value> {
        let answer = self.get("rules", &[]).await.expect("rules");
        let groups = answer["groups"].as_array().expect("groups").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
    }

    /// Waits until a query selects something.
    pub(super) async fn wait_for(&self, query: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            let last = self.query(query).await;
            if last.as_ref().is_ok_and(|found| !found.is_empty()) {
                return;
            }
            assert!(Instant::now() < end, "nothing in {LIMIT:?}: {query}: {last:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn get(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let mut url = url::Url::parse(&format!("{}/api/v1/{what}", self.url)).expect("a URL");
        url.query_pairs_mut().extend_pairs(parameters);
        let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(text) }
    }
}
