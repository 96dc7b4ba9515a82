//! The dashboard and the rules of `deploy/grafana`: they ask for what a server exports, and the rules fire when they should.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::prometheus::Prometheus;
use super::promql::{Checked, Exported, Labels};
use super::support::client::McpClient;
use super::support::issuer::{AUDIENCE, Issuer};
use super::support::process::free_port;
use super::support::redis::RedisServer;
use super::support::server::Pressmark;
use super::support::tokens::{P256, jwks};
use super::{folder, path};

/// A server on which everything that is counted has happened at least once.
struct World {
    address: String,
    _server: Pressmark,
    _folder: tempfile::TempDir,
    _issuer: Issuer,
}

impl World {
    async fn start() -> Self {
        let (folder, issuer, mut redis) = (folder(), Issuer::start(jwks(&[&P256])).await, RedisServer::start());
        std::fs::write(folder.path().join("long.txt"), "a line of text\n".repeat(20_000)).expect("a file can be written");
        let (address, keys) = (format!("127.0.0.1:{}", free_port()), format!("{}/keys", issuer.url));
        let identity = ["--jwt-issuer", &issuer.url, "--jwks-url", &keys, "--jwt-audience", AUDIENCE];
        let others = ["--state", &redis.url(), "--metrics-listen", &address];
        let server = Pressmark::start(&[&[path(&folder)], &identity[..], &others].concat());
        let client = McpClient::modern(&server.url(), Some(&P256.sign(&issuer.claims())));
        let first = client.call_tool("read_file", json!({"path": "/long.txt"})).await;
        let cursor = first.structured()["next_cursor"].as_str().expect("there is more").to_owned();
        assert!(!client.call_tool("search_text", json!({"pattern": "hello"})).await.is_tool_error());
        assert!(client.call_tool("read_file", json!({"path": "/none.txt"})).await.is_tool_error());
        assert_eq!(McpClient::modern(&server.url(), Some("a-wrong-one")).request("tools/list", json!({})).await.status, 401);
        redis.stop();
        assert!(client.call_tool("read_file", json!({"cursor": cursor})).await.is_tool_error());
        Self { address, _server: server, _folder: folder, _issuer: issuer }
    }

    async fn exported(&self) -> Exported {
        let answer = reqwest::get(format!("http://{}/metrics", self.address)).await.expect("an answer");
        Exported::parse(&answer.text().await.expect("a body"))
    }

    /// A query of the dashboard with its variables filled in, as Grafana does.
    fn filled(&self, query: &str) -> String {
        let variables =
            [("$__rate_interval", "1m"), ("$namespace", ".*"), ("$job", "pressmark"), ("$instance", self.address.as_str())];
        let filled = variables.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
        assert!(!filled.contains('$'), "a variable that is not known: {filled}");
        filled
    }
}

