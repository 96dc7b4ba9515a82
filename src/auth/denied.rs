//! Why a call is not allowed.

use super::{Principal, Scope};

/// A call that gets no permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is nothing of this name.
    Unknown,
    /// The caller lacks a scope.
    InsufficientScope {
        /// All scopes that the call needs, in the order declared.
        needed: Vec<Scope>,
        /// For people: what was refused.
        message: String,
    },
}

impl Denied {
    /// Why, as one word for logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InsufficientScope { .. } => "insufficient_scope",
        }
    }
}

impl Principal {
    /// Does the caller hold all of these scopes?
    #[must_use]
    pub fn holds_all(&self, scopes: &[Scope]) -> bool {
        scopes.iter().all(|scope| self.scopes.holds(*scope))
    }

    /// Fails unless the caller holds all of the scopes that `name` needs.
    ///
    /// # Errors
    /// [`Denied::InsufficientScope`].
    pub fn must_hold(&self, scopes: &[Scope], name: &str) -> Result<(), Denied> {
        if self.holds_all(scopes) {
            return Ok(());
        }
        let listed = scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(" ");
        Err(Denied::InsufficientScope { needed: scopes.to_vec(), message: format!("{name} needs {listed}") })
    }
}
