//! Cursors: short handles that name one position in one caller's work, good on every replica.
//!
//! A handle is `<kind><id>-<position>-<check>`: a letter, 128 random bits in base62, plain numbers, and four characters
//! over all of it that catch a handle copied wrongly. The record behind the id is written once; pages of the same work
//! differ in the position alone, so that going on costs one round trip.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{SharedState, StateError};
use crate::auth::Principal;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^22 > 2^128.
const ID_CHARS: usize = 22;
const CHECK_CHARS: usize = 4;
/// A handle longer than this is none of ours.
const MAX_HANDLE_BYTES: usize = 160;

/// Which tool's work a cursor continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorKind {
    /// `read_file`.
    Read,
    /// `list_directory`.
    List,
    /// `find_files`.
    Find,
    /// `search_text`.
    Search,
}

impl CursorKind {
    fn letter(self) -> char {
        match self {
            Self::Read => 'r',
            Self::List => 'l',
            Self::Find => 'f',
            Self::Search => 's',
        }
    }
}

/// Makes and opens cursors.
#[derive(Clone, Debug)]
pub struct Cursors {
    state: Arc<dyn SharedState>,
    ttl: Duration,
}

/// An open cursor: the record that it was made with, and the position that its handle names.
#[derive(Clone, Debug)]
pub struct Cursor<T> {
    /// What the work is: the tool's own type, with the path, the version and the parameters.
    pub record: T,
    /// Where the work goes on, in the tool's own units.
    pub position: Vec<u64>,
    /// The handles of other positions in the same record.
    pub handles: Handles,
}

/// The handles of one record, which differ in the position alone.
#[derive(Clone, Debug)]
pub struct Handles {
    kind: CursorKind,
    id: String,
}

/// Why a cursor cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CursorError {
    /// Unknown, expired, another caller's, another tool's or miscopied: one and the same to the caller.
    #[error("this cursor is unknown or has expired; start again without a cursor")]
    Invalid,
    /// The shared state did not answer.
    #[error(transparent)]
    State(#[from] StateError),
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    owner: String,
    record: T,
}

impl Cursors {
    /// Cursors over `state` that expire when unused for `ttl`.
    #[must_use]
    pub fn new(state: Arc<dyn SharedState>, ttl: Duration) -> Self {
        Self { state, ttl }
    }

    /// Writes a record and gives the handle of a position in it: one round trip.
    ///
    /// # Errors
    /// [`StateError`] when the shared state cannot be written.
    pub async fn create<T: Serialize + Sync>(
        &self,
        kind: CursorKind,
        principal: &Principal,
        record: &T,
        position: &[u64],
    ) -> Result<String, StateError> {
        let id = String::from_iter(base62::<ID_CHARS>(rand::random()));
        let stored = serde_json::to_vec(&Stored { owner: principal.owner(), record })
            .map_err(|error| StateError { reason: format!("a cursor's record cannot be written: {error}") })?;
        self.state.put(&key(kind, &id), Bytes::from(stored), self.ttl).await?;
        Ok(handle(kind, &id, position))
    }

    /// Opens a handle and makes its record live for the full time again: one round trip. A handle never moves: opening
    /// it twice gives the same position twice.
    ///
    /// # Errors
    /// [`CursorError`].
    pub async fn open<T: DeserializeOwned>(
        &self,
        kind: CursorKind,
        principal: &Principal,
        text: &str,
    ) -> Result<Cursor<T>, CursorError> {
        let (id, position) = parse(kind, text).ok_or(CursorError::Invalid)?;
        let stored = self.state.get_and_refresh(&key(kind, id), self.ttl).await?.ok_or(CursorError::Invalid)?;
        let stored: Stored<T> = serde_json::from_slice(&stored).map_err(|_| CursorError::Invalid)?;
        if stored.owner != principal.owner() {
            return Err(CursorError::Invalid);
        }
        Ok(Cursor { record: stored.record, position, handles: Handles { kind, id: id.to_owned() } })
    }
}

impl Handles {
    /// The handle of a position: no round trip.
    #[must_use]
    pub fn at(&self, position: &[u64]) -> String {
        handle(self.kind, &self.id, position)
    }
}

fn key(kind: CursorKind, id: &str) -> String {
    const NAMESPACE: &str = "pressmark:cursor:";
    let mut key = String::with_capacity(NAMESPACE.len() + 1 + ID_CHARS);
    key.push_str(NAMESPACE);
    key.push(kind.letter());
    key.push_str(id);
    key
}

fn handle(kind: CursorKind, id: &str, position: &[u64]) -> String {
    let mut text = String::with_capacity(MAX_HANDLE_BYTES / 2);
    text.push(kind.letter());
    text.push_str(id);
    for number in position {
        let _ = write!(text, "-{number}");
    }
    let check = check_characters(&text);
    text.push('-');
    text.extend(check);
    text
}

fn parse(kind: CursorKind, text: &str) -> Option<(&str, Vec<u64>)> {
    if text.len() > MAX_HANDLE_BYTES || !text.is_ascii() {
        return None;
    }
    let (body, check) = text.rsplit_once('-')?;
    if !check.chars().eq(check_characters(body)) {
        return None;
    }
    let mut parts = body.strip_prefix(kind.letter())?.split('-');
    let id = parts.next().filter(|id| id.len() == ID_CHARS)?;
    let position = parts.map(parse_number).collect::<Option<_>>()?;
    Some((id, position))
}

/// A number as [`handle`] writes it: `007` and `+7` are none.
fn parse_number(text: &str) -> Option<u64> {
    let is_plain = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    if is_plain { text.parse().ok() } else { None }
}

fn check_characters(body: &str) -> [char; CHECK_CHARS] {
    let mut number = [0; 8];
    number.copy_from_slice(&blake3::hash(body.as_bytes()).as_bytes()[..8]);
    base62(u64::from_le_bytes(number).into())
}

/// The lowest digits of `number` in base62.
fn base62<const DIGITS: usize>(mut number: u128) -> [char; DIGITS] {
    [(); DIGITS].map(|()| {
        let digit = BASE62[(number % 62) as usize];
        number /= 62;
        char::from(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_reads_back_and_a_changed_one_does_not() {
        let id = String::from_iter(base62::<ID_CHARS>(u128::MAX));
        let text = handle(CursorKind::Read, &id, &[65_536, 1_201]);
        assert_eq!(parse(CursorKind::Read, &text), Some((id.as_str(), vec![65_536, 1_201])));
        assert_eq!(parse(CursorKind::Find, &text), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(parse(CursorKind::Read, &changed), None, "{changed}");
        }
    }
}
