//! The dashboard and the rules of `deploy/grafana`: they ask for what a server exports, and the rules fire when they should.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::collector::Collector;
use super::prometheus::Prometheus;
use super::promql::{self, Checked, Labels};
use super::support::certificate::Authority;
use super::support::client::McpClient;
use super::support::issuer::{AUDIENCE, Issuer};
use super::support::process::free_port;
use super::support::redis::RedisServer;
use super::support::server::Pressmark;
use super::support::tokens::{P256, jwks};
use super::{folder, path};

/// A server with everything turned on that is measured, on which everything that is counted has happened at least once.
struct World {
    address: String,
    _server: Pressmark,
    _folder: tempfile::TempDir,
    _issuer: Issuer,
    _authority: Authority,
    _collector: Collector,
}

impl World {
    async fn start() -> Self {
        let (folder, issuer, mut redis) = (folder(), Issuer::start(jwks(&[&P256])).await, RedisServer::start());
        let (authority, collector) = (Authority::new(), Collector::start().await);
        authority.issue("server");
        collector.refuse();
        std::fs::write(folder.path().join("long.txt"), "a line of text\n".repeat(20_000)).expect("a file can be written");
        let (address, keys) = (format!("127.0.0.1:{}", free_port()), format!("{}/keys", issuer.url));
        let identity = ["--jwt-issuer", &issuer.url, "--jwks-url", &keys, "--jwt-audience", AUDIENCE];
        let others = ["--state", &redis.url(), "--metrics-listen", &address];
        // Lines are lost, since every write to this device fails, and spans are dropped.
        let lossy = ["--audit-log", "/dev/full", "--otlp-endpoint", &collector.url];
        let tls = authority.options("server");
        let tls = tls.each_ref().map(String::as_str);
        let server = Pressmark::start(&[&[path(&folder)], &identity[..], &others, &lossy, &tls].concat());
        let client_with = |token: &str| McpClient::modern(&server.url(), Some(token)).trusting(&authority.root());
        let client = client_with(&P256.sign(&issuer.claims()));
        let first = client.call_tool("read_file", json!({"path": "/long.txt"})).await;
        let cursor = first.structured()["next_cursor"].as_str().expect("there is more").to_owned();
        assert!(!client.call_tool("search_text", json!({"pattern": "hello"})).await.is_tool_error());
        assert!(client.call_tool("read_file", json!({"path": "/none.txt"})).await.is_tool_error());
        assert_eq!(client_with("a-wrong-one").request("tools/list", json!({})).await.status, 401);
        redis.stop();
        assert!(client.call_tool("read_file", json!({"cursor": cursor})).await.is_tool_error());
        Self { address, _server: server, _folder: folder, _issuer: issuer, _authority: authority, _collector: collector }
    }

    async fn exported(&self) -> String {
        let answer = reqwest::get(format!("http://{}/metrics", self.address)).await.expect("an answer");
        answer.text().await.expect("a body")
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

// The issuer answers on another thread while the start of the server is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_and_the_rules_ask_for_what_is_exported() {
    let world = World::start().await;
    let prometheus = Prometheus::start(&world.address);
    // A rate needs two scrapes, and what is recorded needs a rate.
    prometheus.wait_for("count_over_time(up{job=\"pressmark\"}[1m]) > 2").await;
    prometheus.wait_for("job:pressmark_failures:ratio_rate3d").await;

    let rules = prometheus.rules().await;
    let (alerts, records): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| rule["type"] == "alerting");
    let shown = Shown::read(&world);
    assert!(alerts.len() > 15 && records.len() > 5 && shown.legends.len() > 40, "{}", shown.legends.len());
    let alerting = alerts.iter().map(|rule| text(&rule["query"]).to_owned());
    let asked =
        shown.legends.iter().map(|(query, _)| query.clone()).chain(shown.selectors.iter().map(|(query, _)| query.clone()));
    let recorded: Vec<_> = records.iter().map(|rule| (text(&rule["name"]), text(&rule["query"]))).collect();
    let checked = promql::check(&world.exported().await, &recorded, &asked.chain(alerting).collect());

