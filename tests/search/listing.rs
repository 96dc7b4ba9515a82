//! Listings are what the file system and ripgrep's own walk say.

use std::path::Path;
use std::time::{Duration, SystemTime};

use globset::{GlobBuilder, GlobMatcher};
use serde_json::{Value, json};

use crate::oracle;
use crate::support::{Server, crates, mount, principal, write_all};

fn glob(glob: &str) -> GlobMatcher {
    GlobBuilder::new(glob).literal_separator(true).build().expect("a glob").compile_matcher()
}

#[tokio::test]
async fn found_files_are_those_of_ripgreps_walk() {
    let root = crates();
    let server = Server::new(&root);
    // The second glob says the same over whole paths.
    for (asked, whole, hidden, ignore) in [
        ("*.md", "**/*.md", false, true),
        ("**/*.md", "**/*.md", true, true),
        ("**/lib.rs", "**/lib.rs", false, false),
        ("*/src/*.{rs,md}", "*/src/*.{rs,md}", false, true),
        ("tokio-*/**/t[a-m]*.rs", "tokio-*/**/t[a-m]*.rs", false, true),
        (".*", "**/.*", true, false),
    ] {
        let matcher = glob(whole);
        let mut expected = oracle::files(&root, "/", hidden, !ignore);
        expected.retain(|path| matcher.is_match(&path[1..]));
        assert!(!expected.is_empty(), "{asked}");
        let args = json!({"glob": asked, "include_hidden": hidden, "respect_gitignore": ignore, "limit": 333});
        assert_eq!(server.paths("find_files", args).await, expected, "{asked}");
    }
}

#[tokio::test]
async fn every_type_can_be_found() {
    let root = tempfile::tempdir().expect("a folder");
    write_all(root.path(), &[("a/x.txt", ""), ("a/b/", ""), ("c.txt", "")]);
    std::os::unix::fs::symlink("a", root.path().join("link")).expect("a link");
    let server = Server::new(root.path());
    for (kind, expected) in [
        ("file", &["/a/x.txt", "/c.txt"][..]),
        ("folder", &["/a", "/a/b"]),
        ("symlink", &["/link"]),
        ("any", &["/a", "/a/b", "/a/x.txt", "/c.txt", "/link"]),
    ] {
        assert_eq!(server.paths("find_files", json!({"glob": "**", "type": kind, "limit": 2})).await, expected);
    }
}

#[tokio::test]
async fn newest_comes_first() {
    let root = tempfile::tempdir().expect("a folder");
    let start = SystemTime::now() - Duration::from_secs(10_000);
    let mut expected = Vec::new();
    for n in 0..150_u64 {
        // Every third file has the time of another one: those are in the order of their paths.
        let age = (n * 37 % 150) / 3;
        let path = format!("{}/{n:03}.txt", n % 7);
        write_all(root.path(), &[(&path, "")]);
        let file = std::fs::File::options().write(true).open(root.path().join(&path)).expect("opened");
        file.set_modified(start - Duration::from_secs(age)).expect("set");
        expected.push((age, format!("/{path}")));
    }
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(_, path)| path).collect();
    let server = Server::new(root.path());
    for limit in [1000, 40, 7] {
        let args = json!({"glob": "*.txt", "sort": "newest", "limit": limit});
        assert_eq!(server.paths("find_files", args).await, expected);
    }
    let args = json!({"sort": "newest", "depth": 2, "limit": 11});
    let mut listed = server.paths("list_directory", args).await;
    listed.retain(|path| path.ends_with(".txt"));
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn largest_comes_first() {
    let root = tempfile::tempdir().expect("a folder");
    for size in [3, 1, 2] {
        write_all(root.path(), &[(&format!("{size}"), &"x".repeat(size))]);
    }
    let paths = Server::new(root.path()).paths("list_directory", json!({"sort": "largest", "limit": 1})).await;
    assert_eq!(paths, ["/3", "/2", "/1"]);
}

/// What std says about a folder, to a depth, in the order of the listing.
fn listed_by_std(root: &Path, folder: &str, depth: usize) -> Vec<Value> {
    let mut entries: Vec<_> =
        std::fs::read_dir(root.join(&folder[1..])).expect("readable").map(|entry| entry.expect("an entry")).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut listed = Vec::new();
    for entry in entries {
        let name = entry.file_name().into_string().expect("UTF-8");
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{}/{name}", folder.trim_end_matches('/'));
        let metadata = entry.metadata().expect("readable");
        let modified = humantime::format_rfc3339_seconds(metadata.modified().expect("a time")).to_string();
        let mut value = json!({"path": path, "type": if metadata.is_dir() { "folder" } else { "file" }, "modified": modified});
        if metadata.is_file() {
            value["size"] = json!(metadata.len());
        }
        listed.push(value);
        if metadata.is_dir() && depth > 1 {
            listed.extend(listed_by_std(root, &path, depth - 1));
        }
    }
    listed
}

