//! The pages of a search together are what one uninterrupted search gives.

use serde_json::{Value, json};

use crate::oracle::{self, FileLines, Options};
use crate::support::{Page, Server, crates, write_all};

/// Puts the pages of mode `lines` together, from their text, and checks that the structured form says the same.
fn joined(pages: &[Page]) -> Vec<FileLines> {
    let mut files: Vec<FileLines> = Vec::new();
    for page in pages {
        let mut here: Vec<FileLines> = Vec::new();
        for line in page.text.lines().filter(|line| !line.is_empty() && !line.starts_with("[there is more")) {
            match line.strip_prefix('/') {
                Some(_) => here.push((line.to_owned(), Vec::new())),
                None => here.last_mut().expect("a path comes first").1.push(line.to_owned()),
            }
        }
        assert_eq!(structured_lines(page), here.iter().map(without_marks).collect::<Vec<_>>());
        for (path, lines) in here {
            match files.last_mut() {
                Some(last) if last.0 == path => last.1.extend(lines),
                _ => files.push((path, lines)),
            }
        }
    }
    files
}

fn structured_lines(page: &Page) -> Vec<FileLines> {
    let line = |line: &Value| {
        let mark = if line["is_context"] == true { '-' } else { ':' };
        format!("{}{mark}{}", line["line_number"], line["text"].as_str().expect("text"))
    };
    let files = page.structured["files"].as_array().expect("files");
    let lines =
        |file: &Value| file.get("lines").map_or(Vec::new(), |lines| lines.as_array().expect("a list").iter().map(line).collect());
    files.iter().map(|file| (file["path"].as_str().expect("a path").to_owned(), lines(file))).collect()
}

fn without_marks((path, lines): &FileLines) -> FileLines {
    (path.clone(), lines.iter().filter(|line| *line != "--" && !line.starts_with('[')).cloned().collect())
}

/// Lines that are not shortened: what the oracle prints can be compared whole.
fn all_short(found: &[FileLines]) -> bool {
    found.iter().all(|(_, lines)| lines.iter().all(|line| line.len() < 600))
}

