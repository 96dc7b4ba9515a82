//! What the tools that answer in pages share: what fits into a page, and how a cursor goes on to the next.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::json_len::json_len;
use crate::call::{CallContext, ToolError};
use crate::files::FileError;
use crate::json_text::json_text_len;
use crate::state::{CursorKind, Cursors};

/// What a result needs beside its entries: its own frame, the line that names the next cursor, a note.
const FRAME_BYTES: usize = 1000;
/// The longest note, in bytes.
const MAX_NOTE_BYTES: usize = 240;

/// What is left of a page's budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// The budget for the entries of one page.
    pub(super) fn of(cx: &CallContext) -> Self {
        Self(cx.max_result_bytes().saturating_sub(FRAME_BYTES))
    }

    /// Bytes that are left.
    pub(super) fn left(self) -> usize {
        self.0
    }

    /// Takes so many bytes; `false`, and takes nothing, when there are not so many left.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        self.0.checked_sub(bytes).map(|left| self.0 = left).is_some()
    }
}

/// What a piece of text adds to a result, inside a longer text.
pub(super) fn text_bytes(text: &str) -> usize {
    json_text_len(text)
}

/// What a value adds to a result, as one of a list.
pub(super) fn item_bytes(value: &impl Serialize) -> usize {
    json_len(value) + ",".len()
}

/// Text that grows as long as it fits inside a JSON string.
#[derive(Debug, Default)]
pub(super) struct GrowingText {
    text: String,
    /// So much of it has been counted,
    counted: usize,
    /// and takes so many bytes.
    bytes: usize,
}

impl GrowingText {
    /// No text, with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ..Self::default() }
    }

    /// Adds the line that `write` writes, if the whole then takes `room` bytes at most. Was it added?
    pub(super) fn push_if_it_fits(&mut self, room: usize, write: impl FnOnce(&mut String)) -> bool {
        let before = self.text.len();
        if before > 0 {
            self.text.push('\n');
        }
        write(&mut self.text);
        let fits = self.fits(room);
        if !fits {
            self.text.truncate(before);
        }
        fits
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Counts only where the longest escapes would not fit, which is seldom: counting each line by itself took 20,000
    /// instructions for a hundred.
    fn fits(&mut self, room: usize) -> bool {
        const LONGEST_ESCAPE: usize = "\\u0000".len();
        let rest = &self.text[self.counted..];
        if self.bytes + LONGEST_ESCAPE * rest.len() <= room {
            return true;
        }
        let bytes = self.bytes + text_bytes(rest);
        if bytes > room {
            return false;
        }
        (self.counted, self.bytes) = (self.text.len(), bytes);
        true
    }
}

/// A text for one line: control characters, a line break in a file's name among them, as `\n` and the like.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    // Control characters outside of ASCII begin with 0xC2.
    let may_be_control = |byte: u8| byte < 0x20 || byte == 0x7F || byte == 0xC2;
    if !text.bytes().any(may_be_control) || !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect::<String>().into()
}

/// What a page could not show.
#[derive(Debug, Default)]
pub(super) struct Problems {
    count: usize,
    first: Option<String>,
}

impl Problems {
    pub(super) fn add(&mut self, problem: &FileError) {
        self.add_text(|| problem.to_string());
    }

    pub(super) fn add_text(&mut self, problem: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(problem);
    }

    /// One line that says what is missing from the page, if anything is.
    pub(super) fn note(&self) -> Option<String> {
        let first = one_line(self.first.as_deref()?);
        let first = in_short(&first);
        Some(match self.count {
            1 => format!("[left out: {first}]"),
            count => format!("[left out: {count} files or folders; the first: {first}]"),
        })
    }
}

