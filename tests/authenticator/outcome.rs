//! What an authenticator says of a token.

use std::sync::Arc;
use std::time::Duration;

use pressmark::auth::{AuthError, Authenticator, Principal};

pub(crate) async fn bearer(authenticator: &Authenticator, token: &str) -> Result<Arc<Principal>, AuthError> {
    authenticator.authenticate(Some(&format!("Bearer {token}"))).await
}

/// `ok`, or the reason why not.
pub(crate) async fn outcome(authenticator: &Authenticator, token: &str) -> &'static str {
    bearer(authenticator, token).await.map_or_else(AuthError::reason, |_| "ok")
}

/// Asks again until `token` is answered with `wanted`.
pub(crate) async fn becomes(authenticator: &Authenticator, token: &str, wanted: &str) {
    for _ in 0..200 {
        if outcome(authenticator, token).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still {} and not {wanted}", outcome(authenticator, token).await);
}
