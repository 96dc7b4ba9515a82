//! Where connections come in: a TCP port or a Unix socket.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};

use super::client_address::ClientAddress;
use super::socket::Socket;

/// Connections that wait to be accepted on a Unix socket; for TCP the system's limit is as high.
const BACKLOG: u32 = 4096;
/// Who may connect to a Unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and a port, where 0 is any free one.
    Tcp(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Can only this machine connect?
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Is it every address of this machine?
    #[must_use]
    pub fn is_every_address(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.ip().is_unspecified())
    }

    /// How this machine itself connects to what listens here.
    #[must_use]
    pub fn from_this_machine(&self) -> Self {
        match self {
            Self::Tcp(address) => {
                let ip = match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                    ip => ip,
                };
                Self::Tcp(SocketAddr::new(ip, address.port()))
            }
            Self::Unix(path) => Self::Unix(path.clone()),
        }
    }

    /// The URL of what listens here, without a path; nothing in it tells where a Unix socket lies.
    #[must_use]
    pub fn url(&self, tls: bool) -> String {
        let scheme = if tls { "https" } else { "http" };
        match self {
            Self::Tcp(address) => format!("{scheme}://{address}"),
            Self::Unix(_) => format!("{scheme}://localhost"),
        }
    }
}

impl Default for ListenAddress {
    /// Where nobody but this machine can connect.
    fn default() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    /// Reads `ADDRESS:PORT`, where `localhost` is this machine, or `unix:PATH`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err("write the whole path of the socket, like unix:/run/pressmark/pressmark.sock".to_owned())
            };
        }
        let address = match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port))),
            None => text.parse().ok(),
        };
        address.map(Self::Tcp).ok_or_else(|| {
            "write it like 127.0.0.1:8080, or 0.0.0.0:8080 for all interfaces, or unix:/run/pressmark.sock".to_owned()
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that accepts connections. That of a file goes with its file.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    address: ListenAddress,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

impl Listener {
    /// Listens. The file of a Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// When the address is taken, or may not be used.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?.into();
                Ok(Self { kind: Kind::Tcp(listener), address })
            }
            ListenAddress::Unix(path) => {
                remove_stale(path).await?;
                let socket = UnixSocket::new_stream()?;
                socket.bind(path)?;
                let file = SocketFile::of(path)?;
                // Nobody can connect before `listen`, so that nobody comes in under the rights that `bind` gave.
                fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
                Ok(Self { kind: Kind::Unix { listener: socket.listen(BACKLOG)?, _file: file }, address: address.clone() })
            }
        }
    }

    /// Where it listens, with the port that was chosen.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The next connection, and who opened it.
    pub(super) async fn accept(&self) -> io::Result<(Socket, ClientAddress)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole; waiting to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                Ok((Socket::Tcp(stream), ClientAddress::from(peer.ip())))
            }
            Kind::Unix { listener, .. } => Ok((Socket::Unix(listener.accept().await?.0), ClientAddress::Unix)),
        }
    }
}

/// Makes room for a socket at this path, unless somebody needs what is there.
async fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")),
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // `WouldBlock`: it accepts connections, if slowly.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(_) | Err(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens on this socket")),
    }
}

/// The file of a Unix socket, which is removed with this value, unless another one took its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    place: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), place: Self::place(path)? })
    }

    fn place(path: &Path) -> io::Result<(u64, u64)> {
        fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::place(&self.path).is_ok_and(|place| place == self.place) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