/// Of a long text the beginning and the end: a path and what is wrong with it.
fn in_short(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_NOTE_BYTES {
        return Cow::Borrowed(text);
    }
    let boundary = |at: usize| (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let (head, tail) = (boundary(MAX_NOTE_BYTES / 2), boundary(text.len() - MAX_NOTE_BYTES / 2));
    format!("{} … {}", &text[..head], &text[tail..]).into()
}

/// What a cursor stands for: all parameters of the first call, and where the next page begins.
#[derive(Debug, Serialize, Deserialize)]
struct Pinned<Q, P> {
    query: Q,
    position: P,
}

/// The cursors of one tool.
pub(super) struct Pages<'a> {
    pub(super) cursors: &'a Cursors,
    pub(super) kind: CursorKind,
    pub(super) cx: &'a CallContext,
}

impl Pages<'_> {
    /// What a call asks for, and where its page begins: from the cursor if it has one, else `first` makes it from the
    /// arguments. `args` beside a cursor may repeat what the first call said, and nothing else.
    pub(super) async fn open<A: Serialize, Q: Serialize + DeserializeOwned, P: DeserializeOwned>(
        &self,
        cursor: Option<&str>,
        args: &A,
        first: impl FnOnce(&A) -> Result<Q, ToolError>,
    ) -> Result<(Q, Option<P>), ToolError> {
        let Some(cursor) = cursor else {
            return Ok((first(args)?, None));
        };
        let pinned: Pinned<Q, P> = self.cursors.open(self.kind, self.cx.principal(), cursor).await?.record;
        if let (Ok(serde_json::Value::Object(args)), Ok(query)) =
            (serde_json::to_value(args), serde_json::to_value(&pinned.query))
        {
            let differs =
                |(name, value): &(String, serde_json::Value)| name != "cursor" && !value.is_null() && query[name] != *value;
            if let Some((name, _)) = args.into_iter().find(|(name, value)| differs(&(name.clone(), value.clone()))) {
                return Err(ToolError::invalid_argument(
                    &name,
                    "differs from the call that this cursor goes on with; pass `cursor` alone, or start again without it",
                ));
            }
        }
        Ok((pinned.query, Some(pinned.position)))
    }

    /// The cursor of the page that begins at `position`, if there is one.
    pub(super) async fn next<Q: Serialize + Sync, P: Serialize + Sync>(
        &self,
        query: Q,
        position: Option<P>,
    ) -> Result<Option<String>, ToolError> {
        let Some(position) = position else { return Ok(None) };
        let pinned = Pinned { query, position };
        Ok(Some(self.cursors.create(self.kind, self.cx.principal(), &pinned, &[]).await?))
    }
}

/// A number from the arguments, or its default.
pub(super) fn number(
    name: &str,
    given: Option<u32>,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<usize, ToolError> {
    let number = given.unwrap_or(default);
    if range.contains(&number) {
        return Ok(number as usize);
    }
    let (low, high) = range.into_inner();
    Err(ToolError::invalid_argument(name, format!("must be from {low} to {high}, for example {default}")))
}

/// The text of a page: its lines, what was left out, and how to go on.
pub(super) fn page_text(mut text: String, empty: &str, problems: &Problems, next_cursor: Option<&str>) -> String {
    let text_is_empty = text.is_empty();
    let mut add = |line: &str| {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    };
    if text_is_empty && next_cursor.is_none() {
        add(empty);
    }
    if let Some(note) = problems.note() {
        add(&note);
    }
    if let Some(cursor) = next_cursor {
        add(&format!("[there is more: call again with cursor \"{cursor}\"]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_grows_up_to_its_last_byte() {
        let lines = ["plain", "\"quoted\"\t", "\u{1}", "é", ""];
        for room in 0..200 {
            let mut text = GrowingText::default();
            let mut expected = String::new();
            for line in lines.iter().cycle().take(40) {
                let longer = if expected.is_empty() { (*line).to_owned() } else { format!("{expected}\n{line}") };
                let fits = json_text_len(&longer) <= room;
                assert_eq!(text.push_if_it_fits(room, |text| text.push_str(line)), fits);
                if fits {
                    expected = longer;
                }
            }
            assert_eq!(text.into_text(), expected);
        }
    }
}
