//! Running the suite, and reading what it writes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::support::node::{node, package_command, package_file};

/// One result of the suite.
#[derive(Debug, Deserialize)]
pub(crate) struct Check {
    /// What is checked, in the suite's own words.
    pub(crate) id: String,
    /// `SUCCESS`, `FAILURE`, `WARNING`, `SKIPPED`.
    pub(crate) status: String,
    /// Why it is none that passed.
    #[serde(rename = "errorMessage")]
    pub(crate) error: Option<String>,
}

/// The checks of each scenario, without the notes (`INFO`) among them.
pub(crate) type Results = BTreeMap<String, Vec<Check>>;

/// Runs scenarios of the suite against the server at this URL.
pub(crate) fn run(url: &str, scenarios: &[&str]) -> Results {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("{url}/mcp");
    let output = node(&[&package_command("conformance"), "server", "--url", &url, "--output-dir"])
        .arg(folder.path())
        .args(scenarios)
        .output()
        .expect("node runs");
    // The suite fails where anything fails, and so says nothing by its status.
    let results = read_results(folder.path());
    assert!(!results.is_empty(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    results
}

/// From folders that are named `server-SCENARIO-TIME`, with the time as in 2026-07-28T12-00-00-000Z.
fn read_results(folder: &Path) -> Results {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path.file_name()?.to_str()?.strip_prefix("server-")?;
        let scenario = name.get(..name.len().checked_sub("-2026-07-28T12-00-00-000Z".len())?)?.to_owned();
        let checks = std::fs::read(path.join("checks.json")).expect("the scenario's checks");
        let mut checks: Vec<Check> = serde_json::from_slice(&checks).expect("a list of checks");
        checks.retain(|check| check.status != "INFO");
        Some((scenario, checks))
    };
    std::fs::read_dir(folder).into_iter().flatten().filter_map(read).collect()
}

/// Does every check of the scenario pass, and is there one?
pub(crate) fn passes(results: &Results, scenario: &str) -> bool {
    let checks = results.get(scenario).map_or(&[][..], Vec::as_slice);
    !checks.is_empty() && successes(results, scenario) == checks.len()
}

/// How many checks of the scenario pass.
pub(crate) fn successes(results: &Results, scenario: &str) -> usize {
    results.get(scenario).into_iter().flatten().filter(|check| check.status == "SUCCESS").count()
}

/// Which scenarios for servers a revision has, as the suite's own list says.
pub(crate) struct Requirements {
    /// Those that conformance requires.
    pub(crate) scored: Vec<String>,
    /// Those that are only reported: of extensions, or newer than the list.
    pub(crate) not_scored: Vec<String>,
}

impl Requirements {
    /// Reads the list that the suite's package brings.
    pub(crate) fn of(revision: &str) -> Self {
        let file = package_file(&format!("@modelcontextprotocol/conformance/requirements/{revision}.yaml"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let (mut section, mut scored, mut not_scored, mut last) = ("", Vec::new(), Vec::new(), "");
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let item = line.strip_prefix("  - ").map(|item| item.strip_prefix("scenario: ").unwrap_or(item));
            match (section, item) {
                (_, None) if line.ends_with(':') && !line.starts_with(' ') => section = line.trim_end_matches(':'),
                ("server", Some(scenario)) => scored.push(scenario.to_owned()),
                ("not_scored", Some(scenario)) => last = scenario,
                ("not_scored", None) if line.trim() == "leg: server" => not_scored.push(last.to_owned()),
                _ => {}
            }
        }
        assert!(scored.len() >= 30 && not_scored.len() >= 3, "{scored:?} {not_scored:?}");
        Self { scored, not_scored }
    }
}
