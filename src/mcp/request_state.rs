//! `requestState`: what a call has learned in earlier rounds, sealed and handed to the client, so that any replica can go
//! on (2026-07-28, basic/patterns/mrtr, "Server Requirements").
//!
//! The client can neither read nor change it. It is good for the same principal and the same request, for a while, on
//! every replica that holds the key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::auth::Principal;
use crate::call::Answers;

/// How long a user has to answer.
const TTL: Duration = Duration::from_secs(15 * 60);
/// Answers that are sealed, in bytes of JSON: the client has to send them back each time.
const MAX_SEALED_BYTES: usize = 256 * 1024;
/// A state longer than this is none of ours: base64 takes four characters for three bytes.
const MAX_BYTES: usize = MAX_SEALED_BYTES / 3 * 4 + 256;
/// Of a key's hash, so that the right one of two is found without trying.
const KEY_ID_LEN: usize = 4;
const HEADER_LEN: usize = KEY_ID_LEN + NONCE_LEN;

/// A key of 256 bits.
pub type SealingKey = [u8; 32];

/// One key seals; a second one is for the time of a rotation.
const MAX_KEYS: usize = 2;

/// Why a file of keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealingKeysError {
    /// There is none.
    #[error("there is no key in it; `openssl rand -base64 32` makes one")]
    None,
    /// There are too many.
    #[error("at most two keys: the one that seals, and another that still or already opens")]
    TooMany,
    /// A line is no key.
    #[error("line {line} is not a key of 32 bytes in base64 or hexadecimal; `openssl rand -base64 32` makes one")]
    NoKey {
        /// Which line, from 1.
        line: usize,
    },
}

/// Reads keys, one a line: 32 bytes in base64 (RFC 4648, sections 4 and 5) or hexadecimal.
///
/// # Errors
/// [`SealingKeysError`], which quotes nothing.
pub fn read_sealing_keys(text: &str) -> Result<Vec<SealingKey>, SealingKeysError> {
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let keys = lines.map(|(at, line)| read_key(line).ok_or(SealingKeysError::NoKey { line: at + 1 }));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    match keys.len() {
        0 => Err(SealingKeysError::None),
        1..=MAX_KEYS => Ok(keys),
        _ => Err(SealingKeysError::TooMany),
    }
}

fn read_key(line: &str) -> Option<SealingKey> {
    let from_hex = || {
        let digits = (line.len() == 64 && line.is_ascii()).then_some(line)?;
        (0..64).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect::<Option<Vec<u8>>>()
    };
    let from_base64 = || STANDARD.decode(line).or_else(|_| URL_SAFE_NO_PAD.decode(line)).ok();
    from_hex().or_else(from_base64)?.try_into().ok()
}

/// Seals and opens states. The first key seals, all of them open: a new key is first added at the end on all replicas,
/// then moved to the front, then the old one is removed.
pub struct RequestStates {
    keys: Vec<Key>,
}

struct Key {
    id: [u8; KEY_ID_LEN],
    key: LessSafeKey,
}

/// The request that a state belongs to: its method, the name or URI, and the arguments whatever their spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A state that was not made by a holder of the keys, for this principal and request, within the time allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`requestState` is not one of this server's for this request, or has expired; repeat the call without it")]
pub struct InvalidState;

/// Answers of more bytes than are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answers to this call's questions have more than {MAX_SEALED_BYTES} bytes; repeat the call and answer with less")]
pub struct TooManyAnswers;

#[derive(Serialize, Deserialize)]
struct Sealed {
    /// Seconds since 1970.
    expires: u64,
    answers: Answers,
}

impl RequestStates {
    /// States under these keys, the first of which seals. Without keys one is made up: no other replica has it.
    #[must_use]
    pub fn new(keys: &[SealingKey]) -> Self {
        let made_up = [rand::random()];
        let keys = if keys.is_empty() { &made_up } else { keys };
        Self { keys: keys.iter().map(Key::new).collect() }
    }

    /// Seals what has been answered so far.
    ///
    /// # Errors
    /// [`TooManyAnswers`].
    pub fn seal(&self, principal: &Principal, request: Fingerprint, answers: Answers) -> Result<String, TooManyAnswers> {
        self.seal_at(SystemTime::now(), principal, request, answers)
    }

