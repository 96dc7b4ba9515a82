//! Paths as callers write them: `/`-rooted, normalised, never leading out of the tree.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest path accepted, in bytes (Linux `PATH_MAX`).
pub(crate) const MAX_PATH_BYTES: usize = 4096;
/// The longest single name accepted, in bytes (Linux `NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;

/// A normalised path in the served tree: it starts with `/`, has no `.`, `..` or empty component, no NUL and no
/// trailing slash. The root is `/`. It names a place; whether anything is there, and whether a symbolic link on the
/// way leads elsewhere, only `files` can tell.
///
/// ```
/// # use pressmark::path::TreePath;
/// assert_eq!(TreePath::parse("docs//guide.md/").unwrap().as_str(), "/docs/guide.md");
/// assert!(TreePath::parse("/docs/../../etc/passwd").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

/// Why a string is not a [`TreePath`]. The text says what is wrong and what a right path looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A component is `..`.
    #[error("`..` is not allowed in a path; paths start at the root of the tree, for example \"/docs/guide.md\"")]
    ParentComponent,
    /// The path contains a NUL character.
    #[error("a path cannot contain a NUL character; write it like \"/docs/guide.md\"")]
    Nul,
    /// The path or one of its names is longer than a file system can hold.
    #[error("the path is too long: at most {MAX_PATH_BYTES} bytes, and {MAX_NAME_BYTES} bytes for each name in it")]
    TooLong,
}

impl TreePath {
    /// The root of the tree, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Reads a path written by a caller. A missing leading slash, doubled slashes, `.` components and a trailing
    /// slash are forgiven; `..` is refused even where it would stay inside, because what it means depends on
    /// symbolic links.
    ///
    /// # Errors
    /// [`PathError`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if text.contains('\0') {
            return Err(PathError::Nul);
        }
        let mut path = String::with_capacity(text.len() + 1);
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => return Err(PathError::ParentComponent),
                name if name.len() > MAX_NAME_BYTES => return Err(PathError::TooLong),
                name => {
                    path.push('/');
                    path.push_str(name);
                }
            }
        }
        if path.is_empty() {
            path.push('/');
        }
        // The leading slash that was missing counts: what is accepted can be sent back as it is shown.
        if path.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        Ok(Self(path))
    }

    /// The path as text, with its leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading slash; empty for the root.
    #[must_use]
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// Is this the root of the tree?
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The last component, or `None` for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.components().next_back()
    }

    /// The path one level up, or `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let cut = self.0.rfind('/').unwrap_or(0).max(1);
        Some(Self(self.0[..cut].to_owned()))
    }

    /// This path with one more component. `name` must be a plain name, as a directory listing gives it.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        debug_assert!(!name.contains('/') && name != ".." && !name.is_empty());
        let mut path = String::with_capacity(self.0.len() + 1 + name.len());
        if !self.is_root() {
            path.push_str(&self.0);
        }
        path.push('/');
        path.push_str(name);
        Self(path)
    }

    /// The names from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.relative().split('/').filter(|name| !name.is_empty())
    }

    /// Is this path `ancestor` itself or somewhere below it? Compares whole components: `/team-ab` is not below `/team-a`.
    #[must_use]
    pub fn is_within(&self, ancestor: &Self) -> bool {
        ancestor.is_root() || self.0.strip_prefix(ancestor.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for TreePath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_and_names() {
        let path = TreePath::parse("/a/b").expect("valid");
        assert_eq!(path.file_name(), Some("b"));
        assert_eq!(path.parent().expect("has a parent").as_str(), "/a");
        assert_eq!(TreePath::parse("/a").expect("valid").parent().expect("has a parent"), TreePath::root());
        assert_eq!(TreePath::root().parent(), None);
        assert_eq!(TreePath::root().join("a").join("b"), path);
    }

    #[test]
    fn containment_is_by_component() {
        let team = TreePath::parse("/team-a").expect("valid");
        assert!(TreePath::parse("/team-a/x").expect("valid").is_within(&team));
        assert!(team.is_within(&team));
        assert!(!TreePath::parse("/team-ab").expect("valid").is_within(&team));
        assert!(!TreePath::root().is_within(&team));
    }

    #[test]
    fn hostile_text_is_refused() {
        assert_eq!(TreePath::parse("/a/../b"), Err(PathError::ParentComponent));
        assert_eq!(TreePath::parse(".."), Err(PathError::ParentComponent));
        assert_eq!(TreePath::parse("/a\0b"), Err(PathError::Nul));
        assert_eq!(TreePath::parse(&"x".repeat(256)), Err(PathError::TooLong));
        assert!(TreePath::parse(&"/a".repeat(2048)).is_ok());
        assert_eq!(TreePath::parse(&format!("b{}x", "/a".repeat(2047))), Err(PathError::TooLong), "a slash comes to it");
    }
}
