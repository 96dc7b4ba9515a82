//! Why a resource could not be had.

use super::FileUriError;
use crate::files::FileError;

/// Each text says what was wrong and, where something helps, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The text is not a URI of this tree.
    #[error("{:?} is not the URI of a file: {problem}", shortened(uri))]
    InvalidUri {
        /// As it was given.
        uri: String,
        /// The rule that it breaks.
        problem: FileUriError,
    },
    /// The cursor was never given out.
    #[error("this cursor is not one of this list's; start again without a cursor")]
    InvalidCursor,
    /// Nothing is there that this caller may read: one and the same for what is missing, what lies outside of the
    /// caller's scopes, and what only a link that may not be followed leads to.
    #[error("there is no resource {uri}")]
    NotFound {
        /// In canonical form.
        uri: String,
    },
    /// The file does not fit into one answer.
    #[error(
        "{uri} has {size} bytes, and a resource may have {limit}; the tool read_file reads it in pages, as in {{\"path\": {path:?}}}"
    )]
    TooLarge {
        /// In canonical form.
        uri: String,
        /// Its path, for the tool.
        path: String,
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: usize,
    },
    /// It is there, but cannot be read now, or never: the text says which.
    #[error("{uri} cannot be read: {source}")]
    Unreadable {
        /// In canonical form.
        uri: String,
        /// Why.
        source: FileError,
    },
}

fn shortened(uri: &str) -> &str {
    const MAX_BYTES: usize = 200;
    let end = (0..=uri.len().min(MAX_BYTES)).rev().find(|&end| uri.is_char_boundary(end)).unwrap_or(0);
    &uri[..end]
}
