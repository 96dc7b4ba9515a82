//! Text inside of JSON strings (RFC 8259, section 7): how long it is there, and text that is written as one already.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

/// A text for a model.
///
/// Of a text that had to be escaped to see whether it fits into a result, the JSON string is kept in place of the text, and the
/// answer is written around it. Counting first what escaping will make of a page takes half as long as escaping it.
#[derive(Clone, Debug)]
pub struct Text(Form);

#[derive(Clone, Debug)]
enum Form {
    Plain(String),
    /// With its quotes.
    Json(String),
}

impl Text {
    /// The longest beginning of `text` that takes at most `room` bytes inside a JSON string, cut behind a line feed if it has to
    /// be cut and there is one; and its length in `text`.
    pub(crate) fn beginning(text: &str, room: usize) -> (Self, usize) {
        let mut json = json_escape_simd::escape(text);
        let len = json.len() - "\"\"".len();
        let Some(excess) = len.checked_sub(room).filter(|&excess| excess > 0) else {
            return (Self(Form::Json(json)), text.len());
        };
        let fits = without_end(text, excess);
        let end = memchr::memrchr(b'\n', &text.as_bytes()[..fits]).map_or(fits, |at| at + 1);
        json.truncate(json.len() - "\"".len() - json_text_len(&text[end..]));
        json.push('"');
        (Self(Form::Json(json)), end)
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> Cow<'_, str> {
        match &self.0 {
            Form::Plain(text) => Cow::Borrowed(text),
            #[expect(clippy::expect_used, reason = "it was made by escaping, and is not changed but cut between characters")]
            Form::Json(json) => Cow::Owned(serde_json::from_str(json).expect("a JSON string")),
        }
    }

    /// Does [`write_json`](Self::write_json) go on in a buffer of its own?
    pub(crate) fn has_buffer(&self) -> bool {
        matches!(self.0, Form::Json(_))
    }

    /// How many bytes it has: inside a JSON string if that is how it is kept.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Form::Plain(text) => text.len(),
            Form::Json(json) => json.len() - "\"\"".len(),
        }
    }

    /// Writes it as a JSON string, with its quotes.
    ///
    /// A long one is not copied behind the little that was written before: that moves into its buffer. A second buffer of that
    /// size would drive code out of a cache of 512 KiB, which takes longer than the copy.
    pub(crate) fn write_json(self, out: &mut Vec<u8>) {
        match self.0 {
            Form::Plain(text) => json_escape_simd::escape_into(text, out),
            Form::Json(json) if json.len() <= out.len() => out.extend_from_slice(json.as_bytes()),
            Form::Json(json) => {
                let mut buffer = json.into_bytes();
                let (len, before) = (buffer.len(), out.len());
                buffer.resize(before + len, 0);
                buffer.copy_within(..len, before);
                buffer[..before].copy_from_slice(out);
                *out = buffer;
            }
        }
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(Form::Plain(text.into()))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.as_str())
    }
}

/// The longest beginning of `text` without what takes, at the end, the first `excess` bytes inside a JSON string.
fn without_end(text: &str, excess: usize) -> usize {
    let (rest, chunks) = text.as_bytes().as_rchunks::<CHUNK>();
    let mut left = excess;
    let mut whole = chunks.len();
    for chunk in chunks.iter().rev() {
        let freed = chunk_len(chunk);
        if freed >= left {
            break;
        }
        left -= freed;
        whole -= 1;
    }
    let end = rest.len() + whole * CHUNK;
    let taken = text.as_bytes()[..end].iter().rev().take_while(|&&byte| {
        let more = left > 0;
        left = left.saturating_sub(usize::from(json_len(byte)));
        more
    });
    let end = end - taken.count();
    (0..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0)
}

