//! Walking a folder and all below it, in one order that a later walk can go on from.

use std::borrow::Cow;
use std::io;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ignore_rules::{IgnoreRules, Verdict, verdict};
use super::{Entries, Entry, FileError, FileKind, FileMetadata, Folder, OpenFile, View};
use crate::path::{MAX_PATH_BYTES, TreePath};

/// Version control's own folders: never walked into, unless the walk starts inside of one.
const VCS_FOLDERS: [&[u8]; 4] = [b".git", b".hg", b".jj", b".svn"];
/// Folders nested more deeply are left out: each level of a walk holds an open handle.
pub(super) const MAX_DEPTH: usize = 200;
/// How many names of the first folder are held at a time; of the second, which lies in it, half as many, then a third, and
/// so on. Larger folders are read again for each such part.
const NAMES_AT_ONCE: usize = 262_144;
/// After a part that was not enough, the next has so many times as many names.
const NEXT_PART: usize = 16;

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
    /// How many entries are wanted, as far as that is known: of a folder that holds many more, few are kept at first.
    pub expected: usize,
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
    part: Arc<Part>,
    /// Which of the part's entries it is.
    index: usize,
    /// How long the path of the walk's start is.
    start: usize,
}

/// Some entries of an open folder, shared by those that a walk has given: none has a name of its own, and getting one
/// costs no allocation.
#[derive(Debug)]
struct Part {
    folder: Arc<Folder>,
    entries: Entries,
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
    /// Is what was given last a folder, to be entered next?
    enter: bool,
    problem: Option<FileError>,
}

/// A folder on the way to the current entry.
struct Level {
    part: Arc<Part>,
    /// The entry of the part that comes next.
    next: usize,
    /// How many names the part was to have.
    wanted: usize,
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
        let mut walk = Self { options, stop, above, levels: Vec::new(), path, start: length, enter: false, problem: None };
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
        self.enter = false;
    }

    /// Goes down to a place without giving what lies on the way. Where the way has gone, the walk goes on with what comes
    /// after it.
    fn go_to<'n>(&mut self, mut names: Peekable<impl Iterator<Item = &'n [u8]>>, inclusive: bool) {
        while let Some(name) = names.next() {
            let Some(level) = self.levels.last() else { return };
            let part = Arc::clone(&level.part);
            let Some(entry) = part.entries.get(level.next).filter(|entry| entry.name == name) else { return };
            let is_last = names.peek().is_none();
            if (is_last && inclusive) || self.leaves_out(&part.folder, entry) {
                return;
            }
            self.next_entry();
            if !self.goes_into(&part.folder, entry) {
                return;
            }
            if is_last {
                self.enter = true;
            } else if let Err(error) = self.descend(&part.folder, name, names.peek().copied()) {
                self.problem = Some(error);
                return;
            }
        }
    }

    /// Goes down into the folder that was given last.
    fn enter_last(&mut self) -> Result<(), FileError> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let part = Arc::clone(&level.part);
        let Some(entry) = level.next.checked_sub(1).and_then(|index| part.entries.get(index)) else { return Ok(()) };
        self.descend(&part.folder, entry.name, None)
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
        // The entry that a walk goes on from is not given again.
        let expected = self.options.expected.saturating_add(usize::from(from.is_some()));
        let wanted = expected.min(names_at_once(self.levels.len() + 1));
        let entries = folder.entries(from.map_or(Bound::Unbounded, Bound::Included), wanted, self.stop)?;
        let path_length = self.path.len();
        let rules = (!self.options.ignored).then(|| {
            let above = self.levels.last().and_then(|level| level.rules.as_ref()).or(self.above.last());
            // Where the caller may not see everything, the rules may lie in files that it does not see.
            let all = from.is_none() && !entries.has_more() && folder.shows_all();
            IgnoreRules::read(&folder, path_length, above, Some(&entries).filter(|_| all))
        });
        let part = Arc::new(Part { folder, entries });
        self.levels.push(Level { part, next: 0, wanted, path_length, rules });
        Ok(())
    }

    /// Is this entry of the current folder one that the walk does not give?
    fn leaves_out(&mut self, folder: &Folder, entry: Entry<'_>) -> bool {
        if folder.has_mount(entry.name) {
            return false;
        }
        let is_folder = entry.kind == FileKind::Folder;
        if is_folder && VCS_FOLDERS.contains(&entry.name) {
            return true;
        }
        match self.verdict(entry) {
            Verdict::Ignored => true,
            Verdict::Kept => false,
            Verdict::Silent => !self.options.hidden && entry.is_hidden(),
        }
    }

    /// What the rules say about an entry of the current folder.
    fn verdict(&mut self, entry: Entry<'_>) -> Verdict {
        if self.options.ignored {
            return Verdict::Silent;
        }
        let length = self.path.len();
        self.path.extend_from_slice(entry.name);
        let rules = self.levels.iter().rev().filter_map(|level| level.rules.as_ref()).chain(self.above.iter().rev());
        let verdict = verdict(rules, &self.path, entry.kind == FileKind::Folder);
        self.path.truncate(length);
        verdict
    }

    fn goes_into(&self, folder: &Folder, entry: Entry<'_>) -> bool {
        entry.kind == FileKind::Folder && self.levels.len() < self.options.max_depth && folder.child(entry.name).is_some()
    }

    /// The next entry of the current folder: the part that it is in and its number there.
    fn next_entry(&mut self) -> Option<Result<(Arc<Part>, usize), FileError>> {
        let most = names_at_once(self.levels.len());
        let level = self.levels.last_mut()?;
        if level.next == level.part.entries.len() {
            let Part { folder, entries } = &*level.part;
            let last: Box<[u8]> = entries.last().filter(|_| entries.has_more())?.name.into();
            let folder = Arc::clone(folder);
            // What was given goes before what comes next is read.
            level.part = Arc::new(Part { folder: Arc::clone(&folder), entries: Entries::default() });
            level.next = 0;
            level.wanted = level.wanted.saturating_mul(NEXT_PART).min(most);
            match folder.entries(Bound::Excluded(&last), level.wanted, self.stop) {
                Ok(entries) if entries.is_empty() => return None,
                Ok(entries) => level.part = Arc::new(Part { folder, entries }),
                Err(error) => return Some(Err(error)),
            }
        }
        level.next += 1;
        Some(Ok((Arc::clone(&level.part), level.next - 1)))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Walked, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if (self.stop)() {
                return None;
            }
            if std::mem::take(&mut self.enter) {
                self.problem = self.enter_last().err();
            }
            match self.problem.take() {
                // It was there a moment ago: somebody removed it, which is no problem.
                None | Some(FileError::NotFound(_)) => {}
                Some(error) => return Some(Err(error)),
            }
            let (part, index) = match self.next_entry() {
                Some(Ok(found)) => found,
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.levels.pop()?;
                    self.path.truncate(self.levels.last()?.path_length);
                    continue;
                }
            };
            let Some(entry) = part.entries.get(index) else { continue };
            if self.leaves_out(&part.folder, entry) {
                continue;
            }
            self.enter = self.goes_into(&part.folder, entry);
            return Some(Ok(Walked { part, index, start: self.start }));
        }
    }
}

