//! API keys: long-lived secrets for programs, kept in a file as hashes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use toml::Spanned;
use toml::value::{Datetime, Offset};

use super::authenticator::API_KEY_ISSUER;
use super::claims::ScopeWords;
use super::remarks::FILE_SCOPES;
use super::token_digest::TokenDigest;
use super::validity::InForce;
use super::{Principal, ScopeSet, TokenProblem, Validity};

/// What every API key starts with, so that one is known for what it is in a log or a repository.
pub(super) const PREFIX: &str = "pm_";

/// The keys of one file, by hash.
pub(super) struct ApiKeys {
    keys: HashMap<TokenDigest, ApiKey>,
}

#[derive(Clone)]
struct ApiKey {
    principal: Arc<Principal>,
    _in_force: InForce,
}

impl ApiKeys {
    /// The bearer of the key with this hash. Finding it takes the same time however much of the hash is right.
    pub(super) fn find(&self, key: &TokenDigest) -> Result<Arc<Principal>, TokenProblem> {
        let key = self.keys.get(key).ok_or(TokenProblem::Unknown)?;
        if !key.principal.validity.holds() {
            return Err(TokenProblem::Expired);
        }
        Ok(Arc::clone(&key.principal))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// The first line that is wrong and why, without quoting anything that could be a secret.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let at = |offset: usize| format!("line {}", text[..offset.min(text.len())].matches('\n').count() + 1);
        let file: KeyFile = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or_else(|| "line 1".to_owned(), |span| at(span.start));
            format!("{line}: {}", without_values(error.message()))
        })?;
        let mut keys = HashMap::new();
        let mut names = HashSet::new();
        for entry in file.key {
            let (name_at, digest_at) = (at(entry.name.span().start), at(entry.sha256.span().start));
            entry.warn_of_foreign_scopes(&at);
            let (digest, key) = entry.check().map_err(|(offset, problem)| format!("{}: {problem}", at(offset)))?;
            if !names.insert(key.principal.subject.clone()) {
                return Err(format!("{name_at}: another key has the name `{}`", key.principal.subject));
            }
            if keys.insert(digest, key).is_some() {
                return Err(format!("{digest_at}: another key has the same `sha256`"));
            }
        }
        Ok(Self { keys })
    }

    /// These keys in place of those of before: the ones that say the same stay in force, the others are withdrawn.
    pub(super) fn succeed(mut self, before: &Self) -> Self {
        for (digest, key) in &mut self.keys {
            if let Some(known) = before.keys.get(digest).filter(|known| known.says_the_same(key)) {
                *key = known.clone();
            }
        }
        self
    }
}

impl ApiKey {
    fn says_the_same(&self, other: &Self) -> bool {
        let said = |key: &Self| (key.principal.subject.clone(), key.principal.scopes.clone(), key.principal.validity.expires());
        said(self) == said(other)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    sha256: Spanned<String>,
    scopes: Spanned<ScopeWords>,
    expires: Option<Spanned<toml::Value>>,
}

/// Where in the text, and what is wrong there.
type Problem = (usize, String);

impl Entry {
    /// A scope that no tool on files asks for is mostly a slip of the pen. It is not quoted: it could be a key.
    fn warn_of_foreign_scopes(&self, at: &dyn Fn(usize) -> String) {
        if self.scopes.get_ref().iter().any(|scope| !ScopeSet::parse([scope]).touches_files()) {
            let (place, name) = (at(self.scopes.span().start), self.name.get_ref());
            tracing::warn!("the API-key file, {place}: a scope of the key {name:?} is none on files; those are {FILE_SCOPES}");
        }
    }

    fn check(self) -> Result<(TokenDigest, ApiKey), Problem> {
        let name = self.name.get_ref();
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return Err((self.name.span().start, "`name` must be 1 to 128 printable characters".to_owned()));
        }
        let digest = TokenDigest::from_hex(self.sha256.get_ref()).ok_or_else(|| {
            let what = "`sha256` must be 64 hexadecimal digits and nothing else: the SHA-256 of the key";
            (self.sha256.span().start, what.to_owned())
        })?;
        // Nothing to grant is an error here, where somebody can still mend it.
        let understood = |scope: &str| ScopeSet::parse([scope]) != ScopeSet::default();
        if let Some(scope) = self.scopes.get_ref().iter().find(|scope| !understood(scope)) {
            let what = format!("`{scope}` is no scope; right ones are `files:read` and `files:write:/team-a/**`");
            return Err((self.scopes.span().start, what));
        }
        let expires = self.expires.map(|expires| {
            let what = "`expires` must be a time with its offset (RFC 3339), such as 2030-01-31T12:00:00Z";
            instant(expires.get_ref()).ok_or((expires.span().start, what.to_owned()))
        });
        let scopes = ScopeSet::parse(self.scopes.get_ref().iter());
        let in_force = InForce::new();
        let validity = Validity::new(expires.transpose()?, &in_force);
        let principal = Principal { validity, ..Principal::new(API_KEY_ISSUER, self.name.into_inner(), scopes) };
        Ok((digest, ApiKey { principal: Arc::new(principal), _in_force: in_force }))
    }
}

/// A point in time, written as TOML's own type or as text.
fn instant(value: &toml::Value) -> Option<SystemTime> {
    let written: Datetime = match value {
        toml::Value::Datetime(written) => *written,
        toml::Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let minutes_east = match written.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => minutes,
    };
    let local = Datetime { offset: Some(Offset::Z), ..written };
    let local = humantime::parse_rfc3339(&local.to_string()).ok()?;
    let shift = Duration::from_secs(u64::from(minutes_east.unsigned_abs()) * 60);
    if minutes_east < 0 { local.checked_add(shift) } else { local.checked_sub(shift) }
}

/// A parser's message with every quoted value left out: it could be a key in the wrong place.
fn without_values(message: &str) -> String {
    let mut kept = String::new();
    for (index, part) in message.split('"').enumerate() {
        kept.push_str(if index % 2 == 0 { part } else { "…" });
    }
    kept.replace('\n', " ")
}
