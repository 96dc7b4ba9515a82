//! Where Redis is and how to get in, as one line of configuration.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The address of shared state in Redis:
///
/// - `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`: one server,
/// - `redis+cluster://[USER:PASSWORD@]HOST[:PORT],…`: a cluster, by some of its nodes,
/// - `redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/SERVICE[/DATABASE]`: whichever server Sentinels say is the master,
///
/// and each with `rediss` for `redis` over TLS, trusting the system's certificate authorities. User and password are
/// percent-encoded. Written out, as [`Display`](fmt::Display) or [`Debug`](fmt::Debug), it shows neither.
///
/// ```
/// # use pressmark::state::RedisUrl;
/// let url: RedisUrl = "redis+sentinel://:secret@sentinel-0,sentinel-1:26380/main".parse().unwrap();
/// assert_eq!(url.to_string(), "redis+sentinel://sentinel-0:26379,sentinel-1:26380/main");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(super) topology: Topology,
    pub(super) tls: bool,
    /// Never empty.
    pub(super) nodes: Vec<Node>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    Server,
    Cluster,
    Sentinel { service: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Why a text is not a [`RedisUrl`]: one line that quotes nothing of it, because anything may be part of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// It starts in another way.
    #[error("a Redis URL starts with redis://, redis+cluster:// or redis+sentinel://, or the same with rediss for TLS")]
    Scheme,
    /// A host is missing or has characters that no host has.
    #[error("the Redis URL names no host, or one that is none; right is redis://HOST:PORT, or HOST:PORT,HOST:PORT for several")]
    Host,
    /// A port is no number from 1 to 65535.
    #[error("a port in the Redis URL is not a number from 1 to 65535")]
    Port,
    /// Several hosts where one belongs.
    #[error("redis:// takes one host; several hosts need redis+cluster:// or redis+sentinel://")]
    SeveralHosts,
    /// What follows the host of a single server is no database number.
    #[error("after the host, redis:// takes a database number and nothing else: redis://HOST:PORT/0")]
    Database,
    /// A cluster has only database 0.
    #[error("redis+cluster:// takes nothing after the hosts: a cluster has no numbered databases")]
    ClusterPath,
    /// The name of the service is missing, or what follows it is no database number.
    #[error("redis+sentinel:// takes the name of the service after the hosts, and perhaps a database number: /SERVICE/0")]
    Service,
    /// User or password are not percent-encoded text.
    #[error("user or password in the Redis URL are not percent-encoded UTF-8")]
    Credentials,
    /// There is a `?` or `#`.
    #[error("the Redis URL takes no `?` and no `#`; in a password write %3F and %23")]
    Parameters,
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError::Scheme)?;
        if rest.contains(['?', '#']) {
            return Err(RedisUrlError::Parameters);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (tls, topology, database) = read_scheme_and_path(scheme, path)?;
        let default_port = if matches!(topology, Topology::Sentinel { .. }) { SENTINEL_PORT } else { REDIS_PORT };
        let nodes = hosts.split(',').map(|host| read_node(host, default_port)).collect::<Result<Vec<_>, _>>()?;
        if topology == Topology::Server && nodes.len() > 1 {
            return Err(RedisUrlError::SeveralHosts);
        }
        let (username, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        Ok(Self { topology, tls, nodes, username: decode(username)?, password: decode(password)?, database })
    }
}

fn read_scheme_and_path(scheme: &str, path: &str) -> Result<(bool, Topology, i64), RedisUrlError> {
    let (protocol, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let tls = match protocol {
        "redis" => false,
        "rediss" => true,
        _ => return Err(RedisUrlError::Scheme),
    };
    let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u16>().ok().map(i64::from) };
    let (topology, database) = match kind {
        "" => (Topology::Server, number(path).ok_or(RedisUrlError::Database)?),
        "cluster" if path.is_empty() => (Topology::Cluster, 0),
        "cluster" => return Err(RedisUrlError::ClusterPath),
        "sentinel" => {
            let (service, database) = path.split_once('/').unwrap_or((path, ""));
            let service = decode(service).ok().flatten().ok_or(RedisUrlError::Service)?;
            (Topology::Sentinel { service }, number(database).ok_or(RedisUrlError::Service)?)
        }
        _ => return Err(RedisUrlError::Scheme),
    };
    // `redis` alone has no plus sign.
    if kind.is_empty() && scheme.contains('+') { Err(RedisUrlError::Scheme) } else { Ok((tls, topology, database)) }
}

