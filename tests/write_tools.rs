//! The tools that change files, called as the server calls them: authorised by the registry, then run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use pressmark::auth::{Denied, Principal, ScopeSet};
use pressmark::call::{Caller, Content, Lanes, Report, Reports, ToolError, ToolErrorKind};
use pressmark::files::{MountSpec, Tree, View};
use pressmark::path::TreePath;
use pressmark::tools::{CopyFile, CreateDirectory, DeleteFile, EditFile, MoveFile, ToolRegistry, WriteFile};
use serde_json::{Value, json};
use tempfile::TempDir;

const WRITE_TOOLS: [&str; 6] = ["write_file", "edit_file", "create_directory", "move_file", "copy_file", "delete_file"];

/// One replica over a folder. Two of them over the same folder share nothing but the folder.
struct Replica {
    tree: Arc<Tree>,
    registry: ToolRegistry,
}

/// What a call gave: its text blocks and its structured form.
#[derive(Debug)]
struct Answer {
    texts: Vec<String>,
    structured: Value,
}

impl Replica {
    fn over(specs: Vec<MountSpec>) -> Self {
        Self::with_budget(specs, 40_000)
    }

    fn with_budget(specs: Vec<MountSpec>, max_result_bytes: usize) -> Self {
        let tree = Arc::new(Tree::open(specs).expect("the mounts open"));
        let registry = ToolRegistry::new(Arc::new(Lanes::new(2, 8)), max_result_bytes, Duration::from_secs(60))
            .with(WriteFile::new(Arc::clone(&tree)))
            .with(EditFile::new(Arc::clone(&tree)))
            .with(CreateDirectory::new(Arc::clone(&tree)))
            .with(MoveFile::new(Arc::clone(&tree)))
            .with(CopyFile::new(Arc::clone(&tree)))
            .with(DeleteFile::new(Arc::clone(&tree)));
        Self { tree, registry }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Result<Answer, ToolError> {
        self.call_as("files", tool, arguments).await.expect("the caller may do everything")
    }

    async fn call_as(&self, scopes: &str, tool: &str, arguments: Value) -> Result<Result<Answer, ToolError>, Denied> {
        let arguments = serde_json::value::to_raw_value(&arguments).expect("plain data");
        let call = self.registry.authorize(&principal(scopes), tool, Some(arguments.get()))?;
        let result = call.run(Caller::new(principal(scopes))).await.done().expect("nothing is asked");
        Ok(result.map(|result| Answer {
            texts: result
                .content
                .into_iter()
                .filter_map(|block| if let Content::Text { text } = block { Some(text.to_string()) } else { None })
                .collect(),
            structured: serde_json::from_str(result.structured.expect("a success is structured").get()).expect("JSON"),
        }))
    }

    async fn ok(&self, tool: &str, arguments: Value) -> Answer {
        match self.call(tool, arguments.clone()).await {
            Ok(answer) => answer,
            Err(error) => panic!("{tool} {arguments}: {error}"),
        }
    }

    /// The error of a call, whose text must hold all of `needles`.
    async fn refused(&self, tool: &str, arguments: Value, kind: ToolErrorKind, needles: &[&str]) {
        let error = self.call(tool, arguments.clone()).await.expect_err(&format!("{tool} {arguments}"));
        assert_eq!(error.kind(), kind, "{tool} {arguments}: {error}");
        for needle in needles {
            assert!(error.message().contains(needle), "{tool} {arguments}: {error} says {needle:?}");
        }
    }

    /// The version that a reader would be given.
    async fn version(&self, path: &str) -> String {
        let view = View::new(Arc::clone(&self.tree), principal("files"));
        let path = TreePath::parse(path).expect("a path");
        let found = tokio::task::spawn_blocking(move || view.metadata(&path)).await.expect("no panic").expect("it is there");
        found.version.expect("it is a file").to_string()
    }
}

fn principal(scopes: &str) -> Arc<Principal> {
    Arc::new(Principal::new("test", "agent", ScopeSet::parse(scopes.split(' '))))
}

fn mount(name: Option<&str>, directory: &Path, writable: bool) -> MountSpec {
    MountSpec { name: name.map(str::to_owned), directory: directory.to_owned(), writable }
}

/// A fresh folder, mounted at the root.
fn folder() -> (TempDir, Replica) {
    let dir = tempfile::tempdir().expect("a folder");
    let replica = Replica::over(vec![mount(None, dir.path(), true)]);
    (dir, replica)
}

/// Everything below a folder: each path with a file's content, a link's target or nothing.
fn contents(top: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![top.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let kind = fs::symlink_metadata(&path).expect("it is there").file_type();
            let content = if kind.is_symlink() {
                Some(fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes())
            } else if kind.is_file() {
                Some(fs::read(&path).expect("a file"))
            } else {
                None
            };
            if kind.is_dir() {
                open.push(path.clone());
            }
            found.insert(path, content);
        }
    }
    found
}

/// Temporary files in a folder and below, which may go while they are looked for.
fn temporaries(top: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(top).into_iter().flatten().map(|entry| entry.expect("an entry"));
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let here = files.into_iter().map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains(".pressmark-"));
    here.chain(folders.into_iter().flat_map(|folder| temporaries(&folder.path()))).collect()
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("a text file")
}

mod write_file {
    use super::*;

    #[tokio::test]
    async fn makes_files_and_the_folders_above_them() {
        let (dir, replica) = folder();
        let answer = replica.ok("write_file", json!({"path": "/a/b/c.txt", "content": "hellö\n"})).await;
        assert_eq!(text(dir.path().join("a/b/c.txt")), "hellö\n");
        assert_eq!(answer.structured["path"], "/a/b/c.txt");
        assert_eq!(answer.structured["bytes"], 7);
        assert_eq!(answer.structured["created"], true);
        assert_eq!(answer.structured["version"], replica.version("/a/b/c.txt").await);
        assert!(answer.texts[0].contains("Created /a/b/c.txt: 7 bytes"), "{:?}", answer.texts);
        assert_eq!(temporaries(dir.path()), Vec::<PathBuf>::new());

        let call = json!({"path": "/x/y.txt", "content": "", "create_parents": false});
        replica.refused("write_file", call, ToolErrorKind::NotFound, &["/x"]).await;
        assert!(!dir.path().join("x").exists());
    }

    #[tokio::test]
    async fn never_overwrites_unasked() {
        let (dir, replica) = folder();
        fs::write(dir.path().join("f"), "old").expect("written");
        let version = replica.version("/f").await;
        for call in [json!({"path": "/f", "content": "new"}), json!({"path": "/f", "content": "new", "if_absent": true})] {
            replica.refused("write_file", call, ToolErrorKind::AlreadyExists, &[&version, "nothing was changed"]).await;
            assert_eq!(text(dir.path().join("f")), "old");
        }
        let answer = replica.ok("write_file", json!({"path": "/f", "content": "new", "overwrite": true})).await;
        assert_eq!(answer.structured["created"], false);
        assert_eq!(text(dir.path().join("f")), "new");
        assert_ne!(answer.structured["version"], version);
    }