/// The folder of a crate in the tree, whatever its version.
fn folder_of(name: &str) -> String {
    let mut folders: Vec<_> =
        std::fs::read_dir(crates()).expect("crates").map(|entry| entry.expect("readable").file_name()).collect();
    folders.sort();
    let is_it = |folder: &String| {
        folder.strip_prefix(name).is_some_and(|rest| rest.starts_with('-') && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
    };
    let folder = folders.iter().map(|folder| folder.to_string_lossy().into_owned()).find(is_it);
    format!("/{}", folder.unwrap_or_else(|| panic!("the crate {name} is not downloaded; run `cargo fetch`")))
}

#[tokio::test]
async fn lines_of_all_pages_are_those_of_one_search() {
    let root = crates();
    let cases: [(&str, &str, Options, &[usize]); 9] = [
        ("", r"deadlock(ed|s)?\b", Options { before: 2, after: 1, ..Options::default() }, &[100, 7]),
        ("", "#![forbid(unsafe_code)]", Options { literal: true, ..Options::default() }, &[100]),
        ("tokio", "spawn", Options { before: 3, after: 3, ..Options::default() }, &[1000, 50]),
        ("tokio", "unsafe", Options { word: true, ..Options::default() }, &[10]),
        ("memchr", "fn ", Options { after: 2, ..Options::default() }, &[1000, 100, 33]),
        ("serde", "SERDE", Options { case_insensitive: true, before: 1, ..Options::default() }, &[200]),
        ("serde", "serialize", Options { smart_case: true, ..Options::default() }, &[1000, 21]),
        ("bytes", "", Options { hidden: true, no_ignore: true, ..Options::default() }, &[500]),
        ("bytes", "^$", Options { before: 1, after: 50, ..Options::default() }, &[1000]),
    ];
    for (name, pattern, options, limits) in cases {
        let start = if name.is_empty() { "/".to_owned() } else { folder_of(name) };
        // The tool refuses an empty pattern; this one matches every line as well.
        let pattern = if pattern.is_empty() { ".*" } else { pattern };
        let expected = oracle::lines(&root, &start, pattern, &options, |_| true);
        assert!(!expected.is_empty() && all_short(&expected), "a useful case: {pattern} in {start}");
        for limit in limits {
            let mut args = json!({
                "pattern": pattern, "path": start, "mode": "lines", "limit": limit, "literal": options.literal,
                "word": options.word, "before": options.before, "after": options.after,
                "include_hidden": options.hidden, "respect_gitignore": !options.no_ignore,
            });
            if options.case_insensitive || options.smart_case {
                args["case"] = json!(if options.smart_case { "smart" } else { "insensitive" });
            }
            for threads in [1, 3] {
                let pages = Server::with(&root, 40_000, threads).pages("search_text", args.clone()).await;
                assert!(joined(&pages) == expected, "{args} on {threads} threads");
            }
        }
    }
}

#[tokio::test]
async fn small_results_hold_the_same_lines() {
    let root = crates();
    let start = folder_of("memchr");
    let options = Options { before: 1, after: 1, ..Options::default() };
    let expected = oracle::lines(&root, &start, "unsafe", &options, |path| path.ends_with(".rs"));
    let args = json!({"pattern": "unsafe", "path": start, "mode": "lines", "context": 1, "include": ["*.rs"]});
    for budget in [4_000, 9_000] {
        let pages = Server::with(&root, budget, 2).pages("search_text", args.clone()).await;
        // Lines are shortened to fit a small result.
        let joined = joined(&pages);
        assert_eq!(joined.len(), expected.len());
        for ((path, lines), (expected_path, expected_lines)) in joined.iter().zip(&expected) {
            assert_eq!((path, lines.len()), (expected_path, expected_lines.len()));
            assert!(lines.iter().zip(expected_lines).all(|(line, expected)| line == expected || line.contains(" bytes]")));
        }
    }
}

#[tokio::test]
async fn files_and_counts_of_all_pages_are_those_of_one_search() {
    let root = crates();
    for (pattern, options) in [
        ("impl.*Drop for", Options::default()),
        ("mutex", Options { case_insensitive: true, hidden: true, ..Options::default() }),
    ] {
        let found = oracle::lines(&root, "/", pattern, &options, |_| true);
        let expected = oracle::counts(&found);
        assert!(expected.len() > 100);
        let case = if options.case_insensitive { "insensitive" } else { "sensitive" };
        let args = json!({"pattern": pattern, "case": case, "include_hidden": options.hidden});
        let with = |more: Value| {
            let mut args = args.clone();
            args.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            args
        };
        let server = Server::new(&root);
        for limit in [1000, 60] {
            let paths = server.paths("search_text", with(json!({"limit": limit}))).await;
            assert_eq!(paths, expected.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>());
            let pages = server.pages("search_text", with(json!({"mode": "count", "limit": limit}))).await;
            let counts = pages.iter().flat_map(|page| page.structured["files"].as_array().expect("files"));
            let counts: Vec<_> = counts
                .map(|file| (file["path"].as_str().expect("a path").to_owned(), file["count"].as_u64().expect("a count")))
                .collect();
            assert_eq!(counts, expected);
            let text = pages.iter().flat_map(|page| page.text.lines()).filter(|line| !line.starts_with('['));
            assert_eq!(
                text.collect::<Vec<_>>(),
                expected.iter().map(|(path, count)| format!("{path}:{count}")).collect::<Vec<_>>()
            );
        }
    }
}

#[tokio::test]
async fn include_and_exclude_choose_files() {
    let root = crates();
    let server = Server::new(&root);
    let start = folder_of("tokio");
    let takes = |path: &str| {
        let below = &path[start.len() + 1..];
        let in_place = (below.starts_with("src/") && below.ends_with(".rs")) || below.ends_with(".md");
        in_place && !below.contains("/task/") && !below.ends_with("/mod.rs")
    };
    let expected = oracle::lines(&root, &start, "async", &Options::default(), takes);
    let args = json!({"pattern": "async", "path": start, "include": ["src/**/*.rs", "*.md"], "exclude": ["task/", "mod.rs"]});
    assert_eq!(server.paths("search_text", args).await, expected.into_iter().map(|(path, _)| path).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_file_can_be_searched() {
    let root = crates();
    let file = format!("{}/src/lib.rs", folder_of("memchr"));
    let expected = oracle::lines(&root, &folder_of("memchr"), "memchr", &Options::default(), |path| path == file);
    let server = Server::new(&root);
    let pages = server.pages("search_text", json!({"pattern": "memchr", "path": file, "mode": "lines", "limit": 5})).await;
    assert!(pages.len() > 3);
    assert_eq!(joined(&pages), expected);
    assert_eq!(server.paths("search_text", json!({"pattern": "memchr", "path": file})).await, [file.as_str()]);
}

#[tokio::test]
async fn binary_files_and_encodings_are_as_ripgrep_has_them() {
    let root = tempfile::tempdir().expect("a folder");
    let at = |name: &str| root.path().join(name);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    std::fs::write(at("utf16.txt"), [b"\xff\xfe".to_vec(), utf16("first\nder Schl\u{fc}ssel\n")].concat()).expect("written");
    std::fs::write(at("bom.txt"), "\u{feff}key on the first line\n").expect("written");
    std::fs::write(at("early.bin"), b"key\n\0key\n").expect("written");
    let late = [b"key before\n".to_vec(), b"filler\n".repeat(30_000), b"\0key after\n".to_vec()].concat();
    std::fs::write(at("late.bin"), late).expect("written");
    std::fs::write(at("latin1.txt"), b"caf\xe9 key\r\nsecond\r\n").expect("written");
    std::fs::write(at("plain.txt"), "no match\nSchl\u{fc}ssel key").expect("written");
    let server = Server::new(root.path());
    for pattern in ["key", "Schl.ssel", "^key on", "caf"] {
        let found = oracle::lines(root.path(), "/", pattern, &Options::default(), |_| true);
        let pages = server.pages("search_text", json!({"pattern": pattern, "mode": "lines", "limit": 1})).await;
        assert_eq!(joined(&pages), found, "{pattern}");
        let pages = server.pages("search_text", json!({"pattern": pattern, "mode": "count"})).await;
        let counts = pages[0].structured["files"].as_array().expect("files").iter();
        let counts: Vec<_> = counts
            .map(|file| (file["path"].as_str().expect("a path").to_owned(), file["count"].as_u64().expect("a count")))
            .collect();
        assert_eq!(counts, oracle::counts(&found), "{pattern}");
    }
    let page = server.call("search_text", json!({"pattern": "key", "mode": "lines", "path": "/late.bin"})).await.expect("a page");
    assert_eq!(page.structured["files"][0]["binary_offset"], 210_011);
    assert!(page.text.contains("[a binary file"), "{}", page.text);
}

#[tokio::test]
async fn a_cursor_pins_the_file_that_its_page_ended_in() {
    let root = tempfile::tempdir().expect("a folder");
    write_all(root.path(), &[("a.txt", "hit\nhit\nhit\n"), ("b.txt", "hit\n"), ("c.txt", "hit\n")]);
    let server = Server::new(root.path());
    let args = json!({"pattern": "hit", "mode": "lines", "limit": 2});
    let first = server.call("search_text", args.clone()).await.expect("a page");
    let cursor = json!({"cursor": first.structured["next_cursor"]});
    assert!(server.call("search_text", cursor.clone()).await.expect("a page").text.starts_with("/a.txt\n3:hit"));

    std::fs::write(root.path().join("a.txt"), "hit\nHIT\nhit\n").expect("written");
    let error = server.call("search_text", cursor.clone()).await.expect_err("the file has changed");
    assert_eq!(error.kind().as_str(), "changed");
    assert!(error.message().contains("/a.txt") && error.message().contains("without a cursor"), "{error}");
    std::fs::remove_file(root.path().join("a.txt")).expect("removed");
    assert_eq!(server.call("search_text", cursor).await.expect_err("the file is gone").kind().as_str(), "changed");

    // A page that ends between two files goes on, whatever became of the first.
    write_all(root.path(), &[("a.txt", "hit\nhit\n")]);
    let first = server.call("search_text", args).await.expect("a page");
    std::fs::remove_file(root.path().join("a.txt")).expect("removed");
    let page = server.call("search_text", json!({"cursor": first.structured["next_cursor"]})).await.expect("a page");
    assert_eq!(page.text, "/b.txt\n1:hit\n\n/c.txt\n1:hit");
}

#[tokio::test]
async fn what_cannot_be_a_search_is_explained() {
    let root = tempfile::tempdir().expect("a folder");
    write_all(root.path(), &[("a.txt", "a\n")]);
    let server = Server::new(root.path());
    for (args, says) in [
        (json!({}), "`pattern`: is needed"),
        (json!({"pattern": "a("}), "`a(` is no regular expression: unclosed group"),
        (json!({"pattern": "a(", "word": true}), "`a(` is no regular expression: unclosed group"),
        (json!({"pattern": "a("}), "literal: true"),
        (json!({"pattern": ""}), "empty"),
        (json!({"pattern": "(?=a)"}), "look-around"),
        (json!({"pattern": "a", "context": 2}), "mode"),
        (json!({"pattern": "a", "mode": "lines", "context": 51}), "from 0 to 50"),
        (json!({"pattern": "a", "limit": 0}), "from 1 to 1000"),
        (json!({"pattern": "a", "include": ["{"]}), "`include`"),
        (json!({"pattern": "a", "exclude": [""]}), "`exclude`"),
        (json!({"pattern": "a", "path": "/nothing"}), "does not exist"),
        (json!({"pattern": "a", "pth": "/"}), "pth"),
        (json!({"cursor": "sXXXX"}), "cursor"),
    ] {
        let error = server.call("search_text", args.clone()).await.expect_err("not a search");
        assert!(error.to_string().contains(says), "{args}: {error}");
    }
    let page = server.call("search_text", json!({"pattern": "nothing like this"})).await.expect("a page");
    assert_eq!(page.text, "No matches in 1 file.");
}
