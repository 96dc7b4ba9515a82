//! What a token says of its bearer.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::authenticator::LOCAL_ISSUERS;
use super::{Principal, ScopeSet, TokenProblem, Validity};

/// The claims that make a [`Principal`], and those that betray a token which is no bearer's access token. When, by whom
/// and for whom the token was issued is checked before (see `jwt`).
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    azp: Option<String>,
    pub(super) exp: Option<f64>,
    scope: Option<ScopeWords>,
    scp: Option<ScopeWords>,
    at_hash: Option<IgnoredAny>,
    c_hash: Option<IgnoredAny>,
    cnf: Option<IgnoredAny>,
}

/// Scopes as issuers write them: one text with spaces (RFC 8693), or a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ScopeWords {
    Text(String),
    List(Vec<String>),
}

impl ScopeWords {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::List(texts) => texts,
        };
        texts.iter().flat_map(|text| text.split_ascii_whitespace())
    }
}

impl Claims {
    /// The caller that these claims name, for as long as they hold good.
    pub(super) fn into_principal(self, validity: Validity) -> Result<Principal, TokenProblem> {
        // Only an ID token carries a hash of the access token or code that came with it (OpenID Connect Core, 3.1.3.6
        // and 3.3.2.11). `nonce` does not tell: some issuers put it into access tokens too. An ID token without the
        // hashes fails on its audience, which is the client and not this server.
        if self.at_hash.is_some() || self.c_hash.is_some() {
            return Err(TokenProblem::IdToken);
        }
        // Taking a token bound to a key from a mere bearer would undo the binding (RFC 7800, RFC 9449 section 7.2).
        if self.cnf.is_some() {
            return Err(TokenProblem::SenderConstrained);
        }
        let issuer = self.iss.unwrap_or_else(|| "jwt".to_owned());
        // Without a configured issuer, a token could pose as the bearer of an API key.
        if LOCAL_ISSUERS.contains(&issuer.as_str()) {
            return Err(TokenProblem::Issuer);
        }
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        // RFC 9068 requires `sub`; some issuers leave it out where a client acts for itself. The prefix keeps a client
        // that could choose its own id from choosing that of a user.
        let client_id = named(self.client_id).or_else(|| named(self.azp));
        let subject = named(self.sub)
            .or_else(|| client_id.as_ref().map(|client| format!("client:{client}")))
            .ok_or(TokenProblem::MissingClaim("sub"))?;
        let scopes = ScopeSet::parse(self.scope.or(self.scp).iter().flat_map(ScopeWords::iter));
        Ok(Principal { issuer, subject, client_id, scopes, validity })
    }
}
