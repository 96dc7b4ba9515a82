//! How callers prove who they are: plain data.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The ways in. Several may be open at once, and at least one must be; `no_auth` stands alone.
#[derive(Clone, Default)]
pub struct AuthConfig {
    /// Signed tokens of an authorization server.
    pub jwt: Option<JwtConfig>,
    /// A file of API keys (see [`Authenticator`](super::Authenticator) for its format).
    pub api_keys: Option<PathBuf>,
    /// One token that may do everything, for development.
    pub dev_token: Option<String>,
    /// Everybody may do everything.
    pub no_auth: bool,
    /// How often keys are looked at again.
    pub refresh: RefreshPolicy,
}

/// Which signed tokens are accepted.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// What a token's `iss` must be, character for character. Without one, any issuer whose key is in the set will do.
    pub issuer: Option<String>,
    /// Where the issuer's public keys are.
    pub keys: KeySource,
    /// A token's `aud` must name one of these (RFC 8707): this server's canonical URI. Never empty.
    pub audiences: Vec<String>,
}

/// Where the public keys of an issuer are (a JWK set, RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Where the issuer's metadata says (RFC 8414 or OpenID Connect Discovery). Needs an issuer.
    Discovery,
    /// At this URL.
    Url(String),
    /// In this file.
    File(PathBuf),
}

/// How often keys are looked at again. The default suits production; tests are less patient.
#[derive(Clone, Copy, Debug)]
pub struct RefreshPolicy {
    /// Between two fetches of a key set, give or take a tenth.
    pub key_set: Duration,
    /// The least time between two fetches because a token names an unknown key.
    pub unknown_key: Duration,
    /// After a failed fetch; doubles with each failure in a row, up to a minute.
    pub retry: Duration,
    /// The longest one answer of an issuer may take.
    pub fetch_timeout: Duration,
    /// Between two looks at a key file on disk.
    pub files: Duration,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            key_set: Duration::from_secs(5 * 60),
            unknown_key: Duration::from_secs(10),
            retry: Duration::from_secs(1),
            fetch_timeout: Duration::from_secs(5),
            files: Duration::from_secs(2),
        }
    }
}

/// The development token is left out.
impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("jwt", &self.jwt)
            .field("api_keys", &self.api_keys)
            .field("dev_token", &self.dev_token.as_ref().map(|_| "…"))
            .field("no_auth", &self.no_auth)
            .field("refresh", &self.refresh)
            .finish()
    }
}
