//! What users have: a server behind nginx, and a provider whose tokens are for it at its public address.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::provider::Provider;
use crate::support::nginx::{Nginx, Site};
use crate::support::process::free_port;
use crate::support::server::Pressmark;
use crate::{folder, served};

/// The three of them, stopped when they go out of scope.
pub(crate) struct Protected {
    url: String,
    provider: Provider,
    server: Pressmark,
    _nginx: Nginx,
    folder: TempDir,
    /// The certificate and its key.
    tls: TempDir,
}

impl Protected {
    pub(crate) fn start() -> Self {
        Self::start_at("http")
    }

    /// nginx speaks TLS, with [`Self::certificate`]; the server behind it does not.
    pub(crate) fn start_with_tls() -> Self {
        Self::start_at("https")
    }

    fn start_at(scheme: &str) -> Self {
        let (port, folder, tls) = (free_port(), folder(), tempfile::tempdir().expect("a temporary folder"));
        let url = format!("{scheme}://127.0.0.1:{port}");
        let listen =
            if scheme == "https" { format!("{port} ssl http2; {}", make_certificate(tls.path())) } else { format!("{port};") };
        let provider = Provider::start_for(&format!("{url}/mcp"));
        let server = Pressmark::start(&[served(&folder), "--jwt-issuer", provider.issuer(), "--public-url", &url]);
        let site = Site { replicas: &[server.port()], limits: true, server: &format!("listen 127.0.0.1:{listen}") };
        Self { url, provider, _nginx: Nginx::start_at(&site), server, folder, tls }
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where its tokens come from.
    pub(crate) fn issuer(&self) -> &str {
        self.provider.issuer()
    }

    /// What is served.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a client has to trust, with TLS.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.tls.path().join("tls.crt")
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        self.server.stderr()
    }
}

/// Makes a certificate of this machine; gives the lines that name it to nginx.
fn make_certificate(directory: &Path) -> String {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "tls.key", "-out", "tls.crt"])
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("cannot start openssl: {error}; install openssl (scripts/test does)"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let directory = directory.display();
    format!("ssl_certificate {directory}/tls.crt; ssl_certificate_key {directory}/tls.key;")
}
