//! The cursors of `read_file`: they never move, they are their owner's, and they end with the version of the file.

use std::fs;
use std::io::{Seek, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use pressmark::call::ToolErrorKind;
use pressmark::state::CursorKind;
use serde_json::{Value, json};

use crate::support::{Failure, Served, StopOnDrop, caller, full};

fn lines(count: usize) -> String {
    (1..=count).map(|n| format!("line {n} é\n")).collect()
}

/// A file of a hundred lines and the cursor to its eleventh.
fn begun() -> (Served, String) {
    let served = Served::new();
    served.write("file", lines(100));
    let cursor = served.read(&json!({ "path": "/file", "limit": 10 })).next_cursor().unwrap().to_owned();
    (served, cursor)
}

#[test]
fn a_page_costs_one_round_trip_after_the_first() {
    let (served, cursor) = begun();
    assert_eq!(served.state.take_round_trips(), 1, "the first page writes the record");
    let next = served.read(&json!({ "cursor": cursor }));
    assert_eq!(served.state.take_round_trips(), 1);
    served.read(&json!({ "cursor": next.next_cursor().unwrap() }));
    assert_eq!(served.state.take_round_trips(), 1);
    served.read(&json!({ "path": "/file" }));
    assert_eq!(served.state.take_round_trips(), 0, "a file in one page needs no cursor");
}

#[test]
fn a_cursor_never_moves() {
    let (served, cursor) = begun();
    let once = served.read(&json!({ "cursor": cursor }));
    let twice = served.read(&json!({ "cursor": cursor }));
    assert_eq!(once, twice);
    assert!(once.text().starts_with("line 11 "));
    served.read_all(&json!({ "cursor": cursor }));
    assert_eq!(served.read(&json!({ "cursor": cursor })), once, "also after reading to the end");
}

#[test]
fn foreign_unknown_and_miscopied_cursors_are_one_error() {
    let (served, cursor) = begun();
    let mut miscopied = cursor.clone();
    miscopied.replace_range(3..4, if &cursor[3..4] == "x" { "y" } else { "x" });
    let unknown = format!("{cursor}0");
    let mallory = caller("mallory", &["files"]);
    let errors = [
        served.call(&mallory, "read_file", &json!({ "cursor": cursor })).unwrap_err(),
        served.try_read(&json!({ "cursor": miscopied })).unwrap_err(),
        served.try_read(&json!({ "cursor": unknown })).unwrap_err(),
        served.try_read(&json!({ "cursor": "" })).unwrap_err(),
        served.try_read(&json!({ "cursor": "../../etc/passwd\0" })).unwrap_err(),
    ];
    for error in &errors {
        assert_eq!(error.kind(), ToolErrorKind::InvalidCursor);
        assert_eq!(error.text(), errors[0].text());
    }
}

#[test]
fn a_cursor_gives_no_more_than_its_owner_may_read_now() {
    let (served, cursor) = begun();
    let narrowed = caller("alice", &["files:read:/other/**"]);
    let error = served.call(&narrowed, "read_file", &json!({ "cursor": cursor })).unwrap_err();
    assert_eq!(error.kind(), ToolErrorKind::Forbidden, "{}", error.text());
}

#[test]
fn a_changed_file_is_an_error_that_says_how_to_restart() {
    type Change = fn(&Served);
    let changes: [(&str, Change); 5] = [
        ("replaced by the same content", |served| {
            fs::write(served.at("new"), lines(100)).unwrap();
            fs::rename(served.at("new"), served.at("file")).unwrap();
        }),
        ("appended to", |served| {
            fs::OpenOptions::new().append(true).open(served.at("file")).unwrap().write_all(b"more\n").unwrap();
        }),
        ("truncated", |served| fs::OpenOptions::new().write(true).open(served.at("file")).unwrap().set_len(50).unwrap()),
        ("written to in place", |served| {
            fs::OpenOptions::new().write(true).open(served.at("file")).unwrap().write_all(b"LINE").unwrap();
        }),
        ("written to in place, its time set back", |served| {
            let mut file = fs::OpenOptions::new().write(true).open(served.at("file")).unwrap();
            let before = file.metadata().unwrap().modified().unwrap();
            file.write_all(b"LINE").unwrap();
            file.set_modified(before).unwrap();
        }),
    ];
    for (what, change) in changes {
        let (served, cursor) = begun();
        change(&served);
        let error = served.try_read(&json!({ "cursor": cursor })).unwrap_err();
        assert_eq!(error.kind(), ToolErrorKind::Changed, "{what}");
        let text = error.text();
        let restart: Value = serde_json::from_str(&text[text.find('{').unwrap()..=text.rfind('}').unwrap()]).unwrap();
        assert_eq!(restart, json!({ "path": "/file", "offset": 11, "limit": 10 }), "{what}");
        if what != "truncated" {
            assert!(served.read(&restart).text().starts_with("line 11 "), "{what}");
        }
    }
    let (served, cursor) = begun();
    fs::remove_file(served.at("file")).unwrap();
    assert_eq!(served.try_read(&json!({ "cursor": cursor })).unwrap_err().kind(), ToolErrorKind::NotFound);
}

#[test]
fn a_version_never_stands_for_two_contents() {
    let served = Served::new();
    served.write("file", "0000");
    let mut seen = std::collections::HashSet::new();
    let mut file = fs::OpenOptions::new().write(true).open(served.at("file")).unwrap();
    for round in 0..30 {
        file.rewind().unwrap();
        file.write_all(format!("{round:04}").as_bytes()).unwrap();
        let page = served.read(&json!({ "path": "/file" }));
        assert_eq!(page.text(), format!("{round:04}"));
        assert!(seen.insert(page.structured["version"].as_str().unwrap().to_owned()), "round {round}");
        assert_eq!(served.info("/file")["version"], page.structured["version"], "both tools tell one version");
    }
}

#[test]
fn a_file_that_never_rests_is_read_but_not_continued() {
    let served = Served::new();
    served.write("log", lines(50));
    // A change time ahead of the clock by less than a tick cannot be told from a change just now; one far ahead can.
    let file = fs::OpenOptions::new().write(true).open(served.at("log")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    let page = served.read(&json!({ "path": "/log", "limit": 10 }));
    assert!(served.read(&json!({ "cursor": page.next_cursor().unwrap() })).text().starts_with("line 11 "));
    let writing = AtomicBool::new(true);
    let mut outcomes = Vec::new();
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&writing);
        scope.spawn(|| {
            let mut log = fs::OpenOptions::new().append(true).open(served.at("log")).unwrap();
            while writing.load(Ordering::Relaxed) {
                log.write_all(b"x").unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        for _ in 0..10 {
            outcomes.push(served.try_read(&json!({ "path": "/log", "limit": 10 })).map(|page| {
                assert!(page.text().starts_with("line 1 "));
                served.try_read(&json!({ "cursor": page.next_cursor().unwrap() }))
            }));
        }
    });
    let is_changed = |error: &Failure| error.kind() == ToolErrorKind::Changed;
    let (mut shown, mut ended) = (0, 0);
    for outcome in &outcomes {
        match outcome {
            Ok(Ok(next)) => assert!(next.text().starts_with("line 11 "), "the machine was so busy that the file rested"),
            Ok(Err(error)) => (shown, ended) = (shown + 1, ended + usize::from(is_changed(error))),
            Err(error) => assert!(is_changed(error), "{}", error.text()),
        }
    }
    assert!(shown > 0 && shown == ended, "{shown} pages were shown and {ended} of their cursors ended: {outcomes:?}");
}

#[test]
fn positions_that_were_never_given_out_are_refused() {
    let (served, cursor) = begun();
    let page = served.read(&json!({ "cursor": cursor }));
    let size = page.number("total_bytes");
    let record = json!({
        "path": "/file", "version": page.structured["version"], "mime_type": "text/plain", "encoding": "utf-8",
        "lines": null, "bytes": null,
    });
    let owner = full();
    let forge = |position: &[u64]| {
        let create = served.cursors.create(CursorKind::Read, &owner, &record, position);
        let cursor = futures_util::future::FutureExt::now_or_never(create).unwrap().unwrap();
        served.try_read(&json!({ "cursor": cursor }))
    };
    assert!(forge(&[10, 2]).is_ok(), "the record is one that the tool takes");
    // Byte 8 lies inside the first é.
    for position in
        [&[8, 1][..], &[size, 1], &[size + 1, 1], &[10, 12], &[10, u64::MAX], &[u64::MAX, u64::MAX], &[], &[1], &[1, 1, 1]]
    {
        let error = forge(position).unwrap_err();
        assert_eq!(error.kind(), ToolErrorKind::InvalidCursor, "{position:?}: {}", error.text());
    }
}