    #[tokio::test]
    async fn replaces_only_the_expected_version() {
        let (dir, replica) = folder();
        let first = replica.ok("write_file", json!({"path": "/f", "content": "1"})).await.structured["version"].clone();
        let second = replica.ok("write_file", json!({"path": "/f", "content": "2", "if_match": first})).await;
        assert_eq!(text(dir.path().join("f")), "2");
        let now = second.structured["version"].as_str().expect("a version").to_owned();
        let call = json!({"path": "/f", "content": "3", "if_match": first});
        replica.refused("write_file", call, ToolErrorKind::Conflict, &[&now, "nothing was changed"]).await;
        assert_eq!(text(dir.path().join("f")), "2");
        // Also a change by another program, in place and of the same size, is a change.
        fs::write(dir.path().join("f"), "x").expect("written");
        let call = json!({"path": "/f", "content": "3", "if_match": now});
        replica.refused("write_file", call, ToolErrorKind::Conflict, &[]).await;
        assert_eq!(text(dir.path().join("f")), "x");
        let call = json!({"path": "/none/f", "content": "3", "if_match": now});
        replica.refused("write_file", call, ToolErrorKind::NotFound, &["/none"]).await;
        assert!(!dir.path().join("none").exists(), "a condition that cannot hold makes no folders");
    }

    #[tokio::test]
    async fn conditions_exclude_each_other() {
        let (_dir, replica) = folder();
        for (extra, name) in [
            (json!({"if_match": "v", "if_absent": true}), "if_absent"),
            (json!({"if_match": "v", "overwrite": true}), "overwrite"),
            (json!({"if_absent": true, "overwrite": true}), "overwrite"),
        ] {
            let mut call = json!({"path": "/f", "content": ""});
            call.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
            replica.refused("write_file", call, ToolErrorKind::InvalidArgument, &[name, "cannot be combined", "give"]).await;
        }
        let call = json!({"path": "/f", "content": "", "if_matches": "v"});
        replica.refused("write_file", call, ToolErrorKind::InvalidArgument, &["if_matches", "\"path\""]).await;
    }

    #[tokio::test]
    async fn takes_bytes_in_base64() {
        let (dir, replica) = folder();
        let bytes: Vec<u8> = (0..=255).collect();
        let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for (name, content) in
            [("a", encoded.clone()), ("b", encoded.trim_end_matches('=').to_owned()), ("c", encoded.replace('A', "\nA"))]
        {
            let call = json!({"path": name, "content": content, "encoding": "base64"});
            let answer = replica.ok("write_file", call).await;
            assert_eq!(
                (fs::read(dir.path().join(name)).expect("a file"), &answer.structured["bytes"]),
                (bytes.clone(), &json!(256))
            );
        }
        let call = json!({"path": "/d/e", "content": "no base64!", "encoding": "base64"});
        replica.refused("write_file", call, ToolErrorKind::InvalidArgument, &["`content`", "aGVsbG8="]).await;
        let call = json!({"path": "/d/e", "content": "", "encoding": "latin-1"});
        replica.refused("write_file", call, ToolErrorKind::InvalidArgument, &["encoding", "utf-8"]).await;
        assert!(!dir.path().join("d").exists());
    }

    #[tokio::test]
    async fn keeps_the_permissions_of_what_it_replaces() {
        let (dir, replica) = folder();
        let path = dir.path().join("f");
        for mode in [0o600, 0o664, 0o755] {
            fs::write(&path, "old").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
            replica.ok("write_file", json!({"path": "/f", "content": "new", "overwrite": true})).await;
            assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, mode);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).expect("changed");
        replica.ok("write_file", json!({"path": "/f", "content": "new", "overwrite": true})).await;
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o755, "set-user-ID is not inherited");

        let by_others = dir.path().join("by_others");
        fs::write(&by_others, "").expect("written");
        replica.ok("write_file", json!({"path": "/by_pressmark", "content": ""})).await;
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode(&dir.path().join("by_pressmark")), mode(&by_others), "a new file has the umask's permissions");
    }

    #[tokio::test]
    async fn replaces_only_what_the_server_could_write_to() {
        let (dir, replica) = folder();
        let path = dir.path().join("f");
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("changed");
        // True for an administrator, who may write to everything.
        let could = fs::OpenOptions::new().write(true).open(&path).is_ok();
        let outcome = replica.call("write_file", json!({"path": "/f", "content": "new", "overwrite": true})).await;
        assert_eq!(outcome.is_ok(), could, "{outcome:?}");
        assert_eq!(text(&path), if could { "new" } else { "old" });
    }

    #[tokio::test]
    async fn replaces_nothing_but_files() {
        let (dir, replica) = folder();
        fs::create_dir(dir.path().join("folder")).expect("made");
        fs::write(dir.path().join("target"), "target").expect("written");
        symlink("target", dir.path().join("link")).expect("linked");
        symlink("nowhere", dir.path().join("dangling")).expect("linked");
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), rustix::fs::Mode::RWXU).expect("made");
        let before = contents(dir.path());
        for (path, kind, needle) in [
            ("/folder", ToolErrorKind::Conflict, "is a folder"),
            ("/link", ToolErrorKind::Forbidden, "symbolic link"),
            ("/dangling", ToolErrorKind::Forbidden, "symbolic link"),
            ("/pipe", ToolErrorKind::Forbidden, "not a regular file"),
            ("/", ToolErrorKind::Forbidden, "top of a mount"),
        ] {
            for call in [
                json!({"path": path, "content": "x", "overwrite": true}),
                json!({"path": path, "content": "x", "if_match": "v"}),
                json!({"path": path, "content": "x"}),
            ] {
                replica.refused("write_file", call, kind, &[needle]).await;
            }
        }
        let call = json!({"path": "/target/below", "content": "x"});
        replica.refused("write_file", call, ToolErrorKind::Conflict, &["/target is not a folder"]).await;
        assert_eq!(contents(dir.path()), before);
        assert!(fs::symlink_metadata(dir.path().join("pipe")).expect("there").file_type().is_fifo());
    }
}

mod edit_file {
    use super::*;

    fn one(old: &str, new: &str) -> Value {
        json!([{"old_text": old, "new_text": new}])
    }

