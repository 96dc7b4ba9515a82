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
use crate::watched_files::read_file;

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
    let read = |path: &std::path::Path| read_file(path, None).map_err(|problem| format!("{}: {problem}", path.display()));
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

/// `notAfter` of a certificate (RFC 5280, section 4.1). Only the two times are given to the parser: it descends into whatever is
/// nested, as deep as that goes.
fn expiry(certificate: &[u8]) -> Option<u64> {
    /// The tag of the version, which may be left out.
    const VERSION: u8 = 0xa0;
    /// Two times in their longest form.
    const MAX_VALIDITY: usize = 40;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        (_, _, fields) = element(fields)?;
    }
    for _before in ["serialNumber", "signature", "issuer"] {
        (_, _, fields) = element(fields)?;
    }
    let (validity, ..) = element(fields)?;
    let blocks = simple_asn1::from_der(Some(validity).filter(|validity| validity.len() <= MAX_VALIDITY)?).ok()?;
    let [ASN1Block::Sequence(_, validity)] = blocks.as_slice() else { return None };
    match validity.get(1)? {
        ASN1Block::UTCTime(_, time) | ASN1Block::GeneralizedTime(_, time) => {
            u64::try_from(time.assume_utc().unix_timestamp()).ok()
        }
        _ => None,
    }
}

/// The first element of DER with one byte of tag (X.690, section 8.1): the whole, what it holds, and what follows.
fn element(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, header) = match *der.get(1)? {
        short @ 0..=0x7f => (usize::from(short), 2),
        long @ 0x81..=0x84 => {
            let bytes = der.get(2..2 + usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + bytes.len())
        }
        _ => return None,
    };
    let end = header.checked_add(length)?;
    Some((der.get(..end)?, der.get(header..end)?, der.get(end..)?))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).expect("short").to_be_bytes();
        [&[tag, 0x84], &length[..], content].concat()
    }

    /// A certificate as far as it is read: this version, and this in place of the validity.
    fn certificate(version: &[u8], validity: &[u8]) -> Vec<u8> {
        let fields = [version, &[2, 1, 7], &[0x30, 0], &[0x30, 0], validity, &[0x30, 0]].concat();
        sequence(0x30, &sequence(0x30, &fields))
    }

    #[test]
    fn the_end_of_the_validity_is_found() {
        let times = [b"\x30\x1e\x17\x0d260101000000Z".as_slice(), b"\x17\x0d270102030405Z"].concat();
        let version = [0xa0, 3, 2, 1, 2];
        assert_eq!(expiry(&certificate(&version, &times)), Some(1_798_859_045));
        assert_eq!(expiry(&certificate(&[], &times)), Some(1_798_859_045));
    }

    #[test]
    fn what_is_nested_deep_or_cut_off_is_not_followed() {
        let mut nested = vec![0x30, 0];
        for _ in 0..10_000 {
            nested = sequence(0x30, &nested);
        }
        assert_eq!(expiry(&nested), None);
        assert_eq!(expiry(&certificate(&[], &nested)), None);
        let whole = certificate(&[], b"\x30\x00");
        for end in 0..whole.len() {
            assert_eq!(expiry(&whole[..end]), None);
        }
    }
}
