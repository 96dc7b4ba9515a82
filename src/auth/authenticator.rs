//! The one door: from an `Authorization` header to a [`Principal`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::api_key::{self, ApiKeys};
use super::config::{AuthConfig, JwtConfig, KeySource, RefreshPolicy};
use super::jwks::{Jwks, RemoteKeys};
use super::jwt::{JwtVerifier, KeySet, UnverifiedToken};
use super::key_fetcher::{KeyFetcher, KeyLocation, issuer_url, key_url};
use super::remarks::Remarks;
use super::token_digest::TokenDigest;
use super::verified_cache::VerifiedCache;
use super::{AuthError, AuthSetupError, Principal, ScopeSet, TokenProblem};
use crate::watched_files::{FileFormat, WatchedFiles};

/// Longer tokens are refused unread.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The issuer of a principal who presented an API key.
pub(super) const API_KEY_ISSUER: &str = "api-key";
const DEV_TOKEN_ISSUER: &str = "dev-token";
const NO_AUTH_ISSUER: &str = "no-auth";
/// No authorization server can be called by one of these.
pub(super) const LOCAL_ISSUERS: [&str; 3] = [API_KEY_ISSUER, DEV_TOKEN_ISSUER, NO_AUTH_ISSUER];

/// Tells who a caller is from the `Authorization` header.
///
/// A file of API keys is TOML, one table for each key; keys start with `pm_` and are kept as their SHA-256
/// (`printf %s "$KEY" | sha256sum`). The file is read again when it changes.
///
/// ```toml
/// [[key]]
/// name = "nightly-report"            # who the caller is, in logs and cursors
/// subject = "reports"                 # optional: who the caller is, when it has several keys
/// sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
/// scopes = ["files:read:/reports/**"] # or one text with spaces
/// created = 2029-10-31T12:00:00Z      # optional, for people
/// expires = 2030-01-31T12:00:00Z      # optional
/// ```
pub struct Authenticator {
    no_auth: Option<Arc<Principal>>,
    dev_token: Option<(TokenDigest, Arc<Principal>)>,
    api_keys: Option<WatchedFiles<ApiKeys>>,
    jwt: Option<JwtMethod>,
}

struct JwtMethod {
    issuer: Option<String>,
    verifier: JwtVerifier,
    keys: Jwks,
    verified: VerifiedCache,
    checked: AtomicU64,
    recognised: AtomicU64,
    remarks: Remarks,
}

/// What a token is, as far as can be told without checking a signature.
enum Found<'a> {
    /// This caller's.
    Principal(Arc<Principal>),
    /// One that was signed, perhaps.
    Signed { jwt: &'a JwtMethod, token: &'a str, digest: TokenDigest },
}

impl Authenticator {
    /// Reads the files and fetches the keys that the configuration names, and keeps them current in the background.
    /// Must be called in a Tokio runtime.
    ///
    /// An issuer that cannot be reached now is no error: replicas may start before it. Until its keys are loaded, signed
    /// tokens are answered with [`AuthError::Unavailable`].
    ///
    /// # Errors
    /// [`AuthSetupError`] when the configuration can never work, or a file cannot be read or understood.
    pub async fn start(config: AuthConfig) -> Result<Self, AuthSetupError> {
        let AuthConfig { jwt, api_keys, dev_token, no_auth, refresh } = config;
        let is_open = jwt.is_some() || api_keys.is_some() || dev_token.is_some();
        match (no_auth, is_open) {
            (false, false) => return Err(AuthSetupError::new("authentication", "no way to authenticate callers is configured")),
            (true, true) => {
                let problem = "\"no authentication\" excludes every other way; remove it or the others";
                return Err(AuthSetupError::new("authentication", problem));
            }
            _ => {}
        }
        Ok(Self {
            no_auth: no_auth.then(|| local(NO_AUTH_ISSUER, "anonymous")),
            dev_token: dev_token.map(|token| start_dev_token(&token)).transpose()?,
            api_keys: match api_keys {
                Some(path) => Some(start_api_keys(path, refresh).await?),
                None => None,
            },
            jwt: match jwt {
                Some(jwt) => Some(JwtMethod::start(jwt, refresh).await?),
                None => None,
            },
        })
    }