    #[tokio::test]
    async fn shows_the_diff_and_gives_the_new_version() {
        let (dir, replica) = folder();
        let path = dir.path().join("f.txt");
        fs::write(&path, "one\ntwo\nthree\n").expect("written");
        let before = replica.version("/f.txt").await;
        let call = json!({"path": "/f.txt", "edits": one("two", "2"), "dry_run": true});
        let dry = replica.ok("edit_file", call).await;
        assert_eq!(dry.texts[0], "--- a/f.txt\n+++ b/f.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
        assert_eq!((dry.structured["dry_run"].clone(), dry.structured["version"].clone()), (json!(true), json!(before)));
        assert_eq!((text(&path).as_str(), replica.version("/f.txt").await), ("one\ntwo\nthree\n", before.clone()));

        let call = json!({"path": "/f.txt", "edits": one("two", "2"), "if_match": before});
        let answer = replica.ok("edit_file", call.clone()).await;
        assert_eq!(answer.texts[0], dry.texts[0]);
        assert_eq!(text(&path), "one\n2\nthree\n");
        let after = replica.version("/f.txt").await;
        assert_eq!(answer.structured["version"], after);
        assert_eq!(answer.structured["replacements"], 1);
        assert_eq!((&answer.structured["lines_added"], &answer.structured["lines_removed"]), (&json!(1), &json!(1)));
        replica.refused("edit_file", call, ToolErrorKind::Conflict, &[&after, "nothing was changed"]).await;
        assert_eq!(temporaries(dir.path()), Vec::<PathBuf>::new());
    }

    #[tokio::test]
    async fn all_edits_apply_or_none() {
        let (dir, replica) = folder();
        let path = dir.path().join("f");
        fs::write(&path, "alpha\nbeta\nbeta\n").expect("written");
        let inode = fs::metadata(&path).expect("there").ino();
        for (second, needles) in [
            (json!({"old_text": "beta", "new_text": "b"}), vec!["`edits[1]`", "2 times", "lines 2 and 3", "replace_all"]),
            (json!({"old_text": "betta", "new_text": "b"}), vec!["`edits[1]`", "not found", "2| beta"]),
        ] {
            let call = json!({"path": "/f", "edits": [{"old_text": "alpha", "new_text": "a"}, second]});
            replica.refused("edit_file", call, ToolErrorKind::Conflict, &needles).await;
            assert_eq!((text(&path).as_str(), fs::metadata(&path).expect("there").ino()), ("alpha\nbeta\nbeta\n", inode));
        }
        for (edits, name) in [(json!([]), "edits"), (one("", "x"), "edits[0].old_text"), (one("x", "x"), "edits[0]")] {
            let call = json!({"path": "/f", "edits": edits});
            replica.refused("edit_file", call, ToolErrorKind::InvalidArgument, &[name]).await;
        }
        let call = json!({"path": "/f", "edits": [{"old_text": "a", "new_text": "b", "all": true}]});
        replica.refused("edit_file", call, ToolErrorKind::InvalidArgument, &["edits[0]", "all"]).await;
        let call = json!({"path": "/f", "edits": [{"old_text": "beta", "new_text": "b", "replace_all": true}]});
        assert_eq!(replica.ok("edit_file", call).await.structured["replacements"], 2);
        assert_eq!(text(&path), "alpha\nb\nb\n");
    }

    #[tokio::test]
    async fn encoding_mark_and_line_endings_are_kept() {
        let (dir, replica) = folder();
        let path = dir.path().join("f");
        let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        for (before, after) in [
            (b"\xEF\xBB\xBFone\r\ntwo\r\n".to_vec(), b"\xEF\xBB\xBFeins\r\nzwei\r\ntwo\r\n".to_vec()),
            (utf16("\u{FEFF}one\r\ntwö\r\n"), utf16("\u{FEFF}eins\r\nzwei\r\ntwö\r\n")),
            (b"one\ntw\xF6\n".to_vec(), b"eins\nzwei\ntw\xF6\n".to_vec()),
        ] {
            fs::write(&path, &before).expect("written");
            replica.ok("edit_file", json!({"path": "/f", "edits": one("one\n", "eins\nzwei\n")})).await;
            assert_eq!(fs::read(&path).expect("a file"), after);
        }
        let call = json!({"path": "/f", "edits": one("zwei", "二")});
        replica.refused("edit_file", call, ToolErrorKind::Conflict, &["Latin-1", "nothing was changed"]).await;
        fs::write(&path, b"\x00\x01binary").expect("written");
        replica
            .refused("edit_file", json!({"path": "/f", "edits": one("binary", "x")}), ToolErrorKind::Conflict, &["binary"])
            .await;
        assert_eq!(fs::read(&path).expect("a file"), b"\x00\x01binary");
    }

    #[tokio::test]
    async fn a_long_diff_is_cut_to_the_budget_and_says_so() {
        let (dir, _) = folder();
        let replica = Replica::with_budget(vec![mount(None, dir.path(), true)], 5000);
        fs::write(dir.path().join("f"), "\"line\"\n".repeat(5000)).expect("written");
        let call = json!({"path": "/f", "edits": [{"old_text": "line", "new_text": "\t", "replace_all": true}]});
        let answer = replica.ok("edit_file", call).await;
        assert_eq!((&answer.structured["diff_truncated"], &answer.structured["lines_added"]), (&json!(true), &json!(5000)));
        assert!(answer.texts[1].contains("cut short"), "{}", answer.texts[1]);
        let size = serde_json::to_string(&answer.texts).expect("plain").len() + answer.structured.to_string().len();
        assert!((4000..5000).contains(&size), "{size} bytes of 5000");
        assert_eq!(text(dir.path().join("f")), "\"\t\"\n".repeat(5000));
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused() {
        let (dir, replica) = folder();
        let file = fs::File::create(dir.path().join("large")).expect("made");
        file.set_len((16 << 20) + 1).expect("grown");
        replica
            .refused("edit_file", json!({"path": "/large", "edits": one("a", "b")}), ToolErrorKind::TooLarge, &["16 MiB"])
            .await;
        fs::write(dir.path().join("small"), "a".repeat(10_000)).expect("written");
        let call = json!({"path": "/small", "edits": [{"old_text": "a", "new_text": "b".repeat(10_000), "replace_all": true}]});
        replica.refused("edit_file", call, ToolErrorKind::TooLarge, &["edits[0]", "nothing was changed"]).await;
        fs::write(dir.path().join("lines"), "\n".repeat(1_000_001)).expect("written");
        replica
            .refused("edit_file", json!({"path": "/lines", "edits": one("a", "b")}), ToolErrorKind::TooLarge, &["million"])
            .await;
    }

    #[tokio::test]
    async fn edits_nothing_but_files() {
        let (dir, replica) = folder();
        fs::create_dir(dir.path().join("folder")).expect("made");
        fs::write(dir.path().join("target"), "target").expect("written");
        symlink("target", dir.path().join("link")).expect("linked");
        for (path, kind) in
            [("/folder", ToolErrorKind::Conflict), ("/link", ToolErrorKind::Forbidden), ("/none", ToolErrorKind::NotFound)]
        {
            replica.refused("edit_file", json!({"path": path, "edits": one("target", "x")}), kind, &[path]).await;
        }
        assert_eq!(text(dir.path().join("target")), "target");
    }
}

mod create_directory {
    use super::*;

    #[tokio::test]
    async fn makes_what_is_missing_and_is_content_with_what_is_there() {
        let (dir, replica) = folder();
        for created in [true, false] {
            let answer = replica.ok("create_directory", json!({"path": "/a/b/c"})).await;
            assert_eq!(answer.structured, json!({"path": "/a/b/c", "created": created}));
            assert!(dir.path().join("a/b/c").is_dir());
        }
        assert_eq!(replica.ok("create_directory", json!({"path": "/"})).await.structured["created"], false);
        fs::write(dir.path().join("file"), "").expect("written");
        symlink("a", dir.path().join("link")).expect("linked");
        for path in ["/file", "/link"] {
            replica.refused("create_directory", json!({"path": path}), ToolErrorKind::AlreadyExists, &[path]).await;
        }
        replica
            .refused("create_directory", json!({"path": "/file/x"}), ToolErrorKind::Conflict, &["/file is not a folder"])
            .await;
    }
}

mod move_file {
    use super::*;

    #[tokio::test]
    async fn moves_files_and_whole_folders() {
        let (dir, replica) = folder();
        fs::create_dir_all(dir.path().join("a/deep")).expect("made");
        fs::write(dir.path().join("a/deep/f"), "content").expect("written");
        let answer = replica.ok("move_file", json!({"from": "/a", "to": "/b/c"})).await;
        assert_eq!(answer.structured, json!({"from": "/a", "to": "/b/c", "replaced": false}));
        let answer = replica.ok("move_file", json!({"from": "/b/c/deep/f", "to": "/new/g"})).await;
        assert_eq!(answer.structured["version"], replica.version("/new/g").await);
        assert_eq!(text(dir.path().join("new/g")), "content");
        assert!(!dir.path().join("a").exists() && !dir.path().join("b/c/deep/f").exists());
        replica.refused("move_file", json!({"from": "/none", "to": "/x/y"}), ToolErrorKind::NotFound, &["/none"]).await;
        let call = json!({"from": "/new/g", "to": "/x/y", "create_parents": false});
        replica.refused("move_file", call, ToolErrorKind::NotFound, &["/x"]).await;
        assert!(!dir.path().join("x").exists());
    }

    #[tokio::test]
    async fn makes_nothing_deeper_than_folders_are_made() {
        let (dir, replica) = folder();
        for top in ["a", "b", "c"] {
            replica.ok("create_directory", json!({"path": format!("/{top}{}", "/x".repeat(49))})).await;
        }
        let inner = |top: &str| format!("/{top}{}/in", "/x".repeat(49));
        let before = contents(dir.path());
        // The last of its folders would have a path of 101 names.
        let call = json!({"from": "/b", "to": format!("{}/y", inner("a"))});
        replica.refused("move_file", call, ToolErrorKind::Conflict, &["too deep", "100 names", "nothing was changed"]).await;
        assert_eq!(contents(dir.path()), before, "nor were parents made");
        replica.ok("move_file", json!({"from": "/b/x", "to": inner("a")})).await;
        assert!(dir.path().join(&inner("a")[1..]).join("x/".repeat(48)).is_dir());
        let call = json!({"from": "/c", "to": format!("{}{}", inner("a"), "/x".repeat(49))});
        replica.refused("move_file", call, ToolErrorKind::Conflict, &["too deep"]).await;

        // What another program has made deep can be moved up and aside, and files go wherever there is a folder.
        let deep = "/z".repeat(150);
        fs::create_dir_all(dir.path().join(&deep[1..])).expect("made");
        fs::write(dir.path().join("file"), "text").expect("written");
        replica.ok("move_file", json!({"from": "/file", "to": format!("{deep}/file")})).await;
        let aside = format!("{}/aside", &deep[..deep.len() - 2]);
        replica.ok("move_file", json!({"from": deep, "to": aside})).await;
        replica.ok("move_file", json!({"from": aside, "to": "/up"})).await;
        assert_eq!(text(dir.path().join("up/file")), "text");
    }

    #[tokio::test]
    async fn overwrites_only_files_and_only_when_asked() {
        let (dir, replica) = folder();
        fs::write(dir.path().join("a"), "a").expect("written");
        fs::write(dir.path().join("b"), "b").expect("written");
        fs::create_dir_all(dir.path().join("folder/inner")).expect("made");
        fs::create_dir(dir.path().join("empty")).expect("made");
        symlink("b", dir.path().join("link")).expect("linked");
        let before = contents(dir.path());
        let there = replica.version("/b").await;
        replica.refused("move_file", json!({"from": "/a", "to": "/b"}), ToolErrorKind::AlreadyExists, &[&there]).await;
        for (from, to, overwrite, kind) in [
            ("/a", "/empty", false, ToolErrorKind::AlreadyExists),
            ("/a", "/empty", true, ToolErrorKind::Conflict),
            ("/a", "/link", false, ToolErrorKind::AlreadyExists),
            ("/a", "/link", true, ToolErrorKind::Forbidden),
            ("/link", "/x", false, ToolErrorKind::Forbidden),
            ("/folder", "/empty", true, ToolErrorKind::AlreadyExists),
            ("/folder", "/a", true, ToolErrorKind::AlreadyExists),
            ("/a", "/a", true, ToolErrorKind::Conflict),
            ("/a", "/a/b", true, ToolErrorKind::Conflict),
            ("/folder", "/folder/inner/x", false, ToolErrorKind::Conflict),
            ("/", "/x", false, ToolErrorKind::Conflict),
        ] {
            let call = json!({"from": from, "to": to, "overwrite": overwrite});
            replica.refused("move_file", call, kind, &[]).await;
            assert_eq!(contents(dir.path()), before, "{from} to {to}");
        }
        let answer = replica.ok("move_file", json!({"from": "/a", "to": "/b", "overwrite": true})).await;
        assert_eq!(answer.structured["replaced"], true);
        assert_eq!(text(dir.path().join("b")), "a");
        assert!(!dir.path().join("a").exists());
        // Two names of one file: a rename would do nothing and call it done.
        fs::hard_link(dir.path().join("b"), dir.path().join("c")).expect("linked");
        let call = json!({"from": "/b", "to": "/c", "overwrite": true});
        replica.refused("move_file", call, ToolErrorKind::Conflict, &["the source itself"]).await;
    }

    #[tokio::test]
    async fn moves_only_the_expected_version() {
        let (dir, replica) = folder();
        let old = replica.ok("write_file", json!({"path": "/f", "content": "1"})).await.structured["version"].clone();
        let call = json!({"path": "/f", "content": "2", "overwrite": true});
        let new = replica.ok("write_file", call).await.structured["version"].clone();
        let call = json!({"from": "/f", "to": "/g", "if_match": old});
        replica.refused("move_file", call, ToolErrorKind::Conflict, &[new.as_str().expect("text")]).await;
        assert!(dir.path().join("f").exists() && !dir.path().join("g").exists());
        replica.ok("move_file", json!({"from": "/f", "to": "/g", "if_match": new})).await;
        fs::create_dir(dir.path().join("folder")).expect("made");
        let call = json!({"from": "/folder", "to": "/other", "if_match": new});
        replica.refused("move_file", call, ToolErrorKind::Conflict, &["no version"]).await;
    }

    #[tokio::test]
    async fn between_file_systems_files_are_copied_and_folders_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
        let device = |path: &Path| fs::metadata(path).expect("there").dev();
        assert_ne!(device(dir.path()), device(memory.path()), "this test needs TMPDIR on another file system than /dev/shm");
        let mounts = vec![mount(Some("disk"), dir.path(), true), mount(Some("memory"), memory.path(), true)];
        let replica = Replica::over(mounts);
        let path = dir.path().join("f");
        fs::write(&path, "content").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        let modified = fs::metadata(&path).expect("there").mtime();
        let answer = replica.ok("move_file", json!({"from": "/disk/f", "to": "/memory/new/g"})).await;
        assert_eq!(answer.structured["version"], replica.version("/memory/new/g").await);
        let moved = fs::metadata(memory.path().join("new/g")).expect("there");
        assert_eq!(
            (text(memory.path().join("new/g")).as_str(), moved.mode() & 0o777, moved.mtime()),
            ("content", 0o640, modified)
        );
        assert!(!path.exists());

        fs::write(&path, "other").expect("written");
        let call = json!({"from": "/disk/f", "to": "/memory/new/g"});
        replica.refused("move_file", call, ToolErrorKind::AlreadyExists, &["nothing was changed"]).await;
        assert_eq!((text(&path).as_str(), text(memory.path().join("new/g")).as_str()), ("other", "content"));
        let answer = replica.ok("move_file", json!({"from": "/disk/f", "to": "/memory/new/g", "overwrite": true})).await;
        assert_eq!((&answer.structured["replaced"], text(memory.path().join("new/g")).as_str()), (&json!(true), "other"));

        fs::create_dir(dir.path().join("folder")).expect("made");
        let call = json!({"from": "/disk/folder", "to": "/memory/folder"});
        replica.refused("move_file", call, ToolErrorKind::Conflict, &["another mount", "create_directory"]).await;
        assert!(dir.path().join("folder").is_dir());
        assert_eq!((temporaries(dir.path()).len(), temporaries(memory.path()).len()), (0, 0));
        replica
            .refused("move_file", json!({"from": "/disk", "to": "/memory/x"}), ToolErrorKind::Forbidden, &["top of a mount"])
            .await;
    }
}

mod copy_file {
    use super::*;

