//! Tokens that were checked a moment ago.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use quick_cache::sync::Cache;

use super::Principal;
use super::jwt::{KeySet, Verified};
use super::token_digest::TokenDigest;

/// How long a checked token is not checked again: how late a revoked key can be noticed.
const LIFETIME: Duration = Duration::from_secs(60);
const MAX_TOKENS: usize = 10_000;

/// Remembers checked tokens by their hash: for a minute at most, never past the token's expiry, and only while the key
/// that it was checked with is in the key set.
pub(super) struct VerifiedCache {
    /// With the time of the check.
    tokens: Cache<TokenDigest, (Arc<Verified>, Instant)>,
}

impl VerifiedCache {
    pub(super) fn new() -> Self {
        Self { tokens: Cache::new(MAX_TOKENS) }
    }

    pub(super) fn get(&self, token: &TokenDigest, keys: &KeySet) -> Option<Arc<Principal>> {
        let (verified, checked) = self.tokens.get(token)?;
        (checked.elapsed() < LIFETIME && is_good(&verified, keys)).then(|| Arc::clone(&verified.principal))
    }

    /// Was the token good when it was checked, however long ago, and has nothing become known that speaks against it?
    pub(super) fn knows(&self, token: &TokenDigest, keys: &KeySet) -> bool {
        self.tokens.peek(token).is_some_and(|(verified, _)| is_good(&verified, keys))
    }

    pub(super) fn insert(&self, token: TokenDigest, verified: Verified) {
        // Within the leeway after its expiry, a token is still taken, but checked each time.
        if SystemTime::now() < verified.expires {
            self.tokens.insert(token, (Arc::new(verified), Instant::now()));
        }
    }
}

fn is_good(verified: &Verified, keys: &KeySet) -> bool {
    // The wall clock is asked at every use: it may have been set, or the machine may have slept.
    // A key that was withdrawn and has come back vouches for tokens that are checked again.
    SystemTime::now() < verified.expires && keys.contains(verified.key) && verified.principal.validity.holds()
}