fn read_node(text: &str, default_port: u16) -> Result<Node, RedisUrlError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']').ok_or(RedisUrlError::Host)?;
            let address = address.parse::<std::net::Ipv6Addr>().map_err(|_| RedisUrlError::Host)?;
            (address.to_string(), port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if host.is_empty() || !host.chars().all(plain) {
                return Err(RedisUrlError::Host);
            }
            (host.to_owned(), port)
        }
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(RedisUrlError::Port)?,
        None if port.is_empty() => default_port,
        None => return Err(RedisUrlError::Host),
    };
    Ok(Node { host, port })
}

/// Percent-decodes; `None` when nothing is there.
fn decode(text: &str) -> Result<Option<String>, RedisUrlError> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| RedisUrlError::Credentials)?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss" } else { "redis" })?;
        f.write_str(match self.topology {
            Topology::Server => "://",
            Topology::Cluster => "+cluster://",
            Topology::Sentinel { .. } => "+sentinel://",
        })?;
        for (index, Node { host, port }) in self.nodes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if host.contains(':') { write!(f, "{comma}[{host}]:{port}")? } else { write!(f, "{comma}{host}:{port}")? }
        }
        if let Topology::Sentinel { service } = &self.topology {
            write!(f, "/{service}")?;
        }
        if self.database != 0 { write!(f, "/{}", self.database) } else { Ok(()) }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back_without_credentials() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("redis://:p%40ss@localhost:7000/3", "redis://localhost:7000/3"),
            ("redis://user:a:b@c@localhost/", "redis://localhost:6379"),
            ("rediss://[::1]:6380", "rediss://[::1]:6380"),
            ("redis+cluster://u:p@10.0.0.1:7000,10.0.0.2", "redis+cluster://10.0.0.1:7000,10.0.0.2:6379"),
            ("rediss+cluster://node", "rediss+cluster://node:6379"),
            ("redis+sentinel://a,b:1,c/main/2", "redis+sentinel://a:26379,b:1,c:26379/main/2"),
        ] {
            let url: RedisUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let url: RedisUrl = "redis://us%65r:p%40s:s@localhost".parse().expect("a right URL");
        assert_eq!((url.username.as_deref(), url.password.as_deref()), (Some("user"), Some("p@s:s")));
        let url: RedisUrl = "redis://:secret@localhost".parse().expect("a right URL");
        assert_eq!((url.username.as_deref(), url.password.as_deref()), (None, Some("secret")));
    }

    #[test]
    fn a_wrong_url_is_told_apart_and_its_text_is_not_repeated() {
        use RedisUrlError as E;
        for (text, error) in [
            ("", E::Scheme),
            ("hunter2", E::Scheme),
            ("http://hunter2", E::Scheme),
            ("redis+://localhost", E::Scheme),
            ("redis+other://localhost", E::Scheme),
            ("redis://", E::Host),
            ("redis://:hunter2@", E::Host),
            ("redis://:hunter2/x@localhost", E::Database),
            ("redis://user:hunter2:6379", E::Port),
            ("redis://localhost:0", E::Port),
            ("redis://localhost:65536", E::Port),
            ("redis://localhost:", E::Port),
            ("redis://[::1", E::Host),
            ("redis://[::1]6379", E::Host),
            ("redis://a b", E::Host),
            ("redis://a,b", E::SeveralHosts),
            ("redis://localhost/hunter2", E::Database),
            ("redis://localhost/-1", E::Database),
            ("redis+cluster://a,b/1", E::ClusterPath),
            ("redis+cluster://a,,b", E::Host),
            ("redis+sentinel://a,b", E::Service),
            ("redis+sentinel://a,b/main/x", E::Service),
            ("redis://:%FF@localhost", E::Credentials),
            ("redis://:hunter2?@localhost", E::Parameters),
            ("redis://:hunter2#@localhost", E::Parameters),
        ] {
            let found = text.parse::<RedisUrl>().expect_err(text);
            assert_eq!(found, error, "{text}");
            let message = found.to_string();
            assert!(!message.contains("hunter2") && !message.contains('\n'), "{message}");
        }
    }
}