    #[tokio::test]
    async fn copies_files_only_and_overwrites_only_when_asked() {
        let (dir, replica) = folder();
        fs::write(dir.path().join("a"), "a").expect("written");
        fs::write(dir.path().join("b"), "b").expect("written");
        fs::create_dir(dir.path().join("folder")).expect("made");
        let answer = replica.ok("copy_file", json!({"from": "/a", "to": "/x/y"})).await;
        assert_eq!((text(dir.path().join("x/y")).as_str(), text(dir.path().join("a")).as_str()), ("a", "a"));
        assert_eq!((&answer.structured["created"], &answer.structured["bytes"]), (&json!(true), &json!(1)));
        assert_eq!(answer.structured["version"], replica.version("/x/y").await);

        let before = contents(dir.path());
        for (from, to, overwrite, kind, needle) in [
            ("/a", "/b", false, ToolErrorKind::AlreadyExists, "nothing was changed"),
            ("/folder", "/y", false, ToolErrorKind::Conflict, "only files can be copied"),
            ("/a", "/folder", true, ToolErrorKind::Conflict, "is a folder"),
            ("/a", "/a", true, ToolErrorKind::Conflict, "the source itself"),
            ("/none", "/new/y", false, ToolErrorKind::NotFound, "/none"),
        ] {
            let call = json!({"from": from, "to": to, "overwrite": overwrite});
            replica.refused("copy_file", call, kind, &[needle]).await;
            assert_eq!(contents(dir.path()), before, "{from} to {to}");
        }
        replica.ok("copy_file", json!({"from": "/a", "to": "/b", "overwrite": true})).await;
        assert_eq!(text(dir.path().join("b")), "a");
    }

