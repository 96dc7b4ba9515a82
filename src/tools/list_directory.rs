//! `list_directory`: what is in a folder.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listing::{EntryPage, Listed, ListedEntry, Order, Position, Take, list};
use super::paging::{Budget, Pages, number, one_line, page_text};
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane, ToolError};
use crate::files::{FileKind, Folder, Tree, View, Walk, WalkFrom, WalkOptions};
use crate::path::TreePath;
use crate::state::{CursorKind, Cursors};

/// Lists the entries of a folder.
pub struct ListDirectory {
    tree: Arc<Tree>,
    cursors: Cursors,
}

/// Arguments of `list_directory`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListDirectoryArgs {
    /// The folder, such as "/docs". Default: "/", the root of the tree.
    path: Option<TreePath>,
    /// How many levels to list: 1 (the default) for the folder's own entries, up to 5.
    #[schemars(range(min = 1, max = 5))]
    depth: Option<u32>,
    /// Also entries whose names begin with a dot? Default: false. Folders of version control (.git and the like) are
    /// never listed, except from inside.
    include_hidden: Option<bool>,
    /// "path" (the default): each folder before its content, names in order. "newest": last changed first. "largest":
    /// largest first.
    sort: Option<ListSort>,
    /// The most entries in one page. Default: 200.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// `next_cursor` of the page before. No other argument is needed with it.
    cursor: Option<String>,
}

/// The order of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ListSort {
    /// By path.
    Path,
    /// Last changed first.
    Newest,
    /// Largest first.
    Largest,
}

/// A listing's parameters, pinned by its cursors.
#[derive(Debug, Serialize, Deserialize)]
struct Query {
    path: TreePath,
    depth: usize,
    include_hidden: bool,
    sort: ListSort,
    limit: usize,
}

impl ListDirectory {
    /// The tool over `tree`.
    #[must_use]
    pub fn new(tree: Arc<Tree>, cursors: Cursors) -> Self {
        Self { tree, cursors }
    }
}

impl Tool for ListDirectory {
    const SPEC: ToolSpec = ToolSpec {
        name: "list_directory",
        title: "List a folder",
        description: "Lists what is in a folder: names, sizes and times of the last change. Use it to get to know the tree; \
            start with no arguments to see the root. To look for files by name use find_files, by content search_text. \
            Answers one entry a line, folders with a slash at the end, each relative to `path`. \
            A long listing comes in pages: call again with `cursor` set to `next_cursor` until there is none.",
        scopes: &[Scope::Files(Permission::Read)],
        effect: Effect::ReadOnly,
        lane: Lane::Io,
        example: r#"{"path": "/docs", "depth": 2}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Read)];
    type Args = ListDirectoryArgs;
    type Output = EntryPage;

    fn touches(args: &Self::Args) -> Touches<'_> {
        [args.path.as_ref().map(|path| (Permission::Read, path)), None]
    }

    async fn call(&self, cx: &CallContext, args: Self::Args) -> Result<ToolOutput<EntryPage>, Interrupted> {
        let pages = Pages { cursors: &self.cursors, kind: CursorKind::List, cx };
        let (query, after): (Query, Option<Position>) = pages.open(args.cursor.as_deref(), &args, Query::new).await?;
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        let budget = Budget::of(cx);
        let at_hand = if view.is_local(&query.path) { Some(view.open_folder(&query.path)?) } else { None };
        let is_short = query.depth == 1 && at_hand.as_ref().is_some_and(Folder::is_small);
        let (query, listed) = cx
            .run_short(is_short, move |cancelled| {
                let stop = || cancelled.is_set();
                let folder = match at_hand {
                    Some(folder) => folder,
                    None => view.open_folder(&query.path)?,
                };
                let order = query.order();
                // One more than is shown, to know whether there is more.
                let expected = if order == Order::Path { query.limit + 1 } else { usize::MAX };
                let options = WalkOptions { hidden: query.include_hidden, ignored: true, max_depth: query.depth, expected };
                let from = match &after {
                    Some(after) if order == Order::Path => WalkFrom::After(&after.place),
                    _ => WalkFrom::Start,
                };
                let walk = Walk::new(&view, folder, options, from, &stop)?;
                let line = |entry: &ListedEntry<'_>, text: &mut String| write_line(entry, &query.path, text);
                let listed = list(walk, order, after, (query.limit, budget), cancelled, |_| Take::Entry, line)?;
                if listed.entries.len() == 0 {
                    view.must_be_there(&query.path)?;
                }
                Ok((query, listed))
            })
            .await?;
        let Listed { entries, text, next, problems } = listed;
        let sees_all = cx.principal().scopes.covers_all_below(Permission::Read, &query.path);
        let next_cursor = pages.next(query, next).await?;
        let empty = if sees_all { "(the folder is empty)" } else { "(nothing here that your access covers)" };
        let text = page_text(text, empty, &problems, next_cursor.as_deref());
        Ok(ToolOutput::text(text, EntryPage { entries, next_cursor }))
    }
}

impl Query {
    fn new(args: &ListDirectoryArgs) -> Result<Self, ToolError> {
        Ok(Self {
            path: args.path.clone().unwrap_or_else(TreePath::root),
            depth: number("depth", args.depth, 1, 1..=5)?,
            include_hidden: args.include_hidden.unwrap_or(false),
            sort: args.sort.unwrap_or(ListSort::Path),
            limit: number("limit", args.limit, 200, 1..=1000)?,
        })
    }

    fn order(&self) -> Order {
        match self.sort {
            ListSort::Path => Order::Path,
            ListSort::Newest => Order::Newest,
            ListSort::Largest => Order::Largest,
        }
    }
}

/// `name/`, or the name, the size and the time with tabs between.
fn write_line(entry: &ListedEntry<'_>, folder: &TreePath, text: &mut String) {
    let path = entry.path.strip_prefix(folder.as_str()).unwrap_or(&entry.path);
    text.push_str(&one_line(path.trim_start_matches('/')));
    match entry.kind {
        FileKind::Folder => text.push('/'),
        FileKind::Symlink => text.push_str("\tsymbolic link"),
        FileKind::Other => text.push_str("\tneither file nor folder"),
        FileKind::File => {
            text.push('\t');
            let size = entry.size.unwrap_or(0);
            text.push_str(itoa::Buffer::new().format(size));
            text.push_str(if size == 1 { " byte" } else { " bytes" });
        }
    }
    if let Some(modified) = &entry.modified {
        text.push('\t');
        text.push_str(modified.as_str());
    }
    if entry.addressable == Some(false) {
        text.push_str("\t(its name is not UTF-8 or its path too long: it cannot be used)");
    }
}
