//! `search_text`: files by content.

mod page;
mod run;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::page::{Position, SearchPage, SearchResults};
use self::run::Search;
use super::counted::counted;
use super::paging::{Budget, Pages, number, page_text};
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane, ToolError, ToolErrorKind};
use crate::files::{Tree, View};
use crate::path::TreePath;
use crate::search::{Case, SearchMode};
use crate::state::{CursorKind, Cursors};

/// Longer lines are shortened around their match, to about this many bytes.
const MAX_SHOWN_LINE_BYTES: usize = 600;

/// Searches the content of files.
pub struct SearchText {
    tree: Arc<Tree>,
    cursors: Cursors,
}

/// Arguments of `search_text`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchTextArgs {
    /// What to search for; required, unless `cursor` is given: a regular expression in the syntax of Rust and ripgrep (no look-around, no back-references),
    /// or plain text with `literal`. Matched line by line.
    pattern: Option<String>,
    /// The folder to search, such as "/src", or one file. Default: "/", the whole tree.
    path: Option<TreePath>,
    /// Take `pattern` as plain text? Default: false.
    literal: Option<bool>,
    /// "sensitive" (the default), "insensitive", or "smart": insensitive when the pattern is all in lower case.
    case: Option<Case>,
    /// Match whole words only? Default: false.
    word: Option<bool>,
    /// Search only files that match one of these globs: ["*.rs", "docs/**/*.md"]. Without a slash a glob is matched
    /// against names at any depth, with one from `path`.
    include: Option<Vec<String>>,
    /// Leave out files and folders that match one of these globs: ["*.min.js", "node_modules/"].
    exclude: Option<Vec<String>>,
    /// "files" (the default): the paths of files with a match. "lines": the matching lines. "count": how many lines
    /// match in each file.
    mode: Option<Mode>,
    /// In mode "lines": so many lines before and after each match. Default: 0.
    #[schemars(range(min = 0, max = 50))]
    context: Option<u32>,
    /// Lines before each match, in place of `context`.
    #[schemars(range(min = 0, max = 50))]
    before: Option<u32>,
    /// Lines after each match, in place of `context`.
    #[schemars(range(min = 0, max = 50))]
    after: Option<u32>,
    /// Leave out what .gitignore and .ignore files say? Default: true.
    respect_gitignore: Option<bool>,
    /// Also search hidden files and folders? Default: false. Folders of version control (.git and the like) are never
    /// searched, except from inside.
    include_hidden: Option<bool>,
    /// The most results in one page: files, or matching lines in mode "lines". Default: 100.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// `next_cursor` of the page before. No other argument is needed with it.
    cursor: Option<String>,
}

/// What is shown of the files that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Mode {
    /// Their paths.
    Files,
    /// Their matching lines.
    Lines,
    /// How many lines match.
    Count,
}

/// A search's parameters, pinned by its cursors.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Query {
    pattern: String,
    path: TreePath,
    literal: bool,
    case: Case,
    word: bool,
    include: Vec<String>,
    exclude: Vec<String>,
    mode: Mode,
    context: usize,
    before: Option<u32>,
    after: Option<u32>,
    respect_gitignore: bool,
    include_hidden: bool,
    limit: usize,
}

impl SearchText {
    /// The tool over `tree`.
    #[must_use]
    pub fn new(tree: Arc<Tree>, cursors: Cursors) -> Self {
        Self { tree, cursors }
    }
}

impl Tool for SearchText {
    const SPEC: ToolSpec = ToolSpec {
        name: "search_text",
        title: "Search in files",
        description: "Searches the content of files, line by line, like ripgrep. Use it to find where something is written; to \
            find files by name use find_files. Start with mode \"files\" to see which files match, then use mode \"lines\" \
            with `context` on a smaller `path`. Leaves out hidden files, binary files and what .gitignore says, unless asked. \
            In mode \"lines\" a matching line is written `12:text` and one around it `13-text`, below the path of its file. \
            Many results come in pages: call again with `cursor` set to `next_cursor` until there is none; a page may be short.",
        scopes: &[Scope::Files(Permission::Read)],
        effect: Effect::ReadOnly,
        lane: Lane::Cpu,
        example: r#"{"pattern": "fn main", "literal": true, "path": "/src", "mode": "lines", "context": 2}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Read)];
    type Args = SearchTextArgs;
    type Output = SearchResults;

    fn touches(args: &Self::Args) -> Touches<'_> {
        [args.path.as_ref().map(|path| (Permission::Read, path)), None]
    }

    async fn call(&self, cx: &CallContext, args: Self::Args) -> Result<ToolOutput<SearchResults>, Interrupted> {
        let pages = Pages { cursors: &self.cursors, kind: CursorKind::Search, cx };
        let (query, from): (Query, Option<Position>) = pages.open(args.cursor.as_deref(), &args, Query::new).await?;
        let search = Search {
            view: View::new(Arc::clone(&self.tree), Arc::clone(cx.principal())),
            query: query.clone(),
            from,
            budget: Budget::of(cx),
            line_bytes: MAX_SHOWN_LINE_BYTES.min(cx.max_result_bytes() / 20),
            threads: cx.parallelism(),
            reports: cx.reports().clone(),
        };
        let (page, searched) = cx
            .run(move |cancelled| {
                let result = search.run(&|| cancelled.is_set());
                if cancelled.is_set() {
                    return Err(ToolError::new(ToolErrorKind::TimedOut, "the call was cancelled"));
                }
                result
            })
            .await?;
        let SearchPage { files, text, problems, next, .. } = page;
        let next_cursor = pages.next(query, next).await?;
        let empty = format!("No matches in {}.", counted(searched as u64, "file"));
        let text = page_text(text, &empty, &problems, next_cursor.as_deref());
        Ok(ToolOutput::text(text, SearchResults { files, next_cursor }))
    }
}

impl Query {
    fn new(args: &SearchTextArgs) -> Result<Self, ToolError> {
        let Some(pattern) = &args.pattern else {
            return Err(ToolError::invalid_argument("pattern", "is needed, for example \"fn main\""));
        };
        let mode = args.mode.unwrap_or(Mode::Files);
        let lines = |name, given| number(name, given, 0, 0..=50);
        for (name, given) in [("context", args.context), ("before", args.before), ("after", args.after)] {
            if lines(name, given)? > 0 && mode != Mode::Lines {
                return Err(ToolError::invalid_argument(name, "needs `mode: \"lines\"`"));
            }
        }
        Ok(Self {
            pattern: pattern.clone(),
            path: args.path.clone().unwrap_or_else(TreePath::root),
            literal: args.literal.unwrap_or(false),
            case: args.case.unwrap_or_default(),
            word: args.word.unwrap_or(false),
            include: args.include.clone().unwrap_or_default(),
            exclude: args.exclude.clone().unwrap_or_default(),
            mode,
            context: lines("context", args.context)?,
            before: args.before,
            after: args.after,
            respect_gitignore: args.respect_gitignore.unwrap_or(true),
            include_hidden: args.include_hidden.unwrap_or(false),
            limit: number("limit", args.limit, 100, 1..=1000)?,
        })
    }

    fn mode(&self) -> SearchMode {
        let lines = |given: Option<u32>| given.map_or(self.context, |given| given as usize);
        match self.mode {
            Mode::Files => SearchMode::Files,
            Mode::Count => SearchMode::Count,
            Mode::Lines => SearchMode::Lines { before: lines(self.before), after: lines(self.after) },
        }
    }
}
