//! The configuration: a pure function from what was said (file < environment < flags) to plain data.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use url::Url;

use crate::auth::{JwtConfig, KeySource, issuer_url, key_url};
use crate::files::MountSpec;
use crate::http::{ListenAddress, TlsFiles, TrustedProxies};
use crate::state::RedisUrl;
use crate::traces::collector_url;

/// Everything that can be set, as it was said. Flags and environment come from clap, the file from serde; the names are
/// the same in all three.
#[allow(rustdoc::bare_urls, reason = "the texts are help texts, too, and there no URL stands in angle brackets")]
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Folder to serve at the root of the tree
    #[arg(env = "PRESSMARK_PATH")]
    pub path: Option<String>,

    /// Serve a folder under /NAME; a path or a file:// URL; repeat, or separate with commas
    #[arg(long, env = "PRESSMARK_MOUNT", value_name = "NAME=URL", value_delimiter = ',', help_heading = "Files")]
    pub mount: Vec<String>,

    /// Refuse every change, whatever the caller's scopes
    #[arg(long, env = "PRESSMARK_READ_ONLY", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Files")]
    pub read_only: Option<bool>,

    /// Address and port to listen on, or a Unix socket, which its owner and group may open: unix:/run/pressmark.sock
    /// [default: 127.0.0.1:8080]
    #[arg(long, env = "PRESSMARK_LISTEN", value_name = "ADDRESS:PORT", value_parser = listen_address, help_heading = "Network")]
    #[serde(deserialize_with = "deserialize_listen")]
    pub listen: Option<ListenAddress>,

    /// Speak TLS with the certificates in this PEM file, the server's own first; it and --tls-key are read again when they change
    /// [default: no TLS]
    #[arg(long, env = "PRESSMARK_TLS_CERT", value_name = "FILE", help_heading = "Network")]
    pub tls_cert: Option<PathBuf>,

    /// The key of --tls-cert, in PEM (PKCS #8, PKCS #1 or SEC 1), without a passphrase
    #[arg(long, env = "PRESSMARK_TLS_KEY", value_name = "FILE", help_heading = "Network")]
    pub tls_key: Option<PathBuf>,

    /// Keep a connection that waits for a request for this long; longer than the balancer does, so that it is never the server
    /// that closes one just as it is used again [default: 75s]
    #[arg(long, env = "PRESSMARK_KEEP_ALIVE", value_name = "DURATION", help_heading = "Network")]
    pub keep_alive: Option<String>,

    /// Believe these proxies when they say in X-Forwarded-For or Forwarded whom a request comes from: networks such as 10.0.0.0/8,
    /// addresses, or unix for those that connect by a Unix socket; repeat, or separate with commas [default: none]
    #[arg(long, env = "PRESSMARK_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',', help_heading = "Network")]
    pub trusted_proxies: Vec<String>,

    /// Address and port that Prometheus reads /metrics from, such as 0.0.0.0:9090; whoever reaches it may read [default: none]
    #[arg(long, env = "PRESSMARK_METRICS_LISTEN", value_name = "ADDRESS:PORT", value_parser = socket_address, help_heading = "Network")]
    #[serde(deserialize_with = "deserialize_address")]
    pub metrics_listen: Option<SocketAddr>,

    /// URL under which clients reach this server, without /mcp; metadata and links name it [default: http://ADDRESS:PORT]
    #[arg(long, env = "PRESSMARK_PUBLIC_URL", value_name = "URL", help_heading = "Network")]
    pub public_url: Option<String>,

    /// Want the paths of calls repeated in headers (Mcp-Param-Path, Mcp-Param-To), so that gateways can go by them; refuses
    /// clients of 2026-07-28 that do not do so [default: false]
    #[arg(long, env = "PRESSMARK_PATH_HEADERS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Network")]
    pub path_headers: Option<bool>,

    /// Origin whose web pages may call, such as https://app.example.com; repeat, or separate with commas
    #[arg(long, env = "PRESSMARK_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', help_heading = "Network")]
    pub allow_origin: Vec<String>,

    /// Where replicas share their state: memory (one replica), redis://, rediss://, redis+cluster://A,B or redis+sentinel://A,B/SERVICE [default: memory]
    #[arg(long, env = "PRESSMARK_STATE", value_name = "URL", hide_env_values = true, help_heading = "Shared state")]
    pub state: Option<String>,

    /// How long an unused cursor stays good, such as 30m or 2h [default: 1h]
    #[arg(long, env = "PRESSMARK_CURSOR_TTL", value_name = "DURATION", help_heading = "Shared state")]
    pub cursor_ttl: Option<String>,

    /// How long an unused session of a client that shakes hands stays good, such as 30m or 2h [default: 30m]
    #[arg(long, env = "PRESSMARK_SESSION_TTL", value_name = "DURATION", help_heading = "Shared state")]
    pub session_ttl: Option<String>,

    /// Sessions of one caller, at most; one more ends the one that was unused for longest [default: 1000]
    #[arg(long, env = "PRESSMARK_MAX_SESSIONS", value_name = "N", help_heading = "Limits")]
    pub max_sessions: Option<usize>,

    /// Close a stream of events (a session's, or one of subscriptions/listen) after this long, such as 10m: its client comes
    /// back, to whichever replica [default: never]
    #[arg(long, env = "PRESSMARK_MAX_STREAM_AGE", value_name = "DURATION", help_heading = "Limits")]
    pub max_stream_age: Option<String>,

    /// How long a call that became a task may run, and how long its result is kept, both from its beginning [default: 1h]
    #[arg(long, env = "PRESSMARK_TASK_TTL", value_name = "DURATION", help_heading = "Shared state")]
    pub task_ttl: Option<String>,

    /// Keys that seal what calls learn while they wait for the user: one or two lines of 32 bytes in base64 or
    /// hexadecimal, the same on all replicas; the first one seals [default: a random one, for one replica]
    #[arg(long, env = "PRESSMARK_SEAL_KEYS", value_name = "FILE", help_heading = "Shared state")]
    pub seal_keys: Option<PathBuf>,

    /// Accept tokens of this issuer; its keys are found by RFC 8414 or OpenID Connect discovery
    #[arg(long, env = "PRESSMARK_JWT_ISSUER", value_name = "URL", help_heading = "Authentication")]
    pub jwt_issuer: Option<String>,

    /// Take the keys of tokens from this JWK set file
    #[arg(long, env = "PRESSMARK_JWKS_FILE", value_name = "FILE", help_heading = "Authentication")]
    pub jwks_file: Option<PathBuf>,

    /// Take the keys of tokens from this JWK set URL
    #[arg(long, env = "PRESSMARK_JWKS_URL", value_name = "URL", help_heading = "Authentication")]
    pub jwks_url: Option<String>,

    /// What tokens must name as their audience [default: the public URL + /mcp]
    #[arg(long, env = "PRESSMARK_JWT_AUDIENCE", value_name = "URI", help_heading = "Authentication")]
    pub jwt_audience: Option<String>,

    /// Accept the API keys in this TOML file (name, sha256, scopes, optional expires for each)
    #[arg(long, env = "PRESSMARK_API_KEYS", value_name = "FILE", help_heading = "Authentication")]
    pub api_keys: Option<PathBuf>,

    /// Accept this token for everything [default: a random one, if nothing else is set and only this machine can connect]
    #[arg(long, env = "PRESSMARK_DEV_TOKEN", value_name = "TOKEN", hide_env_values = true, help_heading = "Authentication")]
    pub dev_token: Option<String>,

    /// Let every program on this machine do everything; only on a loopback address or a Unix socket
    #[arg(long, env = "PRESSMARK_NO_AUTH", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Authentication")]
    pub no_auth: Option<bool>,

    /// Largest result of a tool, in bytes of JSON; the rest waits behind a cursor [default: 40000]
    #[arg(long, env = "PRESSMARK_MAX_RESULT_BYTES", value_name = "BYTES", help_heading = "Limits")]
    pub max_result_bytes: Option<usize>,

    /// Largest request body, in bytes [default: 4194304]
    #[arg(long, env = "PRESSMARK_MAX_REQUEST_BYTES", value_name = "BYTES", help_heading = "Limits")]
    pub max_request_bytes: Option<usize>,

    /// Calls a second of one caller, at most (of tools and prompts, resources read, completions), and twice as many at once after
    /// a rest; more are answered 429. Each replica counts for itself [default: no limit]
    #[arg(long, env = "PRESSMARK_CALLS_PER_SECOND", value_name = "N", help_heading = "Limits")]
    pub calls_per_second: Option<usize>,

    /// Open connections of clients, at most, and no more than three quarters of the files that the process may open; one more
    /// is answered 503 [default: 20000]
    #[arg(long, env = "PRESSMARK_MAX_CONNECTIONS", value_name = "N", help_heading = "Limits")]
    pub max_connections: Option<usize>,

    /// How long one call may take, such as 60s [default: 60s]
    #[arg(long, env = "PRESSMARK_REQUEST_TIMEOUT", value_name = "DURATION", help_heading = "Limits")]
    pub request_timeout: Option<String>,

    /// Worker threads [default: the cores that this process may use]
    #[arg(long, env = "PRESSMARK_WORKERS", value_name = "N", help_heading = "Limits")]
    pub workers: Option<usize>,

    /// Form of the log lines on stderr; RUST_LOG selects what is logged [default: text]
    #[arg(long, env = "PRESSMARK_LOG_FORMAT", value_name = "FORMAT", help_heading = "Logs and traces")]
    pub log_format: Option<LogFormat>,

    /// Append a line of JSON for each call of a tool, a prompt or a resource (who, what, paths, outcome; never content) to this
    /// file, which may be moved away at any time [default: among the log lines, as pressmark::audit]
    #[arg(long, env = "PRESSMARK_AUDIT_LOG", value_name = "FILE", help_heading = "Logs and traces")]
    pub audit_log: Option<PathBuf>,

    /// Send traces to this OpenTelemetry collector by OTLP (HTTP, protobuf), such as http://collector:4318; headers,
    /// sampler and resource are set by the OTEL_ variables [default: OTEL_EXPORTER_OTLP_ENDPOINT, or no traces]
    #[arg(long, env = "PRESSMARK_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL", help_heading = "Logs and traces")]
    pub otlp_endpoint: Option<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A setting that cannot be used: one line that says which and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// A complete configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is served.
    pub mounts: Vec<MountSpec>,
    /// Where to listen.
    pub listen: ListenAddress,
    /// Speak TLS; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How long a connection may wait for a request.
    pub keep_alive: Duration,
    /// Who is believed when they say whom a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// Where metrics are read; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Where clients reach the server; `None`: at the address it listens on.
    pub public_url: Option<Url>,
    /// Do clients repeat paths in headers?
    pub path_headers: bool,
    /// Whose web pages may call, beyond the server's own origin.
    pub allow_origin: Vec<Url>,
    /// Where replicas share state.
    pub state: StateConfig,
    /// How long an unused cursor lives.
    pub cursor_ttl: Duration,
    /// How long an unused session lives.
    pub session_ttl: Duration,
    /// Sessions of one caller, at most.
    pub max_sessions: usize,
    /// How long a stream of events is held open; `None`: as long as the client does and its credentials hold good.
    pub max_stream_age: Option<Duration>,
    /// How long a task lives after its creation, and may run.
    pub task_ttl: Duration,
    /// The file of the keys that seal what calls learn while they wait for their caller; `None`: a random key, which no
    /// other replica has.
    pub seal_keys: Option<PathBuf>,
    /// Who may call.
    pub auth: AuthSettings,
    /// The budget of a result, in bytes of JSON.
    pub max_result_bytes: usize,
    /// The largest request body, in bytes.
    pub max_request_bytes: usize,
    /// Calls a second of one caller, at most; `None`: as many as it likes.
    pub calls_per_second: Option<NonZeroU32>,
    /// Open connections of clients, at most.
    pub max_connections: usize,
    /// How long one call may take.
    pub request_timeout: Duration,
    /// Worker threads; `None`: the cores that this process may use.
    pub workers: Option<usize>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The file of the audit log; `None`: it goes to the log.
    pub audit_log: Option<PathBuf>,
    /// The collector of traces; `None`: the one that the standard variables of OpenTelemetry name, if they do.
    pub otlp_endpoint: Option<Url>,
}

