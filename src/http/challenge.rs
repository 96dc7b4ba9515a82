//! The `WWW-Authenticate` header: what a client must do to be let in (RFC 6750, section 3; RFC 9728, section 5.1).

use std::fmt::Write as _;

use http::HeaderValue;

use super::well_known::ProtectedResource;
use crate::auth::{Permission, Scope, TokenProblem};

/// The scope that a client is told to ask for first: enough to look around, no more.
const FIRST_SCOPE: Scope = Scope::Files(Permission::Read);

/// How much of a description goes into the header: a path in it can be longer than the headers that proxies let through.
const MAX_DESCRIPTION_CHARS: usize = 300;

/// Makes the challenges of one server, with everything that is the same in all of them.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// `resource_metadata="…"` where there is an authorization server to be found there. Where there is none (API keys,
    /// a development token) the client must not be sent looking: it would begin an OAuth flow that cannot end.
    place: String,
}

impl Challenge {
    /// Challenges on behalf of this resource.
    #[must_use]
    pub fn new(resource: &ProtectedResource) -> Self {
        let place = match resource.metadata_url() {
            Some(url) => parameter("resource_metadata", &url),
            None => parameter("realm", "pressmark"),
        };
        Self { place }
    }

    /// With 401: there is no token.
    #[must_use]
    pub fn missing_token(&self) -> HeaderValue {
        self.header(&[("scope", &FIRST_SCOPE.to_string())])
    }

    /// With 401: the token is not good.
    #[must_use]
    pub fn invalid_token(&self, problem: TokenProblem) -> HeaderValue {
        let description = problem.to_string();
        self.header(&[("scope", &FIRST_SCOPE.to_string()), ("error", "invalid_token"), ("error_description", &description)])
    }

    /// With 400: the credentials cannot be read.
    #[must_use]
    pub fn invalid_request(&self, description: &str) -> HeaderValue {
        self.header(&[("error", "invalid_request"), ("error_description", description)])
    }

    /// With 403: the token is good, but not for this. `needed` is everything that the call needs, so that one more
    /// authorization is enough.
    #[must_use]
    pub fn insufficient_scope(&self, needed: &[Scope], description: &str) -> HeaderValue {
        let scopes = needed.iter().map(Scope::to_string).collect::<Vec<_>>().join(" ");
        let description: String = description.chars().take(MAX_DESCRIPTION_CHARS).collect();
        self.header(&[("scope", &scopes), ("error", "insufficient_scope"), ("error_description", &description)])
    }

    fn header(&self, parameters: &[(&str, &str)]) -> HeaderValue {
        let mut header = format!("Bearer {}", self.place);
        for (name, value) in parameters {
            let _ = write!(header, ", {}", parameter(name, value));
        }
        // `parameter` lets nothing through that a header cannot hold.
        HeaderValue::from_str(&header).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
    }
}

/// `name="value"`. RFC 6750 allows printable ASCII without `"` and `\` in these values; the rest is replaced.
fn parameter(name: &str, value: &str) -> String {
    let allowed = |character| match character {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => character,
        _ => '?',
    };
    format!("{name}=\"{}\"", value.chars().map(allowed).collect::<String>())
}
