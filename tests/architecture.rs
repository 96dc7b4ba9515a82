//! Dependencies between modules point one way, each vendor has one home, and error codes are those of the specification.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules from the ground up: each may use those before it.
const ORDER: [&str; 22] = [
    "background_thread",
    "json_text",
    "metrics",
    "path",
    "replace_file",
    "watched_files",
    "traces",
    "auth",
    "files",
    "search",
    "state",
    "changes",
    "call",
    "audit",
    "tools",
    "resources",
    "prompts",
    "mcp",
    "http",
    "config",
    "app",
    "cli",
];

/// Where a crate may be named; nowhere else under `src`.
const HOMES: [(&str, &[&str]); 16] = [
    ("axum", &["http/", "app.rs"]),
    ("hyper", &["http/"]),
    ("redis", &["state/"]),
    ("prometheus_client", &["metrics"]),
    ("jsonwebtoken", &["auth/"]),
    ("reqwest", &["auth/", "cli/", "traces/"]),
    ("opentelemetry", &["traces"]),
    ("opentelemetry_http", &["traces/"]),
    ("opentelemetry_otlp", &["traces/"]),
    ("opentelemetry_sdk", &["traces"]),
    ("cap_std", &["files/"]),
    ("rustix", &["files/", "cli/", "background_thread.rs"]),
    ("clap", &["cli/", "config.rs"]),
    ("tokio_rustls", &["http/"]),
    ("simple_asn1", &["http/tls"]),
    ("ipnet", &["http/client_address.rs"]),
];

/// The error codes of JSON-RPC and of MCP (2026-07-28, basic, "Error Codes"); codes of one's own lie elsewhere.
const CODES: [&str; 9] = ["-32700", "-32600", "-32601", "-32602", "-32603", "-32002", "-32020", "-32021", "-32022"];

fn sources() -> Vec<(String, String)> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    assert!(paths.len() > 50, "only {} files: is this the source?", paths.len());
    let relative = |path: &Path| path.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").to_owned();
    paths.iter().map(|path| (relative(path), code(&std::fs::read_to_string(path).expect("UTF-8")))).collect()
}

/// The text without comments, and without the unit tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = file.split(['/', '.']).next().expect("a name");
        let Some(rank) = ORDER.iter().position(|name| *name == module) else { continue };
        for used in text.split("crate::").skip(1) {
            let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            if ORDER.iter().position(|name| *name == used).is_some_and(|used| used > rank) {
                wrong.push(format!("{file} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn vendors_have_one_home() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (vendor, homes) in HOMES {
            let named = text.contains(&format!("use {vendor}::"))
                || text.contains(&format!(" {vendor}::"))
                || text.contains(&format!("({vendor}::"));
            if named && !homes.iter().any(|home| file.starts_with(home)) {
                wrong.push(format!("{file} names {vendor}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn error_codes_are_those_of_the_specification() {
    let mut codes = BTreeSet::new();
    for (_, text) in sources() {
        for rest in text.split("-32").skip(1) {
            let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '_').filter(|c| *c != '_').collect();
            if digits.len() == 3 {
                codes.insert(format!("-32{digits}"));
            }
        }
    }
    assert_eq!(codes, CODES.map(str::to_owned).into());
}
