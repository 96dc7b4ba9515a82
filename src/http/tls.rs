//! TLS of the server's own, with a certificate that may be replaced at any time.

mod certificate;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;

use self::certificate::Certificate;
pub use self::certificate::certificate_expiry;
use super::connection::Protocol;
use super::socket::Socket;
use crate::watched_files::{FileFormat, WatchedFiles};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a client may take for its part of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What may wait to be sent beneath TLS, in bytes. It is as finely as it can be seen that a slow client goes on reading.
const MAX_UNSENT: usize = 16 * 1024;

/// The files of a certificate, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to a root.
    pub certificate: PathBuf,
    /// Its key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Answers TLS handshakes with the certificate of the moment.
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<CurrentCertificate>,
    failures: [AtomicU64; 3],
}

/// Why a handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The client left, as probes do that only look whether a port is open.
    Closed,
    /// The client took too long.
    Timeout,
    /// The two have no version, cipher or protocol in common, the client does not trust the certificate, or it does not
    /// speak TLS.
    Refused,
}

impl Tls {
    /// Reads the files, and from here on every change of them. A pair that cannot be used leaves the one before in force.
    ///
    /// # Errors
    /// Why the pair cannot be used now: one line, without anything of the key.
    pub async fn start(files: TlsFiles) -> Result<Self, String> {
        let format = FileFormat {
            name: "TLS certificate",
            private: [None, Some("TLS key")],
            parse: |[chain, key]| Certificate::parse(chain, key),
            succeed: |new, _| new,
        };
        let files = WatchedFiles::open([files.certificate, files.key], format, LOOK_EVERY).await?;
        let certificate = Arc::new(CurrentCertificate(files));
        let config = server_config(Arc::clone(&certificate)).map_err(|error| error.to_string())?;
        Ok(Self { acceptor: Arc::new(config).into(), certificate, failures: Default::default() })
    }

    /// When the certificate expires, in seconds since 1970; `None` when that cannot be read from it.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.certificate.0.current().expires
    }

    /// Handshakes that came to nothing for this reason.
    #[must_use]
    pub fn failures(&self, failure: HandshakeFailure) -> u64 {
        self.failures[failure as usize].load(Ordering::Relaxed)
    }

    /// Shakes hands. What was agreed on is HTTP/1.1 with clients that say nothing of it (RFC 9113, section 3.3). `None`: it
    /// came to nothing, and was counted.
    pub(super) async fn accept(&self, socket: Socket) -> Option<(Socket, Protocol)> {
        let handshake = self.acceptor.accept_with(socket, |tls| tls.set_buffer_limit(Some(MAX_UNSENT)));
        let error = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
                return Some((Socket::Tls(Box::new(stream)), protocol));
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        let failure = match error.kind() {
            io::ErrorKind::TimedOut => HandshakeFailure::Timeout,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => HandshakeFailure::Closed,
            _ => HandshakeFailure::Refused,
        };
        self.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%error, "a TLS handshake came to nothing");
        None
    }
}

fn server_config(certificate: Arc<CurrentCertificate>) -> Result<ServerConfig, tokio_rustls::rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Clients come back without a full handshake, and nothing is kept for them meanwhile.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

/// The certificate that the files say now.
struct CurrentCertificate(WatchedFiles<Certificate>);

impl std::fmt::Debug for CurrentCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CurrentCertificate")
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().key))
    }
}
