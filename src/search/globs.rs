//! Globs over the paths of the tree.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::path::TreePath;

/// Longer globs match nothing that a person would name, and cost much to compile.
const MAX_GLOB_BYTES: usize = 1000;
const MAX_GLOBS: usize = 64;
/// Of a whole list: it is kept with every cursor.
const MAX_LIST_BYTES: usize = 4_000;
/// Each `**` multiplies the ways in which a path can be tried.
const MAX_DOUBLE_STARS: usize = 8;
const WILDCARDS: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// A set of globs: does any of them match a path?
///
/// A glob without a slash matches the last name of a path, at any depth: `*.rs`. One with a slash matches from the folder
/// where the search starts: `src/**/*.rs`. One that begins with a slash matches from the root of the tree. One that ends
/// with a slash matches everything below folders of that name.
#[derive(Clone, Debug)]
pub struct PathGlobs {
    set: GlobSet,
    /// For each glob, the folder that all of its matches lie below.
    tops: Vec<TreePath>,
}

/// Why a glob cannot be used. The text says what is wrong, and what a right glob looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The glob is empty.
    #[error("a glob cannot be empty; write one like \"**/*.rs\" or \"*.md\"")]
    Empty,
    /// A component is `..`.
    #[error("`..` is not allowed in a glob; start it with a slash to match from the root, for example \"/docs/**/*.md\"")]
    ParentComponent,
    /// The glob, or the list, is longer than allowed.
    #[error(
        "at most {MAX_GLOBS} globs of {MAX_LIST_BYTES} bytes together, each of at most {MAX_GLOB_BYTES} bytes and with at most {MAX_DOUBLE_STARS} `**`"
    )]
    TooLong,
    /// The glob's syntax is wrong.
    #[error("{glob:?} is not a glob: {problem}; write one like \"src/**/*.{{ts,tsx}}\"")]
    Syntax {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl PathGlobs {
    /// Compiles globs for a search that starts at `start`.
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn new(globs: &[impl AsRef<str>], start: &TreePath) -> Result<Self, GlobError> {
        if globs.len() > MAX_GLOBS || globs.iter().map(|glob| glob.as_ref().len()).sum::<usize>() > MAX_LIST_BYTES {
            return Err(GlobError::TooLong);
        }
        let mut set = GlobSetBuilder::new();
        let mut tops = Vec::with_capacity(globs.len());
        for glob in globs.iter().map(AsRef::as_ref) {
            if glob.trim_matches('/').is_empty() {
                return Err(GlobError::Empty);
            }
            if glob.len() > MAX_GLOB_BYTES || glob.matches("**").count() > MAX_DOUBLE_STARS {
                return Err(GlobError::TooLong);
            }
            if glob.split('/').any(|name| name == "..") {
                return Err(GlobError::ParentComponent);
            }
            let syntax = |problem: String| GlobError::Syntax { glob: glob.to_owned(), problem };
            let (full, top) = anchored(glob, start);
            let compiled = GlobBuilder::new(&full)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| syntax(error.kind().to_string()))?;
            set.add(compiled);
            tops.push(top);
        }
        let set = set.build().map_err(|error| GlobError::Syntax {
            glob: error.glob().unwrap_or_default().to_owned(),
            problem: "it is too large".to_owned(),
        })?;
        Ok(Self { set, tops })
    }

    /// Are there no globs? Then nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tops.is_empty()
    }

    /// Does any glob match this path?
    #[must_use]
    pub fn matches(&self, path: &TreePath) -> bool {
        self.set.is_match(path.relative())
    }

    /// Could any glob match something below this folder? A `false` is certain.
    #[must_use]
    pub fn may_match_below(&self, folder: &TreePath) -> bool {
        self.tops.iter().any(|top| top.is_within(folder) || folder.is_within(top))
    }
}

/// The glob as one over whole paths without their leading slash, and the folder that its matches lie below.
fn anchored(glob: &str, start: &TreePath) -> (String, TreePath) {
    let glob = glob.strip_prefix("./").unwrap_or(glob);
    let (body, everything_below) = match glob.strip_suffix('/') {
        Some(body) => (body.trim_end_matches('/'), "/**"),
        None => (glob, ""),
    };
    let (from, rest) = match body.strip_prefix('/') {
        Some(rest) => (TreePath::root(), rest.trim_start_matches('/')),
        None if body.contains('/') => (start.clone(), body),
        None => return (format!("**/{body}{everything_below}"), start.clone()),
    };
    let separator = if from.is_root() { "" } else { "/" };
    let full = format!("{}{separator}{rest}{everything_below}", globset::escape(from.relative()));
    // A brace or a bracket may span a slash: whatever follows the first wildcard is no plain name.
    let literal = &rest[..rest.find(WILDCARDS).unwrap_or(rest.len())];
    let folders = literal.rfind('/').map_or("", |end| &literal[..end]);
    let mut top = from;
    for name in folders.split('/').filter(|name| !name.is_empty()) {
        top = top.join(name);
    }
    (full, top)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).expect("a valid path")
    }

    #[test]
    fn where_globs_match() {
        let table = [
            ("*.rs", "/base/a/b.rs", true),
            ("*.rs", "/base/a.rs", true),
            ("src/*.rs", "/base/src/a.rs", true),
            ("src/*.rs", "/base/x/src/a.rs", false),
            ("src/*.rs", "/base/src/x/a.rs", false),
            ("./src/**", "/base/src/x/a.rs", true),
            ("**/src/*.rs", "/base/x/src/a.rs", true),
            ("/base/src/*.rs", "/base/src/a.rs", true),
            ("/src/*.rs", "/base/src/a.rs", false),
            ("*.{ts,tsx}", "/base/a.tsx", true),
            ("target/", "/base/x/target/debug/a", true),
            ("target/", "/base/x/target", false),
            ("{src/a,b}/*.rs", "/base/b/x.rs", true),
        ];
        for (glob, at, expected) in table {
            let globs = PathGlobs::new(&[glob], &path("/base")).expect(glob);
            assert_eq!(globs.matches(&path(at)), expected, "{glob} {at}");
            if expected {
                let mut folder = path(at).parent();
                while let Some(above) = folder {
                    assert!(globs.may_match_below(&above), "{glob} {above}");
                    folder = above.parent();
                }
            }
        }
        let globs = PathGlobs::new(&["src/a/*.rs"], &path("/base[1]")).expect("a glob");
        assert!(globs.matches(&path("/base[1]/src/a/x.rs")));
        assert!(globs.may_match_below(&path("/base[1]/src")) && !globs.may_match_below(&path("/base[1]/docs")));
    }

    #[test]
    fn hostile_globs_are_refused() {
        for glob in ["", "/", "[", "{a", "a\\", "../*", "/a/../b", "a/..", &"{".repeat(999), &"*".repeat(1001), &"**/".repeat(9)]
        {
            assert!(PathGlobs::new(&[glob], &TreePath::root()).is_err(), "{glob}");
        }
        assert_eq!(
            PathGlobs::new(
                &["a".repeat(999), "b".repeat(999), "c".repeat(999), "d".repeat(999), "e".repeat(9)],
                &TreePath::root()
            )
            .map(|_| ()),
            Err(GlobError::TooLong)
        );
        assert_eq!(PathGlobs::new(&["a"; 65], &TreePath::root()).map(|_| ()), Err(GlobError::TooLong));
    }
}
