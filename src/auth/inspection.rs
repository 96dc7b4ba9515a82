//! A look at the keys of an issuer, for an operator who wants to know whether they can be had.

use std::time::{Duration, SystemTime};

use super::config::{JwtConfig, KeySource};
use super::jwt::KeySet;
use super::key_fetcher::{FoundKeys, KeyFetcher, KeyLocation, issuer_url, key_url};

/// Keys that signed tokens can be checked with.
pub(crate) struct KeysFound {
    /// The metadata document (RFC 8414 or OpenID Connect) that named them, where one was asked for.
    pub(crate) metadata: Option<String>,
    /// Where they are.
    pub(crate) place: String,
    /// How many of them can be used here.
    pub(crate) usable: usize,
    /// What time the issuer has, to the second, if it says so.
    pub(crate) date: Option<SystemTime>,
}

/// Gets the keys once, as a server with this configuration does. `limit` is for each answer of the issuer.
///
/// # Errors
/// Why the keys cannot be had or used: one line.
pub(crate) async fn inspect_keys(config: &JwtConfig, limit: Duration) -> Result<KeysFound, String> {
    let location = match (&config.keys, &config.issuer) {
        (KeySource::File(file), _) => {
            let shown = file.display().to_string();
            let content = std::fs::read(file).map_err(|error| format!("{shown}: {error}"))?;
            let keys = KeySet::parse(&content).map_err(|problem| format!("{shown}: {problem}"))?;
            return Ok(KeysFound { metadata: None, place: shown, usable: keys.len(), date: None });
        }
        (KeySource::Url(url), _) => KeyLocation::Url(key_url(url)?),
        (KeySource::Discovery, Some(issuer)) => KeyLocation::Issuer(issuer.clone(), issuer_url(issuer)?),
        (KeySource::Discovery, None) => return Err("discovery of keys needs an issuer".to_owned()),
    };
    let fetcher = KeyFetcher::new(location, limit)?;
    let FoundKeys { metadata, url, keys, date } = fetcher.find().await.map_err(|error| error.to_string())?;
    Ok(KeysFound { metadata: metadata.map(String::from), place: url.into(), usable: keys.len(), date })
}
