//! A certificate with its key, read from PEM.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use simple_asn1::ASN1Block;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};

use super::TlsFiles;

/// What handshakes are answered with.
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// When it expires, in seconds since 1970.
    pub(super) expires: Option<u64>,
}

impl Certificate {
    /// Reads a chain and the key of its first certificate. Neither is quoted in what is said of them.
    pub(super) fn parse(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| "the certificate file is not well-formed PEM".to_owned())?;
        let first = chain.first().ok_or("the certificate file holds no certificate (-----BEGIN CERTIFICATE-----)")?;
        let expires = expiry(first);
        let key = private_key(key)?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "the key does not belong to the first certificate of the file".to_owned()
            }
            Error::InvalidCertificate(_) => "the first certificate of the file cannot be read".to_owned(),
            _ => "the key cannot be used: RSA of 2048 bits or more, ECDSA and Ed25519 can".to_owned(),
        })?;
        if expires.is_some_and(|expires| expires < now()) {
            tracing::warn!("the TLS certificate has expired: clients will refuse it");
        }
        Ok(Self { key: Arc::new(key), expires })
    }
}

/// When the certificate in these files expires, in seconds since 1970, where that can be read from it.
///
/// # Errors
/// Why a server could not use them: one line.
pub fn certificate_expiry(files: &TlsFiles) -> Result<Option<u64>, String> {
    let read = |path: &std::path::Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    Certificate::parse(&read(&files.certificate)?, &read(&files.key)?).map(|certificate| certificate.expires)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        if pem.windows(9).any(|word| word == b"ENCRYPTED") {
            "the key is encrypted, and nobody can be asked for its passphrase; write it without one by `openssl pkey`".to_owned()
        } else {
            "the key file holds no private key (-----BEGIN PRIVATE KEY-----)".to_owned()
        }
    })
}

/// `notAfter` of a certificate (RFC 5280, section 4.1).
fn expiry(certificate: &CertificateDer<'_>) -> Option<u64> {
    let blocks = simple_asn1::from_der(certificate).ok()?;
    let [ASN1Block::Sequence(_, certificate)] = blocks.as_slice() else { return None };
    let ASN1Block::Sequence(_, fields) = certificate.first()? else { return None };
    // The version, which is the only one with a tag of its own, may be left out.
    let untagged = fields.iter().filter(|field| !matches!(field, ASN1Block::Explicit(..)));
    let ASN1Block::Sequence(_, validity) = untagged.take(4).last()? else { return None };
    match validity.get(1)? {
        ASN1Block::UTCTime(_, time) | ASN1Block::GeneralizedTime(_, time) => {
            u64::try_from(time.assume_utc().unix_timestamp()).ok()
        }
        _ => None,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
