//! What `list_directory` and `find_files` share: a page of entries, in an order that a later page can go on from.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json_list::JsonList;
use super::paging::{Budget, GrowingText, Problems};
use crate::call::{CancelFlag, ToolError, ToolErrorKind};
use crate::files::{FileError, FileKind, FileMetadata, Place, Rfc3339, Walk, Walked};
use crate::search::Smallest;

/// One entry of a listing.
#[derive(Debug, JsonSchema)]
#[cfg_attr(test, derive(Serialize))]
#[schemars(inline)]
pub struct ListedEntry<'a> {
    /// The full path, as the other tools take it.
    pub(super) path: Cow<'a, str>,
    /// What it is. Symbolic links are not followed.
    #[serde(rename = "type")]
    pub(super) kind: FileKind,
    /// In bytes, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    /// When it last changed (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(super) modified: Option<Rfc3339>,
    /// `false` when the name on disk is not UTF-8: `path` then shows it with replacement characters, and no tool can
    /// use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) addressable: Option<bool>,
}

/// A page of a listing, as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EntryPage {
    /// The entries, in order.
    pub entries: JsonList<ListedEntry<'static>>,
    /// Pass this as `cursor` to get the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By path.
    Path,
    /// The one that changed last first.
    Newest,
    /// The largest first.
    Largest,
}

/// Where an entry stands in a listing: first by rank, then by path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Position {
    rank: i64,
    pub(super) place: Place,
}

/// What to do with an entry that the walk has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// Show it.
    Entry,
    /// Do not show it.
    Nothing,
    /// Do not show it, nor anything in it.
    NothingBelow,
}

/// Entries of one page and where it ends.
pub(super) struct Listed {
    pub(super) entries: JsonList<ListedEntry<'static>>,
    /// One line for each entry.
    pub(super) text: String,
    /// The last entry shown, when there are more.
    pub(super) next: Option<Position>,
    pub(super) problems: Problems,
}

/// Fills a page from a walk. `after` is where the page before ended: a walk in the order of paths begins there itself.
pub(super) fn list(
    mut walk: Walk<'_>,
    order: Order,
    after: Option<Position>,
    (limit, budget): (usize, Budget),
    cancelled: &CancelFlag,
    mut take: impl FnMut(&Walked) -> Take,
    write_line: impl Fn(&ListedEntry<'_>, &mut String),
) -> Result<Listed, ToolError> {
    let mut page = Page::new(limit, budget);
    let mut problems = Problems::default();
    let mut path = String::new();
    let mut last = None;
    let mut ranked = Smallest::new(limit + 1);
    while let Some(walked) = walk.next() {
        let walked = match walked {
            Ok(walked) => walked,
            Err(problem) => {
                problems.add(&problem);
                continue;
            }
        };
        match take(&walked) {
            Take::Entry => {}
            Take::Nothing => continue,
            Take::NothingBelow => {
                walk.skip_folder();
                continue;
            }
        }
        let metadata = match walked.metadata() {
            Ok(metadata) => metadata,
            // It was there a moment ago: somebody removed it.
            Err(FileError::NotFound(_)) => continue,
            Err(problem) => {
                problems.add(&problem);
                continue;
            }
        };
        if order == Order::Path {
            path.clear();
            let is_addressable = walked.write_path(&mut path);
            let entry = ListedEntry::new(Cow::Borrowed(&path), is_addressable, &metadata);
            page.push(&entry, &write_line, &mut problems);
            if page.full {
                break;
            }
            last = Some(walked);
        } else {
            let position = Position { rank: order.rank(&metadata), place: walked.place() };
            if after.as_ref().is_none_or(|after| position > *after) && ranked.wants(&position) {
                let mut path = String::new();
                let is_addressable = walked.write_path(&mut path);
                ranked.push(position, ListedEntry::new(Cow::Owned(path), is_addressable, &metadata));
            }
        }
    }
    if cancelled.is_set() {
        return Err(ToolError::new(ToolErrorKind::TimedOut, "the call was cancelled"));
    }
    let mut last = last.map(|walked| Position { rank: 0, place: walked.place() });
    for (position, entry) in ranked.into_sorted() {
        page.push(&entry, &write_line, &mut problems);
        if page.full {
            break;
        }
        last = Some(position);
    }
    Ok(Listed { entries: page.entries, text: page.text.into_text(), next: last.filter(|_| page.full), problems })
}

struct Page {
    entries: JsonList<ListedEntry<'static>>,
    text: GrowingText,
    full: bool,
    limit: usize,
    budget: Budget,
}

impl Page {
    fn new(limit: usize, budget: Budget) -> Self {
        /// Room for a hundred entries.
        const CAPACITY: (usize, usize) = (12 * 1024, 6 * 1024);
        let entries = JsonList::with_capacity(CAPACITY.0);
        Self { entries, text: GrowingText::with_capacity(CAPACITY.1), full: false, limit, budget }
    }

    /// Shows an entry, unless the page is full. What does not fit into a page of its own would stop the listing for good: it
    /// is left out.
    fn push(&mut self, entry: &ListedEntry<'_>, write_line: impl Fn(&ListedEntry<'_>, &mut String), problems: &mut Problems) {
        if self.entries.len() >= self.limit {
            self.full = true;
            return;
        }
        let (text, budget) = (&mut self.text, self.budget);
        let fits = |entries: &JsonList<_>| {
            let room = budget.left().checked_sub(entries.bytes());
            room.is_some_and(|room| text.push_if_it_fits(room, |text| write_line(entry, text)))
        };
        if self.entries.push_if(|out| entry.write_json(out), fits) {
            return;
        }
        if self.entries.len() == 0 {
            problems.add_text(|| "an entry whose path is too long to be shown".to_owned());
        } else {
            self.full = true;
        }
    }
}

