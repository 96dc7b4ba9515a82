//! Scopes: what a token says its bearer may do, narrowed to a part of the tree where it says so.

mod coverage;

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::path::TreePath;

/// One thing that can be done to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See names, metadata and content.
    Read,
    /// Create, change, move and copy.
    Write,
    /// Remove.
    Delete,
}

/// What a tool requires of its caller. An application's own tools may use names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A permission on files, which a grant may narrow to a subtree.
    Files(Permission),
    /// Any other scope, granted by exactly this name.
    Named(&'static str),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files(Permission::Read) => "files:read",
            Self::Files(Permission::Write) => "files:write",
            Self::Files(Permission::Delete) => "files:delete",
            Self::Named(name) => name,
        })
    }
}

/// The part of the tree that a grant covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
enum Subtree {
    /// Exactly one path: `files:read:/team-a/plan.md`.
    Path(TreePath),
    /// A folder and everything below it: `files:read:/team-a/**`. The whole tree is `/` below.
    Below(TreePath),
}

impl Subtree {
    fn contains(&self, path: &TreePath) -> bool {
        match self {
            Self::Path(only) => path == only,
            Self::Below(top) => path.is_within(top),
        }
    }

    fn top(&self) -> &TreePath {
        match self {
            Self::Path(path) | Self::Below(path) => path,
        }
    }

    /// Is one of these paths, which are sorted, in it or on the way down to it?
    fn meets_any(&self, sorted: &[TreePath]) -> bool {
        let way = std::iter::successors(Some(self.top().clone()), TreePath::parent);
        way.into_iter().any(|path| sorted.binary_search(&path).is_ok()) || self.contains_any_below(sorted)
    }

    fn contains_any_below(&self, sorted: &[TreePath]) -> bool {
        let Self::Below(top) = self else { return false };
        // Between a folder and what lies in it, other names may come: "/a", "/a-b", "/a/b".
        let first = format!("{}/", top.as_str().trim_end_matches('/'));
        let from = sorted.partition_point(|path| path.as_str() < first.as_str());
        sorted.get(from).is_some_and(|path| path.is_within(top))
    }
}

/// A set of permissions on one part of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
struct Grant {
    read: bool,
    write: bool,
    delete: bool,
    subtree: Subtree,
}

impl Grant {
    fn gives(&self, permission: Permission) -> bool {
        match permission {
            Permission::Read => self.read,
            Permission::Write => self.write,
            Permission::Delete => self.delete,
        }
    }
}

/// Everything that a caller has been granted.
///
/// The grammar, for each space-separated scope: `files` (all three permissions), `files:read`, `files:write` (implies
/// read) or `files:delete`, each optionally followed by `:` and a path of the tree: `/team-a/**` for a folder and all
/// below it, or a plain path for just that. In a path, `%20` and the like stand for characters that a scope cannot hold
/// (RFC 6749, section 3.3). Any other text is kept as a name for tools that ask for exactly it. What cannot be read
/// grants nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct ScopeSet {
    grants: Vec<Grant>,
    names: Vec<String>,
}

impl ScopeSet {
    /// Reads the scopes of a token.
    pub fn parse<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for scope in scopes {
            match parse_grant(scope) {
                Some(grant) => set.grants.push(grant),
                // A malformed `files…` scope must not become a name that some tool could ask for.
                None if scope == "files" || scope.starts_with("files:") => {}
                None => set.names.push(scope.to_owned()),
            }
        }
        set
    }

    /// Does the set permit anything in the tree at all?
    #[must_use]
    pub fn touches_files(&self) -> bool {
        !self.grants.is_empty()
    }

    /// All permissions on the whole tree.
    #[must_use]
    pub fn full() -> Self {
        Self::parse(["files"])
    }

    /// May the caller do this to this very path?
    #[must_use]
    pub fn allows(&self, permission: Permission, path: &TreePath) -> bool {
        self.grants.iter().any(|grant| grant.gives(permission) && grant.subtree.contains(path))
    }

    /// Does the caller hold this scope at all, be it on a small part of the tree?
    #[must_use]
    pub fn holds(&self, scope: Scope) -> bool {
        match scope {
            Scope::Files(permission) => self.grants.iter().any(|grant| grant.gives(permission)),
            Scope::Named(name) => self.names.iter().any(|held| held == name),
        }
    }

    /// May the caller know that this path is there? True for what it may read and for the folders on the way down to it.
    #[must_use]
    pub fn sees(&self, path: &TreePath) -> bool {
        self.grants.iter().any(|grant| grant.read && (grant.subtree.contains(path) || grant.subtree.top().is_within(path)))
    }

    /// Does the caller see one of these paths, which are sorted? As [`sees`](Self::sees) for each, however many there are.
    #[must_use]
    pub(crate) fn sees_any(&self, sorted: &[TreePath]) -> bool {
        self.grants.iter().any(|grant| grant.read && grant.subtree.meets_any(sorted))
    }

    /// May a call that does this to this path begin? The same as [`allows`](Self::allows), and a folder on the way down
    /// to what the caller may read can be looked into too: it then shows no more than the caller may see.
    #[must_use]
    pub fn admits(&self, permission: Permission, path: &TreePath) -> bool {
        self.allows(permission, path) || (permission == Permission::Read && self.sees(path))
    }

    /// Does one grant of this permission cover the whole tree? Where not, symbolic links are not followed for the
    /// caller: a link could lead from a granted subtree into another.
    #[must_use]
    pub fn covers_tree(&self, permission: Permission) -> bool {
        self.covers_all_below(permission, &TreePath::root())
    }

    /// Does one grant of this permission cover this folder and everything below it?
    #[must_use]
    pub fn covers_all_below(&self, permission: Permission, folder: &TreePath) -> bool {
        let covers = |subtree: &Subtree| matches!(subtree, Subtree::Below(top) if folder.is_within(top));
        self.grants.iter().any(|grant| grant.gives(permission) && covers(&grant.subtree))
    }
}