#[tokio::test]
async fn the_dashboard_and_the_rules_ask_for_what_is_exported() {
    let world = World::start().await;
    let prometheus = Prometheus::start(&world.address);
    // A rate needs two scrapes, and what is recorded needs a rate.
    prometheus.wait_for("count_over_time(up{job=\"pressmark\"}[1m]) > 2").await;
    prometheus.wait_for("job:pressmark_failures:ratio_rate3d").await;
    let mut exported = world.exported().await;

    let rules = prometheus.rules().await;
    assert!(rules.len() > 20, "{}", rules.len());
    for rule in rules.iter().filter(|rule| rule["type"] == "recording") {
        let checked = answers(&exported, &prometheus, text(&rule["query"])).await;
        exported.record(text(&rule["name"]), checked.labels);
    }
    for rule in rules.iter().filter(|rule| rule["type"] == "alerting") {
        let name = text(&rule["name"]);
        assert_eq!(rule["health"], "ok", "{rule}");
        assert!(rule["duration"].as_f64().is_some_and(|seconds| seconds >= 60.0), "{name} fires at once");
        assert!(matches!(text(&rule["labels"]["severity"]), "critical" | "warning"), "{name}");
        let checked = exported.check(text(&rule["query"])).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        select(&prometheus, &checked).await;
        assert!(text(&rule["annotations"]["runbook"]).len() > 40, "{name} says nothing to do");
        names_only(text(&rule["annotations"]["summary"]), "$labels.", &checked.labels, name);
    }

    let dashboard: Value = serde_json::from_str(&shipped("grafana/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() > 30, "{}", panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = text(&panel["title"]);
        assert!(panel["description"].as_str().is_some_and(|about| about.ends_with('.')), "{title} is not described");
        for target in panel["targets"].as_array().expect("targets") {
            let checked = answers(&exported, &prometheus, &world.filled(text(&target["expr"]))).await;
            names_only(text(&target["legendFormat"]), "{{", &checked.labels, title);
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().expect("annotations") {
        answers(&exported, &prometheus, &world.filled(text(&annotation["expr"]))).await;
    }
    for variable in dashboard["templating"]["list"].as_array().expect("variables").iter().skip(1) {
        let query = world.filled(text(&variable["definition"]));
        let values = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = values.and_then(|values| values.rsplit_once(", ")).expect("values of a label");
        assert!(answers(&exported, &prometheus, selector).await.labels.contains(label), "{query}");
    }
}

/// Each alert has a case in which it fires, and the cases come out as Prometheus' own tool sees it.
#[tokio::test]
async fn alerts_fire_when_they_should() {
    let (rules, cases) = (deploy("grafana/alerts.yaml"), root().join("tests/operations/alerts.test.yaml"));
    promtool(&["check", "rules"], &rules);
    promtool(&["test", "rules"], &cases);
    let (rules, cases) = (shipped("grafana/alerts.yaml"), std::fs::read_to_string(cases).expect("a file"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        assert!(cases.contains(&format!("'{{alertname=\"{alert}\"}}'")), "no case has {alert} fire");
    }
}

/// An alert of memory means something only beside the limit.
#[test]
fn the_alert_of_memory_knows_the_limit() {
    let limits = "limits:\n              cpu: \"2\"\n              memory: 1Gi\n";
    assert!(shipped("kubernetes/base/deployment.yaml").contains(limits), "change PressmarkMemory with the limit of memory");
    assert!(
        shipped("grafana/alerts.yaml").contains("process_resident_memory_bytes{job=\"pressmark\"} > 0.8 * 1024 * 1024 * 1024")
    );
}

/// A query that is right, and for which Prometheus finds something; what comes from Kubernetes is not there.
async fn answers(exported: &Exported, prometheus: &Prometheus, query: &str) -> Checked {
    let checked = exported.check(query).unwrap_or_else(|problem| panic!("{query}: {problem}"));
    if select(prometheus, &checked).await {
        let found = prometheus.query(query).await.unwrap_or_else(|problem| panic!("{query}: {problem}"));
        assert!(!found.is_empty(), "nothing comes out of {query}");
    }
    checked
}

/// Each part of a query selects something. Was all of it there to be selected?
async fn select(prometheus: &Prometheus, checked: &Checked) -> bool {
    let (mine, elsewhere): (Vec<_>, Vec<_>) = checked.selectors.iter().partition(|selector| !selector.starts_with("kube_"));
    for selector in mine {
        let found = prometheus.query(selector).await.unwrap_or_else(|problem| panic!("{selector}: {problem}"));
        // Without a failure on purpose nothing has this value.
        assert!(!found.is_empty() || selector.contains("up{job=\"pressmark\"}"), "there is nothing like {selector}");
    }
    elsewhere.is_empty()
}

/// A text for people speaks of no label that its query loses.
fn names_only(text: &str, mark: &str, labels: &Labels, of: &str) {
    for part in text.split(mark).skip(1) {
        let label = part.split(|character: char| !character.is_alphanumeric() && character != '_').next().expect("a part");
        assert!(labels.contains(label), "{of} speaks of `{label}`, but has {labels:?}");
    }
}

fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new("promtool").args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start promtool: {error}; install prometheus (scripts/test does)"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn deploy(file: &str) -> PathBuf {
    root().join("deploy").join(file)
}

fn shipped(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap_or_else(|error| panic!("deploy/{file}: {error}"))
}