impl Order {
    fn rank(self, metadata: &FileMetadata) -> i64 {
        match self {
            Self::Path => 0,
            Self::Newest => metadata.modified.map_or(i64::MAX, |time| -nanoseconds(time)),
            Self::Largest => -i64::try_from(metadata.size).unwrap_or(i64::MAX),
        }
    }
}

impl<'a> ListedEntry<'a> {
    fn new(path: Cow<'a, str>, is_addressable: bool, metadata: &FileMetadata) -> Self {
        Self {
            path,
            kind: metadata.kind,
            size: (metadata.kind == FileKind::File).then_some(metadata.size),
            modified: metadata.modified.and_then(Rfc3339::of),
            addressable: (!is_addressable).then_some(false),
        }
    }

    /// Writes what serde would write, see [`JsonList`].
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"path\":");
        json_escape_simd::escape_into(&self.path, out);
        let kind: &[u8] = match self.kind {
            FileKind::File => b",\"type\":\"file\"",
            FileKind::Folder => b",\"type\":\"folder\"",
            FileKind::Symlink => b",\"type\":\"symlink\"",
            FileKind::Other => b",\"type\":\"other\"",
        };
        out.extend_from_slice(kind);
        if let Some(size) = self.size {
            out.extend_from_slice(b",\"size\":");
            out.extend_from_slice(itoa::Buffer::new().format(size).as_bytes());
        }
        if let Some(modified) = &self.modified {
            out.extend_from_slice(b",\"modified\":\"");
            out.extend_from_slice(modified.as_bytes());
            out.push(b'"');
        }
        match self.addressable {
            Some(true) => out.extend_from_slice(b",\"addressable\":true"),
            Some(false) => out.extend_from_slice(b",\"addressable\":false"),
            None => {}
        }
        out.push(b'}');
    }
}

/// Nanoseconds since 1970, as near as 64 bits hold it.
fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(-i64::MAX, |nanoseconds| -nanoseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_written_as_serde_writes_them() {
        for kind in [FileKind::File, FileKind::Folder, FileKind::Symlink, FileKind::Other] {
            for (path, size, modified, addressable) in [
                ("/", None, None, None),
                ("/a\"b\\c\n\u{1}\u{7f}é\u{2028}", Some(u64::MAX), Some(UNIX_EPOCH), Some(false)),
                ("/docs/guide.md", Some(0), Some(SystemTime::now()), Some(true)),
            ] {
                let modified = modified.and_then(Rfc3339::of);
                let entry = ListedEntry { path: path.into(), kind, size, modified, addressable };
                let mut written = Vec::new();
                entry.write_json(&mut written);
                assert_eq!(String::from_utf8(written).expect("text"), serde_json::to_string(&entry).expect("JSON"));
            }
        }
    }
}