/// How many names of the innermost of so many open folders are held.
fn names_at_once(levels: usize) -> usize {
    NAMES_AT_ONCE / levels.max(1)
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
        self.part.folder.child(self.name())
    }

    /// Writes the entry's path for showing: with marks in place of what is not UTF-8. Is it one that can be asked for, as
    /// [`path`](Self::path) gives it?
    pub fn write_path(&self, out: &mut String) -> bool {
        let folder = self.part.folder.path();
        out.push_str(folder.as_str());
        if !folder.is_root() {
            out.push('/');
        }
        let name = self.shown_name();
        out.push_str(&name);
        matches!(name, Cow::Borrowed(_)) && folder.as_str().len() + 1 + name.len() <= MAX_PATH_BYTES
    }

    /// Why an entry without a path cannot be used.
    #[must_use]
    pub fn unusable(&self) -> FileError {
        let source = io::Error::other(format!("{:?} is not UTF-8, or its path is too long", self.shown_name()));
        FileError::Io { path: self.part.folder.path().clone(), source }
    }

    fn shown_name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.name())
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.part.entries.get(self.index).map_or(FileKind::Other, |entry| entry.kind)
    }

    /// Where it stands in the walk.
    #[must_use]
    pub fn place(&self) -> Place {
        let folder = self.part.folder.path().relative().as_bytes();
        Place::below(folder.get(self.start..).unwrap_or_default()).join(self.name())
    }

    /// What is known of it without opening it.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn metadata(&self) -> Result<FileMetadata, FileError> {
        self.part.folder.metadata(self.name())
    }

    /// Opens it for reading, if it is a regular file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(&self) -> Result<OpenFile, FileError> {
        self.part.folder.open_file(self.name())
    }

    fn name(&self) -> &[u8] {
        self.part.entries.get(self.index).map_or(&[], |entry| entry.name)
    }
}

impl Place {
    /// The place of a path that lies below `start`, in a walk of `start`.
    #[must_use]
    pub fn of(path: &TreePath, start: &TreePath) -> Self {
        let below = path.as_str().strip_prefix(start.as_str()).unwrap_or(path.as_str());
        Self::below(below.trim_start_matches('/').as_bytes())
    }

    /// The place of a path from the start of the walk.
    fn below(path: &[u8]) -> Self {
        Self(path.iter().map(|&byte| if byte == b'/' { 0 } else { byte }).collect())
    }

    fn join(mut self, name: &[u8]) -> Self {
        if !self.0.is_empty() {
            self.0.push(0);
        }
        self.0.extend_from_slice(name);
        self
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