/// Where replicas share state.
#[derive(Clone, Debug)]
pub enum StateConfig {
    /// In this process: one replica.
    Memory,
    /// In Redis or Valkey.
    Redis(RedisUrl),
}

/// Who may call, before the defaults that need the bound address are filled in.
#[derive(Clone, Default)]
pub struct AuthSettings {
    /// Signed tokens; no audience stands for the default one.
    pub jwt: Option<JwtConfig>,
    /// The file of API keys.
    pub api_keys: Option<PathBuf>,
    /// The development token.
    pub dev_token: Option<String>,
    /// Everybody on this machine.
    pub no_auth: bool,
}

impl std::fmt::Debug for AuthSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthSettings")
            .field("jwt", &self.jwt)
            .field("api_keys", &self.api_keys)
            .field("dev_token", &self.dev_token.as_ref().map(|_| "…"))
            .field("no_auth", &self.no_auth)
            .finish()
    }
}

/// A development token of a server that others can reach has so many characters at least: it is all that keeps them out.
const MIN_REACHABLE_TOKEN: usize = 16;

/// Longer than the 60 s after which nginx and AWS' load balancers, as they come, close connections that they do not use.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Below this a result has no room for its own metadata.
const MIN_RESULT_BYTES: usize = 4_000;

impl Settings {
    /// Reads settings from the text of a configuration file (TOML).
    ///
    /// # Errors
    /// [`ConfigError`] with the line and the key.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let at = |error: &toml::de::Error, problem: String| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            ConfigError(format!("line {line}: {problem}"))
        };
        let document = toml::Deserializer::parse(text).map_err(|error| at(&error, error.message().to_owned()))?;
        serde_path_to_error::deserialize(document)
            .map_err(|error| at(error.inner(), file_problem(&error.path().to_string(), error.inner().message())))
    }

    /// The names of all settings, as they stand in the file.
    fn names() -> Vec<String> {
        let command = Self::augment_args(clap::Command::new(""));
        command.get_arguments().map(|argument| argument.get_id().as_str().replace('_', "-")).collect()
    }

    /// These settings, with those of the file where these say nothing.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        let list = |said: Vec<String>, file: Vec<String>| if said.is_empty() { file } else { said };
        Self {
            path: self.path.or(file.path),
            mount: list(self.mount, file.mount),
            read_only: self.read_only.or(file.read_only),
            listen: self.listen.or(file.listen),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            keep_alive: self.keep_alive.or(file.keep_alive),
            trusted_proxies: list(self.trusted_proxies, file.trusted_proxies),
            metrics_listen: self.metrics_listen.or(file.metrics_listen),
            public_url: self.public_url.or(file.public_url),
            path_headers: self.path_headers.or(file.path_headers),
            allow_origin: list(self.allow_origin, file.allow_origin),
            state: self.state.or(file.state),
            cursor_ttl: self.cursor_ttl.or(file.cursor_ttl),
            session_ttl: self.session_ttl.or(file.session_ttl),
            max_sessions: self.max_sessions.or(file.max_sessions),
            max_stream_age: self.max_stream_age.or(file.max_stream_age),
            task_ttl: self.task_ttl.or(file.task_ttl),
            seal_keys: self.seal_keys.or(file.seal_keys),
            jwt_issuer: self.jwt_issuer.or(file.jwt_issuer),
            jwks_file: self.jwks_file.or(file.jwks_file),
            jwks_url: self.jwks_url.or(file.jwks_url),
            jwt_audience: self.jwt_audience.or(file.jwt_audience),
            api_keys: self.api_keys.or(file.api_keys),
            dev_token: self.dev_token.or(file.dev_token),
            no_auth: self.no_auth.or(file.no_auth),
            max_result_bytes: self.max_result_bytes.or(file.max_result_bytes),
            max_request_bytes: self.max_request_bytes.or(file.max_request_bytes),
            calls_per_second: self.calls_per_second.or(file.calls_per_second),
            max_connections: self.max_connections.or(file.max_connections),
            request_timeout: self.request_timeout.or(file.request_timeout),
            workers: self.workers.or(file.workers),
            log_format: self.log_format.or(file.log_format),
            audit_log: self.audit_log.or(file.audit_log),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint),
        }
    }

    /// The configuration that these settings mean.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that is malformed, or that contradicts another.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let listen = self.listen.clone().unwrap_or_default();
        Ok(Config {
            mounts: self.mounts()?,
            auth: self.auth(&listen)?,
            listen,
            tls: tls_files(self.tls_cert.clone(), self.tls_key.clone())?,
            keep_alive: duration("--keep-alive", self.keep_alive.as_deref(), KEEP_ALIVE)?,
            trusted_proxies: TrustedProxies::parse(&self.trusted_proxies)
                .map_err(|problem| ConfigError(format!("--trusted-proxies {problem}")))?,
            metrics_listen: self.metrics_listen,
            public_url: self.public_url.as_deref().map(public_url).transpose()?,
            path_headers: self.path_headers.unwrap_or(false),
            allow_origin: self.allow_origin.iter().map(|text| origin(text)).collect::<Result<_, _>>()?,
            state: state(self.state.as_deref().unwrap_or("memory"))?,
            cursor_ttl: duration("--cursor-ttl", self.cursor_ttl.as_deref(), Duration::from_secs(3600))?,
            session_ttl: duration("--session-ttl", self.session_ttl.as_deref(), Duration::from_secs(1800))?,
            max_sessions: at_least("--max-sessions", self.max_sessions.unwrap_or(1_000), 1)?,
            max_stream_age: self
                .max_stream_age
                .as_deref()
                .map(|text| duration("--max-stream-age", Some(text), Duration::ZERO))
                .transpose()?,
            task_ttl: duration("--task-ttl", self.task_ttl.as_deref(), Duration::from_secs(3600))?,
            seal_keys: self.seal_keys.clone(),
            max_result_bytes: at_least("--max-result-bytes", self.max_result_bytes.unwrap_or(40_000), MIN_RESULT_BYTES)?,
            max_request_bytes: at_least("--max-request-bytes", self.max_request_bytes.unwrap_or(4_194_304), 1_024)?,
            calls_per_second: self.calls_per_second.map(calls_per_second).transpose()?,
            max_connections: at_least("--max-connections", self.max_connections.unwrap_or(20_000), 1)?,
            request_timeout: duration("--request-timeout", self.request_timeout.as_deref(), Duration::from_secs(60))?,
            workers: self.workers.map(workers).transpose()?,
            log_format: self.log_format.unwrap_or_default(),
            audit_log: self.audit_log,
            otlp_endpoint: self.otlp_endpoint.as_deref().map(otlp_endpoint).transpose()?,
        })
    }

    fn mounts(&self) -> Result<Vec<MountSpec>, ConfigError> {
        let writable = !self.read_only.unwrap_or(false);
        let mut mounts = Vec::new();
        if let Some(path) = &self.path {
            mounts.push(MountSpec { name: None, directory: directory("PATH", path)?, writable });
        }
        for mount in &self.mount {
            let (name, place) = mount
                .split_once('=')
                .ok_or_else(|| ConfigError(format!("--mount {mount}: write it as NAME=URL, for example --mount docs=./docs")))?;
            mounts.push(MountSpec { name: Some(name.to_owned()), directory: directory("--mount", place)?, writable });
        }
        if mounts.is_empty() {
            return Err(ConfigError("nothing to serve: name a folder, for example `pressmark serve ./docs`".to_owned()));
        }
        Ok(mounts)
    }

    fn auth(&self, listen: &ListenAddress) -> Result<AuthSettings, ConfigError> {
        let jwt = self.jwt()?;
        let no_auth = self.no_auth.unwrap_or(false);
        let configured = jwt.is_some() || self.api_keys.is_some() || self.dev_token.is_some();
        if no_auth && configured {
            return Err(ConfigError("--no-auth contradicts the other authentication settings; leave one of them out".to_owned()));
        }
        if no_auth && !listen.is_of_this_machine() {
            return Err(ConfigError(format!(
                "--no-auth is for loopback addresses only, and {listen} can be reached from outside"
            )));
        }
        if !no_auth && !configured && !listen.is_of_this_machine() {
            return Err(ConfigError(format!(
                "{listen} can be reached from outside and nobody is authenticated: set --jwt-issuer, --api-keys or --dev-token, or listen on 127.0.0.1"
            )));
        }
        let unfit = |c: char| !c.is_ascii_graphic() || c == ',';
        if self.dev_token.as_ref().is_some_and(|token| token.is_empty() || token.contains(unfit)) {
            return Err(ConfigError("--dev-token must be visible ASCII characters without spaces and commas".to_owned()));
        }
        if !listen.is_of_this_machine() && self.dev_token.as_ref().is_some_and(|token| token.len() < MIN_REACHABLE_TOKEN) {
            return Err(ConfigError(format!(
                "{listen} can be reached from outside, and --dev-token can be guessed: it needs at least {MIN_REACHABLE_TOKEN} characters, such as `openssl rand -hex 24` makes"
            )));
        }
        Ok(AuthSettings { jwt, api_keys: self.api_keys.clone(), dev_token: self.dev_token.clone(), no_auth })
    }

    fn jwt(&self) -> Result<Option<JwtConfig>, ConfigError> {
        let keys = match (&self.jwks_file, &self.jwks_url, &self.jwt_issuer) {
            (Some(_), Some(_), _) => {
                return Err(ConfigError("--jwks-file and --jwks-url contradict each other; leave one out".to_owned()));
            }
            (Some(file), None, _) => KeySource::File(file.clone()),
            (None, Some(url), _) => {
                KeySource::Url(key_url(url).map_err(|problem| ConfigError(format!("--jwks-url: {problem}")))?.into())
            }
            (None, None, Some(_)) => KeySource::Discovery,
            (None, None, None) if self.jwt_audience.is_some() => {
                return Err(ConfigError("--jwt-audience needs --jwt-issuer, --jwks-file or --jwks-url beside it".to_owned()));
            }
            (None, None, None) => return Ok(None),
        };
        if let Some(issuer) = &self.jwt_issuer {
            issuer_url(issuer).map_err(|problem| ConfigError(format!("--jwt-issuer: {problem}")))?;
        }
        if self.jwt_audience.as_deref() == Some("") {
            return Err(ConfigError("--jwt-audience is empty; leave it out for the public URL + /mcp".to_owned()));
        }
        Ok(Some(JwtConfig { issuer: self.jwt_issuer.clone(), keys, audiences: self.jwt_audience.iter().cloned().collect() }))
    }
}

