//! Hidden files, folders of version control, and rules about what to ignore.

use std::path::Path;

use serde_json::json;

use crate::oracle;
use crate::support::{Server, write_all};

/// A tree with every kind of rule in it.
fn ruled_tree(root: &Path) {
    write_all(
        root,
        &[
            ("outside/.gitignore", "*.txt\n"),
            ("outside/kept.txt", "needle"),
            ("outside/.ignore", "*.tmp\n"),
            ("outside/x.tmp", "needle"),
            ("repo/.git/info/exclude", "excluded.txt\n!/rescued.log\n"),
            ("repo/.git/HEAD", "needle"),
            (
                "repo/.gitignore",
                "\u{feff}*.log\n/build/\nnested/deep/*.rs\n!important.log\n!.shown\n# a comment\nbad[\n**/gen/**\n",
            ),
            ("repo/a.log", "needle"),
            ("repo/rescued.log", "needle"),
            ("repo/important.log", "needle"),
            ("repo/excluded.txt", "needle"),
            ("repo/.hidden", "needle"),
            ("repo/.shown", "needle"),
            ("repo/.config/x.toml", "needle"),
            ("repo/build/out.txt", "needle"),
            ("repo/sub/build/out.txt", "needle"),
            ("repo/sub/gen/x/y.txt", "needle"),
            ("repo/nested/.gitignore", "!*.log\nonly-here\n"),
            ("repo/nested/b.log", "needle"),
            ("repo/nested/only-here", "needle"),
            ("repo/nested/deep/c.rs", "needle"),
            ("repo/nested/deep/.ignore", "!c.rs\n"),
            ("repo/only-here", "needle"),
            ("repo/rg/.rgignore", "!x.log\ny.txt\n"),
            ("repo/rg/.ignore", "x.log\n!y.txt\n"),
            ("repo/rg/x.log", "needle"),
            ("repo/rg/y.txt", "needle"),
            ("repo/inner/.git/", ""),
            ("repo/inner/a.log", "needle"),
            ("repo/inner/excluded.txt", "needle"),
            ("repo/inner/.gitignore", "/z\n"),
            ("repo/inner/z/q", "needle"),
            ("jj/.jj/", ""),
            ("jj/.gitignore", "w\n"),
            ("jj/w", "needle"),
            ("jj/v", "needle"),
            (".hg/store", "needle"),
            (".svn/entries", "needle"),
            ("worktree/.git", "gitdir: elsewhere"),
            ("worktree/.gitignore", "w\n"),
            ("worktree/w", "needle"),
        ],
    );
}

#[tokio::test]
async fn rules_are_those_of_ripgrep_wherever_a_search_starts() {
    let root = tempfile::tempdir().expect("a folder");
    ruled_tree(root.path());
    let server = Server::new(root.path());
    for start in [
        "/",
        "/outside",
        "/repo",
        "/repo/nested",
        "/repo/nested/deep",
        "/repo/rg",
        "/repo/inner",
        "/repo/build",
        "/jj",
        "/repo/.config",
    ] {
        for (hidden, no_ignore) in [(false, false), (false, true), (true, false), (true, true)] {
            let expected = oracle::files(root.path(), start, hidden, no_ignore);
            let what = format!("{start} hidden {hidden} no_ignore {no_ignore}");
            let mut args = json!({"path": start, "include_hidden": hidden, "respect_gitignore": !no_ignore, "limit": 3});
            args["glob"] = json!("*");
            assert_eq!(server.paths("find_files", args.clone()).await, expected, "{what}");
            args.as_object_mut().expect("an object").remove("glob");
            args["pattern"] = json!("needle");
            let with_needle =
                |path: &String| std::fs::read_to_string(root.path().join(&path[1..])).expect("text").contains("needle");
            let expected: Vec<_> = expected.into_iter().filter(with_needle).collect();
            assert_eq!(server.paths("search_text", args).await, expected, "{what}");
        }
    }
}

#[tokio::test]
async fn what_the_rules_mean() {
    let root = tempfile::tempdir().expect("a folder");
    ruled_tree(root.path());
    let server = Server::new(root.path());
    let found = server.paths("find_files", json!({"glob": "**"})).await;
    let shown = |path: &str| found.iter().any(|found| found == path);
    for path in [
        "/outside/kept.txt",
        "/repo/important.log",
        "/repo/nested/b.log",
        "/repo/only-here",
        "/repo/rg/x.log",
        "/repo/.shown",
        "/repo/inner/a.log",
        "/jj/v",
    ] {
        assert!(shown(path), "{path}");
    }
    for path in [
        "/outside/x.tmp",
        "/repo/a.log",
        "/repo/build/out.txt",
        "/repo/nested/only-here",
        "/repo/rg/y.txt",
        "/repo/.hidden",
        "/repo/.git/HEAD",
        "/jj/w",
        "/worktree/w",
    ] {
        assert!(!shown(path), "{path}");
    }
    // A folder of version control is left out even where hidden files are asked for, except from inside.
    let listed = server.paths("list_directory", json!({"include_hidden": true, "depth": 3})).await;
    assert!(listed.iter().any(|path| path == "/repo/.hidden"));
    assert!(
        !listed.iter().any(|path| path.contains("/.git/")
            || path.ends_with("/.git") && path != "/worktree/.git"
            || path.starts_with("/.hg"))
    );
    assert_eq!(server.paths("list_directory", json!({"path": "/repo/.git"})).await, ["/repo/.git/HEAD", "/repo/.git/info"]);
    // A listing does not care about rules.
    assert!(server.paths("list_directory", json!({"path": "/repo"})).await.contains(&"/repo/a.log".to_owned()));
}

#[tokio::test]
async fn hostile_rules_harm_nobody() {
    let root = tempfile::tempdir().expect("a folder");
    write_all(
        root.path(),
        &[
            ("deep/.ignore", &"{".repeat(200_000)),
            ("deep/a", "needle"),
            ("long/.ignore", &"*a".repeat(500_000)),
            ("long/a", "needle"),
            ("many/.ignore", &"**/x*y*z*/**\n".repeat(30_000)),
            ("many/a", "needle"),
            ("folder/.ignore/x", ""),
            ("folder/a", "needle"),
        ],
    );
    std::fs::write(root.path().join("long/.rgignore"), b"b\xff\na\n").expect("written");
    std::os::unix::fs::symlink("/dev/zero", root.path().join("folder/.rgignore")).expect("a link");
    let server = Server::new(root.path());
    let found = server.paths("search_text", json!({"pattern": "needle"})).await;
    assert_eq!(found, ["/deep/a", "/folder/a", "/long/a", "/many/a"]);
}
