//! Reads a page of a file of any size, at one version of the file.

use std::io;
use std::os::unix::fs::FileExt;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use super::text::{HEAD_BYTES, MAX_CHAR_BYTES};
use super::{Encoding, FileError, OpenFile, Snapshot, Version};
use crate::json_text::Text;
use crate::path::TreePath;

/// How much is read at once while lines are counted, in bytes. Even, so that no UTF-16 unit is divided.
const SCAN_BYTES: usize = 256 * 1024;

/// A file, held at the version that it had when the reader was made. What it read counts only when
/// [`is_unchanged`](Self::is_unchanged) is true afterwards.
#[derive(Debug)]
pub struct Reader {
    open: OpenFile,
    before: Snapshot,
    version: Version,
}

/// A place in a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The byte, from 0.
    pub byte: u64,
    /// The line that the byte lies in, from 1; `None` where lines are not counted.
    pub line: Option<u64>,
}

/// How much text a page may hold.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// The text's length as the inside of a JSON string, in bytes; at least 64.
    pub json_bytes: usize,
    /// Whole lines, at least one.
    pub lines: Option<u64>,
    /// Bytes of the file; at least 4, the length of the longest character.
    pub bytes: Option<u64>,
}

/// One page of text.
#[derive(Debug)]
pub struct TextPage {
    /// The text, exactly as the file has it, without a byte order mark.
    pub text: Text,
    /// Did U+FFFD take the place of bytes that are not valid?
    pub lossy: bool,
    /// Does it end with a line feed?
    pub ends_a_line: bool,
    /// Where the page ends and the next one starts.
    pub end: Position,
}

/// Where a line starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStart {
    /// At this byte.
    At(u64),
    /// The file has only so many lines.
    Beyond {
        /// All lines of the file.
        lines: u64,
    },
}

impl Reader {
    /// Holds the file as it is now; waits a moment when it has changed just now.
    ///
    /// # Errors
    /// [`FileError`] when its metadata cannot be read.
    pub fn new(open: OpenFile) -> Result<Self, FileError> {
        let (version, metadata) = Version::settled(|| cap_std::fs::Metadata::from_file(&open.file))
            .map_err(|error| FileError::from_io(&open.path, error))?;
        Ok(Self { before: Snapshot::from(&metadata), version, open })
    }

    /// Holds the file if it still is what `version` was given out for.
    #[must_use]
    pub fn at_version(open: OpenFile, version: &Version) -> Option<Self> {
        let before = Snapshot::from(&open.metadata);
        let version = Some(before.version()).filter(|found| found == version)?;
        Some(Self { open, before, version })
    }

    /// Where the file is in the tree.
    #[must_use]
    pub fn path(&self) -> &TreePath {
        &self.open.path
    }

