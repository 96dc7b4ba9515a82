//! Queries of PromQL, read with a parser and held against what is exported: `promql.py` beside this file does it.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

/// Labels of a vector.
pub(super) type Labels = BTreeSet<String>;

/// A query that was found right.
#[derive(Debug, Deserialize)]
pub(super) struct Checked {
    /// Of what comes out.
    pub(super) labels: Labels,
    /// What it selects, as queries of their own.
    pub(super) selectors: Vec<String>,
}

/// Holds queries against an answer of `/metrics`, and against what rules record (by name and query). Each query comes back
/// with what was found of it; panics when one is wrong.
pub(super) fn check(exported: &str, records: &[(&str, &str)], queries: &BTreeSet<String>) -> HashMap<String, Checked> {
    let checked = |(query, answer): (String, Value)| {
        assert!(answer.get("problem").is_none(), "{query}: {}", answer["problem"]);
        (query, serde_json::from_value(answer).expect("labels and selectors"))
    };
    answers(&json!({"exported": exported, "records": records, "queries": queries})).into_iter().map(checked).collect()
}

/// What is wrong with a query; panics when nothing is.
pub(super) fn problem(exported: &str, query: &str) -> String {
    let answers = answers(&json!({"exported": exported, "records": [], "queries": [query]}));
    answers[query]["problem"].as_str().unwrap_or_else(|| panic!("{query} passes: {answers:?}")).to_owned()
}

fn answers(asked: &Value) -> HashMap<String, Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".tools/deploy/bin/python");
    assert!(python.exists(), "{} is missing; run scripts/test once, which installs it", python.display());
    let mut command = Command::new(python);
    command.arg(root.join("tests/operations/promql.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut checker = command.spawn().expect("python starts");
    checker.stdin.take().expect("a pipe").write_all(asked.to_string().as_bytes()).expect("it reads");
    let output = checker.wait_with_output().expect("it ends");
    assert!(output.status.success(), "promql.py failed");
    serde_json::from_slice(&output.stdout).expect("JSON")
}
