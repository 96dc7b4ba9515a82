//! Walking a folder and all below it, in one order that a later walk can go on from.

use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;
use std::{io, vec};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ignore_rules::{IgnoreRules, Verdict, verdict};
use super::{Entry, FileError, FileKind, FileMetadata, Folder, OpenFile, View};
use crate::path::TreePath;

/// Version control's own folders: never walked into, unless the walk starts inside of one.
const VCS_FOLDERS: [&[u8]; 4] = [b".git", b".hg", b".jj", b".svn"];
/// Folders nested more deeply are left out: each level of a walk holds an open handle.
pub(super) const MAX_DEPTH: usize = 200;
/// How many names of one folder are held at a time. Larger folders are read again for each such part.
const NAMES_AT_ONCE: usize = 65_536;

/// Asked often whether the answer is still wanted; once it says true, work ends early.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// What a walk takes in.
#[derive(Clone, Copy, Debug)]
pub struct WalkOptions {
    /// Names that begin with a dot?
    pub hidden: bool,
    /// What `.gitignore`, `.ignore` and `.rgignore` leave out?
    pub ignored: bool,
    /// How many levels: 1 for the entries of the folder itself.
    pub max_depth: usize,
}

/// Where in a walk an entry stands. Places compare in the order of the walk: a folder comes before what is in it, and
/// the entries of a folder come in the order of the bytes of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(
    /// The names from the start of the walk down, with a NUL between two of them: no name holds one, and it sorts first.
    Vec<u8>,
);

/// From where a walk goes.
#[derive(Clone, Copy, Debug)]
pub enum WalkFrom<'a> {
    /// The beginning.
    Start,
    /// What comes after this place, be it still there or not.
    After(&'a Place),
    /// This place, if something is there, and what comes after it.
    At(&'a Place),
}

/// An entry that a walk has come to.
#[derive(Clone, Debug)]
pub struct Walked {
    folder: Arc<Folder>,
    entry: Entry,
    place: Place,
}

/// The entries of a folder and of all folders in it that the caller may see, depth first. Symbolic links are entries
/// that are never followed. Holds the open folders on the way to the current entry and the names that come next in each.
/// What cannot be read is an item of its own, and the walk goes on without it.
pub struct Walk<'a> {
    options: WalkOptions,
    stop: Stop<'a>,
    /// The rules of the folders above the start, outermost first.
    above: Vec<IgnoreRules>,
    levels: Vec<Level>,
    /// The path of the current folder from the root of the tree, with a slash at its end.
    path: Vec<u8>,
    /// How much of it is the start's.
    start: usize,
    /// The folder that was given last: entered next.
    enter: Option<(Arc<Folder>, Box<[u8]>)>,
    problem: Option<FileError>,
}

/// A folder on the way to the current entry.
struct Level {
    folder: Arc<Folder>,
    entries: Peekable<vec::IntoIter<Entry>>,
    /// The last name that was read, when the folder holds more.
    read_to: Option<Box<[u8]>>,
    /// How long the path of the folder is.
    path_length: usize,
    rules: Option<IgnoreRules>,
}

impl<'a> Walk<'a> {
    /// A walk of `start`, which `view` has opened.
    ///
    /// # Errors
    /// [`FileError`] when the folder itself cannot be read.
    pub fn new(view: &View, start: Folder, options: WalkOptions, from: WalkFrom, stop: Stop<'a>) -> Result<Self, FileError> {
        let mut path = start.path().relative().as_bytes().to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        let above = if options.ignored { Vec::new() } else { rules_above(view, &start) };
        let length = path.len();
        let mut walk = Self { options, stop, above, levels: Vec::new(), path, start: length, enter: None, problem: None };
        let (place, inclusive) = match from {
            WalkFrom::Start => (None, false),
            WalkFrom::After(place) => (Some(place), false),
            WalkFrom::At(place) => (Some(place), true),
        };
        let mut names = place.into_iter().flat_map(Place::names).peekable();
        walk.push(Arc::new(start), names.peek().copied())?;
        walk.go_to(names, inclusive);
        Ok(walk)
    }

