//! Text in files: which encoding it has, and how bytes and characters answer to each other.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::media_type;

/// How much of a file's beginning is looked at to tell what it holds, in bytes.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// The longest character of any encoding here, in bytes.
pub(super) const MAX_CHAR_BYTES: usize = 4;

/// How a file's text is written in bytes. A byte order mark is not part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Encoding {
    /// UTF-8 without a byte order mark.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-8 after a byte order mark.
    #[serde(rename = "utf-8-bom")]
    Utf8Bom,
    /// UTF-16, little-endian, after a byte order mark.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, big-endian, after a byte order mark.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Latin-1, with the printable characters that Windows has in its unused places.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl Encoding {
    /// Tells the encoding from a file's beginning; `None` when it holds no text. `head` is the whole file or 64 KiB
    /// of it.
    ///
    /// A byte order mark decides. A NUL byte means binary, as it does for git and ripgrep. What is valid UTF-8, or is
    /// except for a few broken characters, is UTF-8. The rest is binary where it starts like a known binary format or
    /// is full of control characters, and Latin-1 otherwise.
    #[must_use]
    pub fn detect(head: &[u8]) -> Option<Self> {
        const UTF32_LE_MARK: &[u8] = b"\xFF\xFE\0\0";
        if head.starts_with(b"\xEF\xBB\xBF") {
            return Some(Self::Utf8Bom);
        }
        if head.starts_with(UTF32_LE_MARK) {
            return None;
        }
        if head.starts_with(b"\xFF\xFE") {
            return Some(Self::Utf16Le);
        }
        if head.starts_with(b"\xFE\xFF") {
            return Some(Self::Utf16Be);
        }
        if memchr::memchr(0, head).is_some() {
            return None;
        }
        // Only where there is more to come can a character be cut: a file may end in a byte that looks like the first of one.
        let head = if head.len() < HEAD_BYTES { head } else { &head[..Self::Utf8.complete_len(head)] };
        if simdutf8::basic::from_utf8(head).is_ok() {
            return Some(Self::Utf8);
        }
        if media_type::of_content(head).is_some() || is_mostly_controls(head) {
            return None;
        }
        Some(if is_broken_utf8(head) { Self::Utf8 } else { Self::Windows1252 })
    }

    /// The encoding's name, as results give it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf8Bom => "utf-8-bom",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Windows1252 => "windows-1252",
        }
    }

    /// The length of the byte order mark before the text, in bytes.
    #[must_use]
    pub fn mark_len(self) -> u64 {
        match self {
            Self::Utf8 | Self::Windows1252 => 0,
            Self::Utf8Bom => 3,
            Self::Utf16Le | Self::Utf16Be => 2,
        }
    }

    /// How many bytes of a file become one byte of text at the most.
    pub(super) fn max_bytes_per_text_byte(self) -> usize {
        match self {
            Self::Utf8 | Self::Utf8Bom | Self::Windows1252 => 1,
            Self::Utf16Le | Self::Utf16Be => 2,
        }
    }

    /// Decodes bytes that start and end between characters. What is not valid becomes U+FFFD.
    pub(super) fn decode(self, bytes: &[u8]) -> Decoded<'_> {
        let codec = match self {
            Self::Utf8 | Self::Utf8Bom => {
                return match simdutf8::basic::from_utf8(bytes) {
                    Ok(text) => Decoded { text: text.into(), source: Source::Utf8 },
                    Err(_) => Decoded { text: String::from_utf8_lossy(bytes), source: Source::BrokenUtf8(bytes) },
                };
            }
            Self::Utf16Le => encoding_rs::UTF_16LE,
            Self::Utf16Be => encoding_rs::UTF_16BE,
            Self::Windows1252 => encoding_rs::WINDOWS_1252,
        };
        let (text, lossy) = codec.decode_without_bom_handling(bytes);
        let unit_len = if self == Self::Windows1252 { 1 } else { 2 };
        Decoded { text, source: Source::Units { lossy, unit_len, source_len: bytes.len() } }
    }

    /// How many of the bytes hold whole characters: what is cut off at the end is the beginning of one.
    pub(super) fn complete_len(self, bytes: &[u8]) -> usize {
        match self {
            Self::Windows1252 => bytes.len(),
            Self::Utf8 | Self::Utf8Bom => {
                let tail = bytes.len().saturating_sub(MAX_CHAR_BYTES - 1);
                // The last byte that can begin a character, if what begins there is not all there.
                (tail..bytes.len())
                    .rev()
                    .find(|&at| !is_continuation(bytes[at]))
                    .filter(|&at| std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none()))
                    .unwrap_or(bytes.len())
            }
            Self::Utf16Le | Self::Utf16Be => {
                let even = bytes.len() & !1;
                match bytes[..even].last_chunk() {
                    Some(&unit) if is_high_surrogate(self.unit(unit)) => even - 2,
                    _ => even,
                }
            }
        }
    }

    /// Does a character start at the byte `at` of the file? `around` holds the bytes from `first` on: at least the
    /// [`MAX_CHAR_BYTES`] before and after, as far as the file has them.
    pub(super) fn is_boundary(self, around: &[u8], first: u64, at: u64) -> bool {
        if at < self.mark_len() {
            return at == 0;
        }
        let Ok(here) = usize::try_from(at - first) else { return false };
        match self {
            Self::Windows1252 => true,
            Self::Utf8 | Self::Utf8Bom => {
                if around.get(here).is_none_or(|&byte| !is_continuation(byte)) {
                    return true;
                }
                let Some(lead) = (here.saturating_sub(MAX_CHAR_BYTES - 1)..here).rev().find(|&at| !is_continuation(around[at]))
                else {
                    return true;
                };
                // A continuation that continues nothing stands for itself: text broken there is read on from there.
                let inside = |end: usize| around.get(lead..end).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok());
                !(here + 1..=lead + MAX_CHAR_BYTES).any(inside)
            }
            Self::Utf16Le | Self::Utf16Be => {
                let unit = |at: usize| around.get(at..at + 2).map(|unit| self.unit([unit[0], unit[1]]));
                let inside_pair = here >= 2
                    && unit(here - 2).is_some_and(is_high_surrogate)
                    && unit(here).is_some_and(|unit| (0xDC00..0xE000).contains(&unit));
                at.is_multiple_of(2) && !inside_pair
            }
        }
    }

    /// Does a character start with these bytes, whatever comes before them? Where this is false, [`is_boundary`](Self::is_boundary)
    /// knows.
    pub(super) fn starts_anywhere(self, bytes: &[u8]) -> bool {
        match self {
            Self::Windows1252 => true,
            Self::Utf8 | Self::Utf8Bom => bytes.first().is_none_or(|&byte| !is_continuation(byte)),
            Self::Utf16Le | Self::Utf16Be => false,
        }
    }

    /// The ends of the lines in `bytes`, which start between characters: the position behind each line feed.
    pub(super) fn line_ends(self, bytes: &[u8]) -> impl Iterator<Item = usize> {
        let wide = matches!(self, Self::Utf16Le | Self::Utf16Be);
        memchr::memchr_iter(b'\n', bytes).filter_map(move |at| match self {
            _ if !wide => Some(at + 1),
            Self::Utf16Be => (at % 2 == 1 && bytes[at - 1] == 0).then_some(at + 1),
            _ => (at % 2 == 0 && bytes.get(at + 1) == Some(&0)).then_some(at + 2),
        })
    }

    fn unit(self, bytes: [u8; 2]) -> u16 {
        if self == Self::Utf16Be { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

/// Decoded text that still knows where its characters lay in the bytes.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    /// The text's own bytes.
    Utf8,
    /// UTF-8 with invalid sequences, each of which became one replacement character.
    BrokenUtf8(&'a [u8]),
    /// Units of one length, each of which became one UTF-16 code unit.
    Units { lossy: bool, unit_len: usize, source_len: usize },
}

impl Decoded<'_> {
    /// Did replacement characters take the place of something invalid?
    pub(super) fn is_lossy(&self) -> bool {
        matches!(self.source, Source::BrokenUtf8(_) | Source::Units { lossy: true, .. })
    }

    /// How many bytes became the first `end` bytes of the text. `end` lies between characters.
    pub(super) fn source_len(&self, end: usize) -> usize {
        match &self.source {
            Source::Utf8 => end,
            // An odd byte at the end of a file in UTF-16 became a character too.
            Source::Units { unit_len, source_len, .. } => (self.text[..end].encode_utf16().count() * unit_len).min(*source_len),
            Source::BrokenUtf8(bytes) => broken_utf8_len(bytes, end),
        }
    }
}

/// How many of `bytes` became the first `end` bytes of their lossy decoding.
fn broken_utf8_len(bytes: &[u8], mut end: usize) -> usize {
    let mut taken = 0;
    for chunk in bytes.utf8_chunks() {
        if end <= chunk.valid().len() {
            return taken + end;
        }
        end -= chunk.valid().len();
        taken += chunk.valid().len() + chunk.invalid().len();
        end = end.saturating_sub(char::REPLACEMENT_CHARACTER.len_utf8());
    }
    taken
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn is_high_surrogate(unit: u16) -> bool {
    (0xD800..0xDC00).contains(&unit)
}

/// More than one byte in fifty is a control character that text does not use.
fn is_mostly_controls(head: &[u8]) -> bool {
    let controls = head.iter().filter(|&&byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x08 | 0x0C | 0x1B));
    controls.count() * 50 > head.len()
}

/// Are there more whole characters beyond ASCII than invalid sequences?
fn is_broken_utf8(head: &[u8]) -> bool {
    let (mut whole, mut broken) = (0, 0);
    for chunk in head.utf8_chunks() {
        whole += chunk.valid().chars().filter(|character| !character.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole > broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        assert_eq!(Encoding::detect(b""), Some(Encoding::Utf8));
        assert_eq!(Encoding::detect("naïve €".as_bytes()), Some(Encoding::Utf8));
        let long = format!("{}€", "x".repeat(HEAD_BYTES - 1));
        assert_eq!(Encoding::detect(&long.as_bytes()[..HEAD_BYTES]), Some(Encoding::Utf8), "cut inside a character");
        assert_eq!(Encoding::detect(b"caf\xE9"), Some(Encoding::Windows1252), "ends in what looks like a cut");
        assert_eq!(Encoding::detect(b"\xEF\xBB\xBFa"), Some(Encoding::Utf8Bom));
        assert_eq!(Encoding::detect(b"\xFF\xFEa\0"), Some(Encoding::Utf16Le));
        assert_eq!(Encoding::detect(b"\xFE\xFF\0a"), Some(Encoding::Utf16Be));
        assert_eq!(Encoding::detect(b"\xFF\xFE\0\0a\0\0\0"), None, "UTF-32");
        assert_eq!(Encoding::detect(b"na\xEFve caf\xE9"), Some(Encoding::Windows1252));
        assert_eq!(Encoding::detect("äöüäöü\u{0} ".as_bytes()), None);
        assert_eq!(Encoding::detect(b"%PDF-1.4 \xE2\xE3\xCF\xD3"), None);
        assert_eq!(Encoding::detect(b"\x01\x02\x03\xFE\x04\x05"), None);
        assert_eq!(Encoding::detect(b"\xC3\xA4\xC3\xB6\xC3\xBC \xFF"), Some(Encoding::Utf8), "one broken character");
        assert_eq!(Encoding::detect(b"MZ and BM are words too"), Some(Encoding::Utf8));
    }

    #[test]
    fn every_beginning_of_a_text_maps_back_to_its_bytes() {
        let broken = b"a\xFFb\xE2\x82c\xF0\x9F\x98\x80\xE2\x82\xACd\x80".to_vec();
        let wide: Vec<u8> = "a€😀b".encode_utf16().flat_map(u16::to_le_bytes).chain([0x3D]).collect();
        let latin = b"\x80\xE9a\xFF".to_vec();
        for (encoding, bytes) in [(Encoding::Utf8, broken), (Encoding::Utf16Le, wide), (Encoding::Windows1252, latin)] {
            let all = encoding.decode(&bytes);
            for (at, _) in all.text.char_indices().chain([(all.text.len(), ' ')]) {
                let len = all.source_len(at);
                let text: String = [&bytes[..len], &bytes[len..]].map(|part| encoding.decode(part).text).concat();
                assert_eq!(text, all.text, "{encoding:?} cut at {len}");
            }
            assert_eq!(all.source_len(all.text.len()), bytes.len());
        }
    }

    #[test]
    fn characters_start_where_they_start() {
        let starts = |encoding: Encoding, bytes: &[u8]| -> Vec<u64> {
            (0..bytes.len() as u64).filter(|&at| encoding.is_boundary(bytes, 0, at)).collect()
        };
        assert_eq!(starts(Encoding::Utf8, "a€😀b".as_bytes()), [0, 1, 4, 8]);
        assert_eq!(starts(Encoding::Utf8Bom, "\u{FEFF}aé".as_bytes()), [0, 3, 4]);
        assert_eq!(starts(Encoding::Utf8, b"a\x80\x80\xC3\xA9"), [0, 1, 2, 3]);
        let wide: Vec<u8> = "\u{FEFF}a😀b".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(starts(Encoding::Utf16Be, &wide), [0, 2, 4, 8]);
    }

    #[test]
    fn a_beginning_of_a_character_is_cut_off() {
        let bytes = "a😀".as_bytes();
        assert_eq!((1..=5).map(|len| Encoding::Utf8.complete_len(&bytes[..len])).collect::<Vec<_>>(), [1, 1, 1, 1, 5]);
        assert_eq!(Encoding::Utf8.complete_len(b"a\x80\x80\x80"), 4);
        assert_eq!(Encoding::Utf16Le.complete_len(b"a\0\x3D\xD8"), 2);
        assert_eq!(Encoding::Utf16Le.complete_len(b"a\0\x3D"), 2);
    }

    #[test]
    fn lines_end_behind_line_feeds_only() {
        let text = "a\u{0A0A}\n\u{0A00}\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(Encoding::Utf16Le.line_ends(&little).collect::<Vec<_>>(), [6, 10]);
        assert_eq!(Encoding::Utf16Be.line_ends(&big).collect::<Vec<_>>(), [6, 10]);
        assert_eq!(Encoding::Utf8.line_ends(b"a\n\nb").collect::<Vec<_>>(), [2, 3]);
    }
}
