//! The URL under which clients reach the server, through whatever stands in front of it.

use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use serde_json::Value;
use url::{Position, Url};

use super::certificate;
use super::report::Report;
use super::stream::Stream;
use crate::auth::is_loopback;
use crate::cli::healthcheck::innermost;
use crate::config::Config;
use crate::http::{ListenAddress, ProtectedResource};

/// One answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// More than any metadata has.
const MAX_METADATA: usize = 64 * 1024;

/// What clients see.
pub(super) struct Front<'a> {
    config: &'a Config,
    client: reqwest::Client,
    /// Without its last slash.
    base: String,
    is_public: bool,
    token: Option<String>,
}

/// Is there anything more to look at?
enum Reached {
    Yes,
    No,
}

impl<'a> Front<'a> {
    /// Of the public URL, or else of the address that the server listens on. `token` beats the one of the settings.
    pub(super) fn new(config: &'a Config, token: Option<String>, report: &mut Report) -> Option<Self> {
        report.section("What clients see");
        let here = config.listen.from_this_machine();
        let base = config.public_url.as_ref().map_or_else(|| here.url(config.tls.is_some()), Url::to_string);
        let base = base.trim_end_matches('/').to_owned();
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(PATIENCE)
            .user_agent(concat!("pressmark-doctor/", env!("CARGO_PKG_VERSION")));
        if Url::parse(&base).is_ok_and(|url| is_loopback(&url)) {
            client = client.no_proxy();
        }
        if config.public_url.is_none() {
            // The name in the certificate is not this machine's.
            client = client.tls_danger_accept_invalid_certs(true);
            if let ListenAddress::Unix(path) = here {
                client = client.unix_socket(path);
            }
        }
        let client = match client.build() {
            Ok(client) => client,
            Err(error) => {
                report.wrong(format!("no HTTPS client: {}", cause(&error)), "install ca-certificates");
                return None;
            }
        };
        let token = token.or_else(|| config.auth.dev_token.clone());
        Some(Self { config, client, base, is_public: config.public_url.is_some(), token })
    }

    pub(super) async fn examine(&self, idle: Duration, report: &mut Report) {
        if let Reached::No = self.reach(report).await {
            return;
        }
        self.metadata(report).await;
        if self.token.is_none() && !self.config.auth.no_auth {
            return report.skipped("streams of events: they need a credential, see --token-file and --token-env");
        }
        // The server closes streams of this age itself.
        let idle = self.config.max_stream_age.map_or(idle, |age| idle.min(age / 2));
        Stream { client: &self.client, url: self.endpoint(), token: self.token.as_deref(), idle }.examine(report).await;
    }

    fn endpoint(&self) -> String {
        format!("{}/mcp", self.base)
    }

    /// Is it Pressmark that answers, and does it let nobody in without a token?
    async fn reach(&self, report: &mut Report) -> Reached {
        let endpoint = self.endpoint();
        let answer = match self.ask(&endpoint).await {
            Ok(answer) => answer,
            Err(error) if !self.is_public => {
                report.skipped(format!("{endpoint}: {}; start the server to have this checked, too", cause(&error)));
                return Reached::No;
            }
            Err(error) => {
                let fix = "see that the name leads to the balancer, its certificate is good, and the server runs; or change --public-url";
                let reason = cause(&error);
                let (found, fix) = certificate::refused(&reason).unwrap_or((reason, fix));
                report.wrong(format!("{endpoint}: {found}"), fix);
                return Reached::No;
            }
        };
        let status = answer.status();
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let expected = if self.config.auth.no_auth { StatusCode::BAD_REQUEST } else { StatusCode::UNAUTHORIZED };
        if status == expected {
            self.challenge(header(WWW_AUTHENTICATE), report);
            return Reached::Yes;
        }
        if status.is_redirection() {
            let target = Url::parse(&endpoint).and_then(|url| url.join(header(LOCATION))).map(plain).unwrap_or_default();
            let fix = format!("set --public-url to where that leads: {}", target.trim_end_matches("/mcp"));
            report.wrong(format!("{endpoint} redirects to {target}; clients send no token there"), fix);
            return Reached::No;
        }
        let fix = match status.as_u16() {
            404 => "let the balancer pass /mcp on as it is, without changing the path",
            413 => "raise the balancer's limit for request bodies (client_max_body_size) to --max-request-bytes",
            502..=504 => "the balancer cannot reach a replica: see that they run, listen where it looks and are ready (/readyz)",
            _ => "see what answers in place of Pressmark",
        };
        report.wrong(format!("{endpoint} answers a call without a token with {status}, and not with {expected}"), fix);
        Reached::No
    }

