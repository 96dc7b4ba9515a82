//! Keys made for one run of the tests, and tokens signed with them.

use std::sync::LazyLock;
use std::time::SystemTime;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// A key pair of the issuer.
#[derive(Clone)]
pub struct Key {
    pub kid: &'static str,
    pub algorithm: Algorithm,
    pub private: EncodingKey,
}

pub static RSA: LazyLock<Key> = LazyLock::new(|| rsa_key("rsa"));
pub static OTHER_RSA: LazyLock<Key> = LazyLock::new(|| rsa_key("other-rsa"));
pub static P256: LazyLock<Key> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("DER").as_ref());
    Key { kid: "p256", algorithm: Algorithm::ES256, private }
});
pub static P384: LazyLock<Key> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
    let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("DER").as_ref());
    Key { kid: "p384", algorithm: Algorithm::ES384, private }
});
pub static ED: LazyLock<Key> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let private = EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("DER").as_ref());
    Key { kid: "ed", algorithm: Algorithm::EdDSA, private }
});

fn rsa_key(kid: &'static str) -> Key {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(pair.as_der().expect("DER").as_ref() as &[u8])
    );
    Key { kid, algorithm: Algorithm::RS256, private: EncodingKey::from_rsa_pem(pem.as_bytes()).expect("PEM") }
}

impl Key {
    /// The same key under another name.
    pub fn named(&self, kid: &'static str) -> Self {
        Self { kid, ..self.clone() }
    }

    /// The same key, signing in another way.
    pub fn signing(&self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self.clone() }
    }

    /// The public half as a JWK, with `kid` and no `alg`.
    pub fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm).expect("a JWK")).expect("JSON");
        jwk["kid"] = self.kid.into();
        jwk.as_object_mut().expect("an object").remove("alg");
        jwk
    }

    pub fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.to_owned());
        header
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    pub fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).expect("a token")
    }
}

/// A key set of these keys.
pub fn jwks(keys: &[&Key]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// `claims` with `changes` on top; a change to null takes the claim away.
pub fn with(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}
