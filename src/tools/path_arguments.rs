//! The arguments of tools on files that are paths, as gateways see them: repeated in headers.

use serde_json::Value;

use super::header_param::ANNOTATION;
use crate::auth::{Permission, Scope};

/// An argument that is a path in every tool that has one of this name and needs a permission on files.
pub(super) struct PathArgument {
    names: &'static [&'static str],
    /// What follows `Mcp-Param-` in the name of its header.
    header: &'static str,
    /// Which of the tool's permissions on files it needs.
    permission: fn(&mut dyn DoubleEndedIterator<Item = Permission>) -> Option<Permission>,
}

/// Where a tool has two, what it takes comes first, in its arguments as in its scopes.
pub(super) const PATH_ARGUMENTS: [PathArgument; 2] = [
    PathArgument { names: &["path", "from"], header: "Path", permission: |permissions| permissions.next() },
    PathArgument { names: &["to"], header: "To", permission: |permissions| permissions.next_back() },
];

impl PathArgument {
    pub(super) fn header_name(&self) -> String {
        format!("Mcp-Param-{}", self.header)
    }

    /// The permission that it needs in a tool with these scopes; `None` when the tool needs none on files.
    pub(super) fn permission(&self, scopes: &[Scope]) -> Option<Permission> {
        (self.permission)(&mut scopes.iter().filter_map(|scope| match scope {
            Scope::Files(permission) => Some(*permission),
            Scope::Named(_) => None,
        }))
    }
}

/// Marks the paths in the schema of a tool with these scopes, so that clients repeat them in headers.
pub(super) fn annotate(scopes: &[Scope], schema: &mut Value) {
    for argument in PATH_ARGUMENTS.iter().filter(|argument| argument.permission(scopes).is_some()) {
        for name in argument.names {
            if let Some(Value::Object(property)) = schema.get_mut("properties").and_then(|properties| properties.get_mut(*name)) {
                property.insert(ANNOTATION.to_owned(), argument.header.into());
            }
        }
    }
}
