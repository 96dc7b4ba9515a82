//! What `read_file` says of what it shows.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use schemars::JsonSchema;
use serde::Serialize;

use crate::call::{Content, ToolError, ToolErrorKind};
use crate::files::{Encoding, Version};
use crate::json_text::json_text_len;
use crate::path::TreePath;
use crate::tools::counted;

/// What was read: everything but the content itself, which is the first content block.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReadFileOutput {
    /// The file.
    pub path: TreePath,
    /// The file's version: changes whenever the file does. Give it as `if_match` to change exactly this version.
    pub version: Version,
    /// What the first content block holds.
    pub shown: Shown,
    /// The file's media type.
    pub mime_type: String,
    /// How the text is written in the file. A byte order mark is not part of the text shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// True when U+FFFD stands for bytes that are not valid in the encoding; `as: "base64"` gives the bytes themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lossy: Option<bool>,
    /// The first line shown, from 1; absent when reading by bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_line: Option<u64>,
    /// The last line shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_line: Option<u64>,
    /// How many lines the file has, once its end was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_lines: Option<u64>,
    /// True when the page ends inside a line, which the next page goes on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_inside_line: Option<bool>,
    /// Where in the file the content shown starts, in bytes from 0.
    pub byte_offset: u64,
    /// How many bytes of the file are shown.
    pub byte_length: u64,
    /// The file's length in bytes.
    pub total_bytes: u64,
    /// Where to go on: call read_file again with this as `cursor`. Absent when the end of the file was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What the first content block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Shown {
    /// The file's text.
    Text,
    /// The file's bytes in base64.
    Base64,
    /// The file as an image.
    Image,
    /// Nothing of the file: it is binary, or an image too large for a result.
    Nothing,
}

/// Room for what stands around the result in every revision of the protocol, in bytes.
const ENVELOPE_BYTES: usize = 400;
/// The longest output and the longest line on it, in bytes of JSON and without the path and the media type in them.
const AROUND_BYTES: usize = 1_000;
/// A page smaller than this is not worth a call.
const MIN_PAGE_BYTES: usize = 256;

impl ReadFileOutput {
    /// Says of a file that nothing of it is shown: where every page starts from.
    pub(super) fn nothing(path: TreePath, version: Version, mime_type: String, total_bytes: u64) -> Self {
        Self {
            path,
            version,
            shown: Shown::Nothing,
            mime_type,
            encoding: None,
            lossy: None,
            first_line: None,
            last_line: None,
            total_lines: None,
            ends_inside_line: None,
            byte_offset: 0,
            byte_length: 0,
            total_bytes,
            next_cursor: None,
        }
    }

    /// How many bytes the first content block may take within the budget of the whole result, whatever the numbers of
    /// this output will be.
    pub(super) fn room(&self, max_result_bytes: usize) -> Result<usize, ToolError> {
        match max_result_bytes.checked_sub(self.most_bytes() + ENVELOPE_BYTES) {
            Some(room) if room >= MIN_PAGE_BYTES => Ok(room),
            _ => Err(ToolError::new(
                ToolErrorKind::TooLarge,
                "the path is so long that no content fits beside it into the result; move the file to a shorter path",
            )),
        }
    }

    /// No more than this take the output and the line on it as JSON, with whatever numbers. Added up and not found by writing
    /// them, which is a tenth of the instructions of a page.
    fn most_bytes(&self) -> usize {
        let path = json_text_len(self.path.as_str());
        // What is put in the place of a control character may be longer than its escape.
        AROUND_BYTES + path + (2 * path).min(MAX_SHORT_PATH_BYTES) + 2 * json_text_len(&self.mime_type)
    }

    /// One line for the model: what was shown of what, and how to go on.
    pub(super) fn summary(&self) -> Content {
        let mut line = String::with_capacity(256);
        // Writing to a text does not fail.
        let _ = self.write_summary(&mut line);
        Content::text(line)
    }

