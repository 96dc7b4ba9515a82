//! Who calls, and what they may do. The ground floor: nothing here knows the protocol, the tools or HTTP.

mod principal;
mod scope;

pub use principal::Principal;
pub use scope::{Permission, Scope, ScopeSet};