    #[tokio::test]
    async fn copies_only_the_expected_version() {
        let (dir, replica) = folder();
        let old = replica.ok("write_file", json!({"path": "/f", "content": "1"})).await.structured["version"].clone();
        fs::write(dir.path().join("f"), "2").expect("written");
        let now = replica.version("/f").await;
        let call = json!({"from": "/f", "to": "/g", "if_match": old});
        replica.refused("copy_file", call, ToolErrorKind::Conflict, &[&now]).await;
        assert!(!dir.path().join("g").exists());
        replica.ok("copy_file", json!({"from": "/f", "to": "/g", "if_match": now})).await;
    }

    #[tokio::test]
    async fn reports_progress_and_stops_without_a_trace_when_nobody_waits() {
        let (dir, replica) = folder();
        let size = 64 << 20;
        fs::File::create(dir.path().join("large")).expect("made").set_len(size).expect("grown");
        let arguments = serde_json::value::to_raw_value(&json!({"from": "/large", "to": "/copy"})).expect("plain data");
        let call = || replica.registry.authorize(&principal("files"), "copy_file", Some(arguments.get())).expect("allowed");
        let (sender, mut reports) = tokio::sync::mpsc::channel(64);
        let caller = || Caller::new(principal("files"));
        call().run(Caller { reports: Reports::to(sender, true, None), ..caller() }).await.done().expect("done").expect("copied");
        let mut last = 0.0;
        while let Some(report) = reports.recv().await {
            let Report::Progress(report) = report else { panic!("{report:?}") };
            assert!(report.progress > last && report.total == Some(size as f64), "{report:?}");
            last = report.progress;
        }
        assert_eq!(last, size as f64);
        fs::remove_file(dir.path().join("copy")).expect("removed");

        // Large enough that the copy cannot be done before the cancellation reaches it.
        fs::File::create(dir.path().join("large")).expect("made").set_len(4 << 30).expect("grown");
        let (sender, mut reports) = tokio::sync::mpsc::channel(64);
        tokio::select! {
            outcome = call().run(Caller { reports: Reports::to(sender, true, None), ..caller() }) => panic!("it was too fast to be cancelled: {outcome:?}"),
            report = reports.recv() => assert!(report.is_some()),
        }
        let started = std::time::Instant::now();
        while !temporaries(dir.path()).is_empty() {
            assert!(started.elapsed() < Duration::from_secs(20), "the work goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!dir.path().join("copy").exists());
    }
}

mod delete_file {
    use super::*;

    #[tokio::test]
    async fn deletes_files_links_and_empty_folders() {
        let (dir, replica) = folder();
        fs::write(dir.path().join("f"), "").expect("written");
        fs::create_dir(dir.path().join("empty")).expect("made");
        fs::write(dir.path().join("target"), "kept").expect("written");
        symlink("target", dir.path().join("link")).expect("linked");
        for (path, files, folders) in [("/f", 1, 0), ("/empty", 0, 1), ("/link", 1, 0)] {
            let answer = replica.ok("delete_file", json!({"path": path})).await;
            assert_eq!(answer.structured, json!({"path": path, "files": files, "folders": folders}));
            replica.refused("delete_file", json!({"path": path}), ToolErrorKind::NotFound, &[path]).await;
        }
        assert_eq!(contents(dir.path()).into_iter().collect::<Vec<_>>(), [(dir.path().join("target"), Some(b"kept".to_vec()))]);
        replica
            .refused("delete_file", json!({"path": "/", "recursive": true}), ToolErrorKind::Forbidden, &["top of a mount"])
            .await;
    }

    #[tokio::test]
    async fn deletes_only_the_expected_version() {
        let (dir, replica) = folder();
        let old = replica.ok("write_file", json!({"path": "/f", "content": "1"})).await.structured["version"].clone();
        let call = json!({"path": "/f", "content": "2", "if_match": old});
        let new = replica.ok("write_file", call).await.structured["version"].clone();
        let call = json!({"path": "/f", "if_match": old});
        replica.refused("delete_file", call, ToolErrorKind::Conflict, &[new.as_str().expect("text")]).await;
        assert!(dir.path().join("f").exists());
        replica.ok("delete_file", json!({"path": "/f", "if_match": new})).await;
        fs::create_dir(dir.path().join("folder")).expect("made");
        let call = json!({"path": "/folder", "if_match": new});
        replica.refused("delete_file", call, ToolErrorKind::Conflict, &["no version"]).await;
    }

    #[tokio::test]
    async fn a_folder_with_content_goes_only_when_asked_and_links_are_not_followed() {
        let (dir, replica) = folder();
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("precious"), "kept").expect("written");
        let top = dir.path().join("top");
        fs::create_dir_all(top.join("a/b/c")).expect("made");
        fs::create_dir(dir.path().join("sibling")).expect("made");
        fs::write(dir.path().join("sibling/precious"), "kept").expect("written");
        for n in 0..300 {
            fs::write(top.join(format!("a/b/file-{n}")), "x").expect("written");
        }
        fs::write(top.join("a").join(std::ffi::OsString::from_vec(b"not\xFFutf8".to_vec())), "x").expect("written");
        rustix::fs::mkfifoat(rustix::fs::CWD, top.join("pipe"), rustix::fs::Mode::RWXU).expect("made");
        symlink(outside.path(), top.join("a/out")).expect("linked");
        symlink("../sibling", top.join("beside")).expect("linked");
        let before = contents(dir.path());
        let call = json!({"path": "/top"});
        replica.refused("delete_file", call, ToolErrorKind::Conflict, &["not empty", "recursive"]).await;
        assert_eq!(contents(dir.path()), before);

        let answer = replica.ok("delete_file", json!({"path": "/top", "recursive": true})).await;
        assert_eq!(answer.structured, json!({"path": "/top", "files": 304, "folders": 4}));
        assert!(!top.exists());
        assert_eq!(text(outside.path().join("precious")), "kept");
        assert_eq!(text(dir.path().join("sibling/precious")), "kept");
    }

    #[tokio::test]
    async fn a_folder_that_is_too_deep_is_refused_and_its_inner_part_can_go_first() {
        let (dir, replica) = folder();
        let inner = "d/".repeat(100);
        fs::create_dir_all(dir.path().join(&inner).join(&inner)).expect("made");
        replica.refused("delete_file", json!({"path": "/d", "recursive": true}), ToolErrorKind::Conflict, &["too deep"]).await;
        replica.ok("delete_file", json!({"path": inner, "recursive": true})).await;
        replica.ok("delete_file", json!({"path": "/d", "recursive": true})).await;
        assert!(!dir.path().join("d").exists());
    }

    use std::os::unix::ffi::OsStringExt;
}

mod together {
    use super::*;

