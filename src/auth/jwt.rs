//! Checks signed tokens (JWT, RFC 7519; access tokens, RFC 9068) against a set of public keys.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;

use super::claims::Claims;
use super::validity::InForce;
use super::{Principal, TokenProblem, Validity};

/// How far the clocks of issuer and server may disagree, in seconds.
const LEEWAY: u64 = 60;
/// The claims that a token must have; `iss` where an issuer is configured. Whose token it is, see `claims`.
const REQUIRED: [&str; 3] = ["exp", "aud", "iss"];
/// How many keys one token is tried with: more than one only where it names no key, or two keys share a name.
const MAX_TRIES: usize = 8;
/// How many keys of a set are looked at.
const MAX_KEYS: usize = 256;

/// What a token must say, whoever signed it.
pub(super) struct JwtVerifier {
    validation: Validation,
}

/// A token whose header has been read and found acceptable. Nothing in it has been proved.
pub(super) struct UnverifiedToken {
    token: String,
    algorithm: Algorithm,
    kid: Option<String>,
}

/// What a checked token is good for.
pub(super) struct Verified {
    pub(super) principal: Arc<Principal>,
    /// The token's `exp`.
    pub(super) expires: SystemTime,
    /// The key that its signature was checked with.
    pub(super) key: KeyFingerprint,
}

/// The usable public keys of an issuer; never empty.
pub(super) struct KeySet {
    keys: Vec<PublicKey>,
}

/// Tells two keys apart, by everything that the set says of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyFingerprint(blake3::Hash);

struct PublicKey {
    kid: Option<String>,
    /// What the key may be used with: decided by the key, never by a token.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
    fingerprint: KeyFingerprint,
    in_force: InForce,
}

impl UnverifiedToken {
    /// Reads the header. `jku`, `jwk`, `x5u` and `x5c` are ignored: a token does not say which key it is checked with.
    pub(super) fn read(token: &str) -> Result<Self, TokenProblem> {
        let header = decode_header(token).map_err(|error| problem(error.kind()))?;
        check_header(&header)?;
        Ok(Self { token: token.to_owned(), algorithm: header.alg, kid: header.kid })
    }
}

fn check_header(header: &Header) -> Result<(), TokenProblem> {
    if header.crit.is_some() {
        return Err(TokenProblem::Critical);
    }
    // RFC 9068 wants `at+jwt`; most issuers still write `JWT` or nothing. Anything else is a token for another purpose.
    let is_access_token = header
        .typ
        .as_deref()
        .is_none_or(|typ| ["at+jwt", "application/at+jwt", "JWT"].iter().any(|accepted| typ.eq_ignore_ascii_case(accepted)));
    if !is_access_token {
        return Err(TokenProblem::Type);
    }
    match header.alg {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => Ok(()),
        _ => Err(TokenProblem::Algorithm),
    }
}

impl JwtVerifier {
    /// `audiences` is not empty.
    pub(super) fn new(issuer: Option<&str>, audiences: &[String]) -> Self {
        // The algorithm is set for each token, from the key.
        let mut validation = Validation { leeway: LEEWAY, validate_nbf: true, ..Validation::default() };
        validation.set_audience(audiences);
        let [exp, aud, iss] = REQUIRED.map(str::to_owned);
        validation.required_spec_claims = HashSet::from([exp, aud]);
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert(iss);
        }
        Self { validation }
    }

    /// Checks signature and claims.
    pub(super) fn verify(&self, token: &UnverifiedToken, keys: &KeySet) -> Result<Verified, TokenProblem> {
        let mut last =
            if keys.keys.iter().any(|key| key.is_named_by(token)) { TokenProblem::Algorithm } else { TokenProblem::UnknownKey };
        for key in keys.keys.iter().filter(|key| key.may_have_signed(token)).take(MAX_TRIES) {
            match self.verify_with(token, key) {
                // Without a name, a signature that no key has made is one of an unknown key.
                Err(TokenProblem::Signature) if token.kid.is_none() => last = TokenProblem::UnknownKey,
                Err(TokenProblem::Signature) => last = TokenProblem::Signature,
                done => return done,
            }
        }
        Err(last)
    }

    fn verify_with(&self, token: &UnverifiedToken, key: &PublicKey) -> Result<Verified, TokenProblem> {
        let validation = Validation { algorithms: vec![token.algorithm], ..self.validation.clone() };
        let claims = decode::<Claims>(&token.token, &key.key, &validation).map_err(|error| problem(error.kind()))?.claims;
        let expires = claims.exp.and_then(timestamp).ok_or(TokenProblem::Malformed)?;
        // As long as a request with the token would be taken.
        let validity = Validity::new(expires.checked_add(Duration::from_secs(LEEWAY)), &key.in_force);
        Ok(Verified { principal: Arc::new(claims.into_principal(validity)?), expires, key: key.fingerprint })
    }
}

