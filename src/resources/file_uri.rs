//! The URI of each path of the tree: `file:///docs/a%20b.md` for `/docs/a b.md`.
//!
//! The scheme is `file` because the specification has it for whatever behaves like a file system, be it one or not, and
//! clients know it. The host is empty, so that a URI is the same on every replica and under every name of the server. A
//! folder's URI has no slash at its end, so that it does not depend on what lies at the path.
//!
//! One path has one canonical URI: unreserved characters and those that RFC 3986 lets stand in a path segment stand for
//! themselves, every other byte of the name's UTF-8 is percent-encoded, in capitals. Reading forgives what means the same
//! by that RFC's rules (section 6.2.2): the case of the scheme and of percent-encodings, and characters that are encoded
//! without need; also one slash at the end. Everything else is refused: what cannot be a path of the tree, and what two
//! programs could understand differently.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::path::{MAX_PATH_BYTES, PathError, TreePath};

/// The template of all URIs (RFC 6570): its variable is a path without its leading slash.
pub const FILE_URI_TEMPLATE: &str = "file:///{+path}";

const SCHEME: &str = "file:";
/// Every byte of the longest path percent-encoded.
const MAX_URI_BYTES: usize = SCHEME.len() + "//".len() + 3 * MAX_PATH_BYTES;

/// All but `pchar` of RFC 3986, and the slash.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// The URI of a path. Reads from any of its forms, shows itself in the canonical one, and compares by the path.
///
/// ```
/// # use pressmark::resources::FileUri;
/// let uri: FileUri = "file:///docs/a%20b.md".parse().unwrap();
/// assert_eq!(uri.path().as_str(), "/docs/a b.md");
/// assert_eq!(uri.to_string(), "file:///docs/a%20b.md");
/// assert!("file:///docs/..%2Fb.md".parse::<FileUri>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileUri(TreePath);

/// Why a text is not the URI of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileUriError {
    /// Longer than the URI of the longest path.
    #[error("it is too long")]
    TooLong,
    /// Another scheme, or none.
    #[error("it must start with `file:///`")]
    Scheme,
    /// There is something between `file://` and the path.
    #[error("it names a host; write `file:///`, with three slashes")]
    Host,
    /// `?` or `#`.
    #[error("it has a query or a fragment; in a name, write `?` as %3F and `#` as %23")]
    QueryOrFragment,
    /// A percent sign that two hexadecimal digits do not follow.
    #[error("after `%` must come two hexadecimal digits; write a percent sign as %25")]
    PercentEncoding,
    /// A character that cannot stand in a URI.
    #[error("it contains {0:?}, which must be percent-encoded")]
    Character(char),
    /// `%2F`: names have no slashes.
    #[error("it contains an encoded slash, and no name has a slash")]
    EncodedSlash,
    /// Two slashes in a row.
    #[error("it contains an empty name")]
    EmptyName,
    /// `.` or `..`, encoded or not.
    #[error("it contains `.` or `..`; write the whole path from the root")]
    DotSegment,
    /// The bytes that percent-encodings stand for are no text.
    #[error("its percent-encodings are not UTF-8")]
    Utf8,
    /// What it stands for is no path.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl FileUri {
    /// The URI of a path.
    #[must_use]
    pub fn new(path: TreePath) -> Self {
        Self(path)
    }

    /// What it is the URI of.
    #[must_use]
    pub fn path(&self) -> &TreePath {
        &self.0
    }
}

impl From<TreePath> for FileUri {
    fn from(path: TreePath) -> Self {
        Self(path)
    }
}

impl fmt::Display for FileUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}//{}", utf8_percent_encode(self.0.as_str(), ENCODED))
    }
}

impl FromStr for FileUri {
    type Err = FileUriError;

    fn from_str(uri: &str) -> Result<Self, FileUriError> {
        if uri.len() > MAX_URI_BYTES {
            return Err(FileUriError::TooLong);
        }
        let scheme = uri.get(..SCHEME.len()).ok_or(FileUriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(FileUriError::Scheme);
        }
        let after = uri[SCHEME.len()..].strip_prefix("//").ok_or(FileUriError::Scheme)?;
        if after.contains(['?', '#']) {
            return Err(FileUriError::QueryOrFragment);
        }
        let path = after.strip_prefix('/').ok_or(FileUriError::Host)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut decoded = String::with_capacity(path.len() + 1);
        if path.is_empty() && after.len() <= "/".len() {
            return Ok(Self(TreePath::root()));
        }
        for segment in path.split('/') {
            decoded.push('/');
            decoded.push_str(&decode(segment)?);
        }
        Ok(Self(TreePath::parse(&decoded)?))
    }
}

/// The name that a segment of a path stands for.
fn decode(segment: &str) -> Result<String, FileUriError> {
    let mut name = Vec::with_capacity(segment.len());
    let mut characters = segment.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => {
                let mut digit = || characters.next().and_then(|digit| digit.to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(FileUriError::PercentEncoding) };
                name.push((high * 16 + low) as u8);
            }
            plain if plain.is_ascii() && !is_encoded(plain as u8) => name.push(plain as u8),
            other => return Err(FileUriError::Character(other)),
        }
    }
    match name.as_slice() {
        b"" => Err(FileUriError::EmptyName),
        b"." | b".." => Err(FileUriError::DotSegment),
        name if name.contains(&b'/') => Err(FileUriError::EncodedSlash),
        _ => String::from_utf8(name).map_err(|_| FileUriError::Utf8),
    }
}