    fn seal_at(
        &self,
        now: SystemTime,
        principal: &Principal,
        request: Fingerprint,
        answers: Answers,
    ) -> Result<String, TooManyAnswers> {
        let key = &self.keys[0];
        let sealed = Sealed { expires: seconds(now + TTL), answers };
        #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
        let mut text = serde_json::to_vec(&sealed).expect("answers are plain data");
        if text.len() > MAX_SEALED_BYTES {
            return Err(TooManyAnswers);
        }
        let nonce: [u8; NONCE_LEN] = rand::random();
        #[expect(clippy::expect_used, reason = "sealing fails for texts of many gibibytes only")]
        key.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound_to(principal, request), &mut text)
            .expect("answers are short");
        let mut state = Vec::with_capacity(HEADER_LEN + text.len());
        state.extend_from_slice(&key.id);
        state.extend_from_slice(&nonce);
        state.extend_from_slice(&text);
        Ok(URL_SAFE_NO_PAD.encode(state))
    }

    /// What had been answered when the state was sealed.
    ///
    /// # Errors
    /// [`InvalidState`], whatever is wrong with it.
    pub fn open(&self, principal: &Principal, request: Fingerprint, state: &str) -> Result<Answers, InvalidState> {
        self.open_at(SystemTime::now(), principal, request, state)
    }

    fn open_at(
        &self,
        now: SystemTime,
        principal: &Principal,
        request: Fingerprint,
        state: &str,
    ) -> Result<Answers, InvalidState> {
        if state.len() > MAX_BYTES {
            return Err(InvalidState);
        }
        let mut state = URL_SAFE_NO_PAD.decode(state).map_err(|_| InvalidState)?;
        let (header, text) = state.split_at_mut_checked(HEADER_LEN).ok_or(InvalidState)?;
        let (id, nonce) = header.split_at(KEY_ID_LEN);
        let key = self.keys.iter().find(|key| key.id == id).ok_or(InvalidState)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| InvalidState)?;
        let text = key.key.open_in_place(nonce, bound_to(principal, request), text).map_err(|_| InvalidState)?;
        let sealed: Sealed = serde_json::from_slice(text).map_err(|_| InvalidState)?;
        if sealed.expires < seconds(now) { Err(InvalidState) } else { Ok(sealed.answers) }
    }
}

impl std::fmt::Debug for RequestStates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestStates").field("keys", &self.keys.len()).finish()
    }
}

impl Key {
    fn new(bytes: &SealingKey) -> Self {
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&blake3::derive_key("pressmark 2026 request state key id", bytes)[..KEY_ID_LEN]);
        // AES-GCM-SIV: a nonce that comes up twice by chance, on whichever replica, gives nothing away.
        #[expect(clippy::expect_used, reason = "the key has the length that the cipher needs")]
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, bytes).expect("a key of 256 bits"));
        Self { id, key }
    }
}

