//! The properties of `fuzz/`, tried for a few seconds: on its whole corpus, and on inputs made from it.

#[expect(unreachable_pub, reason = "the fuzz targets reach it")]
#[path = "../fuzz/src/lib.rs"]
mod properties;

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How many inputs each property is tried on.
const CASES: u32 = 4_000;

/// What the grammar of some input is made of: an edit that inserts one of these gets further than one of random bytes.
const PIECES: [&str; 40] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "\n\n",
    "\0",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-",
    "-0",
    "1e999",
    "18446744073709551616",
    "\"id\":1,",
    "\"method\":\"tools/call\",",
    "\"params\":{},",
    "\"result\":{},",
    "\"_meta\":{},",
    "\"name\":\"get_weather\",",
    "MCP-Protocol-Version: 2026-07-28\n",
    "MCP-Protocol-Version: 2025-03-26\n",
    "Mcp-Method: tools/call\n",
    "Mcp-Name: =?base64?Z2V0X3dlYXRoZXI=?=\n",
    "2025-11-25",
    "tools/list",
    "/",
    "..",
    "/../",
    "./",
    "//",
    "r{id}-7",
    "{id}",
    "é",
    "\u{202e}",
];

/// The committed inputs of one target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

/// A part of the input, by where it lies and how long it is, and what takes its place.
fn edit() -> impl Strategy<Value = (Index, usize, Vec<u8>)> {
    let piece = prop_oneof![
        Just(Vec::new()),
        select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..4),
        "\\PC{1,8}".prop_map(String::into_bytes),
    ];
    (any::<Index>(), 0_usize..12, piece)
}

/// Inputs like those of the corpus: one of them with a few edits.
fn inputs(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    (select(corpus(target)), proptest::collection::vec(edit(), 0..5)).prop_map(|(mut input, edits)| {
        for (at, length, piece) in edits {
            let start = at.index(input.len() + 1);
            let end = input.len().min(start + length);
            input.splice(start..end, piece);
        }
        input
    })
}

fn try_property(target: &str, check: fn(&[u8])) {
    let seeds = corpus(target);
    assert!(seeds.len() >= 20, "{target} has {} seeds", seeds.len());
    seeds.iter().for_each(|seed| check(seed));
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(input in inputs(target))| check(&input));
}

#[test]
fn a_message_is_read_as_any_other_reader_sees_it() {
    try_property("envelope", properties::envelope::check);
}

#[test]
fn what_is_answered_said_the_same_in_headers_and_body() {
    try_property("headers", properties::headers::check);
}

#[test]
fn an_altered_handle_opens_nothing_of_anybody_else() {
    try_property("cursors", properties::cursors::check);
}

#[test]
fn a_path_stays_in_the_tree() {
    try_property("paths", properties::paths::check);
}

#[test]
fn a_request_state_opens_for_its_caller_and_request_alone() {
    try_property("request_state", properties::request_state::check);
}