    /// Two replicas over one folder, and a task for each of `count` calls, begun at the same moment.
    async fn race(dir: &Path, count: usize, call: impl Fn(usize) -> (&'static str, Value)) -> Vec<Result<Answer, ToolError>> {
        let replicas = [(); 2].map(|()| Arc::new(Replica::over(vec![mount(None, dir, true)])));
        let start = Arc::new(tokio::sync::Barrier::new(count));
        let mut tasks = Vec::new();
        for n in 0..count {
            let (replica, start) = (Arc::clone(&replicas[n % 2]), Arc::clone(&start));
            let (tool, arguments) = call(n);
            tasks.push(tokio::spawn(async move {
                start.wait().await;
                replica.call(tool, arguments).await
            }));
        }
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.expect("no panic"));
        }
        outcomes
    }

    fn winners(outcomes: &[Result<Answer, ToolError>]) -> Vec<usize> {
        (0..outcomes.len()).filter(|&n| outcomes[n].is_ok()).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_writers_with_one_version_exactly_one_wins() {
        let (dir, replica) = folder();
        let mut version = replica.ok("write_file", json!({"path": "/f", "content": ""})).await.structured["version"].clone();
        for _ in 0..10 {
            let outcomes = race(dir.path(), 16, |n| {
                ("write_file", json!({"path": "/f", "content": format!("writer {n}"), "if_match": version}))
            })
            .await;
            let [winner] = winners(&outcomes)[..] else { panic!("{outcomes:?}") };
            assert_eq!(text(dir.path().join("f")), format!("writer {winner}"));
            assert!(
                outcomes.iter().flat_map(|outcome| outcome.as_ref().err()).all(|error| error.kind() == ToolErrorKind::Conflict)
            );
            version = outcomes[winner].as_ref().expect("won").structured["version"].clone();
            assert_eq!(version, replica.version("/f").await);
        }
        assert_eq!(temporaries(dir.path()), Vec::<PathBuf>::new());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_makers_exactly_one_wins() {
        let (dir, replica) = folder();
        replica.ok("write_file", json!({"path": "/source", "content": "copied"})).await;
        for round in 0..10 {
            let path = format!("/new-{round}/f");
            let outcomes = race(dir.path(), 16, |n| match n % 4 {
                0 => ("copy_file", json!({"from": "/source", "to": path})),
                _ => ("write_file", json!({"path": path, "content": format!("maker {n}"), "if_absent": true})),
            })
            .await;
            let [winner] = winners(&outcomes)[..] else { panic!("{outcomes:?}") };
            let expected = if winner % 4 == 0 { "copied".to_owned() } else { format!("maker {winner}") };
            assert_eq!(text(dir.path().join(&path[1..])), expected);
            let lost = outcomes.iter().flat_map(|outcome| outcome.as_ref().err());
            assert!(lost.into_iter().all(|error| error.kind() == ToolErrorKind::AlreadyExists));
        }
        assert_eq!(temporaries(dir.path()), Vec::<PathBuf>::new());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_version_is_spent_once_by_whatever_tool() {
        let (dir, replica) = folder();
        for round in 0..10 {
            let call = json!({"path": "/f", "content": "", "overwrite": true});
            let version = replica.ok("write_file", call).await.structured["version"].clone();
            let outcomes = race(dir.path(), 12, |n| match n % 4 {
                0 => ("write_file", json!({"path": "/f", "content": "written", "if_match": version})),
                1 => ("delete_file", json!({"path": "/f", "if_match": version})),
                2 => ("move_file", json!({"from": "/f", "to": format!("/moved-{round}-{n}"), "if_match": version})),
                _ => ("write_file", json!({"path": "/f", "content": format!("{n}"), "if_match": version})),
            })
            .await;
            assert_eq!(winners(&outcomes).len(), 1, "{outcomes:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn edits_of_one_file_follow_one_another_and_none_is_lost() {
        let (dir, replica) = folder();
        let lines: String = (0..40).map(|n| format!("line {n} end\n")).collect();
        replica.ok("write_file", json!({"path": "/f", "content": lines})).await;
        let outcomes = race(dir.path(), 40, |n| {
            let (old, new) = (format!("line {n} end"), format!("edited by {n} end"));
            ("edit_file", json!({"path": "/f", "edits": [{"old_text": old, "new_text": new}]}))
        })
        .await;
        assert_eq!(winners(&outcomes).len(), 40, "{outcomes:?}");
        assert_eq!(text(dir.path().join("f")), lines.replace("line", "edited by"));
        assert_eq!(temporaries(dir.path()), Vec::<PathBuf>::new());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn opposite_moves_do_not_wait_for_each_other_for_ever() {
        let (dir, _) = folder();
        for _ in 0..5 {
            fs::write(dir.path().join("a"), "a").expect("written");
            fs::write(dir.path().join("b"), "b").expect("written");
            let started = std::time::Instant::now();
            let outcomes = race(dir.path(), 2, |n| {
                let (from, to) = if n == 0 { ("/a", "/b") } else { ("/b", "/a") };
                ("move_file", json!({"from": from, "to": to, "overwrite": true}))
            })
            .await;
            assert!(!winners(&outcomes).is_empty(), "{outcomes:?}");
            assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_never_sees_a_part() {
        let (dir, replica) = folder();
        let path = dir.path().join("f");
        let content = |n: usize| char::from(b'a' + (n % 26) as u8).to_string().repeat(100_000 + n);
        replica.ok("write_file", json!({"path": "/f", "content": content(0)})).await;
        let done = Arc::new(AtomicBool::new(false));
        let reader = std::thread::spawn({
            let (path, done) = (path.clone(), Arc::clone(&done));
            move || {
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) {
                    let seen = fs::read(&path).expect("the file is always there");
                    assert!(
                        seen.len() >= 100_000 && seen.iter().all(|byte| *byte == seen[0]),
                        "a mixture of {} bytes",
                        seen.len()
                    );
                    reads += 1;
                }
                reads
            }
        });
        for n in 1..40 {
            replica.ok("write_file", json!({"path": "/f", "content": content(n), "overwrite": true})).await;
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("never a part") > 40);
    }

    #[tokio::test]
    async fn a_lock_that_is_held_too_long_is_a_retryable_error() {
        let (dir, replica) = folder();
        fs::write(dir.path().join("f"), "old").expect("written");
        let held = fs::File::open(dir.path().join("f")).expect("opened");
        rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).expect("locked");
        let call = json!({"path": "/f", "content": "new", "overwrite": true});
        replica.refused("write_file", call.clone(), ToolErrorKind::Unavailable, &["nothing was changed", "repeat"]).await;
        assert_eq!((text(dir.path().join("f")).as_str(), temporaries(dir.path()).len()), ("old", 0));
        drop(held);
        replica.ok("write_file", call).await;
    }
}

mod contained {
    use super::*;

    /// A call of a tool in which `path` is what gets changed.
    fn calls(path: &str) -> [(&'static str, Value); 8] {
        [
            ("write_file", json!({"path": path, "content": "intruder"})),
            ("write_file", json!({"path": path, "content": "intruder", "overwrite": true})),
            ("edit_file", json!({"path": path, "edits": [{"old_text": "precious", "new_text": "intruder"}]})),
            ("create_directory", json!({"path": path})),
            ("move_file", json!({"from": "/inside/file", "to": path, "overwrite": true})),
            ("move_file", json!({"from": path, "to": "/stolen"})),
            ("copy_file", json!({"from": "/inside/file", "to": path, "overwrite": true})),
            ("delete_file", json!({"path": path, "recursive": true})),
        ]
    }

    fn trap() -> (TempDir, Replica, PathBuf) {
        let top = tempfile::tempdir().expect("a folder");
        let (served, outside) = (top.path().join("served"), top.path().join("outside"));
        fs::create_dir_all(served.join("inside")).expect("made");
        fs::create_dir(&outside).expect("made");
        fs::write(served.join("inside/file"), "inside").expect("written");
        fs::write(outside.join("file"), "precious").expect("written");
        symlink(&outside, served.join("absolute")).expect("linked");
        symlink("../outside", served.join("relative")).expect("linked");
        symlink("../../outside", served.join("inside/up")).expect("linked");
        symlink("relative", served.join("chain")).expect("linked");
        symlink("../outside/file", served.join("file-link")).expect("linked");
        symlink("/proc/self/cwd", served.join("magic")).expect("linked");
        let replica = Replica::over(vec![mount(None, &served, true)]);
        (top, replica, outside)
    }

    #[tokio::test]
    async fn nothing_outside_is_touched_by_whatever_path() {
        let (_top, replica, outside) = trap();
        let before = contents(&outside);
        let long = format!("/{}", "x".repeat(300));
        let paths = [
            "/../outside/file",
            "../outside/file",
            "/inside/../../outside/file",
            "/..",
            "..",
            "/inside/..",
            "/./../outside/file",
            "//..//outside/file",
            "/inside/up/../file",
            "/absolute/file",
            "/absolute/new",
            "/absolute/new/deeper",
            "/relative/file",
            "/relative/new",
            "/relative/new/deeper",
            "/inside/up/file",
            "/inside/up/new",
            "/chain/file",
            "/chain/new",
            "/magic/new",
            "/magic/../../outside/file",
            "/file\0",
            "/inside/\0/file",
            "/file-link/new",
            "/",
            "",
            "//",
            "/.",
            long.as_str(),
        ];
        for path in paths {
            for (tool, call) in calls(path) {
                let outcome = replica.call(tool, call.clone()).await;
                let is_harmless = tool == "create_directory" && ["/", "", "//", "/."].contains(&path);
                assert!(outcome.is_err() || is_harmless, "{tool} {call}: {outcome:?}");
                assert_eq!(contents(&outside), before, "{tool} {call}");
            }
        }
    }

    #[tokio::test]
    async fn a_link_as_the_last_name_is_never_written_through() {
        for path in ["/file-link", "/absolute", "/relative", "/inside/up", "/chain"] {
            let (_top, replica, outside) = trap();
            let before = contents(&outside);
            for (tool, call) in calls(path) {
                let outcome = replica.call(tool, call.clone()).await;
                assert!(outcome.is_err() || tool == "delete_file", "{tool} {call}: {outcome:?}");
                assert_eq!(contents(&outside), before, "{tool} {call}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_exchanged_for_a_link_leads_nowhere() {
        let (top, replica, outside) = trap();
        let before = contents(&outside);
        let (real, aside) = (top.path().join("served/swap"), top.path().join("served/aside"));
        fs::create_dir(&real).expect("made");
        let done = Arc::new(AtomicBool::new(false));
        let swapper = std::thread::spawn({
            let done = Arc::clone(&done);
            move || {
                while !done.load(Ordering::Relaxed) {
                    let _ = fs::rename(&real, &aside);
                    let _ = symlink("../outside", &real);
                    std::thread::yield_now();
                    let _ = fs::remove_file(&real);
                    let _ = fs::rename(&aside, &real);
                }
            }
        });
        for n in 0..60 {
            for (tool, call) in [
                ("write_file", json!({"path": "/swap/file", "content": "intruder", "overwrite": true})),
                ("create_directory", json!({"path": format!("/swap/new-{n}")})),
                ("delete_file", json!({"path": "/swap/file"})),
                ("copy_file", json!({"from": "/inside/file", "to": "/swap/file", "overwrite": true})),
                ("delete_file", json!({"path": "/swap", "recursive": true})),
            ] {
                let _ = replica.call(tool, call).await;
            }
            let _ = fs::create_dir(top.path().join("served/swap"));
        }
        done.store(true, Ordering::Relaxed);
        swapper.join().expect("no panic");
        assert_eq!(contents(&outside), before);
    }

    #[tokio::test]
    async fn a_narrowed_caller_stays_within_its_grant() {
        let (dir, replica) = folder();
        fs::create_dir_all(dir.path().join("team-a")).expect("made");
        fs::create_dir_all(dir.path().join("team-b")).expect("made");
        fs::write(dir.path().join("team-a/f"), "a").expect("written");
        fs::write(dir.path().join("team-b/f"), "b").expect("written");
        symlink("../team-b", dir.path().join("team-a/link")).expect("linked");
        let before = contents(&dir.path().join("team-b"));
        let scopes = "files:write:/team-a/** files:delete:/team-a/** files:read:/team-b/**";
        for (tool, call) in [
            ("write_file", json!({"path": "/team-b/new", "content": ""})),
            ("edit_file", json!({"path": "/team-b/f", "edits": [{"old_text": "b", "new_text": "x"}]})),
            ("create_directory", json!({"path": "/team-b/new"})),
            ("move_file", json!({"from": "/team-b/f", "to": "/team-a/g"})),
            ("move_file", json!({"from": "/team-a/f", "to": "/team-b/g"})),
            ("copy_file", json!({"from": "/team-a/f", "to": "/team-b/g"})),
            ("copy_file", json!({"from": "/secret", "to": "/team-a/g"})),
            ("delete_file", json!({"path": "/team-b/f"})),
            ("delete_file", json!({"path": "/", "recursive": true})),
        ] {
            let outcome = replica.call_as(scopes, tool, call.clone()).await;
            assert!(matches!(outcome, Err(Denied::InsufficientScope { .. })), "{tool} {call}: {outcome:?}");
        }
        // Links are not followed for such a caller, not even within the mount.
        for (tool, call) in calls("/team-a/link/new") {
            if let Ok(outcome) = replica.call_as(scopes, tool, call.clone()).await {
                outcome.expect_err(&format!("{tool} {call}"));
            }
        }
        assert_eq!(contents(&dir.path().join("team-b")), before);
        let copied = replica.call_as(scopes, "copy_file", json!({"from": "/team-b/f", "to": "/team-a/x/g"})).await;
        copied.expect("allowed").expect("copied");
        let deleted = replica.call_as(scopes, "delete_file", json!({"path": "/team-a", "recursive": true})).await;
        deleted.expect("allowed").expect("deleted");
        assert_eq!(contents(&dir.path().join("team-b")), before);
    }

    #[tokio::test]
    async fn a_grant_on_a_folder_alone_does_not_reach_into_it() {
        let (dir, replica) = folder();
        fs::create_dir_all(dir.path().join("a/b")).expect("made");
        let scopes = "files:delete:/a files:write:/a files:write:/c";
        for (tool, call) in
            [("delete_file", json!({"path": "/a", "recursive": true})), ("move_file", json!({"from": "/a", "to": "/c"}))]
        {
            let error = replica.call_as(scopes, tool, call).await.expect("the paths are covered").expect_err("not below");
            assert_eq!(error.kind(), ToolErrorKind::Forbidden, "{error}");
            assert!(dir.path().join("a/b").exists());
        }
    }

    #[tokio::test]
    async fn each_tool_needs_its_scope() {
        let (dir, replica) = folder();
        fs::write(dir.path().join("f"), "").expect("written");
        for tool in WRITE_TOOLS {
            let lacking = if tool == "delete_file" { "files:write" } else { "files:read files:delete" };
            let outcome = replica.call_as(lacking, tool, json!({})).await;
            assert!(matches!(outcome, Err(Denied::InsufficientScope { .. })), "{tool}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_read_only_mount_is_not_changed() {
        let dir = tempfile::tempdir().expect("a folder");
        let other = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("folder")).expect("made");
        fs::write(dir.path().join("f"), "precious").expect("written");
        fs::write(other.path().join("file"), "inside").expect("written");
        let replica = Replica::over(vec![mount(Some("fixed"), dir.path(), false), mount(Some("inside"), other.path(), true)]);
        let before = contents(dir.path());
        for path in ["/fixed/f", "/fixed/new", "/fixed/new/deeper", "/fixed/folder/new", "/fixed"] {
            for (tool, call) in calls(path) {
                if (tool, path) == ("create_directory", "/fixed") {
                    continue;
                }
                let error = replica.call(tool, call.clone()).await.expect_err(&format!("{tool} {call}"));
                assert!(
                    [ToolErrorKind::Forbidden, ToolErrorKind::AlreadyExists].contains(&error.kind()),
                    "{tool} {call}: {error}"
                );
                assert_eq!(contents(dir.path()), before, "{tool} {call}");
            }
        }
        replica.refused("write_file", json!({"path": "/new", "content": ""}), ToolErrorKind::Forbidden, &["mount"]).await;
        replica.ok("copy_file", json!({"from": "/fixed/f", "to": "/inside/copy"})).await;
    }
}
