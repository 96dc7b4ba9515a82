//! Who calls, and what they may do. The ground floor: nothing here knows the protocol, the tools or the HTTP server.

mod api_key;
mod authenticator;
mod claims;
mod config;
mod denied;
mod error;
mod inspection;
mod jwks;
mod jwt;
mod key_fetcher;
mod key_file;
mod principal;
mod remarks;
mod scope;
mod token_digest;
mod validity;
mod verified_cache;

pub use authenticator::Authenticator;
pub use config::{AuthConfig, JwtConfig, KeySource, RefreshPolicy};
pub use denied::Denied;
pub use error::{AuthError, AuthSetupError, TokenProblem};
pub(crate) use inspection::{KeysFound, inspect_keys};
pub(crate) use key_fetcher::{is_loopback, issuer_url, key_url};
pub use key_file::{KeyFileError, KeyInfo, NewKey, create_key, list_keys, revoke_key};
pub use principal::Principal;
pub use scope::{Permission, Scope, ScopeSet};
pub use validity::Validity;
