//! A whole text file in memory: from bytes to text and back to bytes in the same encoding.

use super::text::{Encoding, HEAD_BYTES};

/// The text of a file, with what it takes to write it back: a byte order mark and an encoding.
#[derive(Debug)]
pub(super) struct WholeText {
    /// The text, without a byte order mark.
    pub(super) text: String,
    encoding: Encoding,
}

impl WholeText {
    /// Decodes a file's bytes.
    ///
    /// # Errors
    /// Why they cannot be edited as text, for a model to read: nothing that could not be written back is let in.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let encoding = Encoding::detect(&bytes[..bytes.len().min(HEAD_BYTES)])
            .ok_or("it is binary, and only text can be edited; replace it whole with write_file and `encoding: \"base64\"`")?;
        let decoded = encoding.decode(&bytes[mark(encoding).len()..]);
        if decoded.is_lossy() {
            return Err("it has bytes that are not valid in its encoding and that an edit would lose; replace it whole with \
                        write_file");
        }
        Ok(Self { text: decoded.text.into_owned(), encoding })
    }

    /// Encodes another text as this file's text is encoded.
    ///
    /// # Errors
    /// Why the file could not be read back as that text, for a model to read.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u8>, &'static str> {
        let mut bytes = mark(self.encoding).to_vec();
        match self.encoding {
            Encoding::Utf8 | Encoding::Utf8Bom => bytes.extend_from_slice(text.as_bytes()),
            Encoding::Utf16Le => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            Encoding::Utf16Be => bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Encoding::Windows1252 => {
                let (encoded, _, unmappable) = encoding_rs::WINDOWS_1252.encode(text);
                if unmappable {
                    return Err(
                        "it is encoded in Latin-1 (windows-1252), which does not have all the characters of `new_text`; \
                                leave those out, or replace the file whole with write_file, which writes UTF-8",
                    );
                }
                bytes.extend_from_slice(&encoded);
            }
        }
        // Bytes that happen to look like another encoding, or a control character that makes it look binary.
        if Self::decode(&bytes).map(|again| again.text).as_deref() != Ok(text) {
            return Err("with this edit it could no longer be read as the text it is; leave out control characters");
        }
        Ok(bytes)
    }
}

fn mark(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::Utf8 | Encoding::Windows1252 => b"",
        Encoding::Utf8Bom => b"\xEF\xBB\xBF",
        Encoding::Utf16Le => b"\xFF\xFE",
        Encoding::Utf16Be => b"\xFE\xFF",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn what_is_decoded_is_encoded_again() {
        let text = "\u{FEFF}naïve 😀\r\n";
        let cases = [
            "naïve 😀\r\n".as_bytes().to_vec(),
            text.as_bytes().to_vec(),
            utf16(text, u16::to_le_bytes),
            utf16(text, u16::to_be_bytes),
            b"na\xEFve caf\xE9 \x80\x81\r\n".to_vec(),
            Vec::new(),
        ];
        for bytes in cases {
            let whole = WholeText::decode(&bytes).expect("text");
            assert!(!whole.text.starts_with('\u{FEFF}'));
            assert_eq!(whole.encode(&whole.text).expect("encodes"), bytes);
        }
    }

    #[test]
    fn what_could_not_be_written_back_is_refused() {
        assert!(WholeText::decode(b"a\0b").is_err());
        assert!(WholeText::decode(b"\xFF\xFEa\0\x00\xD8").is_err(), "half a surrogate pair");
        assert!(WholeText::decode(b"\xC3\xA4\xC3\xB6\xC3\xBC \xFF").is_err(), "broken UTF-8");
        let latin = WholeText::decode(b"caf\xE9\n").expect("text");
        assert!(latin.encode("日本\n").expect_err("not in Latin-1").contains("Latin-1"));
        assert!(latin.encode("Ã©\n").is_err(), "would be read as UTF-8");
        assert_eq!(latin.encode("cafe\n").expect("plain ASCII is both"), b"cafe\n");
        assert!(WholeText::decode(b"a").expect("text").encode("a\0").is_err());
    }
}