#[tokio::test]
async fn listings_are_those_of_the_file_system() {
    let root = crates();
    let server = Server::new(&root);
    for (depth, limit) in [(1, 1000), (1, 17), (2, 400), (5, 1000)] {
        let pages = server.pages("list_directory", json!({"depth": depth, "limit": limit})).await;
        let entries: Vec<_> =
            pages.iter().flat_map(|page| page.structured["entries"].as_array().expect("entries").clone()).collect();
        assert!(entries == listed_by_std(&root, "/", depth), "depth {depth}, limit {limit}");
        let lines = pages.iter().flat_map(|page| page.text.lines()).filter(|line| !line.starts_with("[there is more"));
        for (line, entry) in lines.zip(&entries) {
            let name = &entry["path"].as_str().expect("a path")[1..];
            match entry["type"].as_str() {
                Some("folder") => assert!(line.starts_with(&format!("{name}/\t")), "{line}"),
                _ => {
                    let unit = if entry["size"] == 1 { "byte" } else { "bytes" };
                    assert!(line.starts_with(&format!("{name}\t{} {unit}\t", entry["size"])), "{line}");
                }
            }
        }
    }
}

#[tokio::test]
async fn entries_that_stay_are_listed_once_whatever_else_changes() {
    let root = tempfile::tempdir().expect("a folder");
    let name = |n: usize| format!("f{n:03}");
    for n in 0..100 {
        write_all(root.path(), &[(&name(n), "")]);
    }
    let server = Server::new(root.path());
    let (mut seen, mut args, mut round) = (Vec::new(), json!({"limit": 7}), 0);
    loop {
        let page = server.call("list_directory", args).await.expect("a page");
        seen.extend(
            page.structured["entries"]
                .as_array()
                .expect("entries")
                .iter()
                .map(|entry| entry["path"].as_str().expect("a path").to_owned()),
        );
        let Some(cursor) = page.structured.get("next_cursor") else { break };
        args = json!({"cursor": cursor});
        // The last entry shown goes, and new ones come before and after.
        let last = seen.last().expect("entries").clone();
        if last.len() == 5 {
            std::fs::remove_file(root.path().join(&last[1..])).expect("removed");
        }
        write_all(root.path(), &[(&format!("a{round}"), ""), (&format!("f{:03}+", round * 11), "")]);
        round += 1;
    }
    let stayed: Vec<_> = seen.iter().filter(|path| path.len() == 5).cloned().collect();
    assert_eq!(stayed, (0..100).map(|n| format!("/{}", name(n))).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_folder_of_many_names_is_read_in_parts() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("many");
    std::fs::create_dir(&folder).expect("made");
    // More than twice a page of names are passed over before the first that is shown.
    for n in 0..1500 {
        let hidden = if n < 1400 { "." } else { "" };
        std::fs::write(folder.join(format!("{hidden}{n:04}")), "").expect("written");
    }
    std::fs::create_dir(folder.join("1450+")).expect("made");
    std::fs::write(folder.join("1450+/below"), "").expect("written");
    let server = Server::new(root.path());
    let mut expected: Vec<_> = (1400..1500).map(|n| format!("/many/{n}")).collect();
    for (depth, more) in [(1, &["/many/1450+"][..]), (2, &["/many/1450+/below"])] {
        expected.extend(more.iter().map(|&path| path.to_owned()));
        expected.sort();
        for limit in [1, 7, 99, 1000] {
            let args = json!({"path": "/many", "depth": depth, "limit": limit});
            assert_eq!(server.paths("list_directory", args).await, expected, "limit {limit}");
        }
        let mut listed = server.paths("list_directory", json!({"path": "/many", "depth": depth, "sort": "newest"})).await;
        listed.sort();
        assert_eq!(listed, expected);
    }
}

#[tokio::test]
async fn mounts_are_folders_of_the_root() {
    let (docs, code, top) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write_all(docs.path(), &[("guide.md", "needle"), ("b/c.md", "needle")]);
    write_all(code.path(), &[("main.rs", "needle")]);
    // The root's rules do not reach into mounts, and its entries of the same name are shadowed.
    write_all(
        top.path(),
        &[(".ignore", "*.md\ncode\n"), ("docs/shadowed.txt", "needle"), ("z.txt", "needle"), ("z.md", "needle")],
    );
    let named = || vec![mount(Some("docs"), docs.path()), mount(Some("code"), code.path())];
    let with_root = || [vec![mount(None, top.path())], named()].concat();

    let server = Server::of(named(), 40_000, 2);
    assert_eq!(server.paths("list_directory", json!({"limit": 1})).await, ["/code", "/docs"]);
    let all = ["/code/main.rs", "/docs/b/c.md", "/docs/guide.md"];
    assert_eq!(server.paths("find_files", json!({"glob": "**", "limit": 1})).await, all);
    assert_eq!(server.paths("search_text", json!({"pattern": "needle", "limit": 1})).await, all);

    let server = Server::of(with_root(), 40_000, 2);
    let all = ["/code/main.rs", "/docs/b/c.md", "/docs/guide.md", "/z.txt"];
    assert_eq!(server.paths("find_files", json!({"glob": "**", "limit": 1})).await, all);
    assert_eq!(server.paths("search_text", json!({"pattern": "needle", "mode": "lines", "limit": 1})).await, all);
    assert_eq!(server.paths("list_directory", json!({"sort": "newest"})).await.len(), 4);

    let narrow = Server::of(with_root(), 40_000, 2).called_by(principal("narrow", "files:read:/docs/b/**"));
    assert_eq!(narrow.paths("find_files", json!({"glob": "**", "type": "any"})).await, ["/docs", "/docs/b", "/docs/b/c.md"]);
}
