//! Fetches the public keys of an issuer.

use std::time::{Duration, SystemTime};

use reqwest::redirect;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::jwt::KeySet;

/// A key set or metadata document larger than this is refused.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Where keys are fetched from.
pub(super) enum KeyLocation {
    /// Where the metadata of the issuer says. The text is the issuer as configured: metadata must repeat it exactly.
    Issuer(String, Url),
    /// Here.
    Url(Url),
}

/// Fetches a key set over HTTP: a bounded time, a bounded size, and never from where a redirect points.
///
/// The client brings its own TLS configuration (aws-lc-rs), so nothing needs to be installed for the whole process.
pub(super) struct KeyFetcher {
    client: reqwest::Client,
    location: KeyLocation,
}

/// Why keys could not be fetched, for logs.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{url} cannot be reached: {problem}")]
    Unreachable { url: Url, problem: String },
    #[error("{url} answered with status {status}")]
    Status { url: Url, status: u16 },
    #[error("{url} answered with more than {MAX_BODY_BYTES} bytes")]
    TooLarge { url: Url },
    #[error("{url} answered with something else than the document asked for: {problem}")]
    Content { url: Url, problem: String },
    #[error("{url} is the metadata of the issuer {named:?}; configure the issuer exactly as it calls itself")]
    OtherIssuer { url: Url, named: String },
    #[error("{url} names keys at an address that is not https")]
    InsecureKeys { url: Url },
}

/// A key set and how it was found.
pub(super) struct FoundKeys {
    /// The metadata document that named it, where it was asked for.
    pub(super) metadata: Option<Url>,
    pub(super) url: Url,
    pub(super) keys: KeySet,
    /// What time the issuer has, to the second, if it says so.
    pub(super) date: Option<SystemTime>,
}

struct Fetched {
    body: Vec<u8>,
    date: Option<SystemTime>,
}

/// What of an authorization server's metadata (RFC 8414, section 2) is of interest here.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl KeyFetcher {
    /// `timeout` is for each answer as a whole.
    ///
    /// # Errors
    /// Why there cannot be an HTTPS client: the machine has no root certificates.
    pub(super) fn new(location: KeyLocation, timeout: Duration) -> Result<Self, String> {
        let (KeyLocation::Issuer(_, url) | KeyLocation::Url(url)) = &location;
        let mut client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("pressmark/", env!("CARGO_PKG_VERSION")));
        if is_loopback(url) {
            client = client.no_proxy();
        }
        Ok(Self { client: client.build().map_err(root_cause)?, location })
    }

    /// Fetches the key set as it is now.
    pub(super) async fn fetch(&self) -> Result<KeySet, FetchError> {
        self.find().await.map(|found| found.keys)
    }

    /// Fetches the key set, and tells how it was found.
    pub(super) async fn find(&self) -> Result<FoundKeys, FetchError> {
        let (metadata, url) = match &self.location {
            KeyLocation::Url(url) => (None, url.clone()),
            KeyLocation::Issuer(issuer, url) => {
                let (metadata, keys) = self.discover(issuer, url).await?;
                (Some(metadata), keys)
            }
        };
        let Fetched { body, date } = self.get(&url).await?;
        let keys = KeySet::parse(&body).map_err(|problem| FetchError::Content { url: url.clone(), problem })?;
        Ok(FoundKeys { metadata, url, keys, date })
    }

    /// Finds the address of the keys in the first metadata document that is there. A document of another issuer ends
    /// the search: it shows that something is wrong. Gives where the document and where the keys are.
    async fn discover(&self, issuer: &str, issuer_url: &Url) -> Result<(Url, Url), FetchError> {
        let mut last = None;
        for url in metadata_urls(issuer_url) {
            let metadata: Metadata = match self.get_json(&url).await {
                Ok(metadata) => metadata,
                Err(error @ FetchError::Unreachable { .. }) => return Err(error),
                Err(error) => {
                    last.get_or_insert(error);
                    continue;
                }
            };
            if metadata.issuer != issuer {
                return Err(FetchError::OtherIssuer { url, named: shortened(&metadata.issuer) });
            }
            let keys = Url::parse(&metadata.jwks_uri)
                .map_err(|error| FetchError::Content { url: url.clone(), problem: format!("`jwks_uri`: {error}") })?;
            // Only an issuer on this machine may send us to a port of this machine.
            let secure = keys.scheme() == "https" || (is_loopback(issuer_url) && is_plain_loopback(&keys));
            return if secure { Ok((url, keys)) } else { Err(FetchError::InsecureKeys { url }) };
        }
        Err(last.unwrap_or_else(|| FetchError::Status { url: issuer_url.clone(), status: 404 }))
    }

    async fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, FetchError> {
        let Fetched { body, .. } = self.get(url).await?;
        serde_json::from_slice(&body)
            .map_err(|error| FetchError::Content { url: url.clone(), problem: shortened(&error.to_string()) })
    }

    async fn get(&self, url: &Url) -> Result<Fetched, FetchError> {
        let unreachable = |error| FetchError::Unreachable { url: url.clone(), problem: root_cause(error) };
        let too_large = || FetchError::TooLarge { url: url.clone() };
        let request = self.client.get(url.clone()).header("accept", "application/json");
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status() != 200 {
            return Err(FetchError::Status { url: url.clone(), status: response.status().as_u16() });
        }
        if response.content_length().is_some_and(|length| length > MAX_BODY_BYTES as u64) {
            return Err(too_large());
        }
        let date = response.headers().get("date").and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { body, date })
    }
}

/// Where an issuer's metadata can be, in the order in which MCP clients look: RFC 8414 and OpenID Connect with the
/// issuer's path inserted after the well-known name, then OpenID Connect with the name appended.
fn metadata_urls(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut paths = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ];
    // For an issuer without a path, the last two are the same.
    paths.dedup();
    paths
        .into_iter()
        .map(|path| {
            let mut url = issuer.clone();
            url.set_path(&path);
            url
        })
        .collect()
}

/// An address that keys may be fetched from: https, or http on this machine; no credentials, no fragment.
///
/// # Errors
/// What the address must be.
pub(crate) fn key_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; it must be an https URL"))?;
    if url.scheme() != "https" && !is_plain_loopback(&url) {
        return Err("it must be an https URL (http is allowed on a loopback address only)".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("it must be a URL without user, password and fragment".to_owned());
    }
    Ok(url)
}

/// An issuer's address (RFC 8414, section 2): as [`key_url`], and without a query.
///
/// # Errors
/// What the address must be.
pub(crate) fn issuer_url(text: &str) -> Result<Url, String> {
    let url = key_url(text)?;
    if url.query().is_some() {
        return Err("it must be a URL without a query".to_owned());
    }
    Ok(url)
}

fn is_plain_loopback(url: &Url) -> bool {
    url.scheme() == "http" && is_loopback(url)
}

/// Does the URL name this machine itself? By the text alone, without asking a name server.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The innermost reason of a failed request: the outer ones only say that it failed.
fn root_cause(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no complete answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = &error.without_url();
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// What somebody else wrote, short enough for a line of a log.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}
