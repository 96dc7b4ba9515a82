//! What lies in a folder at one moment, for proofs that nothing in it was changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything in a folder and below, by its path from there. Links are not followed, pipes and devices not opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<PathBuf, Found>);

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Folder,
    File(Vec<u8>),
    Link(PathBuf),
    Other,
}

impl Snapshot {
    pub fn of(folder: &Path) -> Self {
        let mut found = BTreeMap::new();
        add(folder, Path::new(""), &mut found);
        Self(found)
    }

    /// The content of a file; panics when none is there.
    pub fn text(&self, path: &str) -> &str {
        match self.0.get(Path::new(path)) {
            Some(Found::File(content)) => std::str::from_utf8(content).expect("text"),
            other => panic!("{path} is {other:?}"),
        }
    }

    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(Path::new(path))
    }

    /// Does any file hold this text?
    pub fn holds(&self, text: &str) -> bool {
        let holds = |content: &[u8]| content.windows(text.len()).any(|window| window == text.as_bytes());
        self.0.values().any(|found| matches!(found, Found::File(content) if holds(content)))
    }
}

fn add(folder: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Found>) {
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let entry = entry.expect("an entry");
        let (path, below) = (entry.path(), below.join(entry.file_name()));
        let kind = entry.file_type().expect("a type");
        let what = if kind.is_dir() {
            add(&path, &below, found);
            Found::Folder
        } else if kind.is_file() {
            Found::File(fs::read(&path).expect("a file can be read"))
        } else if kind.is_symlink() {
            Found::Link(fs::read_link(&path).expect("a link can be read"))
        } else {
            Found::Other
        };
        found.insert(below, what);
    }
}

/// Only what a person can read at a glance.
impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(path, found)| (path, found.shown()))).finish()
    }
}

impl Found {
    fn shown(&self) -> String {
        match self {
            Self::File(content) => format!("file {:?}", String::from_utf8_lossy(&content[..content.len().min(60)])),
            other => format!("{other:?}"),
        }
    }
}
