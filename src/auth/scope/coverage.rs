//! Comparing what two tokens of one caller may do.

use super::{Grant, Permission, ScopeSet, Subtree};

impl ScopeSet {
    /// Does this set allow everything that the other allows? What was done with the rights of the other may then be shown
    /// to a caller with these.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.grants.iter().all(|grant| self.cover(grant)) && other.names.iter().all(|name| self.names.contains(name))
    }

    fn cover(&self, grant: &Grant) -> bool {
        [Permission::Read, Permission::Write, Permission::Delete]
            .into_iter()
            .filter(|one| grant.gives(*one))
            .all(|permission| self.grants.iter().any(|held| held.gives(permission) && held.subtree.covers(&grant.subtree)))
    }
}

impl Subtree {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(top), other) => other.top().is_within(top),
            (Self::Path(path), Self::Path(other)) => path == other,
            (Self::Path(_), Self::Below(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_covers_what_it_allows_as_well() {
        let set = |scopes: &str| ScopeSet::parse(scopes.split_whitespace());
        for (wide, narrow) in [
            ("files", "files:read:/a/** files:delete"),
            ("files:write files:delete", "files"),
            ("files:read:/a/**", "files:read:/a/b files:read:/a/b/**"),
            ("files:read:/a/** files:write:/b", "files:read:/b"),
            ("files other", "other"),
            ("", ""),
        ] {
            assert!(set(wide).covers(&set(narrow)), "{wide} covers {narrow}");
            let text = serde_json::to_string(&set(wide)).expect("plain data");
            assert_eq!(serde_json::from_str::<ScopeSet>(&text).expect("what was written"), set(wide));
        }
        for (one, another) in [
            ("files:read", "files:write"),
            ("files:read:/a", "files:read:/a/**"),
            ("files:read:/a/**", "files:read"),
            ("files", "x"),
        ] {
            assert!(!set(one).covers(&set(another)), "{one} does not cover {another}");
        }
    }
}
