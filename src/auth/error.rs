//! Why a caller was not let in, and why the door could not be hung.

/// A caller was not let in. Neither the text nor the debug form ever holds any part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The request has no bearer token.
    #[error("this server needs a bearer token")]
    Missing,
    /// The `Authorization` header is there but cannot be read.
    #[error("the Authorization header is not of the form `Bearer <token>`, sent once")]
    Malformed,
    /// The token is not good.
    #[error("{0}")]
    InvalidToken(TokenProblem),
    /// The token cannot be checked: no key set was ever loaded, or the token names another key than those loaded, and the
    /// issuer cannot be asked whether that is a new one. The token may be good: the caller keeps it and tries again. A
    /// 401 here would make a client throw its token away and ask the user to log in, in vain.
    #[error("the token cannot be checked now: the authorization server does not say which keys it signs with")]
    Unavailable,
    /// So many tokens that nobody has shown before wait to be checked that another one is not. The token may be good.
    #[error("too many new tokens wait to be checked")]
    Busy,
}

impl AuthError {
    /// One `snake_case` word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing_token",
            Self::Malformed => "malformed_header",
            Self::InvalidToken(problem) => problem.as_str(),
            Self::Unavailable => "no_keys",
            Self::Busy => "busy",
        }
    }
}

/// What is wrong with a token, in words that a caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenProblem {
    /// Longer than any token that this server takes.
    #[error("the token is too long")]
    TooLong,
    /// Not a development token, API key or signed token that this server knows.
    #[error("the token is not known to this server")]
    Unknown,
    /// Meant to be a signed token, but its parts cannot be read.
    #[error("the token is not a well-formed signed JWT")]
    Malformed,
    /// Signed in a way that is not accepted, or not in the way that its key is for.
    #[error("the token is signed with an algorithm that is not accepted for its key")]
    Algorithm,
    /// `typ` says that it is no access token.
    #[error("the token is not an access token")]
    Type,
    /// `crit` names extensions, and this server has none.
    #[error("the token requires an extension that is not supported")]
    Critical,
    /// No key of the issuer has the token's `kid`, or none fits at all.
    #[error("the token is not signed by a key of the authorization server")]
    UnknownKey,
    /// The key is right, the signature is not.
    #[error("the signature of the token is wrong")]
    Signature,
    /// `exp` has passed, or the API key's `expires`.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss` is another.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` does not name this server.
    #[error("the token is for another audience")]
    Audience,
    /// One of `exp`, `iss`, `aud` and `sub` is not there: this one.
    #[error("the token lacks the claim `{0}`")]
    MissingClaim(&'static str),
    /// An OpenID Connect ID token: it says who logged in, not what a client may do.
    #[error("the token is an ID token; an access token is needed")]
    IdToken,
    /// Bound to a key (`cnf`): worth nothing without a proof, which a bearer does not give.
    #[error("the token is bound to a key and cannot be used as a bearer token")]
    SenderConstrained,
}

impl TokenProblem {
    /// One `snake_case` word for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Unknown => "unknown_token",
            Self::Malformed => "malformed_token",
            Self::Algorithm => "wrong_algorithm",
            Self::Type => "wrong_type",
            Self::Critical => "critical_extension",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "wrong_signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "wrong_issuer",
            Self::Audience => "wrong_audience",
            Self::MissingClaim(_) => "missing_claim",
            Self::IdToken => "id_token",
            Self::SenderConstrained => "sender_constrained",
        }
    }
}

/// The configuration cannot work. One line, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct AuthSetupError {
    setting: &'static str,
    problem: String,
}

impl AuthSetupError {
    pub(super) fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }
}