    /// Leaves out what is in the folder that was given last.
    pub fn skip_folder(&mut self) {
        self.enter = None;
    }

    /// Goes down to a place without giving what lies on the way. Where the way has gone, the walk goes on with what comes
    /// after it.
    fn go_to<'n>(&mut self, mut names: Peekable<impl Iterator<Item = &'n [u8]>>, inclusive: bool) {
        while let Some(name) = names.next() {
            let Some(level) = self.levels.last_mut() else { return };
            let folder = Arc::clone(&level.folder);
            let Some(entry) = level.entries.peek().filter(|entry| *entry.name == *name).cloned() else { return };
            let is_last = names.peek().is_none();
            if (is_last && inclusive) || self.leaves_out(&entry) {
                return;
            }
            self.next_entry();
            if !self.goes_into(&folder, &entry) {
                return;
            }
            if is_last {
                self.enter = Some((folder, entry.name));
            } else if let Err(error) = self.descend(&folder, &entry.name, names.peek().copied()) {
                self.problem = Some(error);
                return;
            }
        }
    }

    fn descend(&mut self, folder: &Folder, name: &[u8], from: Option<&[u8]>) -> Result<(), FileError> {
        let child = folder.open_folder(name)?;
        if self.levels.len() >= MAX_DEPTH {
            let source = io::Error::other(format!("folders nested more than {MAX_DEPTH} deep are left out"));
            return Err(FileError::Io { path: child.path().clone(), source });
        }
        let length = self.path.len();
        self.path.extend_from_slice(name);
        self.path.push(b'/');
        self.push(Arc::new(child), from).inspect_err(|_| self.path.truncate(length))
    }

    /// Makes `folder`, whose path is the current one, the current folder.
    fn push(&mut self, folder: Arc<Folder>, from: Option<&[u8]>) -> Result<(), FileError> {
        let found = folder.entries(from.map_or(Bound::Unbounded, Bound::Included), NAMES_AT_ONCE, self.stop)?;
        let read_to = found.entries.last().filter(|_| found.more).map(|entry| entry.name.clone());
        let path_length = self.path.len();
        let rules = (!self.options.ignored).then(|| {
            let above = self.levels.last().and_then(|level| level.rules.as_ref()).or(self.above.last());
            // Where the caller may not see everything, the rules may lie in files that it does not see.
            let all = from.is_none() && !found.more && folder.shows_all();
            IgnoreRules::read(&folder, path_length, above, Some(&*found.entries).filter(|_| all))
        });
        self.levels.push(Level { folder, entries: found.entries.into_iter().peekable(), read_to, path_length, rules });
        Ok(())
    }

    /// Is this entry of the current folder one that the walk does not give?
    fn leaves_out(&mut self, entry: &Entry) -> bool {
        let Some(level) = self.levels.last() else { return true };
        if level.folder.has_mount(&entry.name) {
            return false;
        }
        let is_folder = entry.kind == FileKind::Folder;
        if is_folder && VCS_FOLDERS.contains(&&*entry.name) {
            return true;
        }
        let length = self.path.len();
        self.path.extend_from_slice(&entry.name);
        let rules = self.levels.iter().rev().filter_map(|level| level.rules.as_ref()).chain(self.above.iter().rev());
        let verdict = verdict(rules, &self.path, is_folder);
        self.path.truncate(length);
        match verdict {
            Verdict::Ignored => true,
            Verdict::Kept => false,
            Verdict::Silent => !self.options.hidden && entry.is_hidden(),
        }
    }

    fn goes_into(&self, folder: &Folder, entry: &Entry) -> bool {
        entry.kind == FileKind::Folder && self.levels.len() < self.options.max_depth && folder.child(&entry.name).is_some()
    }

    fn next_entry(&mut self) -> Option<Result<Entry, FileError>> {
        let level = self.levels.last_mut()?;
        if let Some(entry) = level.entries.next() {
            return Some(Ok(entry));
        }
        let read_to = level.read_to.take()?;
        match level.folder.entries(Bound::Excluded(&read_to), NAMES_AT_ONCE, self.stop) {
            Ok(found) => {
                level.read_to = found.entries.last().filter(|_| found.more).map(|entry| entry.name.clone());
                level.entries = found.entries.into_iter().peekable();
                level.entries.next().map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Walked, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if (self.stop)() {
                return None;
            }
            if let Some((folder, name)) = self.enter.take() {
                self.problem = self.descend(&folder, &name, None).err();
            }
            match self.problem.take() {
                // It was there a moment ago: somebody removed it, which is no problem.
                None | Some(FileError::NotFound(_)) => {}
                Some(error) => return Some(Err(error)),
            }
            let entry = match self.next_entry() {
                Some(Ok(entry)) => entry,
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.levels.pop()?;
                    self.path.truncate(self.levels.last()?.path_length);
                    continue;
                }
            };
            if self.leaves_out(&entry) {
                continue;
            }
            let folder = Arc::clone(&self.levels.last()?.folder);
            if self.goes_into(&folder, &entry) {
                self.enter = Some((Arc::clone(&folder), entry.name.clone()));
            }
            let place = Place::new(&self.path[self.start..], &entry.name);
            return Some(Ok(Walked { folder, entry, place }));
        }
    }
}

