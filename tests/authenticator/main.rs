//! From an `Authorization` header to a principal: real keys, real signatures, a real issuer on a local port.

mod api_keys;
mod challenges;
mod key_sets;
mod outcome;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
