//! The caller of a request, once its credentials have been checked.

use super::{ScopeSet, Validity};

/// An authenticated caller. `issuer` and `subject` together identify it on every replica: cursors and sessions are
/// bound to that pair, so that one caller's handle is useless to another.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Who vouches for the subject: a token's `iss`, or the name of a local method (`api-key`, `dev-token`, `no-auth`).
    pub issuer: String,
    /// The token's `sub`, or the name of the API key.
    pub subject: String,
    /// The client that acts for the subject, as the token names it (`client_id`, RFC 9068; `azp`); for logs only.
    pub client_id: Option<String>,
    /// What the caller may do.
    pub scopes: ScopeSet,
    /// How long all this holds good.
    pub validity: Validity,
}

impl Principal {
    /// A caller whose credentials neither expire nor are withdrawn.
    #[must_use]
    pub fn new(issuer: impl Into<String>, subject: impl Into<String>, scopes: ScopeSet) -> Self {
        Self { issuer: issuer.into(), subject: subject.into(), client_id: None, scopes, validity: Validity::default() }
    }

    /// The stable identity that shared state is bound to: 128 bits over issuer and subject, as hexadecimal digits.
    /// Scopes are not part of it: they may change between two tokens of the same caller.
    #[must_use]
    pub fn owner(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.issuer.len() as u64).to_le_bytes());
        hasher.update(self.issuer.as_bytes());
        hasher.update(self.subject.as_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }
}
