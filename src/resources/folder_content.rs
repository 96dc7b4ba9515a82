//! A folder's content as a resource: a listing, in JSON.

use std::ops::Bound;

use serde::Serialize;

use super::FileUri;
use crate::files::{FileError, FileKind, Folder, Stop};
use crate::path::TreePath;

/// A longer listing is cut: the tool `list_directory` shows such a folder in pages.
const MAX_ENTRIES: usize = 1_000;
/// How many entries are read at once.
const ENTRIES_AT_ONCE: usize = 4_096;

/// What is shown of a folder: which entries it has and of what kind. Not their sizes and times: then the content of the
/// resource would change with every write in the folder.
#[derive(Debug, Serialize)]
pub(super) struct FolderContent {
    path: TreePath,
    entries: Vec<Child>,
    /// Says how to see the rest, where not everything is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Child {
    name: String,
    #[serde(rename = "type")]
    kind: FileKind,
    uri: String,
}

impl FolderContent {
    /// The entries that the caller sees, without hidden ones and those that have no URI.
    pub(super) fn read(folder: &Folder, stop: Stop) -> Result<Self, FileError> {
        let mut entries = Vec::new();
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let found = folder.entries(after.as_deref().map_or(Bound::Unbounded, Bound::Excluded), ENTRIES_AT_ONCE, stop)?;
            if stop() {
                return Err(FileError::Cancelled);
            }
            after = found.last().map(|entry| entry.name.into());
            for entry in found.iter().filter(|entry| !entry.is_hidden()) {
                let Some(path) = folder.child(entry.name) else { continue };
                if entries.len() == MAX_ENTRIES {
                    let more = Some("there are more; the tool list_directory shows all");
                    return Ok(Self { path: folder.path().clone(), entries, more });
                }
                let name = path.file_name().unwrap_or_default().to_owned();
                entries.push(Child { name, kind: entry.kind, uri: FileUri::new(path).to_string() });
            }
            if !found.has_more() {
                return Ok(Self { path: folder.path().clone(), entries, more: None });
            }
        }
    }
}