    fn write_summary(&self, line: &mut String) -> fmt::Result {
        write!(line, "{}: ", short(&self.path))?;
        match self.shown {
            Shown::Text => {
                match (self.first_line, self.last_line, self.total_lines) {
                    _ if self.total_bytes == 0 => line.push_str("empty file, "),
                    (Some(first), Some(last), Some(total)) => write!(line, "lines {first}-{last} of {total}, ")?,
                    (Some(first), Some(last), None) => write!(line, "lines {first}-{last}, ")?,
                    _ => {}
                }
                self.write_bytes(line)?;
                line.push_str(", ");
                line.push_str(self.encoding.map_or("", Encoding::name));
                line.push_str(if self.ends_inside_line == Some(true) { ", ends inside a line" } else { "" });
                line.push_str(if self.lossy == Some(true) { ", U+FFFD stands for invalid bytes" } else { "" });
            }
            Shown::Base64 => {
                self.write_bytes(line)?;
                line.push_str(", in base64");
            }
            Shown::Image => write!(line, "{}, {}", self.mime_type, counted(self.total_bytes, "byte"))?,
            Shown::Nothing => write!(
                line,
                "{}, {}, not shown because it is not text (or too large an image); \
                 its bytes: read_file with the same path and \"as\": \"base64\"",
                self.mime_type,
                counted(self.total_bytes, "byte")
            )?,
        }
        write!(line, ", version {}", self.version)?;
        match &self.next_cursor {
            Some(cursor) => write!(line, "; more: read_file with {{\"cursor\": \"{cursor}\"}}"),
            None if matches!(self.shown, Shown::Text | Shown::Base64) => line.write_str("; end of file"),
            None => Ok(()),
        }
    }

    fn write_bytes(&self, line: &mut String) -> fmt::Result {
        match self.byte_length {
            0 => write!(line, "0 bytes of {}", self.total_bytes),
            length => {
                let last = self.byte_offset.saturating_add(length - 1);
                write!(line, "bytes {}-{last} of {}", self.byte_offset, self.total_bytes)
            }
        }
    }
}

/// The most characters of a path in a line of text.
const MAX_SHORT_PATH_CHARS: usize = 200;
/// The most that a shortened path takes inside a JSON string: the longest characters, and what stands for those left out.
const MAX_SHORT_PATH_BYTES: usize = 4 * MAX_SHORT_PATH_CHARS + '…'.len_utf8();

/// The path for a line of text: shortened in front, and without control characters, which would break the line.
fn short(path: &TreePath) -> Cow<'_, str> {
    let text = path.as_str();
    // As many bytes hold no more characters.
    let skip = if text.len() <= MAX_SHORT_PATH_CHARS { 0 } else { text.chars().count().saturating_sub(MAX_SHORT_PATH_CHARS) };
    if skip == 0 && !text.contains(char::is_control) {
        return text.into();
    }
    let tail = text.chars().skip(skip).map(|character| if character.is_control() { '\u{FFFD}' } else { character });
    (if skip > 0 { "…" } else { "" }).chars().chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::json_len::json_len;

    /// A cursor with two numbers in it is no longer than this.
    const MAX_CURSOR_BYTES: usize = 100;

    #[test]
    fn no_output_is_longer_than_thought() {
        let version: Version = serde_json::from_str("\"aaaaaaaaaaaaaaaaaaaa\"").expect("a version");
        let long = ["/", "x", "é", "\u{1}", "\n", "\"", "\\", "€", "😀"].map(|part| format!("/{}", part.repeat(240)));
        for path in [String::from("/"), "/a\u{7F}b".to_owned()].into_iter().chain(long) {
            let Ok(path) = serde_json::from_value::<TreePath>(path.into()) else { continue };
            let nothing = ReadFileOutput::nothing(path, version.clone(), "text/\"plain\"".to_owned(), u64::MAX);
            for shown in [Shown::Text, Shown::Base64, Shown::Image, Shown::Nothing] {
                let widest = ReadFileOutput {
                    shown,
                    encoding: Some(Encoding::Windows1252),
                    lossy: Some(true),
                    first_line: Some(u64::MAX),
                    last_line: Some(u64::MAX),
                    total_lines: Some(u64::MAX),
                    ends_inside_line: Some(true),
                    byte_offset: u64::MAX,
                    byte_length: u64::MAX,
                    next_cursor: Some("-".repeat(MAX_CURSOR_BYTES)),
                    ..nothing.clone()
                };
                let bytes = json_len(&widest) + json_len(&widest.summary());
                assert!(bytes <= nothing.most_bytes(), "{shown:?} of {}: {bytes} > {}", nothing.path, nothing.most_bytes());
            }
        }
    }
}
