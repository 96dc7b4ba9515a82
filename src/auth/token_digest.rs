//! The hash that stands for a token wherever one is kept or compared.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The hash of a token, 256 bits. Comparing two takes the same time whether they agree or not, also as the key of a map.
#[derive(Clone, Copy, Eq)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// For tokens that are remembered here, and nowhere else: BLAKE3, which is fast on every processor.
    pub(super) fn of(token: &str) -> Self {
        Self(blake3::hash(token.as_bytes()).into())
    }

    /// For keys that lie in a file as their SHA-256, which every system has a command for.
    pub(super) fn sha256_of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads the 64 hexadecimal digits of a [`Self::sha256_of`].
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != 32 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Some(Self(bytes))
    }

    /// Writes what [`Self::from_hex`] reads.
    pub(super) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The hash of a weak token would be as good as the token: it is not printed.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}