impl Fingerprint {
    /// Of a request. Two spellings of the same arguments are the same.
    #[must_use]
    pub fn of(method: &str, name: &str, arguments: Option<&[u8]>) -> Self {
        let arguments = arguments.unwrap_or(b"{}");
        // What this reader cannot read, another may: it stands for itself, and no two of the kind for one another.
        let read = serde_json::from_slice::<serde_json::Value>(arguments);
        let arguments = read.map_or_else(|_| arguments.to_vec(), |arguments| arguments.to_string().into_bytes());
        let mut hasher = blake3::Hasher::new();
        for part in [method.as_bytes(), name.as_bytes(), &arguments] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

fn bound_to(principal: &Principal, request: Fingerprint) -> Aad<Vec<u8>> {
    let mut bound = principal.owner().into_bytes();
    bound.extend_from_slice(&request.0);
    Aad::from(bound)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ScopeSet;

    fn principal(subject: &str) -> Principal {
        Principal::new("i", subject, ScopeSet::default())
    }

    fn answers() -> Answers {
        Answers::from([("name".to_owned(), serde_json::json!({ "action": "accept", "content": { "name": "Ada" } }))])
    }

    #[test]
    fn a_state_is_good_for_its_principal_its_request_and_its_time_alone() {
        let states = RequestStates::new(&[[7; 32]]);
        let (ada, request) = (principal("ada"), Fingerprint::of("tools/call", "t", Some(br#"{"a":1,"b":2}"#)));
        let state = states.seal(&ada, request, answers()).expect("few answers");
        assert_eq!(states.open(&ada, request, &state), Ok(answers()));
        assert_eq!(states.open(&ada, Fingerprint::of("tools/call", "t", Some(br#"{ "b":2, "a":1 }"#)), &state), Ok(answers()));
        assert_eq!(states.open(&principal("bob"), request, &state), Err(InvalidState));
        for other in
            [("prompts/get", "t", r#"{"a":1,"b":2}"#), ("tools/call", "u", r#"{"a":1,"b":2}"#), ("tools/call", "t", "{}")]
        {
            let other = Fingerprint::of(other.0, other.1, Some(other.2.as_bytes()));
            assert_eq!(states.open(&ada, other, &state), Err(InvalidState));
        }
        let old =
            states.seal_at(SystemTime::now() - TTL - Duration::from_secs(2), &ada, request, answers()).expect("few answers");
        assert_eq!(states.open(&ada, request, &old), Err(InvalidState));
        for at in 0..state.len() {
            let mut changed = state.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(states.open(&ada, request, &changed), Err(InvalidState), "{at}");
            assert_eq!(states.open(&ada, request, &state[..at]), Err(InvalidState), "{at}");
        }
    }

    #[test]
    fn what_is_sealed_opens_again_whatever_its_size() {
        let states = RequestStates::new(&[[7; 32]]);
        let (ada, request) = (principal("ada"), Fingerprint::of("tools/call", "t", None));
        let of = |bytes: usize| Answers::from([("a".to_owned(), "a".repeat(bytes).into())]);
        let longest = (0..MAX_SEALED_BYTES).rev().find_map(|bytes| Some((bytes, states.seal(&ada, request, of(bytes)).ok()?)));
        let (bytes, state) = longest.expect("few answers");
        assert!(bytes > MAX_SEALED_BYTES - 100);
        assert_eq!(states.open(&ada, request, &state), Ok(of(bytes)));
    }

    #[test]
    fn arguments_that_cannot_be_read_are_told_apart() {
        let of = |arguments: &str| Fingerprint::of("tools/call", "t", Some(arguments.as_bytes()));
        let texts = [r#"{"path":"/a","x":"\ud800"}"#, r#"{"path":"/b","x":"\ud800"}"#, r#"{"x":1e999}"#, "{}"];
        for (at, one) in texts.iter().enumerate() {
            assert!(texts[at + 1..].iter().all(|other| of(one) != of(other)), "{one}");
        }
        assert_eq!(of("{}"), Fingerprint::of("tools/call", "t", None));
    }

    #[test]
    fn keys_are_read_from_lines() {
        let hex = "07".repeat(32);
        let base64 = STANDARD.encode([7; 32]);
        assert_eq!(read_sealing_keys(&format!("{hex}\n\n  {base64}\n")), Ok(vec![[7; 32], [7; 32]]));
        assert_eq!(read_sealing_keys("\n"), Err(SealingKeysError::None));
        assert_eq!(read_sealing_keys(&format!("{hex}\n{hex}\n{hex}")), Err(SealingKeysError::TooMany));
        for wrong in [&hex[2..], "secret", "+7", &STANDARD.encode([7; 31])] {
            assert_eq!(read_sealing_keys(&format!("{hex}\n{wrong}")), Err(SealingKeysError::NoKey { line: 2 }), "{wrong}");
        }
    }

    #[test]
    fn keys_rotate_two_at_a_time() {
        let (old, new) = ([1; 32], [2; 32]);
        let (ada, request) = (principal("ada"), Fingerprint::of("tools/call", "t", None));
        let by_old = RequestStates::new(&[old, new]).seal(&ada, request, answers()).expect("few answers");
        let by_new = RequestStates::new(&[new, old]).seal(&ada, request, answers()).expect("few answers");
        for keys in [[old, new], [new, old]] {
            assert_eq!(RequestStates::new(&keys).open(&ada, request, &by_old), Ok(answers()));
            assert_eq!(RequestStates::new(&keys).open(&ada, request, &by_new), Ok(answers()));
        }
        assert_eq!(RequestStates::new(&[new]).open(&ada, request, &by_old), Err(InvalidState));
        assert_eq!(RequestStates::new(&[]).open(&ada, request, &by_new), Err(InvalidState));
    }
}
