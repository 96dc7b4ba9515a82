//! `docs/specification.md` names a test for each requirement, and each test that it names exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Words of the specification (RFC 2119) that make a requirement.
const WORDS: [&str; 4] = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT"];

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// The cells of each row, below the heads of the tables.
fn rows(table: &str) -> Vec<[&str; 4]> {
    let lines = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<_> = lines.map(|line| line.split(" | ").collect::<Vec<_>>()).collect();
    let rows = rows.iter().map(|row| <[&str; 4]>::try_from(row.as_slice()).unwrap_or_else(|_| panic!("four cells: {row:?}")));
    rows.filter(|row| row[0] != "section").collect()
}

/// What stands between backticks and names a test: `tests/protocol.rs::name`.
fn tests(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    cell.split('`').skip(1).step_by(2).filter_map(|name| name.split_once("::"))
}

/// The names of the functions of a file that are tests.
fn tests_of(source: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| marked) {
            names.extend(rest.split('(').next());
            marked = false;
        }
    }
    names
}

#[test]
fn every_requirement_has_a_test_or_a_reason() {
    let table = read("docs/specification.md").expect("the table");
    let rows = rows(&table);
    assert!(rows.len() > 200, "only {} rows: is this the table?", rows.len());
    let mut wrong = Vec::new();
    for [section, words, requirement, shown] in rows {
        if let Some(word) = words.split(", ").find(|word| !WORDS.contains(word)) {
            wrong.push(format!("{section}: {requirement}: {word} is no word of the specification"));
        }
        let reason = ["**gap** ", "**n/a** "].iter().find_map(|mark| shown.strip_prefix(mark));
        let has_reason = reason.is_some_and(|reason| reason.len() > 10);
        if !has_reason && tests(shown).next().is_none() {
            wrong.push(format!("{section}: {requirement}: {shown:?} is neither a test nor a reason"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_test_that_is_named_exists() {
    let table = read("docs/specification.md").expect("the table");
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, test) in rows(&table).into_iter().flat_map(|row| tests(row[3])) {
        named.entry(file).or_default().insert(test);
    }
    assert!(named.len() > 10, "only {} files are named", named.len());
    let mut missing = Vec::new();
    for (file, wanted) in named {
        let source = read(file).unwrap_or_default();
        let there = tests_of(&source);
        missing.extend(wanted.difference(&there).map(|test| format!("{file}::{test}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