    for (query, found) in &checked {
        let everything_is_there = select(&prometheus, found).await;
        let values = prometheus.query(query).await.unwrap_or_else(|problem| panic!("{query}: {problem}"));
        let is_alert = alerts.iter().any(|rule| rule["query"] == **query);
        assert!(is_alert || !everything_is_there || !values.is_empty(), "nothing comes out of {query}");
    }
    for (query, legend) in &shown.legends {
        names_only(legend, "{{", &checked[query].labels, query);
    }
    for (selector, label) in &shown.selectors {
        assert!(checked[selector].labels.contains(label), "{selector} has no {label}");
    }
    for rule in alerts {
        let name = text(&rule["name"]);
        assert_eq!(rule["health"], "ok", "{rule}");
        assert!(rule["duration"].as_f64().is_some_and(|seconds| seconds >= 60.0), "{name} fires at once");
        assert!(matches!(text(&rule["labels"]["severity"]), "critical" | "warning"), "{name}");
        assert!(text(&rule["annotations"]["runbook"]).len() > 20, "{name} says nothing to do");
        names_only(text(&rule["annotations"]["summary"]), "$labels.", &checked[text(&rule["query"])].labels, name);
    }
}

/// What the dashboard asks.
struct Shown {
    /// Queries, each with the legend of what comes out.
    legends: Vec<(String, String)>,
    /// What its variables are chosen from, each with the label.
    selectors: Vec<(String, String)>,
}

impl Shown {
    fn read(world: &World) -> Self {
        let dashboard: Value = serde_json::from_str(&shipped("grafana/dashboard.json")).expect("JSON");
        let of = |value: &Value, query: &str, legend: &str| (world.filled(text(&value[query])), text(&value[legend]).to_owned());
        let mut legends = Vec::new();
        for panel in list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row") {
            let about = panel["description"].as_str();
            assert!(about.is_some_and(|about| about.ends_with('.')), "{} is not described", panel["title"]);
            legends.extend(list(&panel["targets"]).iter().map(|target| of(target, "expr", "legendFormat")));
        }
        legends.extend(list(&dashboard["annotations"]["list"]).iter().map(|starts| of(starts, "expr", "textFormat")));
        let chosen = list(&dashboard["templating"]["list"]).iter().filter_map(|variable| variable["definition"].as_str());
        let selectors = chosen.map(|definition| {
            let query = world.filled(definition);
            let values = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (selector, label) = values.and_then(|values| values.rsplit_once(", ")).expect("values of a label");
            (selector.to_owned(), label.to_owned())
        });
        Self { legends, selectors: selectors.collect() }
    }
}

#[test]
fn wrong_queries_are_found() {
    let exported = "# TYPE asked counter\nasked_total{method=\"m\"} 1\n# TYPE running gauge\nrunning{lane=\"cpu\"} 1\n\
                    # TYPE took_seconds histogram\ntook_seconds_bucket{le=\"1.0\",tool=\"t\"} 1\n# EOF\n";
    for (query, wrong) in [
        ("ask_total", "not exported"),
        ("asked_total", "is a counter"),
        ("rate(running[5m])", "which is a gauge"),
        ("rate(asked_total{tool=\"t\"}[5m])", "no label `tool`"),
        ("sum by (lane) (rate(asked_total[5m]))", "no label `lane`"),
        ("histogram_quantile(0.9, sum by (tool) (rate(took_seconds_bucket[5m])))", "no label `le`"),
        ("sum by (method) (rate(asked_total[5m])) / running", "never meet"),
        ("sum(rate(asked_total[5m])", "unclosed"),
    ] {
        let problem = promql::problem(exported, query);
        assert!(problem.contains(wrong), "{query}: {problem}");
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

/// Each part of a query selects something. Was all of it there to be selected?
async fn select(prometheus: &Prometheus, checked: &Checked) -> bool {
    let (mine, elsewhere): (Vec<_>, Vec<_>) = checked.selectors.iter().partition(|selector| !selector.starts_with("kube_"));
    for selector in mine {
        let found = prometheus.query(selector).await.unwrap_or_else(|problem| panic!("{selector}: {problem}"));
        assert!(!found.is_empty(), "there is nothing like {selector}");
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

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
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