fn timestamp(seconds: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

fn problem(kind: &ErrorKind) -> TokenProblem {
    match kind {
        ErrorKind::InvalidSignature => TokenProblem::Signature,
        ErrorKind::ExpiredSignature => TokenProblem::Expired,
        ErrorKind::ImmatureSignature => TokenProblem::NotYetValid,
        ErrorKind::InvalidIssuer => TokenProblem::Issuer,
        ErrorKind::InvalidAudience => TokenProblem::Audience,
        ErrorKind::MissingRequiredClaim(claim) => {
            TokenProblem::MissingClaim(REQUIRED.into_iter().find(|required| required == claim).unwrap_or("exp"))
        }
        ErrorKind::InvalidAlgorithm => TokenProblem::Algorithm,
        _ => TokenProblem::Malformed,
    }
}

impl KeySet {
    /// Reads a JWK set (RFC 7517). Keys that are of no use here (for encryption, symmetric, of an unknown kind) are
    /// passed over. A set without a usable key is an error: it is never what an operator or an issuer meant.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct JwkSet {
            keys: Vec<serde_json::Value>,
        }
        let set: JwkSet =
            serde_json::from_slice(json).map_err(|_| "it is not a JWK set: JSON with an array `keys`".to_owned())?;
        let keys: Vec<_> = set.keys.into_iter().take(MAX_KEYS).filter_map(PublicKey::read).collect();
        if keys.is_empty() {
            return Err("it has no key for RS256, PS256, ES256, ES384 or EdDSA".to_owned());
        }
        Ok(Self { keys })
    }

    /// These keys in place of those of before: the ones that both have stay in force, the others are withdrawn.
    pub(super) fn succeed(mut self, before: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(known) = before.keys.iter().find(|known| known.fingerprint == key.fingerprint) {
                key.in_force = known.in_force.clone();
            }
        }
        self
    }

    /// Is there a key that can have signed this token? Without one there is no signature to check.
    pub(super) fn may_have_signed(&self, token: &UnverifiedToken) -> bool {
        self.keys.iter().any(|key| key.may_have_signed(token))
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn contains(&self, key: KeyFingerprint) -> bool {
        self.keys.iter().any(|held| held.fingerprint == key)
    }
}

impl PublicKey {
    fn is_named_by(&self, token: &UnverifiedToken) -> bool {
        token.kid.is_none() || self.kid == token.kid
    }

    fn may_have_signed(&self, token: &UnverifiedToken) -> bool {
        self.is_named_by(token) && self.algorithms.contains(&token.algorithm)
    }

    fn read(json: serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json).ok()?;
        let algorithms = algorithms(&jwk);
        if algorithms.is_empty() {
            return None;
        }
        let fingerprint = KeyFingerprint(blake3::hash(&serde_json::to_vec(&jwk).ok()?));
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { algorithms, key, kid: jwk.common.key_id, fingerprint, in_force: InForce::new() })
    }
}

/// What a key may be used with: what its type allows, narrowed by what it says itself.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    let common = &jwk.common;
    let for_signatures = common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !for_signatures {
        return Vec::new();
    }
    let by_type: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => &[],
    };
    let allowed = |algorithm: &Algorithm| common.key_algorithm.is_none_or(|own| own == KeyAlgorithm::from(*algorithm));
    by_type.iter().copied().filter(allowed).collect()
}
