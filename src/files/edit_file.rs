//! Editing a text file in place: read, edit and replace under one lock, so that no edit is lost to another.

use std::io::Read;

use super::diff::{Diff, unified_diff};
use super::edit::{Edit, EditError, apply_edits};
use super::encode::WholeText;
use super::lock::{Cancelled, Current, Entry, stop_if};
use super::temp::{InPlace, KEPT_MODE, TempFile};
use super::{FileError, Snapshot, Version, View};
use crate::auth::Permission;
use crate::path::TreePath;

/// The largest file that is edited, before and after, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// And in lines: finding the difference takes memory for each.
const MAX_LINES: usize = 1_000_000;
/// In words.
const LIMIT: &str = "16 MiB and a million lines can be edited";
/// How often a file that changes while it is read is read again.
const MAX_ROUNDS: usize = 3;

/// How to edit.
#[derive(Clone, Copy, Debug)]
pub struct EditOptions<'a> {
    /// Edit only this version.
    pub if_match: Option<&'a Version>,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
    /// The size of the diff's text as a JSON string, at most.
    pub max_diff_bytes: usize,
}

/// What the edits have changed, or in a dry run would change.
#[derive(Debug)]
pub struct EditedFile {
    /// The version that is there now: the new one, or in a dry run the one that was read.
    pub version: Version,
    /// How many places were replaced.
    pub replacements: usize,
    /// Between the old text and the new.
    pub diff: Diff,
}

/// Why a file was not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditFileError {
    /// The file could not be read, or not be replaced.
    #[error(transparent)]
    File(#[from] FileError),
    /// The edits do not fit the text.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl View {
    /// Applies the edits, all or none. Two calls at once, on whatever replicas, follow one another: the second edits
    /// what the first has made. Encoding, byte order mark and line endings stay what they are.
    ///
    /// # Errors
    /// [`EditFileError`]; nothing was changed then.
    pub fn edit_file(
        &self,
        path: &TreePath,
        edits: &[Edit],
        options: EditOptions,
        cancelled: Cancelled,
    ) -> Result<EditedFile, EditFileError> {
        let parent = self.open_parent(path, Permission::Write)?;
        let entry = Entry::from(&parent);
        let current = match options.dry_run {
            true => Current::open(entry)?,
            false => Current::lock(entry, cancelled)?,
        }
        .ok_or_else(|| FileError::NotFound(path.clone()))?;
        current.require_writable(path)?;
        current.expect(path, options.if_match)?;

        let (before, old) = read_whole(entry, &current, cancelled)?;
        let new = apply_edits(&old.text, edits, MAX_BYTES, cancelled)?;
        let bytes = old.encode(&new.text).map_err(|problem| FileError::Unsuitable { path: path.clone(), problem })?;
        require_few_lines(path, &new.text)?;
        let version = match options.dry_run {
            true => current.version(path)?,
            false => {
                let file = replace(entry, current, before, &bytes, cancelled)?;
                self.announce(path, false);
                file.version().map_err(|error| entry.failed(error))?
            }
        };
        let diff = unified_diff(path, &old.text, &new.text, options.max_diff_bytes);
        Ok(EditedFile { version, replacements: new.replacements, diff })
    }
}

/// Replaces the locked file and lets go of the lock.
fn replace(entry: Entry, current: Current, before: Snapshot, bytes: &[u8], cancelled: Cancelled) -> Result<InPlace, FileError> {
    let mut temp = TempFile::create(entry, current.stat.st_mode & KEPT_MODE)?;
    temp.write(bytes)?;
    temp.sync()?;
    stop_if(cancelled)?;
    // Another program may have written to it in place, without the lock.
    if current.snapshot(entry.path)? != before {
        let actual = current.version(entry.path)?.to_string();
        return Err(FileError::VersionMismatch { path: entry.path.clone(), actual });
    }
    temp.replace(&current)
}

fn read_whole(entry: Entry, current: &Current, cancelled: Cancelled) -> Result<(Snapshot, WholeText), FileError> {
    let path = entry.path;
    let too_large = || FileError::TooLarge { path: path.clone(), limit: LIMIT };
    for _ in 0..MAX_ROUNDS {
        stop_if(cancelled)?;
        let before = current.snapshot(path)?;
        let size = usize::try_from(before.size).ok().filter(|&size| size <= MAX_BYTES).ok_or_else(too_large)?;
        let mut bytes = Vec::with_capacity(size + 1);
        let mut file = &current.file;
        std::io::Seek::rewind(&mut file).map_err(|error| entry.failed(error))?;
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| entry.failed(error))?;
        if current.snapshot(path)? == before && bytes.len() == size {
            let text = WholeText::decode(&bytes).map_err(|problem| FileError::Unsuitable { path: path.clone(), problem })?;
            require_few_lines(path, &text.text)?;
            return Ok((before, text));
        }
    }
    Err(FileError::Changed(path.clone()))
}

fn require_few_lines(path: &TreePath, text: &str) -> Result<(), FileError> {
    if memchr::memchr_iter(b'\n', text.as_bytes()).count() > MAX_LINES {
        return Err(FileError::TooLarge { path: path.clone(), limit: LIMIT });
    }
    Ok(())
}
