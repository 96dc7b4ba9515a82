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
use super::{KeyInfo, Principal, ScopeSet, TokenProblem, Validity};

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
        let at = |offset: usize| line_at(text, offset);
        let file = KeyFile::read(text)?;
        let mut keys = HashMap::new();
        let mut names = HashSet::new();
        for entry in file.key {
            let (name_at, digest_at) = (at(entry.name.span().start), at(entry.sha256.span().start));
            let name = entry.name.get_ref().clone();
            entry.warn_of_foreign_scopes(&at);
            let (digest, key) = entry.check().map_err(|(offset, problem)| format!("{}: {problem}", at(offset)))?;
            if names.contains(&name) {
                return Err(format!("{name_at}: another key has the name `{name}`"));
            }
            names.insert(name);
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

/// What a key file says of its keys.
///
/// # Errors
/// As [`ApiKeys::parse`].
pub(super) fn describe(content: &[u8]) -> Result<Vec<KeyInfo>, String> {
    ApiKeys::parse(content)?;
    let file = KeyFile::read(std::str::from_utf8(content).unwrap_or_default())?;
    Ok(file.key.into_iter().map(Entry::into_info).collect())
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

impl KeyFile {
    fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            format!("{line}: {}", without_values(error.message()))
        })
    }
}

fn line_at(text: &str, offset: usize) -> String {
    format!("line {}", text[..offset.min(text.len())].matches('\n').count() + 1)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    subject: Option<Spanned<String>>,
    sha256: Spanned<String>,
    scopes: Spanned<ScopeWords>,
    created: Option<Spanned<toml::Value>>,
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
        for (field, text) in [("name", Some(&self.name)), ("subject", self.subject.as_ref())] {
            let unfit = |text: &str| text.is_empty() || text.len() > 128 || text.chars().any(char::is_control);
            if let Some(text) = text.filter(|text| unfit(text.get_ref())) {
                return Err((text.span().start, format!("`{field}` must be 1 to 128 printable characters")));
            }
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
        let time = |field: &str, said: Option<Spanned<toml::Value>>| {
            let what = || format!("`{field}` must be a time with its offset (RFC 3339), such as 2030-01-31T12:00:00Z");
            said.map(|said| instant(said.get_ref()).ok_or_else(|| (said.span().start, what()))).transpose()
        };
        time("created", self.created)?;
        let expires = time("expires", self.expires)?;
        let scopes = ScopeSet::parse(self.scopes.get_ref().iter());
        let in_force = InForce::new();
        let validity = Validity::new(expires, &in_force);
        let subject = self.subject.unwrap_or(self.name).into_inner();
        let principal = Principal { validity, ..Principal::new(API_KEY_ISSUER, subject, scopes) };
        Ok((digest, ApiKey { principal: Arc::new(principal), _in_force: in_force }))
    }

    fn into_info(self) -> KeyInfo {
        let time = |said: Option<Spanned<toml::Value>>| said.and_then(|said| instant(said.get_ref()));
        let name = self.name.into_inner();
        KeyInfo {
            subject: self.subject.map_or_else(|| name.clone(), Spanned::into_inner),
            name,
            scopes: self.scopes.get_ref().iter().map(str::to_owned).collect(),
            created: time(self.created),
            expires: time(self.expires),
        }
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
