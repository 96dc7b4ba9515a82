//! `pressmark serve` itself: the scenarios that need no fixture.

use crate::expected::Expected;
use crate::suite;
use crate::support::server::Pressmark;

fn check(scenarios: &[&str], expected: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a file");
    let server = Pressmark::start(&[folder.path().to_str().expect("UTF-8"), "--no-auth"]);
    Expected::read(expected).assert_of_those_named(&suite::run(&server.url(), scenarios));
}

#[test]
fn revision_2026_07_28_of_pressmark_serve() {
    check(&["--requirements", "2026-07-28"], "serve-2026-07-28");
}

#[test]
fn revision_2025_11_25_of_pressmark_serve() {
    check(&["--requirements", "2025-11-25"], "serve-2025-11-25");
}

/// There is no list of requirements for this revision; the suite knows which scenarios it has.
#[test]
fn revision_2025_06_18_of_pressmark_serve() {
    check(&["--suite", "all", "--spec-version", "2025-06-18"], "serve-2025-06-18");
}
