//! The file of the audit log. Lines are appended with one write each, so that several processes may share it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// How often it is seen whether the file was moved away.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A file that cannot be written is told of no more often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// A file that lines are appended to, wherever its name leads: when it is moved away (logrotate), a new one is begun. A line
/// that cannot be written is lost and counted, and the call goes on: a full disk must not stop the service.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    // A `std::sync::Mutex`: held for the write of a line, never across an await.
    open: Mutex<Open>,
    written: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Open {
    file: File,
    looked: Instant,
    /// Was only a part of the last line written?
    is_torn: bool,
    complained: Option<Instant>,
}

impl AuditFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Threads of this process change nothing about where it runs, but who reads the setting later may.
        let path = std::path::absolute(path)?;
        let open = Open { file: append(&path)?, looked: Instant::now(), is_torn: false, complained: None };
        Ok(Self { path, open: Mutex::new(open), written: AtomicU64::new(0), lost: AtomicU64::new(0) })
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Appends a line of JSON.
    pub(super) fn write(&self, line: &impl Serialize) {
        let mut text = Vec::with_capacity(512);
        let written = serde_json::to_writer(&mut text, line).map_err(io::Error::from);
        text.push(b'\n');
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match written.and_then(|()| open.append(&self.path, text)) {
            Ok(()) => _ = self.written.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                let (path, lost) = (self.path.display(), self.lost());
                open.complain(|| tracing::warn!(file = %path, %error, lost, "audit lines are lost: they cannot be written"));
            }
        }
    }
}

impl Open {
    fn append(&mut self, path: &Path, mut line: Vec<u8>) -> io::Result<()> {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            match self.is_at(path).and_then(|is_there| if is_there { Ok(None) } else { append(path).map(Some) }) {
                Ok(None) => {}
                Ok(Some(file)) => (self.file, self.is_torn) = (file, false),
                // What was opened can still be written.
                Err(error) => {
                    self.complain(|| tracing::warn!(file = %path.display(), %error, "audit lines go on to the file as it was"))
                }
            }
        }
        if self.is_torn {
            line.insert(0, b'\n');
        }
        let mut rest = &line[..];
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => rest = &rest[bytes..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_torn |= rest.len() < line.len();
                    return Err(error);
                }
            }
        }
        self.is_torn = false;
        Ok(())
    }

    /// Does the name still lead to the open file?
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let named = match path.metadata() {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let open = self.file.metadata()?;
        Ok((named.dev(), named.ino()) == (open.dev(), open.ino()))
    }

    fn complain(&mut self, warn: impl FnOnce()) {
        if self.complained.is_none_or(|complained| complained.elapsed() >= COMPLAIN_EVERY) {
            self.complained = Some(Instant::now());
            warn();
        }
    }
}

/// Opens the file for appending; a new one can be read by its owner and group. A pipe is refused: opening one waits for a reader,
/// and writing to one that is full waits as well.
fn append(path: &Path) -> io::Result<File> {
    if let Ok(metadata) = path.metadata()
        && !metadata.is_file()
        && !metadata.file_type().is_char_device()
    {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a device"));
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let file = AuditFile::open(&path).expect("a file");
        file.write(&json!(1));
        std::fs::rename(&path, &moved).expect("moved");
        file.open.lock().expect("a lock").looked -= LOOK_EVERY;
        file.write(&json!("two\nlines"));
        assert_eq!(std::fs::read_to_string(&moved).expect("text"), "1\n");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "\"two\\nlines\"\n");
        assert_eq!(path.metadata().expect("metadata").mode() & 0o027, 0);
    }

    #[test]
    fn the_open_file_is_written_to_while_no_other_can_be_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let file = AuditFile::open(&path).expect("a file");
        std::fs::rename(&path, &moved).expect("moved");
        std::fs::create_dir(&path).expect("in its place");
        for line in 1..3 {
            file.open.lock().expect("a lock").looked -= LOOK_EVERY;
            file.write(&json!(line));
        }
        assert_eq!(std::fs::read_to_string(&moved).expect("text"), "1\n2\n");
        assert_eq!((file.written(), file.lost()), (2, 0));
        let refused = AuditFile::open(&path).expect_err("a folder");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        // Every write to this device fails, as on a full disk.
        let file = AuditFile::open(Path::new("/dev/full")).expect("Linux has it");
        file.write(&json!(1));
        file.write(&json!(2));
        assert_eq!((file.written(), file.lost()), (0, 2));
    }
}
