//! Certificates for servers of this machine, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The names under which tests reach servers.
const NAMES: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";
const P256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// An authority, with the certificates that it gives, each `NAME.crt` with its key `NAME.key`.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        authority.openssl(&[&["req", "-x509"], P256, &["-nodes", "-days", "2", "-subj", "/CN=authority"], &AUTHORITY_FILES]);
        authority
    }

    /// What clients trust.
    pub fn root(&self) -> PathBuf {
        self.file("authority.crt")
    }

    /// Makes a certificate for this common name, with a key of a usual kind.
    pub fn issue(&self, name: &str) {
        self.issue_with(name, P256);
    }

    /// The same, with what `openssl req` is to be told of the key.
    pub fn issue_with(&self, name: &str, key: &[&str]) {
        let (subject, certificate, written) = (format!("/CN={name}"), format!("{name}.crt"), format!("{name}.key"));
        // `-newkey` writes a key, `-key` takes one that is there.
        let keyout = if key.contains(&"-newkey") { vec!["-keyout", &written] } else { vec![] };
        self.openssl(&[
            &["req", "-x509", "-CA", "authority.crt", "-CAkey", "authority.key", "-nodes", "-days", "2", "-subj", &subject],
            key,
            &["-addext", NAMES, "-addext", "basicConstraints=critical,CA:FALSE", "-out", &certificate],
            &keyout,
        ]);
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs openssl in the folder, and gives what it writes.
    pub fn openssl(&self, arguments: &[&[&str]]) -> String {
        let mut command = Command::new("openssl");
        command.args(arguments.concat()).current_dir(self.folder.path()).stdin(std::process::Stdio::null());
        let done = command.output().unwrap_or_else(|error| panic!("cannot start openssl: {error}; scripts/test installs it"));
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("UTF-8")
    }

    /// The options with which a server uses this certificate.
    pub fn options(&self, name: &str) -> [String; 4] {
        let file = |suffix| self.file(&format!("{name}.{suffix}")).to_str().expect("UTF-8").to_owned();
        ["--tls-cert".to_owned(), file("crt"), "--tls-key".to_owned(), file("key")]
    }
}

const AUTHORITY_FILES: [&str; 4] = ["-keyout", "authority.key", "-out", "authority.crt"];
