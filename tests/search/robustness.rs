//! Hostile names, patterns and callers; limits; cancelling.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use pressmark::auth::{Permission, ScopeSet};
use pressmark::call::{Report, Reports, ToolErrorKind};
use pressmark::path::TreePath;
use serde_json::json;

use crate::support::{Server, crates, principal, write_all};

#[tokio::test]
async fn names_that_are_no_text_are_shown_and_marked() {
    let root = tempfile::tempdir().expect("a folder");
    let odd = |name: &[u8]| root.path().join(OsStr::from_bytes(name));
    std::fs::write(odd(b"bad\xff.txt"), "needle").expect("written");
    std::fs::create_dir(odd(b"folder\xfe")).expect("made");
    std::fs::write(odd(b"folder\xfe/x.txt"), "needle").expect("written");
    write_all(root.path(), &[("line\nbreak.txt", "needle"), ("\u{fc}ml\u{e4}ut \"q\".txt", "needle"), ("z", "needle")]);
    let server = Server::new(root.path());

    let pages = server.pages("list_directory", json!({"limit": 1, "depth": 2})).await;
    let entries: Vec<_> = pages.iter().map(|page| page.structured["entries"][0].clone()).collect();
    let paths: Vec<_> = entries.iter().map(|entry| entry["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["/bad\u{fffd}.txt", "/folder\u{fffd}", "/line\nbreak.txt", "/z", "/\u{fc}ml\u{e4}ut \"q\".txt"]);
    assert!(entries[0]["addressable"] == false && entries[1]["addressable"] == false && entries[3].get("addressable").is_none());
    assert!(pages[2].text.starts_with("line\\nbreak.txt\t"), "{}", pages[2].text);

    let found = ["/line\nbreak.txt", "/z", "/\u{fc}ml\u{e4}ut \"q\".txt"];
    assert_eq!(server.paths("find_files", json!({"glob": "**", "limit": 1})).await, found);
    assert_eq!(server.paths("search_text", json!({"pattern": "needle", "limit": 1})).await, found);
    let page = server.call("search_text", json!({"pattern": "needle"})).await.expect("a page");
    assert!(page.text.contains("[left out: 2 files or folders; the first: ") && page.text.contains("not UTF-8"), "{}", page.text);
}

#[tokio::test]
async fn links_and_special_files_are_never_followed_or_waited_for() {
    let root = tempfile::tempdir().expect("a folder");
    let outside = tempfile::tempdir().expect("a folder");
    write_all(outside.path(), &[("secret.txt", "needle")]);
    write_all(root.path(), &[("a/b/real.txt", "needle")]);
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, root.path().join(at)).expect("a link");
    link("..", "a/b/loop");
    link(".", "self");
    link(outside.path().to_str().expect("UTF-8"), "out");
    link(outside.path().join("secret.txt").to_str().expect("UTF-8"), "secret.txt");
    link("/dev/zero", "zero");
    let fifo = std::process::Command::new("mkfifo").arg(root.path().join("pipe")).status().expect("mkfifo");
    assert!(fifo.success());
    let server = Server::new(root.path());
    assert_eq!(server.paths("search_text", json!({"pattern": "needle"})).await, ["/a/b/real.txt"]);
    assert_eq!(server.paths("find_files", json!({"glob": "**"})).await, ["/a/b/real.txt"]);
    let pages = server.pages("list_directory", json!({"depth": 5})).await;
    let kinds = pages[0].structured["entries"].as_array().expect("entries").iter();
    let kinds: Vec<_> =
        kinds.map(|entry| (entry["path"].as_str().expect("a path"), entry["type"].as_str().expect("a type"))).collect();
    let expected = [
        ("/a", "folder"),
        ("/a/b", "folder"),
        ("/a/b/loop", "symlink"),
        ("/a/b/real.txt", "file"),
        ("/out", "symlink"),
        ("/pipe", "other"),
        ("/secret.txt", "symlink"),
        ("/self", "symlink"),
        ("/zero", "symlink"),
    ];
    assert_eq!(kinds, expected);
    for path in ["/out", "/secret.txt", "/zero", "/pipe"] {
        let error = server.call("search_text", json!({"pattern": "needle", "path": path})).await.expect_err("refused");
        assert_eq!(error.kind(), ToolErrorKind::Forbidden, "{path}: {error}");
    }
}

