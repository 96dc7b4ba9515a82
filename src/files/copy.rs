//! Copying a file within the tree.

use std::fs::File;
use std::io::Read;

use rustix::fs::Stat;

use super::lock::{Cancelled, Entry, stop_if};
use super::temp::TempFile;
use super::write::{prepare, put};
use super::{Condition, FileError, Snapshot, Version, View, Written};
use crate::auth::Permission;
use crate::path::TreePath;

/// How much is copied at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// How to copy or move.
#[derive(Clone, Copy, Debug)]
pub struct TransferOptions<'a> {
    /// Only this version of the source.
    pub if_match: Option<&'a Version>,
    /// May a file at the destination be replaced?
    pub overwrite: bool,
    /// Make the folders that are missing above the destination.
    pub create_parents: bool,
}

impl TransferOptions<'_> {
    pub(super) fn condition(&self) -> Condition {
        if self.overwrite { Condition::Any } else { Condition::Absent }
    }
}

/// Told how many bytes of how many are copied.
pub type CopyProgress<'a> = &'a mut dyn FnMut(u64, u64);

impl View {
    /// Copies a file. The copy appears whole, at once, and is of one version of the source.
    ///
    /// # Errors
    /// [`FileError`]; nothing was changed then, except for parents made.
    pub fn copy_file(
        &self,
        from: &TreePath,
        to: &TreePath,
        options: TransferOptions,
        progress: CopyProgress,
        cancelled: Cancelled,
    ) -> Result<Written, FileError> {
        let source = self.open_file(from).map_err(|error| match error {
            FileError::IsAFolder(path) => {
                let problem = "it is a folder, and only files can be copied; copy its files one by one";
                FileError::Unsuitable { path, problem }
            }
            other => other,
        })?;
        let failed = |error: std::io::Error| FileError::from_io(from, error);
        let stat = rustix::fs::fstat(&source.file).map_err(|error| failed(error.into()))?;
        let before = Snapshot::of(&source.file).map_err(failed)?;
        if options.if_match.is_some_and(|expected| before.version() != *expected) {
            let (actual, _) = Version::settled(|| cap_std::fs::Metadata::from_file(&source.file)).map_err(failed)?;
            return Err(FileError::VersionMismatch { path: from.clone(), actual: actual.to_string() });
        }
        if options.create_parents {
            self.create_parents(to)?;
        }
        let parent = self.open_parent(to, Permission::Write)?;
        let target = Entry::from(&parent);
        refuse_same_file(target, &stat)?;
        let condition = options.condition();
        let mut temp = prepare(target, &condition, stat.st_mode)?;
        copy_content(from, &source.file, before, &mut temp, progress, cancelled)?;
        let put = put(target, temp, &condition, cancelled)?;
        self.announce(to, false);
        put.written(target)
    }
}

/// Copies what the handle has from its beginning.
pub(super) fn copy_content(
    from: &TreePath,
    source: &File,
    before: Snapshot,
    temp: &mut TempFile,
    progress: CopyProgress,
    cancelled: Cancelled,
) -> Result<(), FileError> {
    let failed = |error| FileError::from_io(from, error);
    let mut source_reader = source;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut copied = 0;
    loop {
        stop_if(cancelled)?;
        let length = source_reader.read(&mut chunk).map_err(failed)?;
        if length == 0 {
            break;
        }
        temp.write(&chunk[..length])?;
        copied += length as u64;
        progress(copied, before.size);
        if copied > before.size {
            return Err(FileError::Changed(from.clone()));
        }
    }
    if copied != before.size || Snapshot::of(source).map_err(failed)? != before {
        return Err(FileError::Changed(from.clone()));
    }
    Ok(())
}

/// A file cannot take the place of itself, under whatever name.
pub(super) fn refuse_same_file(target: Entry, source: &Stat) -> Result<(), FileError> {
    match target.stat()? {
        Some(found) if (found.st_dev, found.st_ino) == (source.st_dev, source.st_ino) => Err(FileError::Unsuitable {
            path: target.path.clone(),
            problem: "it is the source itself; choose another destination",
        }),
        _ => Ok(()),
    }
}