/// Reads an address to listen on.
pub(crate) fn listen_address(text: &str) -> Result<ListenAddress, String> {
    text.parse()
}

fn deserialize_listen<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<ListenAddress>, D::Error> {
    listen_address(&String::deserialize(deserializer)?).map(Some).map_err(serde::de::Error::custom)
}

/// The same without Unix sockets.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(ListenAddress::Tcp(address)) => Ok(address),
        Ok(ListenAddress::Unix(_)) | Err(_) => Err("write it like 127.0.0.1:9090, or 0.0.0.0:9090 for all interfaces".to_owned()),
    }
}

fn deserialize_address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    socket_address(&String::deserialize(deserializer)?).map(Some).map_err(serde::de::Error::custom)
}

fn tls_files(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, ConfigError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError("--tls-cert needs its key beside it: --tls-key FILE".to_owned())),
        (None, Some(_)) => Err(ConfigError("--tls-key needs the certificate beside it: --tls-cert FILE".to_owned())),
    }
}

/// What is wrong with a key of the file, in the words of the file. No value is quoted: it could be a token.
fn file_problem(key: &str, message: &str) -> String {
    if let Some(unknown) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
        let near = nearest(unknown, &Settings::names(), MAX_SLIPS).map(|name| format!("; did you mean `{name}`?"));
        return format!("there is no setting `{unknown}`{}", near.unwrap_or_default());
    }
    let wanted = message.strip_prefix("invalid type").and_then(|rest| rest.rsplit_once(", expected "));
    let problem = match wanted {
        Some((_, "usize")) => "must be a number",
        Some((_, "a boolean")) => "must be true or false",
        Some((_, "a string")) => "must be a text in quotes",
        Some((_, "a sequence")) => "must be a list of texts: [\"…\"]",
        Some(_) => "has a value of the wrong kind",
        None => message,
    };
    format!("`{key}`: {problem}")
}