/// The rules of the folders between the top of the mount and `start`, outermost first.
fn rules_above(view: &View, start: &Folder) -> Vec<IgnoreRules> {
    let mut paths = Vec::new();
    let mut path = start.path().clone();
    while path != *start.top() {
        let Some(parent) = path.parent() else { break };
        paths.push(parent.clone());
        path = parent;
    }
    let mut above: Vec<IgnoreRules> = Vec::with_capacity(paths.len());
    for path in paths.iter().rev() {
        if let Ok(folder) = view.open_folder(path) {
            let length = path.relative().len();
            let rules = IgnoreRules::read(&folder, if length == 0 { 0 } else { length + 1 }, above.last(), None);
            above.push(rules);
        }
    }
    above
}

impl Walked {
    /// The entry's path; `None` when its name is not UTF-8 or the path too long, so that it cannot be asked for.
    #[must_use]
    pub fn path(&self) -> Option<TreePath> {
        self.folder.child(&self.entry.name)
    }

    /// The entry's path for showing: with marks in place of what is not UTF-8.
    #[must_use]
    pub fn shown_path(&self) -> String {
        let folder = self.folder.path();
        let slash = if folder.is_root() { "" } else { "/" };
        format!("{folder}{slash}{}", self.shown_name())
    }

    /// Why an entry without a path cannot be used.
    #[must_use]
    pub fn unusable(&self) -> FileError {
        let source = io::Error::other(format!("{:?} is not UTF-8, or its path is too long", self.shown_name()));
        FileError::Io { path: self.folder.path().clone(), source }
    }

    fn shown_name(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.entry.name)
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.entry.kind
    }

    /// Where it stands in the walk.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is known of it without opening it.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn metadata(&self) -> Result<FileMetadata, FileError> {
        self.folder.metadata(&self.entry.name)
    }

    /// Opens it for reading, if it is a regular file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(&self) -> Result<OpenFile, FileError> {
        self.folder.open_file(&self.entry.name)
    }
}

impl Place {
    /// The place of a path that lies below `start`, in a walk of `start`.
    #[must_use]
    pub fn of(path: &TreePath, start: &TreePath) -> Self {
        let below = path.as_str().strip_prefix(start.as_str()).unwrap_or(path.as_str());
        Self::new(below.trim_start_matches('/').as_bytes(), b"")
    }

    fn new(folder: &[u8], name: &[u8]) -> Self {
        let mut place = Vec::with_capacity(folder.len() + name.len());
        place.extend(folder.iter().map(|&byte| if byte == b'/' { 0 } else { byte }));
        place.extend_from_slice(name);
        Self(place)
    }

    fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == 0)
    }
}

impl Place {
    /// The place as text that reads back with [`from_text`](Self::from_text): base64 for URLs.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// A place from its text; `None` when it is none.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).map(Self).ok()
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_text(&text).ok_or_else(|| serde::de::Error::custom("not a place"))
    }
}