/// The longest beginning of `text` that takes at most `room` bytes inside a JSON string.
pub(crate) fn json_prefix(text: &str, room: usize) -> usize {
    if text.len() * LONGEST_ESCAPE <= room {
        return text.len();
    }
    let (chunks, rest) = text.as_bytes().as_chunks::<CHUNK>();
    let mut left = room;
    let mut whole = 0;
    for chunk in chunks {
        let used = chunk_len(chunk);
        if used > left {
            break;
        }
        left -= used;
        whole += CHUNK;
    }
    let part = chunks.get(whole / CHUNK).map_or(rest, |chunk| chunk);
    let fits = part.iter().take_while(|&&byte| match left.checked_sub(usize::from(json_len(byte))) {
        Some(less) => {
            left = less;
            true
        }
        None => false,
    });
    let end = whole + fits.count();
    (0..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0)
}

/// How many bytes `text` takes inside a JSON string.
pub(crate) fn json_text_len(text: &str) -> usize {
    let (chunks, rest) = text.as_bytes().as_chunks::<CHUNK>();
    chunks.iter().map(chunk_len).sum::<usize>() + rest.iter().map(|&byte| usize::from(json_len(byte))).sum::<usize>()
}

/// Sums of bytes without a branch are vectorised: a fifth of the time of a table.
fn chunk_len(chunk: &[u8; CHUNK]) -> usize {
    usize::from(chunk.iter().map(|&byte| json_len(byte)).sum::<u8>())
}

const LONGEST_ESCAPE: usize = "\\u0000".len();
/// As many bytes as have lengths that add up to one byte.
const CHUNK: usize = 32;

/// How many bytes a byte takes inside a JSON string. Comparisons only: a table, or a branch, could not be vectorised.
#[inline(always)]
fn json_len(byte: u8) -> u8 {
    // \b \t \n \f \r, which are 8 to 13 without 11.
    let has_short = (byte.wrapping_sub(8) < 6) & (byte != 0x0B);
    1 + u8::from((byte == b'"') | (byte == b'\\')) + 5 * u8::from(byte < 0x20) - 4 * u8::from(has_short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_what_fits() {
        let text: String = (0..0x250).filter_map(char::from_u32).filter(|&character| character != '\n').collect();
        for (end, character) in text.char_indices() {
            let json = json_escape_simd::escape(&text[..end]);
            let room = json.len() - "\"\"".len();
            for room in [room, room + serde_json::to_string(&character).expect("a string").len() - "\"\"".len() - 1] {
                let (text, len) = Text::beginning(&text, room);
                assert_eq!(len, end, "before {character:?}, in {room}");
                for before in ["[", &"-".repeat(4_000)] {
                    let mut written = before.as_bytes().to_vec();
                    text.clone().write_json(&mut written);
                    assert_eq!(String::from_utf8(written).expect("UTF-8"), format!("{before}{json}"));
                }
            }
        }
        let (all, len) = Text::beginning(&text, usize::MAX);
        assert_eq!((all.as_str(), len), (Cow::Borrowed(&*text), text.len()));
    }

    #[test]
    fn a_beginning_ends_with_a_line_where_it_can() {
        let text = "ab\ncd\nef";
        let cut = |room| {
            let (text, len) = Text::beginning(text, room);
            (text.to_string(), len)
        };
        assert_eq!(cut(10), (text.to_owned(), 8));
        assert_eq!(cut(9), ("ab\ncd\n".to_owned(), 6));
        assert_eq!(cut(7), ("ab\n".to_owned(), 3));
        assert_eq!(cut(2), ("ab".to_owned(), 2));
    }

    #[test]
    fn the_length_in_json_is_what_is_written() {
        let text: String = (0..0x250).filter_map(char::from_u32).collect();
        for (end, character) in text.char_indices() {
            let written = json_escape_simd::escape(&text[..end]).len() - "\"\"".len();
            assert_eq!(written, serde_json::to_string(&text[..end]).expect("a string").len() - "\"\"".len());
            assert_eq!(json_text_len(&text[..end]), written);
            assert_eq!(json_prefix(&text, written), end, "up to {character:?}");
            let more = serde_json::to_string(&character).expect("a string").len() - "\"\"".len();
            assert_eq!(json_prefix(&text, written + more - 1), end, "not yet {character:?}");
        }
    }
}
