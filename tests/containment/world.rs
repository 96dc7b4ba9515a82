//! A served folder full of traps, and beside it one that must stay as it is.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::snapshot::Snapshot;

pub(crate) const TOKEN: &str = "a-token-for-tests";

/// In every file outside.
pub(crate) const NEVER_SHOWN: &str = "never-shown";
/// In the name of a file in every folder outside; no call ever writes it.
pub(crate) const NEVER_NAMED: &str = "never-named";

pub(crate) struct World {
    base: PathBuf,
    outside: Snapshot,
    _folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let base = folder.path().to_owned();
        for part in
            ["outside", "outside/folder", "outside/folder/sub", "outside/swap", "outside/swap/sub", "other-mount", "inside"]
        {
            fs::create_dir_all(base.join(part)).expect("a folder can be made");
        }
        for part in ["outside", "outside/folder", "outside/folder/sub", "outside/swap", "outside/swap/sub"] {
            for name in ["plain.txt", "file.txt", "doomed.txt", NEVER_NAMED] {
                fs::write(base.join(part).join(name), format!("{NEVER_SHOWN} text\n")).expect("a file can be written");
            }
        }
        let mut world = Self { outside: Snapshot::of(&base.join("outside")), base, _folder: folder };
        world.plant();
        world.outside = world.beside();
        world
    }

    pub(crate) fn base(&self) -> &str {
        self.base.to_str().expect("UTF-8")
    }

    pub(crate) fn inside(&self) -> PathBuf {
        self.base.join("inside")
    }

    /// Empties the served folders.
    pub(crate) fn clear(&self) {
        for folder in [self.inside(), self.base.join("other-mount")] {
            for entry in fs::read_dir(folder).expect("a folder") {
                let entry = entry.expect("an entry");
                let is_folder = entry.file_type().expect("a type").is_dir();
                if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }.expect("removed");
            }
        }
    }

    /// Empties the served folders and fills them with ordinary files, links of every kind, and what is no file at all.
    pub(crate) fn plant(&self) {
        self.clear();
        let inside = self.inside();
        for part in ["folder/sub", "lib"] {
            fs::create_dir_all(inside.join(part)).expect("a folder can be made");
        }
        for name in ["ok.txt", "folder/file.txt", "folder/sub/deep.txt"] {
            fs::write(inside.join(name), "inside text\n").expect("a file can be written");
        }
        // Hidden by the mount of the same name.
        fs::write(inside.join("lib").join(NEVER_NAMED), NEVER_SHOWN).expect("a file can be written");
        fs::write(self.base.join("other-mount/file.txt"), "of the other mount\n").expect("a file can be written");
        let outside = format!("{}/outside", self.base());
        let links = [
            ("abs-file", format!("{outside}/plain.txt")),
            ("abs-folder", outside.clone()),
            ("abs-inside", format!("{}/inside/ok.txt", self.base())),
            ("rel-file", "../outside/plain.txt".to_owned()),
            ("rel-folder", "../outside".to_owned()),
            ("chain-1", "chain-2".to_owned()),
            ("chain-2", "folder/chain-3".to_owned()),
            ("folder/chain-3", "../../outside/plain.txt".to_owned()),
            ("folder/middle", "../../outside/folder".to_owned()),
            ("folder/around", "../../inside/ok.txt".to_owned()),
            ("dangling", "../outside/missing.txt".to_owned()),
            ("dangling-abs", format!("{outside}/missing.txt")),
            ("dangling-inside", "nowhere.txt".to_owned()),
            ("loop", "loop".to_owned()),
            ("loop-1", "loop-2".to_owned()),
            ("loop-2", "loop-1".to_owned()),
            ("up", "..".to_owned()),
            ("top", "/".to_owned()),
            ("passwd", "/etc/passwd".to_owned()),
            ("proc-root", "/proc/self/root".to_owned()),
            ("proc-cwd", "/proc/self/cwd".to_owned()),
            ("proc-fd", "/proc/self/fd/0".to_owned()),
            ("zero", "/dev/zero".to_owned()),
            ("stdin", "/dev/stdin".to_owned()),
            ("here", ".".to_owned()),
            ("inner", "folder/file.txt".to_owned()),
            ("inner-folder", "folder/sub".to_owned()),
            ("cross", "../other-mount/file.txt".to_owned()),
        ];
        for (name, target) in links {
            symlink(target, inside.join(name)).expect("a link can be made");
        }
        symlink("../outside", self.base.join("other-mount/out")).expect("a link can be made");
        for bytes in [&b"bad-\xff.txt"[..], b"bad-folder-\xfe/file.txt"] {
            let path = inside.join(Path::new(std::ffi::OsStr::from_bytes(bytes)));
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder can be made");
            fs::write(path, "of no name\n").expect("a file can be written");
        }
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, inside.join("pipe"), FileType::Fifo, mode, 0).expect("a pipe can be made");
        rustix::fs::mknodat(CWD, inside.join("socket"), FileType::Socket, mode, 0).expect("a socket can be made");
    }

    /// Everything beside the served folders.
    fn beside(&self) -> Snapshot {
        let mut all = Snapshot::of(&self.base);
        all.0.retain(|path, _| !["inside", "other-mount"].iter().any(|served| path.starts_with(served)));
        all
    }

    /// Asserts that nothing outside was changed, and that none of it has found its way inside; gives what is inside.
    pub(crate) fn assert_contained(&self, what: &str) -> Snapshot {
        let now = self.beside();
        assert!(now == self.outside, "{what} changed something outside: {now:?}");
        let mut inside = Snapshot::of(&self.base);
        inside.0.retain(|path, _| path.starts_with("inside") || path.starts_with("other-mount"));
        // This one holds what must not be shown because a mount shadows it.
        inside.0.remove(&Path::new("inside/lib").join(NEVER_NAMED));
        assert!(!inside.holds(NEVER_SHOWN), "{what} brought something in: {inside:?}");
        inside
    }
}

/// A call of every tool that takes a path: twice where a tool takes two paths, or can do more harm another way.
pub(crate) fn calls(path: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("list_directory", json!({"path": path, "depth": 5, "include_hidden": true})),
        ("find_files", json!({"path": path, "glob": "**", "type": "any", "include_hidden": true})),
        ("search_text", json!({"path": path, "pattern": "never|root:", "mode": "lines", "include_hidden": true})),
        ("read_file", json!({"path": path})),
        ("read_file", json!({"path": path, "as": "base64", "byte_limit": 64})),
        ("get_file_info", json!({"path": path})),
        ("write_file", json!({"path": path, "content": "written", "overwrite": true})),
        ("write_file", json!({"path": path, "content": "written", "if_absent": true, "create_parents": false})),
        ("edit_file", json!({"path": path, "edits": [{"old_text": "text", "new_text": "edited"}]})),
        ("edit_file", json!({"path": path, "edits": [{"old_text": "text", "new_text": "edited"}], "dry_run": true})),
        ("create_directory", json!({"path": path})),
        ("copy_file", json!({"from": path, "to": "/taken/copy"})),
        ("copy_file", json!({"from": "/ok.txt", "to": path, "overwrite": true})),
        ("move_file", json!({"from": path, "to": "/taken/moved"})),
        ("move_file", json!({"from": "/ok.txt", "to": path, "overwrite": true})),
        ("move_file", json!({"from": "/folder", "to": path})),
        ("delete_file", json!({"path": path, "recursive": true})),
        ("delete_file", json!({"path": path})),
    ]
}