/// Is this ASCII byte always percent-encoded?
fn is_encoded(byte: u8) -> bool {
    percent_encoding::percent_encode(&[byte], ENCODED).next().is_some_and(|shown| shown.starts_with('%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(path: &str) -> FileUri {
        FileUri(TreePath::parse(path).expect("a path"))
    }

    fn parse(text: &str) -> Result<String, FileUriError> {
        text.parse::<FileUri>().map(|uri| uri.path().to_string())
    }

    #[test]
    fn every_path_reads_back_from_its_uri() {
        let mut characters: Vec<char> = (1..0x250).filter_map(char::from_u32).filter(|&c| c != '/').collect();
        characters.extend(['\u{2028}', '\u{FEFF}', '\u{FFFD}', '\u{10FFFF}', '文', '🗂']);
        for &one in &characters {
            for &two in &['a', '.', '%', '2', 'F', ' ', one] {
                let name = format!("{one}{two}");
                if name == ".." {
                    continue;
                }
                for path in [format!("/{name}"), format!("/x/{name}/y{name}"), format!("/{two}{name}")] {
                    let Ok(path) = TreePath::parse(&path) else { continue };
                    let uri = FileUri(path);
                    let text = uri.to_string();
                    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
                    assert_eq!(text.parse::<FileUri>().as_ref(), Ok(&uri), "{text}");
                    let through_url = url::Url::parse(&text).expect("a URL");
                    assert_eq!(through_url.as_str(), text, "what other programs make of it is the same");
                }
            }
        }
        assert_eq!("file:///".parse(), Ok(FileUri(TreePath::root())));
        assert_eq!(FileUri(TreePath::root()).to_string(), "file:///");
        let longest = format!("/{}", vec!["ä".repeat(127); 16].join("/"));
        let longest = uri(&longest[..longest.len() - 1 - usize::from(!longest.is_char_boundary(longest.len() - 1))]);
        assert_eq!(longest.to_string().parse(), Ok(longest));
    }

    #[test]
    fn forms_that_mean_the_same_become_one() {
        for text in ["file:///a%20b/c", "FILE:///a%20b/c", "file:///%61%20b/%63", "file:///a%20b/c/", "File:///a%20b/c"] {
            assert_eq!(text.parse::<FileUri>().map(|uri| uri.to_string()), Ok("file:///a%20b/c".to_owned()), "{text}");
        }
        assert_eq!("file:///%c3%a4".parse::<FileUri>().map(|uri| uri.to_string()), Ok("file:///%C3%A4".to_owned()));
        assert_eq!(uri("/a:b@c=(d)").to_string(), "file:///a:b@c=(d)");
    }

    #[test]
    fn hostile_text_is_refused() {
        use FileUriError as E;
        let cases = [
            ("", E::Scheme),
            ("/etc/passwd", E::Scheme),
            ("file", E::Scheme),
            ("file:/a", E::Scheme),
            ("http:///a", E::Scheme),
            ("fileé///a", E::Scheme),
            ("file://", E::Host),
            ("file://host/a", E::Host),
            ("file://localhost/a", E::Host),
            ("file://user@/a", E::Host),
            ("file:///a?b", E::QueryOrFragment),
            ("file:///a#b", E::QueryOrFragment),
            ("file://?a", E::QueryOrFragment),
            ("file:////a", E::EmptyName),
            ("file:////", E::EmptyName),
            ("file:///a//b", E::EmptyName),
            ("file:///a//", E::EmptyName),
            ("file:///a%", E::PercentEncoding),
            ("file:///a%2", E::PercentEncoding),
            ("file:///a%2G", E::PercentEncoding),
            ("file:///a%+2", E::PercentEncoding),
            ("file:///a%é9", E::PercentEncoding),
            ("file:///a%2Fb", E::EncodedSlash),
            ("file:///..%2fetc", E::EncodedSlash),
            ("file:///a/../b", E::DotSegment),
            ("file:///./a", E::DotSegment),
            ("file:///a/%2e%2E/b", E::DotSegment),
            ("file:///.", E::DotSegment),
            ("file:///a b", E::Character(' ')),
            ("file:///a\\b", E::Character('\\')),
            ("file:///a\u{0}b", E::Character('\0')),
            ("file:///ä", E::Character('ä')),
            ("file:///{a}", E::Character('{')),
            ("file:///%ff", E::Utf8),
            ("file:///%c3", E::Utf8),
            ("file:///%ED%A0%80", E::Utf8),
            ("file:///a%00b", E::Path(PathError::Nul)),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(parse(&format!("file:///{}", "x".repeat(256))), Err(E::Path(PathError::TooLong)));
        assert_eq!(parse(&format!("file:///{}", "x/".repeat(3000))), Err(E::Path(PathError::TooLong)));
        assert_eq!(parse(&format!("file:///{}", "%78".repeat(5000))), Err(E::TooLong));
    }
}
