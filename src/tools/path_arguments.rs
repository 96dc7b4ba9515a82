//! The arguments of tools that are paths, as gateways see them: repeated in headers.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::header_param::ANNOTATION;
use crate::auth::Permission;

/// An argument that is a path, and the permission that it needs: what [`Tool::touches`](super::Tool::touches) says of a call,
/// said of all of them.
#[derive(Clone, Copy, Debug)]
pub struct PathArgument {
    /// The argument's name.
    pub argument: &'static str,
    /// What follows `Mcp-Param-` in the name of its header.
    pub header: &'static str,
    /// What the caller must be allowed to do there.
    pub permission: Permission,
}

impl PathArgument {
    /// The argument `path`, in the header `Mcp-Param-Path`.
    #[must_use]
    pub const fn path(permission: Permission) -> Self {
        Self { argument: "path", header: "Path", permission }
    }

    /// The argument `from` of a tool with two paths, in the same header.
    #[must_use]
    pub const fn from(permission: Permission) -> Self {
        Self { argument: "from", header: "Path", permission }
    }

    /// The argument `to`, in the header `Mcp-Param-To`.
    #[must_use]
    pub const fn to(permission: Permission) -> Self {
        Self { argument: "to", header: "To", permission }
    }

    /// The whole name of its header.
    #[must_use]
    pub fn header_name(&self) -> String {
        format!("Mcp-Param-{}", self.header)
    }
}

/// Marks the paths in the schema of a tool, so that clients repeat them in headers.
pub(super) fn annotate(paths: &[PathArgument], schema: &mut Value) {
    for path in paths {
        let property = schema.get_mut("properties").and_then(|properties| properties.get_mut(path.argument));
        if let Some(Value::Object(property)) = property {
            property.insert(ANNOTATION.to_owned(), path.header.into());
        }
    }
}

/// Those of a call whose arguments cannot be decoded, as the caller wrote them; `None` for one that is no text.
pub(super) fn named_paths(paths: &[PathArgument], arguments: Option<&str>) -> Vec<Option<String>> {
    let arguments: HashMap<Cow<'_, str>, &RawValue> =
        arguments.and_then(|arguments| serde_json::from_str(arguments).ok()).unwrap_or_default();
    let text = |path: &PathArgument| serde_json::from_str(arguments.get(path.argument)?.get()).ok();
    paths.iter().map(text).collect()
}