    /// Tells who sends this value of an `Authorization` header, where that is in memory: `None` for a signed token that has
    /// to be checked, see [`Self::authenticate`].
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn recognise(&self, authorization: Option<&str>) -> Option<Result<Arc<Principal>, AuthError>> {
        match self.find(authorization) {
            Ok(Found::Principal(principal)) => Some(Ok(principal)),
            Ok(Found::Signed { jwt, digest, .. }) => jwt.recognise(&digest).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    /// Tells who sends this value of an `Authorization` header, or why that is not known. It waits only for the keys of a
    /// token whose key is not known, a bounded time.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn authenticate(&self, authorization: Option<&str>) -> Result<Arc<Principal>, AuthError> {
        match self.find(authorization)? {
            Found::Principal(principal) => Ok(principal),
            Found::Signed { jwt, token, digest } => jwt.authenticate(token, digest).await,
        }
    }

    fn find<'a>(&'a self, authorization: Option<&'a str>) -> Result<Found<'a>, AuthError> {
        if let Some(anonymous) = &self.no_auth {
            return Ok(Found::Principal(Arc::clone(anonymous)));
        }
        let token = bearer_token(authorization)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::InvalidToken(TokenProblem::TooLong));
        }
        if let Some((expected, principal)) = &self.dev_token
            && TokenDigest::of(token) == *expected
        {
            return Ok(Found::Principal(Arc::clone(principal)));
        }
        let wrong = |problem| if is_token(token) { AuthError::InvalidToken(problem) } else { AuthError::Malformed };
        match (&self.api_keys, &self.jwt) {
            (Some(keys), _) if token.starts_with(api_key::PREFIX) => {
                keys.current().find(&TokenDigest::sha256_of(token)).map(Found::Principal).map_err(wrong)
            }
            (_, Some(jwt)) => Ok(Found::Signed { jwt, token, digest: TokenDigest::of(token) }),
            _ => Err(wrong(TokenProblem::Unknown)),
        }
    }

    /// The authorization server that clients can get tokens from, if there is one.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.jwt.as_ref()?.issuer.as_deref()
    }

    /// Is there a development token?
    #[must_use]
    pub fn has_dev_token(&self) -> bool {
        self.dev_token.is_some()
    }

    /// Can every kind of token that is configured be checked now? For readiness: `false` until a key set was loaded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.jwt.as_ref().is_none_or(|jwt| jwt.keys.current().is_some())
    }

    /// How many signed tokens were checked in full, rather than found among those checked a moment ago. For metrics.
    #[must_use]
    pub fn tokens_checked(&self) -> u64 {
        self.jwt.as_ref().map_or(0, |jwt| jwt.checked.load(Ordering::Relaxed))
    }

    /// How many signed tokens were found among those checked a moment ago. For metrics.
    #[must_use]
    pub fn tokens_recognised(&self) -> u64 {
        self.jwt.as_ref().map_or(0, |jwt| jwt.recognised.load(Ordering::Relaxed))
    }
}

/// Which ways are open, and nothing of any secret.
impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("issuer", &self.issuer())
            .field("jwt", &self.jwt.is_some())
            .field("api_keys", &self.api_keys.is_some())
            .field("dev_token", &self.dev_token.is_some())
            .field("no_auth", &self.no_auth.is_some())
            .finish()
    }
}

/// The token of a header `Bearer <token>` (RFC 6750, section 2.1), its characters unchecked: one that is known has good ones.
/// Another scheme is no attempt to present one.
fn bearer_token(authorization: Option<&str>) -> Result<&str, AuthError> {
    let header = authorization.ok_or(AuthError::Missing)?.trim_matches(' ');
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::Missing);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() { Err(AuthError::Malformed) } else { Ok(token) }
}

/// Wider than RFC 6750's `b64token`, because a development token is what somebody typed.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn local(issuer: &str, subject: &str) -> Arc<Principal> {
    Arc::new(Principal::new(issuer, subject, ScopeSet::full()))
}

fn start_dev_token(token: &str) -> Result<(TokenDigest, Arc<Principal>), AuthSetupError> {
    if !is_token(token) || token.len() > MAX_TOKEN_BYTES {
        let problem = "it must be printable ASCII characters without spaces and commas";
        return Err(AuthSetupError::new("development token", problem));
    }
    Ok((TokenDigest::of(token), local(DEV_TOKEN_ISSUER, "developer")))
}

