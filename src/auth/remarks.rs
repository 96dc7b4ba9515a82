//! What an operator is told once of tokens that are good and yet of no use here.

use std::collections::HashSet;
use std::sync::{Mutex, Once, PoisonError};

use super::{Principal, TokenProblem};

/// The scopes that permit something in the tree.
pub(super) const FILE_SCOPES: &str = "files, files:read, files:write and files:delete";
/// Principals that are remembered.
const MAX_PRINCIPALS: usize = 1_000;

/// Warns of what looks like a mistake in the configuration of this server or of the issuer, each kind once.
pub(super) struct Remarks {
    audiences: String,
    audience: Once,
    without_scope: Mutex<HashSet<String>>,
}

impl Remarks {
    /// Of a server whose tokens must name one of these.
    pub(super) fn new(audiences: &[String]) -> Self {
        Self { audiences: audiences.join(", "), audience: Once::new(), without_scope: Mutex::default() }
    }

    /// A token was refused.
    pub(super) fn on_refusal(&self, problem: TokenProblem) {
        if problem == TokenProblem::Audience {
            self.audience.call_once(|| {
                let audiences = &self.audiences;
                tracing::warn!("a token for another audience was refused; `aud` must name {audiences} (see --jwt-audience)");
            });
        }
    }

    /// A token was found good.
    pub(super) fn on_principal(&self, principal: &Principal) {
        if principal.scopes.touches_files() {
            return;
        }
        let mut said = self.without_scope.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MAX_PRINCIPALS && said.insert(principal.subject.clone()) {
            let subject = principal.subject.as_str();
            tracing::warn!(
                principal = subject,
                "a token permits nothing on files: its claim `scope`, or without that `scp`, has none of {FILE_SCOPES}"
            );
        }
    }
}
