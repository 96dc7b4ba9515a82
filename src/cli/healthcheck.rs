//! `pressmark healthcheck`.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use url::Url;

use super::{EXIT_USAGE, settings_sources};
use crate::config::{ConfigError, listen_address};

/// Ask the server on this machine whether it is alive, for containers
///
/// Exits with 0 when the server on this machine answers its liveness probe with 200, and with 1 otherwise: for the
/// HEALTHCHECK of a container, where there is no shell and no curl. It knows the server's address from the same
/// environment and the same file as the server.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// What to ask, such as http://127.0.0.1:8080/readyz; without a path /healthz. The certificate of an https:// URL is not
    /// checked: the name in it is not this machine's [default: the address of --listen]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Where the server listens; for all interfaces, this machine's own is asked [default: 127.0.0.1:8080]
    #[arg(long, env = "PRESSMARK_LISTEN", value_name = "ADDRESS:PORT", value_parser = listen_address)]
    listen: Option<SocketAddr>,

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
        let url = match self.probe() {
            Ok(url) => url,
            Err(error) => {
                super::complain(&error);
                return ExitCode::from(EXIT_USAGE);
            }
        };
        let asked = if url.scheme() == "https" { ask_with_tls(&url, self.timeout) } else { ask(&url, self.timeout) };
        match asked {
            Ok(200) => super::say(&format!("{url} answers 200")),
            Ok(status) => super::fail(&format!("{url} answers {status}")),
            Err(error) => super::fail(&format!("{url}: {}", reason(&error))),
        }
    }

    fn probe(&self) -> Result<Url, ConfigError> {
        if let Some(text) = &self.url {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let mut url = url.ok_or_else(|| ConfigError("--url: not an http:// or https:// URL".to_owned()))?;
            if url.path() == "/" {
                url.set_path("/healthz");
            }
            return Ok(url);
        }
        let file = match &self.config {
            Some(path) if self.listen.is_none() => settings_sources::read_file(path)?.listen,
            _ => None,
        };
        let listen = self.listen.or(file).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let here = SocketAddr::new(this_machine(listen.ip()), listen.port());
        Url::parse(&format!("http://{here}/healthz")).map_err(|error| ConfigError(format!("--listen: {error}")))
    }
}

/// The address of this machine under which a server that listens on `ip` is reached.
pub(super) fn this_machine(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
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
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
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

/// The same over TLS. Nothing secret is sent, so that it does not matter who answers.
fn ask_with_tls(url: &Url, limit: Duration) -> io::Result<u16> {
    let failed = |error: reqwest::Error| match error {
        error if error.is_timeout() => io::ErrorKind::TimedOut.into(),
        error => io::Error::other(innermost(&error)),
    };
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().timeout(limit);
    let client = client.redirect(reqwest::redirect::Policy::none()).build().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { client.get(url.clone()).send().await }).map_err(failed)?;
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