/// As many letters may be wrong in a name that is meant for another.
pub(crate) const MAX_SLIPS: usize = 2;

/// The name that `text` was meant for, when at most `slips` letters of it are wrong, missing, too many or exchanged.
/// Underscores do not count.
pub(crate) fn nearest<'a>(text: &str, names: &'a [String], slips: usize) -> Option<&'a str> {
    let plain = |name: &str| name.replace('_', "");
    let distance = |name: &String| strsim::osa_distance(&plain(text), &plain(name));
    let (name, distance) = names.iter().map(|name| (name, distance(name))).min_by_key(|(_, distance)| *distance)?;
    // A short name is near to everything.
    (distance <= slips.min(name.len() / 3)).then_some(name)
}

fn directory(setting: &str, place: &str) -> Result<PathBuf, ConfigError> {
    if place.is_empty() {
        return Err(ConfigError(format!("{setting}: the folder is missing")));
    }
    let Some((scheme, _)) = place.split_once("://") else { return Ok(PathBuf::from(place)) };
    let path = Url::parse(place).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok());
    path.ok_or_else(|| ConfigError(format!("{setting}: {scheme}:// cannot be mounted; use a path or a file:///… URL")))
}

fn http_url(setting: &str, text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    url.ok_or_else(|| ConfigError(format!("{setting}: not an http:// or https:// URL")))
}

