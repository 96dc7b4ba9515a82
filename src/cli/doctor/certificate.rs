//! Certificates that are refused, in an operator's words.

/// What is wrong with the certificate of a server, and what to do, by the reason for which a connection to it failed. `None` when
/// that was another one.
pub(super) fn refused(reason: &str) -> Option<(String, &'static str)> {
    let problem = reason.strip_prefix("invalid peer certificate: ")?;
    let is = |kinds: &[&str]| kinds.iter().any(|kind| problem.contains(*kind));
    // The names of errors in rustls. The last two: another authority has the name of one that is known.
    if is(&["UnknownIssuer", "BadSignature", "UnsupportedSignatureAlgorithmForPublicKey"]) {
        let found = "its certificate is not trusted by this machine: no authority that is known here has signed it";
        return Some((found.to_owned(), MAKE_TRUSTED));
    }
    if is(&["CaUsedAsEndEntity"]) {
        let found = "its certificate is not trusted by this machine: it is self-made, and that of an authority";
        return Some((found.to_owned(), MAKE_ANEW));
    }
    if is(&["certificate expired"]) {
        return Some(("its certificate has expired".to_owned(), "renew it where TLS ends"));
    }
    is(&["not valid for name"]).then(|| (problem.to_owned(), "have one made for this name, or use the name that is in it"))
}

/// Where the variables count, they count alone (rustls-native-certs, "Environment Variables").
const MAKE_TRUSTED: &str = "send its intermediate certificates along (the full chain); for an authority of your own, add that to \
those of this machine (update-ca-certificates), or name a PEM file of it in SSL_CERT_FILE, which then counts alone; clients have \
to trust it, too";
const MAKE_ANEW: &str = "make another one for the server (basicConstraints=CA:FALSE), signed by an authority that clients trust";