    /// The file's length, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.before.size
    }

    /// The file's version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Is the file still what it was when the reader was made?
    ///
    /// # Errors
    /// [`FileError`] when its metadata cannot be read.
    pub fn is_unchanged(&self) -> Result<bool, FileError> {
        Snapshot::of(&self.open.file).map(|now| now == self.before).map_err(|error| self.failed(error))
    }

    /// Up to `len` bytes from `start` on: fewer only where the file ends.
    ///
    /// # Errors
    /// [`FileError`] when the disk fails.
    pub fn bytes(&self, start: u64, len: usize) -> Result<Vec<u8>, FileError> {
        let left = usize::try_from(self.size().saturating_sub(start)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let mut bytes = Vec::with_capacity(len);
        // Into memory that was not zeroed before, which for a page takes a quarter of the time of reading it.
        while bytes.len() < len {
            let at = start + bytes.len() as u64;
            match pread(&self.open.file, spare_capacity(&mut bytes), at) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed(error.into())),
            }
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    /// The beginning of the file, as [`Encoding::detect`] wants it.
    ///
    /// # Errors
    /// [`FileError`] when the disk fails.
    pub fn head(&self) -> Result<Vec<u8>, FileError> {
        self.bytes(0, HEAD_BYTES)
    }

    /// Does a character start at this byte?
    ///
    /// # Errors
    /// [`FileError`] when the disk fails.
    pub fn is_boundary(&self, encoding: Encoding, at: u64) -> Result<bool, FileError> {
        let first = at.saturating_sub(MAX_CHAR_BYTES as u64);
        Ok(encoding.is_boundary(&self.bytes(first, 2 * MAX_CHAR_BYTES)?, first, at))
    }

    /// The page that starts at `start`; `None` where no character starts there. It ends between characters, and where the
    /// JSON budget cuts it, at the end of a line unless the line alone is too long. It holds at least one character, if there
    /// is one.
    ///
    /// # Errors
    /// [`FileError`] when the disk fails.
    pub fn text_page(&self, encoding: Encoding, start: Position, limits: PageLimits) -> Result<Option<TextPage>, FileError> {
        let first = start.byte.max(encoding.mark_len()).min(self.size());
        // One character more than fits: a page that does not reach the end of what was read was cut by the budget.
        let room = limits.json_bytes.saturating_mul(encoding.max_bytes_per_text_byte()) + MAX_CHAR_BYTES;
        let len = limits.bytes.map_or(room, |bytes| room.min(usize::try_from(bytes).unwrap_or(usize::MAX)));
        let mut bytes = self.bytes(first, len)?;
        let is_start = start.byte == 0 || (start.byte == first && encoding.starts_anywhere(&bytes));
        if !is_start && !self.is_boundary(encoding, start.byte)? {
            return Ok(None);
        }
        if first + (bytes.len() as u64) < self.size() {
            bytes.truncate(encoding.complete_len(&bytes));
        }
        let decoded = encoding.decode(&bytes);
        let (text, end) = Text::beginning(first_lines(&decoded.text, limits.lines), limits.json_bytes);
        let shown = &decoded.text[..end];
        let line = start.line.map(|line| line.saturating_add(memchr::memchr_iter(b'\n', shown.as_bytes()).count() as u64));
        Ok(Some(TextPage {
            text,
            lossy: decoded.is_lossy() && shown.contains(char::REPLACEMENT_CHARACTER),
            ends_a_line: shown.ends_with('\n'),
            end: Position { byte: first + decoded.source_len(end) as u64, line },
        }))
    }

    /// The whole file as text; `None` when something in it is not valid.
    ///
    /// # Errors
    /// [`FileError`] when the disk fails.
    pub fn text(&self, encoding: Encoding) -> Result<Option<String>, FileError> {
        let bytes = self.bytes(encoding.mark_len(), usize::MAX)?;
        let decoded = encoding.decode(&bytes);
        Ok((!decoded.is_lossy()).then(|| decoded.text.into_owned()))
    }

    /// Finds the start of a line, counted from 1, by reading the file from its beginning until there or until `stop`
    /// says that nobody waits any more.
    ///
    /// # Errors
    /// [`FileError`] when the disk fails, or when stopped.
    pub fn line_start(&self, encoding: Encoding, line: u64, stop: impl Fn() -> bool) -> Result<LineStart, FileError> {
        let mut at = encoding.mark_len().min(self.size());
        let mut line_start = at;
        let mut here = 1;
        let mut buffer = vec![0; SCAN_BYTES];
        while here < line {
            if stop() {
                return Err(self.failed(io::ErrorKind::Interrupted.into()));
            }
            let filled = self.fill(at, &mut buffer)?;
            if filled == 0 {
                break;
            }
            let wanted = usize::try_from(line - here).unwrap_or(usize::MAX);
            for end in encoding.line_ends(&buffer[..filled]).take(wanted) {
                here += 1;
                line_start = at + end as u64;
            }
            at += filled as u64;
        }
        // What follows the last line feed is a line only if there is something.
        let beyond = here < line || (line > 1 && line_start >= self.size());
        if !beyond {
            return Ok(LineStart::At(line_start));
        }
        Ok(LineStart::Beyond { lines: here - u64::from(line_start >= self.size()) })
    }

    /// How many lines the file has, found by reading all of it or until `stop` says that nobody waits any more.
    ///
    /// # Errors
    /// [`FileError`] when the disk fails, or when stopped.
    pub fn count_lines(&self, encoding: Encoding, stop: impl Fn() -> bool) -> Result<u64, FileError> {
        match self.line_start(encoding, u64::MAX, stop)? {
            LineStart::Beyond { lines } => Ok(lines),
            LineStart::At(_) => Ok(u64::MAX),
        }
    }

    /// Fills the buffer from `start` on, as far as the file goes.
    fn fill(&self, start: u64, buffer: &mut [u8]) -> Result<usize, FileError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.open.file.read_at(&mut buffer[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(filled)
    }

    fn failed(&self, error: io::Error) -> FileError {
        FileError::from_io(&self.open.path, error)
    }
}

/// The beginning of `text` that has so many lines.
fn first_lines(text: &str, lines: Option<u64>) -> &str {
    let Some(lines) = lines else { return text };
    let mut ends = memchr::memchr_iter(b'\n', text.as_bytes());
    match ends.nth(usize::try_from(lines.saturating_sub(1)).unwrap_or(usize::MAX)) {
        Some(at) => &text[..=at],
        None => text,
    }
}
