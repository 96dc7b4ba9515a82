//! What `list_directory` and `find_files` share: a page of entries, in an order that a later page can go on from.

use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::paging::{Budget, Problems, item_bytes, text_bytes};
use crate::call::{CancelFlag, ToolError, ToolErrorKind};
use crate::files::{FileError, FileKind, FileMetadata, Place, Walk, Walked, rfc3339};
use crate::search::Smallest;

/// One entry of a listing.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct ListedEntry {
    /// The full path, as the other tools take it.
    pub path: String,
    /// What it is. Symbolic links are not followed.
    #[serde(rename = "type")]
    pub kind: FileKind,
    /// In bytes, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it last changed (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// `false` when the name on disk is not UTF-8: `path` then shows it with replacement characters, and no tool can
    /// use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addressable: Option<bool>,
}

/// A page of a listing, as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EntryPage {
    /// The entries, in order.
    pub entries: Vec<ListedEntry>,
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
    pub(super) entries: Vec<ListedEntry>,
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
    write_line: impl Fn(&ListedEntry, &mut String),
) -> Result<Listed, ToolError> {
    let mut page = Page { entries: Vec::new(), text: String::new(), last: after.clone(), full: false, limit, budget };
    let mut problems = Problems::default();
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
        let position = Position { rank: order.rank(&metadata), place: walked.place().clone() };
        if order == Order::Path {
            page.push(position, ListedEntry::new(&walked, &metadata), &write_line, &mut problems);
            if page.full {
                break;
            }
        } else if after.as_ref().is_none_or(|after| position > *after) && ranked.wants(&position) {
            ranked.push(position, ListedEntry::new(&walked, &metadata));
        }
    }
    if cancelled.is_set() {
        return Err(ToolError::new(ToolErrorKind::TimedOut, "the call was cancelled"));
    }
    for (position, entry) in ranked.into_sorted() {
        if !page.full {
            page.push(position, entry, &write_line, &mut problems);
        }
    }
    Ok(Listed { entries: page.entries, text: page.text, next: page.last.filter(|_| page.full), problems })
}

struct Page {
    entries: Vec<ListedEntry>,
    text: String,
    last: Option<Position>,
    full: bool,
    limit: usize,
    budget: Budget,
}

impl Page {
    fn push(
        &mut self,
        position: Position,
        entry: ListedEntry,
        write_line: impl Fn(&ListedEntry, &mut String),
        problems: &mut Problems,
    ) {
        let before = self.text.len();
        if before > 0 {
            self.text.push('\n');
        }
        let start = self.text.len();
        write_line(&entry, &mut self.text);
        let bytes = text_bytes(&self.text[start..]) + "\\n".len() + item_bytes(&entry);
        if self.entries.len() >= self.limit || !self.budget.take(bytes) {
            self.text.truncate(before);
            // What does not fit into a page of its own would stop the listing for good.
            if self.entries.is_empty() {
                problems.add_text(|| "an entry whose path is too long to be shown".to_owned());
                self.last = Some(position);
            } else {
                self.full = true;
            }
            return;
        }
        self.entries.push(entry);
        self.last = Some(position);
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

impl ListedEntry {
    fn new(walked: &Walked, metadata: &FileMetadata) -> Self {
        let path = walked.path();
        Self {
            addressable: path.is_none().then_some(false),
            path: path.map_or_else(|| walked.shown_path(), |path| path.to_string()),
            kind: metadata.kind,
            size: (metadata.kind == FileKind::File).then_some(metadata.size),
            modified: metadata.modified.and_then(rfc3339),
        }
    }
}

/// Nanoseconds since 1970, as near as 64 bits hold it.
fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(-i64::MAX, |nanoseconds| -nanoseconds),
    }
}
