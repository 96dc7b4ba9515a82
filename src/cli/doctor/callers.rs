//! How callers prove who they are.

use std::path::Path;
use std::time::{Duration, SystemTime};

use url::Url;

use super::process::private;
use super::report::Report;
use crate::auth::{JwtConfig, KeySource, KeysFound, inspect_keys, list_keys};
use crate::config::Config;

/// How long one answer of the issuer may take; the server waits as long.
const PATIENCE: Duration = Duration::from_secs(5);
/// The server bears 60 s; half of that is a clock that runs away.
const SKEW: Duration = Duration::from_secs(30);

pub(super) async fn examine(config: &Config, report: &mut Report) {
    report.section("Callers");
    let auth = &config.auth;
    if let Some(jwt) = &auth.jwt {
        issuer(jwt, report).await;
        audience(config, jwt, report);
    }
    if let Some(file) = &auth.api_keys {
        api_keys(file, report);
    }
    match (&auth.dev_token, auth.no_auth) {
        (_, true) => report.right("every program on this machine, without a token"),
        (Some(_), _) if config.listen.is_of_this_machine() => report.right("a development token, which may do everything"),
        (Some(_), _) => report.wrong(
            "a development token, which may do everything and never expires, on an address that others can reach",
            "use --jwt-issuer, or keys that `pressmark keys new` makes",
        ),
        (None, false) if auth.jwt.is_none() && auth.api_keys.is_none() => {
            report.right("a development token that is made at each start, for this machine only");
        }
        (None, false) => {}
    }
}

async fn issuer(jwt: &JwtConfig, report: &mut Report) {
    let asked = SystemTime::now();
    let found = match inspect_keys(jwt, PATIENCE).await {
        Ok(found) => found,
        Err(problem) => {
            let fix = match &jwt.keys {
                KeySource::Discovery => {
                    "see that the issuer runs and is written exactly as it calls itself, or name its keys with --jwks-url"
                }
                KeySource::Url(_) => "see that --jwks-url is the address of the issuer's JWK set and can be reached from here",
                KeySource::File(_) => "put the issuer's JWK set there",
            };
            return report.wrong(problem, fix);
        }
    };
    let took = asked.elapsed().unwrap_or_default();
    let KeysFound { metadata, place, usable, date } = found;
    let by = metadata.map(|document| format!(", as {document} says")).unwrap_or_default();
    report.right(format!("{usable} usable {} at {place}{by}", if usable == 1 { "key" } else { "keys" }));
    match date {
        Some(date) => clock(date, took, report),
        None if matches!(jwt.keys, KeySource::File(_)) => {}
        None => report.skipped("the issuer does not tell its time"),
    }
}

/// The issuer's time is to the second, and as old as its answer at most.
fn clock(issuer: SystemTime, took: Duration, report: &mut Report) {
    let now = SystemTime::now();
    let (off, how) = match now.duration_since(issuer) {
        Ok(behind) => (behind.saturating_sub(took), "ahead of"),
        Err(ahead) => (ahead.duration(), "behind"),
    };
    if off > SKEW {
        let found = format!("this machine's clock is {} s {how} the issuer's: good tokens are refused", off.as_secs());
        return report.wrong(found, "keep both by NTP (chrony, systemd-timesyncd)");
    }
    report.right("this machine's clock agrees with the issuer's");
}

fn audience(config: &Config, jwt: &JwtConfig, report: &mut Report) {
    let by_default = || {
        let here = || config.listen.url(config.tls.is_some());
        let base = config.public_url.as_ref().map_or_else(here, Url::to_string);
        format!("{}/mcp", base.trim_end_matches('/'))
    };
    let audience = if jwt.audiences.is_empty() { by_default() } else { jwt.audiences.join(", ") };
    let is_address = jwt.audiences.is_empty() && config.public_url.is_none();
    if is_address && !config.listen.is_of_this_machine() {
        return report.wrong(
            format!("tokens must name {audience} as their audience, which no client calls this server"),
            "set --public-url to the URL that clients use, or --jwt-audience to what the issuer writes into `aud`",
        );
    }
    report.right(format!("tokens must name {audience} as their audience"));
}

fn api_keys(file: &Path, report: &mut Report) {
    let shown = file.display();
    let keys = match list_keys(file) {
        Ok(keys) => keys,
        Err(error) => {
            return report
                .wrong(format!("--api-keys {shown}: {error}"), "`pressmark keys new` makes the file and the keys in it");
        }
    };
    let now = SystemTime::now();
    let expired: Vec<_> = keys.iter().filter(|key| key.expires.is_some_and(|expires| expires <= now)).collect();
    if keys.len() == expired.len() {
        report.wrong(format!("{shown} holds no key that is good"), "make one with `pressmark keys new`");
    } else {
        let rest = if expired.is_empty() { String::new() } else { format!(", and {} that have expired", expired.len()) };
        report.right(format!("{} API keys in {shown}{rest}", keys.len() - expired.len()));
    }
    private(file, report);
}