fn public_url(text: &str) -> Result<Url, ConfigError> {
    let url = http_url("--public-url", text)?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError(
            "--public-url: neither a user nor a query belongs in it; for example https://mcp.example.com".to_owned(),
        ));
    }
    if url.path().trim_end_matches('/').ends_with("/mcp") {
        return Err(ConfigError("--public-url: leave /mcp out, it is added; for example https://mcp.example.com".to_owned()));
    }
    Ok(url)
}

fn origin(text: &str) -> Result<Url, ConfigError> {
    let url = http_url("--allow-origin", text)?;
    if url.path() != "/" || url.query().is_some() {
        return Err(ConfigError(format!("--allow-origin {text}: an origin has no path, for example https://app.example.com")));
    }
    Ok(url)
}

fn otlp_endpoint(text: &str) -> Result<Url, ConfigError> {
    collector_url(text).map_err(|problem| ConfigError(format!("--otlp-endpoint: {problem}")))
}

fn state(text: &str) -> Result<StateConfig, ConfigError> {
    if text == "memory" {
        return Ok(StateConfig::Memory);
    }
    text.parse().map(StateConfig::Redis).map_err(|error| ConfigError(format!("--state: {error}")))
}

fn duration(setting: &str, text: Option<&str>, default: Duration) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err(ConfigError(format!("{setting} {text}: must be longer than nothing"))),
        Err(_) => Err(ConfigError(format!("{setting} {text}: not a duration; write it like 60s, 5m or 1h"))),
    }
}

/// More than any replica answers.
const MAX_CALLS_PER_SECOND: u32 = 1_000_000;

/// Each worker is a thread: more than this is a mistake.
const MAX_WORKERS: usize = 1_024;

fn workers(workers: usize) -> Result<usize, ConfigError> {
    match workers {
        1..=MAX_WORKERS => Ok(workers),
        _ => Err(ConfigError(format!("--workers {workers}: from 1 to {MAX_WORKERS}"))),
    }
}

fn calls_per_second(calls: usize) -> Result<NonZeroU32, ConfigError> {
    let number = u32::try_from(calls).ok().filter(|calls| *calls <= MAX_CALLS_PER_SECOND).and_then(NonZeroU32::new);
    number.ok_or_else(|| ConfigError(format!("--calls-per-second {calls}: from 1 to {MAX_CALLS_PER_SECOND}")))
}

fn at_least(setting: &str, value: usize, least: usize) -> Result<usize, ConfigError> {
    if value < least { Err(ConfigError(format!("{setting} {value}: at least {least}"))) } else { Ok(value) }
}