    async fn ask(&self, endpoint: &str) -> reqwest::Result<reqwest::Response> {
        let accepted = "application/json, text/event-stream";
        let request = self.client.post(endpoint).header(CONTENT_TYPE, "application/json").header(ACCEPT, accepted);
        request.timeout(PATIENCE).body("{}").send().await
    }

    /// Where the 401 sends clients to must be where they can go.
    fn challenge(&self, challenge: &str, report: &mut Report) {
        let expected = ProtectedResource::new(&self.base, self.issuer()).metadata_url();
        let told = challenge.split_once("resource_metadata=\"").and_then(|(_, rest)| rest.split('"').next());
        match (told, expected.as_deref()) {
            (told, expected) if told == expected => report.right(format!("{} answers, and is Pressmark", self.endpoint())),
            (told, expected) => report.wrong(
                format!("its 401 names {} as the metadata, and not {}", told.unwrap_or("nothing"), expected.unwrap_or("nothing")),
                "start the server with the settings that this check was given, --public-url and --jwt-issuer above all",
            ),
        }
    }

    async fn metadata(&self, report: &mut Report) {
        let resource = ProtectedResource::new(&self.base, self.issuer());
        let Some(url) = resource.metadata_url() else {
            return report.skipped("metadata (RFC 9728): there is none without --jwt-issuer");
        };
        let document: Value = match self.get(&url).await {
            Ok(document) => document,
            Err(problem) => {
                return report.wrong(
                    format!("{url}: {problem}"),
                    "let the balancer pass /.well-known/oauth-protected-resource on, without authentication of its own",
                );
            }
        };
        let (told, expected) = (document["resource"].as_str().unwrap_or_default(), resource.resource());
        if told != expected {
            let found = format!("the metadata calls the server {told}, and not {expected}{}", difference(told, &expected));
            return report
                .wrong(found, "start the server with the --public-url that clients use: scheme, host and port as they see them");
        }
        let issuers = &document["authorization_servers"];
        let issuer = self.issuer().unwrap_or_default();
        if !issuers.as_array().is_some_and(|list| list.iter().any(|one| one == issuer)) {
            return report.wrong(
                format!("the metadata does not name the issuer {issuer}"),
                "start the server with the --jwt-issuer that this check was given",
            );
        }
        report.right(format!("{url} says where tokens come from, and is right about this server's URL"));
    }

    fn issuer(&self) -> Option<&str> {
        self.config.auth.jwt.as_ref()?.issuer.as_deref()
    }

    async fn get(&self, url: &str) -> Result<Value, String> {
        let answer = self.client.get(url).timeout(PATIENCE).send().await;
        let mut answer = answer.map_err(|error| cause(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("answers {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| cause(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_METADATA {
                return Err("answers with more than a metadata document".to_owned());
            }
        }
        serde_json::from_slice(&body).map_err(|_| "answers with something else than JSON".to_owned())
    }
}

/// Which part of a URL is another one, in words.
fn difference(told: &str, expected: &str) -> String {
    let (Ok(told), Ok(expected)) = (Url::parse(told), Url::parse(expected)) else { return String::new() };
    let mut parts = Vec::new();
    if told.scheme() != expected.scheme() {
        parts.push("scheme");
    }
    if told.host_str() != expected.host_str() {
        parts.push("host");
    }
    if told.port_or_known_default() != expected.port_or_known_default()
        && (told.scheme() == expected.scheme() || told.port().is_some())
    {
        parts.push("port");
    }
    if told.path() != expected.path() {
        parts.push("path");
    }
    if parts.is_empty() { String::new() } else { format!(": the {} is wrong", parts.join(" and the ")) }
}

/// Without what could be a secret.
fn plain(url: Url) -> String {
    let mut url = url;
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url[..Position::AfterPath].to_owned()
}

/// Why a request failed.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() { format!("no answer within {} s", PATIENCE.as_secs()) } else { innermost(error) }
}
