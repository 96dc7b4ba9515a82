//! The official conformance suite, at the pinned version, run against the real program: every check of the scenarios that
//! concern what the server has, by name, so that neither a check that fails nor one that is no longer made goes unnoticed.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use support::node::{node, package_command};
use support::server::Pressmark;

/// One result of the suite.
#[derive(Debug, Deserialize)]
struct Check {
    id: String,
    status: String,
    /// Why it is none that passed.
    #[serde(rename = "errorMessage")]
    #[expect(dead_code, reason = "shown when a test fails")]
    error: Option<String>,
}

/// The checks of each scenario.
type Results = BTreeMap<String, Vec<Check>>;

/// What a scenario has to come to.
struct Expected {
    scenario: &'static str,
    /// The checks that pass, as often as the suite makes them.
    passed: &'static [&'static str],
    /// The checks that do not apply, and why.
    not_applicable: &'static [(Reason, &'static [&'static str])],
}

/// Why a check does not apply.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "the text is for readers and for Debug")]
struct Reason(&'static str);

const NEEDS_FIXTURE: Reason = Reason("it calls a tool that only a server written for this suite has");
const NO_PROMPTS_OR_RESOURCES: Reason = Reason("the server offers tools only, and says so in its capabilities");
const NO_SUBSCRIPTIONS: Reason = Reason("the server's lists do not change while it runs, so there is nothing to subscribe to");
const NO_SESSIONS: Reason = Reason("the server is stateless and mints no session id");

#[test]
fn revision_2026_07_28() {
    let results = run(&["--requirements", "2026-07-28"]);
    assert_results(
        &results,
        &[
            Expected {
                scenario: "server-stateless",
                passed: &[
                    "sep-2575-discover-capabilities-match-handlers",
                    "sep-2575-http-server-error-jsonrpc-id",
                    "sep-2575-http-server-header-mismatch-400",
                    "sep-2575-http-server-meta-invalid-400",
                    "sep-2575-http-server-meta-invalid-400",
                    "sep-2575-http-server-meta-invalid-400",
                    "sep-2575-http-server-method-not-found-404",
                    "sep-2575-http-server-method-not-found-404-initialize",
                    "sep-2575-http-server-method-not-found-404-logging-setlevel",
                    "sep-2575-http-server-method-not-found-404-ping",
                    "sep-2575-http-server-method-not-found-404-resources-subscribe",
                    "sep-2575-http-server-method-not-found-404-resources-unsubscribe",
                    "sep-2575-http-server-unsupported-version-400",
                    "sep-2575-request-meta-client-info-optional",
                    "sep-2575-request-meta-invalid-missing-client-capabilities",
                    "sep-2575-request-meta-invalid-missing-meta",
                    "sep-2575-request-meta-invalid-missing-protocol-version",
                    "sep-2575-server-declares-prompts-in-discover",
                    "sep-2575-server-identifies-in-result-meta",
                    "sep-2575-server-implements-discover",
                    "sep-2575-server-unsupported-version-error",
                ],
                not_applicable: &[
                    (
                        NEEDS_FIXTURE,
                        &[
                            "sep-2575-http-server-no-independent-requests-on-stream",
                            "sep-2575-missing-capability-http-400",
                            "sep-2575-server-no-log-without-loglevel",
                            "sep-2575-server-rejects-undeclared-capability",
                        ],
                    ),
                    (
                        NO_SUBSCRIPTIONS,
                        &[
                            "sep-2575-server-honors-notification-filter",
                            "sep-2575-server-sends-prompts-list-changed-on-subscription",
                            "sep-2575-server-sends-subscription-ack",
                            "sep-2575-server-sends-tools-list-changed-on-subscription",
                            "sep-2575-server-tags-subscription-id",
                        ],
                    ),
                ],
            },
            Expected {
                scenario: "http-header-validation",
                passed: &[
                    "sep-2243-header-name-case-insensitive",
                    "sep-2243-header-name-case-insensitive",
                    "sep-2243-server-accepts-whitespace-header-value",
                    "sep-2243-server-reject-error-code",
                    "sep-2243-server-reject-error-code",
                    "sep-2243-server-reject-error-code",
                    "sep-2243-server-reject-error-code",
                    "sep-2243-server-reject-error-code",
                    "sep-2243-server-reject-invalid-headers",
                    "sep-2243-server-reject-invalid-headers",
                    "sep-2243-server-reject-invalid-headers",
                    "sep-2243-server-reject-invalid-headers",
                    "sep-2243-server-reject-invalid-headers",
                    "wire-schema-valid",
                ],
                not_applicable: &[],
            },
            Expected {
                scenario: "tools-list",
                passed: &["tools-list", "tools-list-deterministic-order", "tools-name-format", "wire-schema-valid"],
                not_applicable: &[],
            },
            Expected {
                scenario: "caching",
                passed: &[
                    "sep-2549-cache-scope-valid",
                    "sep-2549-tools-list-caching-hints",
                    "sep-2549-ttl-non-negative",
                    "wire-schema-valid",
                ],
                not_applicable: &[(
                    NO_PROMPTS_OR_RESOURCES,
                    &[
                        "sep-2549-prompts-list-caching-hints",
                        "sep-2549-resources-list-caching-hints",
                        "sep-2549-resources-read-caching-hints",
                        "sep-2549-resources-templates-list-caching-hints",
                    ],
                )],
            },
            Expected {
                scenario: "server-sse-multiple-streams",
                passed: &["server-accepts-multiple-post-streams"],
                // The suite passes it for information only: its requests are answered with JSON, which is as right.
                not_applicable: &[(NEEDS_FIXTURE, &["server-sse-streams-functional"])],
            },
            Expected {
                scenario: "input-required-result-unsupported-methods",
                passed: &["sep-2322-not-on-unsupported-requests", "wire-schema-valid"],
                not_applicable: &[],
            },
            DNS_REBINDING,
        ],
    );
}

#[test]
fn revision_2025_11_25() {
    let results = run(&["--requirements", "2025-11-25"]);
    assert_results(&results, &[INITIALIZE, PING, TOOLS_LIST, DNS_REBINDING]);
}

#[test]
fn revision_2025_06_18() {
    // There is no list of requirements for this revision; the suite knows which scenarios it has.
    let results = run(&["--suite", "all", "--spec-version", "2025-06-18"]);
    // The form of tools' names is no requirement yet.
    let tools_list = Expected { passed: &["tools-list", "wire-schema-valid"], ..TOOLS_LIST };
    assert_results(&results, &[INITIALIZE, PING, tools_list]);
}

const INITIALIZE: Expected = Expected {
    scenario: "server-initialize",
    passed: &["server-initialize", "wire-schema-valid"],
    not_applicable: &[(NO_SESSIONS, &["server-session-id-visible-ascii"])],
};

const PING: Expected = Expected { scenario: "ping", passed: &["ping", "wire-schema-valid"], not_applicable: &[] };

const TOOLS_LIST: Expected =
    Expected { scenario: "tools-list", passed: &["tools-list", "tools-name-format", "wire-schema-valid"], not_applicable: &[] };

const DNS_REBINDING: Expected = Expected {
    scenario: "dns-rebinding-protection",
    passed: &["localhost-host-rebinding-rejected", "localhost-host-valid-accepted"],
    not_applicable: &[],
};

/// Runs these scenarios of the suite against a server of its own.
fn run(scenarios: &[&str]) -> Results {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (files, results) = (folder.path().join("files"), folder.path().join("results"));
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("hello.txt"), "hello\n").expect("a file");
    let server = Pressmark::start(&[files.to_str().expect("UTF-8"), "--no-auth"]);
    let url = format!("{}/mcp", server.url());
    let output = node(&[&package_command("conformance"), "server", "--url", &url, "--output-dir"])
        .arg(&results)
        .args(scenarios)
        .output()
        .expect("node runs");
    // The suite fails where anything fails, and so says nothing by its status of what concerns this server.
    let results = read_results(&results);
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
        Some((scenario, serde_json::from_slice(&checks).expect("a list of checks")))
    };
    std::fs::read_dir(folder).into_iter().flatten().filter_map(read).collect()
}

fn assert_results(results: &Results, expected: &[Expected]) {
    for Expected { scenario, passed, not_applicable } in expected {
        let checks = results.get(*scenario).unwrap_or_else(|| panic!("{scenario} was not run"));
        let ids = |wanted: &dyn Fn(&&Check) -> bool| {
            let mut ids: Vec<_> = checks.iter().filter(wanted).map(|check| check.id.as_str()).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(ids(&|check| check.status == "SUCCESS"), *passed, "{scenario} passes: {checks:#?}");
        let mut others: Vec<_> = not_applicable.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
        others.sort_unstable();
        assert_eq!(ids(&|check| check.status != "SUCCESS"), others, "{scenario} does not apply: {checks:#?}");
    }
    // Whatever was asked, also in scenarios about what the server does not have, the answer had the form that the schema says.
    let schemas = results.values().flatten().filter(|check| check.id == "wire-schema-valid");
    let (valid, invalid): (Vec<_>, Vec<_>) = schemas.partition(|check| check.status == "SUCCESS");
    assert!(invalid.is_empty(), "{invalid:#?}");
    assert!(valid.len() > 20, "the suite looks at all answers: {}", valid.len());
}