#[tokio::test]
async fn a_narrowed_caller_sees_its_subtree_only() {
    let root = tempfile::tempdir().expect("a folder");
    write_all(
        root.path(),
        &[
            ("team-a/plan.md", "needle"),
            ("team-a/sub/x.md", "needle"),
            ("team-ab/plan.md", "needle"),
            ("notes/mine.md", "needle"),
            ("notes/other.md", "needle"),
            ("notes/mine.md.bak/x.md", "needle"),
            ("top.md", "needle"),
            ("team-a/.secret/y.md", "needle"),
        ],
    );
    std::os::unix::fs::symlink("../team-ab", root.path().join("team-a/link")).expect("a link");
    let scopes = "files:read:/team-a/** files:write:/notes/mine.md";
    let server = Server::new(root.path()).called_by(principal("narrow", scopes));
    let set = ScopeSet::parse(scopes.split(' '));
    let files = ["/notes/mine.md", "/team-a/.secret/y.md", "/team-a/plan.md", "/team-a/sub/x.md"];
    for limit in [1, 100] {
        let hidden = json!({"include_hidden": true, "limit": limit});
        let with = |more: serde_json::Value| {
            let mut args = hidden.clone();
            args.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            args
        };
        assert_eq!(server.paths("search_text", with(json!({"pattern": "needle"}))).await, files);
        assert_eq!(server.paths("search_text", with(json!({"pattern": "needle", "mode": "lines"}))).await, files);
        assert_eq!(server.paths("find_files", with(json!({"glob": "**"}))).await, files);
        let mut newest = server.paths("find_files", with(json!({"glob": "**", "sort": "newest"}))).await;
        newest.sort();
        assert_eq!(newest, files);
        for sort in ["path", "newest", "largest"] {
            for path in server.paths("list_directory", with(json!({"depth": 5, "sort": sort}))).await {
                let path = TreePath::parse(&path).expect("a path");
                assert!(set.allows(Permission::Read, &path) || set.sees(&path), "{path}");
                assert!(!path.as_str().contains("other") && !path.as_str().contains(".bak") && path.as_str() != "/top.md");
            }
        }
    }
    assert_eq!(server.paths("list_directory", json!({})).await, ["/notes", "/team-a"]);
    let error = server.call("list_directory", json!({"path": "/team-a/link"})).await.expect_err("a link");
    assert_eq!(error.kind(), ToolErrorKind::Forbidden);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_caller_and_its_tool_only() {
    let root = tempfile::tempdir().expect("a folder");
    for n in 0..10 {
        write_all(root.path(), &[(&format!("f{n}"), "needle\nneedle\n")]);
    }
    let mut server = Server::new(root.path());
    let calls = [
        ("list_directory", json!({"limit": 2}), json!({"limit": 3})),
        ("find_files", json!({"glob": "f*", "limit": 2}), json!({"glob": "g*"})),
        ("search_text", json!({"pattern": "needle", "mode": "lines", "limit": 1}), json!({"path": "/f1"})),
    ];
    for (tool, args, different) in &calls {
        server.set_caller(principal("agent", "files"));
        let first = server.call(tool, args.clone()).await.expect("a page");
        let cursor = first.structured["next_cursor"].clone();
        // The same arguments may be repeated; others may not.
        let mut again = args.clone();
        again["cursor"] = cursor.clone();
        server.call(tool, again).await.expect("the same call");
        let mut other = different.clone();
        other["cursor"] = cursor.clone();
        let error = server.call(tool, other).await.expect_err("another call");
        assert_eq!(error.kind(), ToolErrorKind::InvalidArgument);
        for (other_tool, _, _) in calls.iter().filter(|(other, _, _)| other != tool) {
            let error = server.call(other_tool, json!({"cursor": cursor})).await.expect_err("another tool's");
            assert_eq!(error.kind(), ToolErrorKind::InvalidCursor);
        }
        // Who has lost the right to read since cannot go on either.
        server.set_caller(principal("agent", "files:read:/elsewhere/**"));
        if *tool == "search_text" {
            assert_eq!(
                server.call(tool, json!({"cursor": cursor})).await.expect_err("not its file").kind(),
                ToolErrorKind::Changed
            );
        } else {
            assert_eq!(server.call(tool, json!({"cursor": cursor})).await.expect("a page").structured["entries"], json!([]));
        }
        server.set_caller(principal("somebody else", "files"));
        let error = server.call(tool, json!({"cursor": cursor})).await.expect_err("another caller's");
        assert_eq!(error.kind(), ToolErrorKind::InvalidCursor);
    }
}

#[tokio::test]
async fn results_keep_to_their_budget_however_long_the_names() {
    let root = tempfile::tempdir().expect("a folder");
    let long = |c: char, n: usize| c.to_string().repeat(n);
    for n in 0..20 {
        write_all(
            root.path(),
            &[(
                &format!("{n}{}/{}\u{1}/{}", long('a', 200), long('"', 100), long('\u{7}', 60)),
                &"needle \u{2}\"\\\n".repeat(50),
            )],
        );
    }
    for budget in [3_000, 5_000, 40_000] {
        // `Server::call` checks the size of every result.
        let server = Server::with(root.path(), budget, 2);
        let found = server.paths("find_files", json!({"glob": "**"})).await;
        assert_eq!(found.len(), 20, "{budget}");
        assert_eq!(server.paths("list_directory", json!({"depth": 5})).await.len(), 60);
        assert_eq!(server.paths("search_text", json!({"pattern": "needle"})).await, found);
        let lines = server.pages("search_text", json!({"pattern": "needle", "mode": "lines", "context": 1})).await;
        let lines = lines.iter().flat_map(|page| page.structured["files"].as_array().expect("files"));
        assert_eq!(lines.map(|file| file["lines"].as_array().map_or(0, Vec::len)).sum::<usize>(), 1000);
    }
    // Nothing fits: the walk still ends, and says what is missing.
    let page = Server::with(root.path(), 1_400, 2).call("find_files", json!({"glob": "**"})).await.expect("a page");
    assert!(page.text.contains("left out: 20 files"), "{}", page.text);
}

#[tokio::test]
async fn hostile_patterns_end_soon() {
    let root = tempfile::tempdir().expect("a folder");
    write_all(root.path(), &[("a.txt", &"a".repeat(200_000)), ("b/c/d/e.txt", &"ab ".repeat(20_000))]);
    let server = Server::new(root.path());
    let started = Instant::now();
    for pattern in [
        r"(a+a+)+b",
        r"(\w{1,100}){1,100}",
        r"((a{0,99}){0,99}){0,99}",
        r"(?i)(\p{L}{1,50}\s?){1,9}x",
        &"(a|b|c)*d".repeat(300),
        &"a?".repeat(2000),
    ] {
        let _ = server.call("search_text", json!({"pattern": pattern, "mode": "count"})).await;
    }
    for glob in [
        &"{a,b}".repeat(190),
        &"*a".repeat(490),
        &"**/".repeat(8),
        &format!("{}a{}", "{".repeat(490), "}".repeat(490)),
        &"[a-z]".repeat(199),
        &"?".repeat(1000),
    ] {
        let _ = server.call("find_files", json!({"glob": glob})).await;
        let globs = vec![glob.clone(); 64];
        let _ = server.call("search_text", json!({"pattern": "a", "include": globs})).await;
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_call_stops_its_work() {
    // This takes minutes on so many files, on a lane that has room for one call.
    let server = Server::with(&crates(), 40_000, 1);
    let slow = json!({"pattern": r"[a-z ]{20}.{1,500}\p{Lu}{9}\d{9}", "include_hidden": true});
    let (sender, mut reports) = tokio::sync::mpsc::channel(16);
    let call = server.call_reporting("search_text", slow, Reports::to(sender, true, None));
    let ended = tokio::time::timeout(Duration::from_secs(3), call).await;
    assert!(ended.is_err(), "too fast a search for this test: {:?}", ended.map(|result| result.map(|_| ())));
    let Report::Progress(report) = reports.try_recv().expect("a report") else { panic!("of progress") };
    assert!(report.progress > 0.0 && report.message.is_some_and(|message| message.contains("files")));
    let dropped = Instant::now();
    while let Err(error) = server.call("find_files", json!({"glob": "no such file", "path": "/"})).await {
        assert_eq!(error.kind(), ToolErrorKind::Unavailable);
        assert!(dropped.elapsed() < Duration::from_secs(15), "the search goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn trees_that_are_too_deep_or_too_wide_are_walked() {
    let root = tempfile::tempdir().expect("a folder");
    let deep = "d/".repeat(230);
    write_all(root.path(), &[(&format!("{deep}x"), "needle"), ("e", "needle")]);
    let server = Server::new(root.path());
    let page = server.call("search_text", json!({"pattern": "needle"})).await.expect("a page");
    assert!(page.text.starts_with("/e\n[left out: ") && page.text.contains("200 deep"), "{}", page.text);
    let path = format!("/{}", deep.trim_end_matches('/'));
    assert_eq!(server.paths("search_text", json!({"pattern": "needle", "path": path})).await, [format!("{path}/x")]);

    // More names than are held at a time.
    let wide = tempfile::tempdir().expect("a folder");
    for n in 0..70_000 {
        std::fs::File::create(wide.path().join(format!("{}", n * 7919 % 70_000))).expect("made");
    }
    let server = Server::with(wide.path(), 10_000_000, 2);
    let mut expected: Vec<_> = (0..70_000).map(|n| format!("/{n}")).collect();
    expected.sort();
    assert_eq!(server.paths("find_files", json!({"glob": "*", "limit": 1000})).await, expected);
    let page = server.call("list_directory", json!({"limit": 3})).await.expect("a page");
    assert_eq!(page.structured["entries"].as_array().map(Vec::len), Some(3));
}