fn parse_grant(scope: &str) -> Option<Grant> {
    let rest = scope.strip_prefix("files")?;
    let (action, subtree) = match rest.find(":/") {
        Some(at) => (&rest[..at], parse_subtree(&rest[at + 1..])?),
        None => (rest, Subtree::Below(TreePath::root())),
    };
    let (read, write, delete) = match action {
        "" => (true, true, true),
        ":read" => (true, false, false),
        ":write" => (true, true, false),
        ":delete" => (false, false, true),
        _ => return None,
    };
    Some(Grant { read, write, delete, subtree })
}

fn parse_subtree(pattern: &str) -> Option<Subtree> {
    let (path, below) = match pattern.strip_suffix("/**") {
        Some(path) => (path, true),
        None => (pattern, false),
    };
    // A wildcard anywhere else is a pattern of a kind we do not have: it must not be taken for a literal name.
    if path.contains(['*', '?', '[', '{']) {
        return None;
    }
    let path = TreePath::parse(&percent_decode_str(path).decode_utf8().ok()?).ok()?;
    Some(if below { Subtree::Below(path) } else { Subtree::Path(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).expect("a valid path")
    }

    #[test]
    fn implications() {
        let write = ScopeSet::parse(["files:write"]);
        assert!(write.allows(Permission::Read, &path("/a")) && write.allows(Permission::Write, &path("/a")));
        assert!(!write.allows(Permission::Delete, &path("/a")));
        let all = ScopeSet::full();
        assert!(all.allows(Permission::Delete, &TreePath::root()) && all.covers_tree(Permission::Write));
        let delete = ScopeSet::parse(["files:delete"]);
        assert!(!delete.allows(Permission::Read, &path("/a")));
    }

    #[test]
    fn subtrees() {
        let set = ScopeSet::parse(["files:read:/team-a/**", "files:write:/notes/to%20do.md"]);
        assert!(set.allows(Permission::Read, &path("/team-a")));
        assert!(set.allows(Permission::Read, &path("/team-a/x/y")));
        assert!(!set.allows(Permission::Read, &path("/team-ab")));
        assert!(!set.allows(Permission::Write, &path("/team-a/x")));
        assert!(set.allows(Permission::Write, &path("/notes/to do.md")));
        assert!(!set.covers_tree(Permission::Read));
        assert!(set.sees(&TreePath::root()) && set.sees(&path("/notes")) && !set.sees(&path("/team-b")));
    }

    #[test]
    fn one_of_many_is_seen() {
        let mut all: Vec<_> = ["/", "/a", "/a-b", "/a-b/c", "/a/b", "/a/b/c", "/b", "/b/c"].map(path).into();
        all.sort();
        let sets =
            ["files:read", "files:read:/**", "files:read:/a/**", "files:read:/a/b", "files:read:/a-b/c/d/**", "files:delete"];
        for set in sets.map(|scope| ScopeSet::parse([scope])) {
            for some in 0..1_u32 << all.len() {
                let some: Vec<_> =
                    all.iter().enumerate().filter(|(index, _)| some & (1 << index) != 0).map(|(_, path)| path.clone()).collect();
                assert_eq!(set.sees_any(&some), some.iter().any(|path| set.sees(path)), "{set:?} {some:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_grants_nothing() {
        let hostile =
            ["files:admin", "files:read:/a/*", "files:read:/a/../b/**", "files:read:a", "Files:read", "files:", "filesx"];
        let set = ScopeSet::parse(hostile);
        assert!(set.grants.is_empty(), "{set:?}");
        assert!(!set.holds(Scope::Named("files:admin")));
    }
}
