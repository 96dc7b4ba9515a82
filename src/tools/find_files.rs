//! `find_files`: files by name.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listing::{EntryPage, Listed, ListedEntry, Order, Position, Take, list};
use super::paging::{Budget, Pages, number, one_line, page_text};
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane, ToolError};
use crate::files::{FileKind, Tree, View, Walk, WalkFrom, WalkOptions, Walked};
use crate::path::TreePath;
use crate::search::PathGlobs;
use crate::state::{CursorKind, Cursors};

/// Finds files by a glob.
pub struct FindFiles {
    tree: Arc<Tree>,
    cursors: Cursors,
}

/// Arguments of `find_files`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindFilesArgs {
    /// What to look for; required, unless `cursor` is given. Without a slash it is matched against names at any depth: "*.md". With one it is matched from
    /// `path`: "src/**/*.{ts,tsx}". Starting with a slash it is matched from the root of the tree.
    glob: Option<String>,
    /// The folder to look in, such as "/docs". Default: "/", the whole tree.
    path: Option<TreePath>,
    /// "file" (the default), "folder", "symlink" or "any".
    r#type: Option<FindType>,
    /// Leave out what .gitignore and .ignore files say? Default: true.
    respect_gitignore: Option<bool>,
    /// Also look at names that begin with a dot, and in such folders? Default: false. Folders of version control (.git
    /// and the like) are never looked into, except from inside.
    include_hidden: Option<bool>,
    /// "path" (the default) or "newest": last changed first.
    sort: Option<FindSort>,
    /// The most entries in one page. Default: 200.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// `next_cursor` of the page before. No other argument is needed with it.
    cursor: Option<String>,
}

/// What kind of entry is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum FindType {
    /// Regular files.
    File,
    /// Folders.
    Folder,
    /// Symbolic links.
    Symlink,
    /// Everything.
    Any,
}

/// The order of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum FindSort {
    /// By path.
    Path,
    /// Last changed first.
    Newest,
}

/// A search's parameters, pinned by its cursors.
#[derive(Debug, Serialize, Deserialize)]
struct Query {
    glob: String,
    path: TreePath,
    r#type: FindType,
    respect_gitignore: bool,
    include_hidden: bool,
    sort: FindSort,
    limit: usize,
}

impl FindFiles {
    /// The tool over `tree`.
    #[must_use]
    pub fn new(tree: Arc<Tree>, cursors: Cursors) -> Self {
        Self { tree, cursors }
    }
}

impl Tool for FindFiles {
    const SPEC: ToolSpec = ToolSpec {
        name: "find_files",
        title: "Find files by name",
        description: "Finds files whose path matches a glob, in a folder and all below it. Use it when you know something of \
            the name; to look for content use search_text. Leaves out hidden files and what .gitignore says, unless asked. \
            Answers one path a line, ready for read_file; `sort: \"newest\"` shows what changed last first. \
            Many results come in pages: call again with `cursor` set to `next_cursor` until there is none.",
        scopes: &[Scope::Files(Permission::Read)],
        effect: Effect::ReadOnly,
        lane: Lane::Cpu,
        example: r#"{"glob": "**/*.md", "path": "/docs"}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Read)];
    type Args = FindFilesArgs;
    type Output = EntryPage;

    fn touches(args: &Self::Args) -> Touches<'_> {
        [args.path.as_ref().map(|path| (Permission::Read, path)), None]
    }

    async fn call(&self, cx: &CallContext, args: Self::Args) -> Result<ToolOutput<EntryPage>, Interrupted> {
        let pages = Pages { cursors: &self.cursors, kind: CursorKind::Find, cx };
        let (query, after): (Query, Option<Position>) = pages.open(args.cursor.as_deref(), &args, Query::new).await?;
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        let budget = Budget::of(cx);
        let (query, listed) = cx
            .run(move |cancelled| {
                let stop = || cancelled.is_set();
                let globs =
                    PathGlobs::new(&[&query.glob], &query.path).map_err(|error| ToolError::invalid_argument("glob", error))?;
                let folder = view.open_folder(&query.path)?;
                let options = WalkOptions {
                    hidden: query.include_hidden,
                    ignored: !query.respect_gitignore,
                    max_depth: usize::MAX,
                    expected: usize::MAX,
                };
                let (order, from) = match (query.sort, &after) {
                    (FindSort::Path, Some(after)) => (Order::Path, WalkFrom::After(&after.place)),
                    (FindSort::Path, None) => (Order::Path, WalkFrom::Start),
                    (FindSort::Newest, _) => (Order::Newest, WalkFrom::Start),
                };
                let walk = Walk::new(&view, folder, options, from, &stop)?;
                let take = |walked: &Walked| take(walked, query.r#type, &globs);
                let line = |entry: &ListedEntry<'_>, text: &mut String| text.push_str(&one_line(&entry.path));
                let listed = list(walk, order, after, (query.limit, budget), cancelled, take, line)?;
                if listed.entries.len() == 0 {
                    view.must_be_there(&query.path)?;
                }
                Ok((query, listed))
            })
            .await?;
        let Listed { entries, text, next, problems } = listed;
        let next_cursor = pages.next(query, next).await?;
        let text = page_text(text, "Nothing matches.", &problems, next_cursor.as_deref());
        Ok(ToolOutput::text(text, EntryPage { entries, next_cursor }))
    }
}

fn take(walked: &Walked, wanted: FindType, globs: &PathGlobs) -> Take {
    // A name that is not UTF-8 can be matched by no glob.
    let Some(path) = walked.path() else { return Take::Nothing };
    let kind = walked.kind();
    let is_wanted = match wanted {
        FindType::File => kind == FileKind::File,
        FindType::Folder => kind == FileKind::Folder,
        FindType::Symlink => kind == FileKind::Symlink,
        FindType::Any => true,
    };
    if is_wanted && globs.matches(&path) {
        Take::Entry
    } else if kind == FileKind::Folder && !globs.may_match_below(&path) {
        Take::NothingBelow
    } else {
        Take::Nothing
    }
}

impl Query {
    fn new(args: &FindFilesArgs) -> Result<Self, ToolError> {
        let Some(glob) = &args.glob else {
            return Err(ToolError::invalid_argument("glob", "is needed, for example \"**/*.md\""));
        };
        Ok(Self {
            glob: glob.clone(),
            path: args.path.clone().unwrap_or_else(TreePath::root),
            r#type: args.r#type.unwrap_or(FindType::File),
            respect_gitignore: args.respect_gitignore.unwrap_or(true),
            include_hidden: args.include_hidden.unwrap_or(false),
            sort: args.sort.unwrap_or(FindSort::Path),
            limit: number("limit", args.limit, 200, 1..=1000)?,
        })
    }
}
