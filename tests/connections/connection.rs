//! Servers that are reached in several ways, and connections to them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pressmark::app::App;
use pressmark::config::Settings;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::support::certificate::Authority;
use super::support::in_process::Server;

pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// A server, and a way to it.
pub(super) struct Place {
    pub(super) server: Server,
    way: Way,
}

enum Way {
    Tcp,
    Tls(Authority),
    Unix(PathBuf, #[expect(dead_code, reason = "holds the socket")] TempDir),
}

impl Place {
    /// Three servers with what `with` adds, each to be reached in another way.
    pub(super) async fn all(with: impl Fn(App) -> App) -> Vec<Self> {
        let tcp = Self { server: Server::start(Settings::default(), &with).await, way: Way::Tcp };
        vec![tcp, Self::with_tls(Settings::default(), &with).await, Self::with_unix_socket(&with).await]
    }

    pub(super) async fn with_tls(settings: Settings, with: impl FnOnce(App) -> App) -> Self {
        let authority = Authority::new();
        authority.issue("server");
        let (tls_cert, tls_key) = (Some(authority.file("server.crt")), Some(authority.file("server.key")));
        let server = Server::start(Settings { tls_cert, tls_key, ..settings }, with).await;
        Self { server, way: Way::Tls(authority) }
    }

    async fn with_unix_socket(with: impl FnOnce(App) -> App) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pressmark.sock");
        let listen = format!("unix:{}", path.display()).parse().expect("a place to listen");
        let server = Server::start(Settings { listen: Some(listen), ..Settings::default() }, with).await;
        Self { server, way: Way::Unix(path, folder) }
    }

    pub(super) async fn connect(&self) -> Connection {
        match &self.way {
            Way::Tcp => Connection::open(&self.server).await,
            Way::Tls(authority) => Connection::on(handshake(authority, tcp(&self.server).await).await),
            Way::Unix(path, _) => Connection::on(UnixStream::connect(path).await.expect("a connection")),
        }
    }
}

/// TLS with a server whose certificate comes from this authority.
pub(super) async fn handshake(authority: &Authority, socket: TcpStream) -> impl Socket + use<> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.root()).expect("a certificate")).expect("a root");
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake")
}

async fn tcp(server: &Server) -> TcpStream {
    let (_, address) = server.url.split_once("://").expect("a URL");
    TcpStream::connect(address).await.expect("a connection")
}

/// A connection whose answers are read as RFC 9112 has them.
pub(super) struct Connection {
    pub(super) socket: Box<dyn Socket>,
    pub(super) read: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(server: &Server) -> Self {
        Self::on(tcp(server).await)
    }

    pub(super) fn on(socket: impl Socket + 'static) -> Self {
        Self { socket: Box::new(socket), read: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// Whether more has come; not so at the end of the connection.
    pub(super) async fn fill(&mut self) -> bool {
        let filling = self.socket.read_buf(&mut self.read);
        tokio::time::timeout(Duration::from_secs(20), filling).await.expect("the server goes on").unwrap_or(0) > 0
    }

    pub(super) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end.as_bytes()) {
                let line = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(line).expect("UTF-8").trim_end().to_owned();
            }
            assert!(self.fill().await, "the connection ended after {}", String::from_utf8_lossy(&self.read));
        }
    }

    pub(super) async fn exactly(&mut self, length: usize) -> String {
        while self.read.len() < length {
            assert!(self.fill().await, "the connection ended after {}", String::from_utf8_lossy(&self.read));
        }
        String::from_utf8(self.read.drain(..length).collect()).expect("UTF-8")
    }

    pub(super) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await.to_ascii_lowercase()
    }

    /// The next chunk of a body; empty at its end.
    pub(super) async fn chunk(&mut self) -> String {
        let length = usize::from_str_radix(&self.until("\r\n").await, 16).expect("the length of a chunk");
        let chunk = self.exactly(length).await;
        assert_eq!(self.exactly(2).await, "\r\n");
        chunk
    }

    /// A whole answer: its head and its body.
    pub(super) async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("an answer in one part");
        let body = self.exactly(length.parse().expect("a number")).await;
        (head, body)
    }

    pub(super) async fn closes(&mut self) {
        while self.fill().await {}
        assert_eq!(String::from_utf8_lossy(&self.read), "", "nothing more is said");
    }
}