async fn start_api_keys(path: std::path::PathBuf, refresh: RefreshPolicy) -> Result<WatchedFiles<ApiKeys>, AuthSetupError> {
    let shown = path.display().to_string();
    let format = FileFormat {
        name: "API-key file",
        private: [Some("API-key file")],
        parse: |[file]| ApiKeys::parse(file),
        succeed: ApiKeys::succeed,
    };
    WatchedFiles::open([path], format, refresh.files)
        .await
        .map_err(|problem| AuthSetupError::new("API-key file", format!("{shown}: {problem}")))
}

impl JwtMethod {
    async fn start(config: JwtConfig, refresh: RefreshPolicy) -> Result<Self, AuthSetupError> {
        let JwtConfig { issuer, keys, audiences } = config;
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            let problem = "name at least one; a token that was issued for another server must not be taken";
            return Err(AuthSetupError::new("JWT audience", problem));
        }
        if let Some(issuer) = &issuer {
            issuer_url(issuer).map_err(|problem| AuthSetupError::new("JWT issuer", problem))?;
        }
        let verifier = JwtVerifier::new(issuer.as_deref(), &audiences);
        let keys = start_keys(keys, issuer.as_deref(), refresh).await?;
        let (verified, remarks) = (VerifiedCache::new(), Remarks::new(&audiences));
        let (checked, recognised) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { issuer, verifier, keys, verified, checked, recognised, remarks })
    }

    /// Who sends a token that was checked a moment ago.
    fn recognise(&self, digest: &TokenDigest) -> Option<Arc<Principal>> {
        let principal = self.verified.get(digest, &*self.keys.current()?)?;
        self.recognised.fetch_add(1, Ordering::Relaxed);
        Some(principal)
    }

    async fn authenticate(&self, token: &str, digest: TokenDigest) -> Result<Arc<Principal>, AuthError> {
        if !is_token(token) {
            return Err(AuthError::Malformed);
        }
        let keys = self.keys.current();
        if let Some(principal) = keys.as_ref().and_then(|keys| self.verified.get(&digest, keys)) {
            return Ok(principal);
        }
        let token = UnverifiedToken::read(token).map_err(AuthError::InvalidToken)?;
        let keys = keys.ok_or(AuthError::Unavailable)?;
        match self.check(&token, digest, &keys) {
            Err(TokenProblem::UnknownKey) => match self.keys.refreshed().await {
                Some(fresh) if !Arc::ptr_eq(&fresh, &keys) => self.check(&token, digest, &fresh),
                _ => Err(TokenProblem::UnknownKey),
            },
            done => done,
        }
        .map_err(AuthError::InvalidToken)
    }

    fn check(&self, token: &UnverifiedToken<'_>, digest: TokenDigest, keys: &KeySet) -> Result<Arc<Principal>, TokenProblem> {
        self.checked.fetch_add(1, Ordering::Relaxed);
        let verified = self.verifier.verify(token, keys).inspect_err(|problem| self.remarks.on_refusal(*problem))?;
        self.remarks.on_principal(&verified.principal);
        let principal = Arc::clone(&verified.principal);
        self.verified.insert(digest, verified);
        Ok(principal)
    }
}

async fn start_keys(source: KeySource, issuer: Option<&str>, refresh: RefreshPolicy) -> Result<Jwks, AuthSetupError> {
    let location = match source {
        KeySource::File(path) => {
            let shown = path.display().to_string();
            let format = FileFormat {
                name: "JWK set file",
                private: [None],
                parse: |[file]| KeySet::parse(file),
                succeed: KeySet::succeed,
            };
            let file = WatchedFiles::open([path], format, refresh.files).await;
            return file.map(Jwks::File).map_err(|problem| AuthSetupError::new("JWK set file", format!("{shown}: {problem}")));
        }
        KeySource::Url(text) => {
            let url = key_url(&text).map_err(|problem| AuthSetupError::new("JWK set URL", problem))?;
            KeyLocation::Url(url)
        }
        KeySource::Discovery => {
            let issuer = issuer.ok_or_else(|| AuthSetupError::new("JWT issuer", "discovery of its keys needs an issuer"))?;
            let url = issuer_url(issuer).map_err(|problem| AuthSetupError::new("JWT issuer", problem))?;
            KeyLocation::Issuer(issuer.to_owned(), url)
        }
    };
    let fetcher = KeyFetcher::new(location, refresh.fetch_timeout).map_err(|problem| {
        AuthSetupError::new("HTTPS client", format!("{problem}; are root certificates installed on this machine?"))
    })?;
    Ok(Jwks::Remote(RemoteKeys::start(fetcher, refresh).await))
}
