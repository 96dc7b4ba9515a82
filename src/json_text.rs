//! How long text is inside a JSON string (RFC 8259, section 7), without writing it.

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
