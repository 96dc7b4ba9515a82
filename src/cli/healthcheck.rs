//! `pressmark healthcheck`.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use url::{Position, Url};

use super::{EXIT_USAGE, settings_sources};
use crate::config::{ConfigError, Settings, listen_address};
use crate::http::ListenAddress;

/// Ask the server on this machine whether it is alive, for containers
///
/// Exits with 0 when the server on this machine answers its liveness probe with 200, and with 1 otherwise: for the
/// HEALTHCHECK of a container, where there is no shell and no curl. It knows from the same environment and the same file as
/// the server where that listens, and whether it speaks TLS. A certificate is not checked: the name in it is not this machine's,
/// and nothing secret is sent.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// What to ask, such as http://127.0.0.1:8080/readyz; without a path /healthz [default: the address of --listen]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Where the server listens, an address or unix:PATH; for all interfaces, this machine's own is asked
    /// [default: 127.0.0.1:8080]
    #[arg(long, env = "PRESSMARK_LISTEN", value_name = "ADDRESS:PORT", value_parser = listen_address)]
    listen: Option<ListenAddress>,

    /// The server's certificate: it speaks TLS
    #[arg(long, env = "PRESSMARK_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The server's configuration file
    #[arg(long, env = "PRESSMARK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// How long the answer may take
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = super::duration)]
    timeout: Duration,
}

impl Healthcheck {
    /// Asks once. Without a runtime, and without roots for TLS: it runs every few seconds, beside the server and on its share
    /// of the CPU, and in images that have none.
    pub(super) fn run(self) -> ExitCode {
        let probe = match self.probe() {
            Ok(probe) => probe,
            Err(error) => {
                super::complain(&error);
                return ExitCode::from(EXIT_USAGE);
            }
        };
        let begun = Instant::now();
        let asked = match &probe {
            Probe { url, socket: None } if url.scheme() == "http" => ask(url, self.timeout),
            probe => ask_with_client(probe, self.timeout),
        };
        match asked {
            Ok(200) => super::say(&format!("{probe} answers 200")),
            Ok(status) => super::fail(&format!("{probe} answers {status}")),
            Err(error) => {
                let left = self.timeout.saturating_sub(begun.elapsed());
                let reason = if probe.speaks_tls(&error, left) { self.tls_hint().to_owned() } else { reason(&error) };
                super::fail(&format!("{probe}: {reason}"))
            }
        }
    }

    fn tls_hint(&self) -> &'static str {
        match self.url {
            Some(_) => "it speaks TLS there; write https:// in --url",
            None => "it speaks TLS there; set --tls-cert (PRESSMARK_TLS_CERT) as for the server",
        }
    }

    fn probe(&self) -> Result<Probe, ConfigError> {
        if let Some(text) = &self.url {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let mut url = url.ok_or_else(|| ConfigError("--url: not an http:// or https:// URL".to_owned()))?;
            if !url.username().is_empty() || url.password().is_some() {
                let problem = "--url: neither a user nor a password belongs in it; /healthz and /readyz ask for none";
                return Err(ConfigError(problem.to_owned()));
            }
            if url.path() == "/" {
                url.set_path("/healthz");
            }
            return Ok(Probe { url, socket: None });
        }
        let file = self.config.as_deref().map_or_else(|| Ok(Settings::default()), settings_sources::read_file)?;
        let listen = self.listen.clone().or(file.listen).unwrap_or_default().from_this_machine();
        let tls = self.tls_cert.is_some() || file.tls_cert.is_some();
        let url = Url::parse(&format!("{}/healthz", listen.url(tls)));
        let url = url.map_err(|error| ConfigError(format!("--listen: {error}")))?;
        let socket = match listen {
            ListenAddress::Tcp(_) => None,
            ListenAddress::Unix(path) => Some(path),
        };
        Ok(Probe { url, socket })
    }
}

/// What is asked, by a Unix socket if there is one.
struct Probe {
    url: Url,
    socket: Option<PathBuf>,
}

impl Probe {
    /// Is TLS understood where plain HTTP failed like this?
    fn speaks_tls(&self, error: &io::Error, limit: Duration) -> bool {
        use io::ErrorKind::{ConnectionRefused, TimedOut, WouldBlock};
        if self.url.scheme() != "http" || matches!(error.kind(), ConnectionRefused | TimedOut | WouldBlock) {
            return false;
        }
        let (mut url, port) = (self.url.clone(), self.url.port_or_known_default());
        url.set_scheme("https").and_then(|()| url.set_port(port)).is_ok()
            && ask_with_client(&Self { url, socket: self.socket.clone() }, limit).is_ok()
    }
}

impl fmt::Display for Probe {
    /// Without a query, which could hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.url[..Position::AfterPath];
        match &self.socket {
            Some(path) => write!(f, "{url} at unix:{}", path.display()),
            None => f.write_str(url),
        }
    }
}

/// The status of the answer to one GET.
fn ask(url: &Url, limit: Duration) -> io::Result<u16> {
    let deadline = Instant::now() + limit;
    let left = || deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()).ok_or(io::ErrorKind::TimedOut);
    let host = url.host_str().unwrap_or_default();
    let addresses = (host.trim_matches(['[', ']']), url.port_or_known_default().unwrap_or(80)).to_socket_addrs()?;
    let mut connected = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        connected = TcpStream::connect_timeout(&address, left()?);
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let target = &url[Position::BeforePath..Position::AfterQuery];
    stream.set_write_timeout(Some(left()?))?;
    // At once: a peer that answers early and closes must not break off half of a request.
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {host}{port}\r\nConnection: close\r\nUser-Agent: pressmark-healthcheck\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = [0; 12];
    let mut read = 0;
    while read < head.len() {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut head[read..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    let status = std::str::from_utf8(&head).ok().and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok());
    status.ok_or_else(|| io::Error::other("what answers there does not speak HTTP"))
}

/// The same over TLS, or by a Unix socket. Nothing secret is sent, so that it does not matter who answers.
fn ask_with_client(probe: &Probe, limit: Duration) -> io::Result<u16> {
    let failed = |error: reqwest::Error| match error {
        error if error.is_timeout() => io::ErrorKind::TimedOut.into(),
        error => io::Error::other(innermost(&error)),
    };
    let mut client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().timeout(limit);
    if let Some(path) = &probe.socket {
        client = client.unix_socket(path.as_path());
    }
    let client = client.redirect(reqwest::redirect::Policy::none()).build().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { client.get(probe.url.clone()).send().await }).map_err(failed)?;
    Ok(answer.status().as_u16())
}

/// What lies behind the words that only say that a request failed.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the connection was closed without an answer".to_owned()
        }
        _ => error.to_string(),
    }
}
