//! What `read_file` says of what it shows.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::call::{Content, ToolError, ToolErrorKind};
use crate::files::{Encoding, Version};
use crate::path::TreePath;
use crate::tools::counted;
use crate::tools::json_len::json_len;

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
/// A page smaller than this is not worth a call.
const MIN_PAGE_BYTES: usize = 256;
/// A cursor with two numbers in it is no longer than this.
const MAX_CURSOR_BYTES: usize = 100;

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
        let widest = Self {
            encoding: Some(Encoding::Windows1252),
            lossy: Some(true),
            first_line: Some(u64::MAX),
            last_line: Some(u64::MAX),
            total_lines: Some(u64::MAX),
            ends_inside_line: Some(true),
            byte_offset: u64::MAX,
            byte_length: u64::MAX,
            total_bytes: u64::MAX,
            next_cursor: Some("-".repeat(MAX_CURSOR_BYTES)),
            ..self.clone()
        };
        let longest_line = [Shown::Text, Shown::Nothing].map(|shown| json_len(&Self { shown, ..widest.clone() }.summary()));
        let around = json_len(&widest) + longest_line[0].max(longest_line[1]) + ENVELOPE_BYTES;
        match max_result_bytes.checked_sub(around) {
            Some(room) if room >= MIN_PAGE_BYTES => Ok(room),
            _ => Err(ToolError::new(
                ToolErrorKind::TooLarge,
                "the path is so long that no content fits beside it into the result; move the file to a shorter path",
            )),
        }
    }

    /// One line for the model: what was shown of what, and how to go on.
    pub(super) fn summary(&self) -> Content {
        let path = short(&self.path);
        let bytes = match self.byte_length {
            0 => format!("0 bytes of {}", self.total_bytes),
            length => {
                format!("bytes {}-{} of {}", self.byte_offset, self.byte_offset.saturating_add(length - 1), self.total_bytes)
            }
        };
        let shown = match self.shown {
            Shown::Text => {
                let lines = match (self.first_line, self.last_line, self.total_lines) {
                    _ if self.total_bytes == 0 => "empty file, ".to_owned(),
                    (Some(first), Some(last), Some(total)) => format!("lines {first}-{last} of {total}, "),
                    (Some(first), Some(last), None) => format!("lines {first}-{last}, "),
                    _ => String::new(),
                };
                let unfinished = if self.ends_inside_line == Some(true) { ", ends inside a line" } else { "" };
                let lossy = if self.lossy == Some(true) { ", U+FFFD stands for invalid bytes" } else { "" };
                let encoding = self.encoding.map_or("", Encoding::name);
                format!("{lines}{bytes}, {encoding}{unfinished}{lossy}")
            }
            Shown::Base64 => format!("{bytes}, in base64"),
            Shown::Image => format!("{}, {}", self.mime_type, counted(self.total_bytes, "byte")),
            Shown::Nothing => format!(
                "{}, {}, not shown because it is not text (or too large an image); \
                 its bytes: read_file with the same path and \"as\": \"base64\"",
                self.mime_type,
                counted(self.total_bytes, "byte")
            ),
        };
        let next = match &self.next_cursor {
            Some(cursor) => format!("; more: read_file with {{\"cursor\": \"{cursor}\"}}"),
            None if matches!(self.shown, Shown::Text | Shown::Base64) => "; end of file".to_owned(),
            None => String::new(),
        };
        let version = &self.version;
        Content::text(format!("{path}: {shown}, version {version}{next}"))
    }
}

/// The path for a line of text: shortened in front, and without control characters, which would break the line.
fn short(path: &TreePath) -> Cow<'_, str> {
    const MAX_CHARS: usize = 200;
    let text = path.as_str();
    let skip = text.chars().count().saturating_sub(MAX_CHARS);
    if skip == 0 && !text.contains(char::is_control) {
        return text.into();
    }
    let tail = text.chars().skip(skip).map(|character| if character.is_control() { '\u{FFFD}' } else { character });
    (if skip > 0 { "…" } else { "" }).chars().chain(tail).collect()
}
