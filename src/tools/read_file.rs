//! `read_file`: a file's content, page by page.

mod output;
mod page;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::output::{ReadFileOutput, Shown};
use self::page::{From, Page, Record, Request};
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane, ToolError};
use crate::files::{Position, Tree, View};
use crate::path::TreePath;
use crate::state::{Cursor, CursorError, CursorKind, Cursors};

/// The tool.
#[derive(Clone, Debug)]
pub struct ReadFile {
    tree: Arc<Tree>,
    cursors: Cursors,
}

/// A page of at most so many bytes of JSON is read faster than it is handed to another thread.
const SHORT_PAGE: usize = 256 * 1024;

/// What to read: `path`, and from where if not from the start; or `cursor` alone.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFileArgs {
    /// The file, for example "/docs/guide.md". Required, unless `cursor` is given.
    pub path: Option<TreePath>,
    /// The `next_cursor` of the page before: gives the next page of the same reading. Give it alone.
    pub cursor: Option<String>,
    /// The first line to show, from 1.
    #[schemars(range(min = 1))]
    pub offset: Option<u64>,
    /// The most lines to show in one page. Without it, a page holds as much as fits into a result.
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// The first byte to show, from 0. Instead of `offset`.
    pub byte_offset: Option<u64>,
    /// The most bytes of the file to show in one page, at least 4. Instead of `limit`.
    #[schemars(range(min = 4))]
    pub byte_limit: Option<u64>,
    /// How to show the content: "text" also for a file that looks binary, "base64" for the bytes of any file. Without it,
    /// text is shown as text, an image as an image, and of other files their size and type.
    #[serde(rename = "as")]
    pub form: Option<ReadFileForm>,
}

/// How content is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ReadFileForm {
    /// As text.
    Text,
    /// The bytes, in base64.
    Base64,
}

impl ReadFile {
    /// The tool over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>, cursors: Cursors) -> Self {
        Self { tree, cursors }
    }

    async fn first(&self, cx: &CallContext, request: Request) -> Result<ToolOutput<ReadFileOutput>, ToolError> {
        let (view, budget) = (self.view(cx), cx.max_result_bytes());
        let (page, record) = cx.run(move |flag| page::first(&view, &request, budget, || flag.is_set())).await?;
        let next = match (page.next, record) {
            (Some(next), Some(record)) => {
                Some(self.cursors.create(CursorKind::Read, cx.principal(), &record, &numbers(next)).await?)
            }
            _ => None,
        };
        Ok(finish(page, next))
    }

    async fn next(
        &self,
        cx: &CallContext,
        cursor: &str,
        path: Option<&TreePath>,
    ) -> Result<ToolOutput<ReadFileOutput>, ToolError> {
        let cursor = self.cursors.open(CursorKind::Read, cx.principal(), cursor).await?;
        let Cursor { record, position, handles }: Cursor<Record> = cursor;
        let &[byte, line] = position.as_slice() else { return Err(CursorError::Invalid.into()) };
        // A line takes a byte at the least: a position that says otherwise was never given out.
        if line > byte.saturating_add(1) {
            return Err(CursorError::Invalid.into());
        }
        if path.is_some_and(|path| *path != record.path) {
            let problem = format!("the cursor reads {}; leave `path` out", record.path);
            return Err(ToolError::invalid_argument("path", problem));
        }
        let start = Position { byte, line: (line > 0).then_some(line) };
        let (view, budget) = (self.view(cx), cx.max_result_bytes());
        let is_short = budget <= SHORT_PAGE && view.is_local(&record.path);
        let page = cx.run_short(is_short, move |_| page::next(&view, &record, start, budget)).await?;
        let next = page.next.map(|next| handles.at(&numbers(next)));
        Ok(finish(page, next))
    }

    fn view(&self, cx: &CallContext) -> View {
        View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()))
    }
}

impl Tool for ReadFile {
    const SPEC: ToolSpec = ToolSpec {
        name: "read_file",
        title: "Read a file",
        description: "Reads a file. The first content block is the file's text exactly as it is; the second is one line that \
                      says which part of the file it was. A large file comes in pages: while there is a `next_cursor`, \
                      call again with {\"cursor\": \"…\"} alone to read on; all pages together are the whole file. To see \
                      a part, give `offset` and `limit` in lines, or `byte_offset` and `byte_limit`. PNG, JPEG, GIF and \
                      WebP images are shown as images if they are small enough; the bytes of any file can be had with \
                      `as: \"base64\"`.",
        scopes: &[Scope::Files(Permission::Read)],
        effect: Effect::ReadOnly,
        lane: Lane::Io,
        example: r#"{"path": "/docs/guide.md", "offset": 1, "limit": 200}, or {"cursor": "…"}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Read)];
    type Args = ReadFileArgs;
    type Output = ReadFileOutput;

    fn touches(args: &ReadFileArgs) -> Touches<'_> {
        [args.path.as_ref().map(|path| (Permission::Read, path)), None]
    }

    async fn call(&self, cx: &CallContext, args: ReadFileArgs) -> Result<ToolOutput<ReadFileOutput>, Interrupted> {
        match &args.cursor {
            Some(cursor) => {
                cursor_alone(&args)?;
                Ok(self.next(cx, cursor, args.path.as_ref()).await?)
            }
            None => Ok(self.first(cx, request(args)?).await?),
        }
    }
}

fn finish(page: Page, next_cursor: Option<String>) -> ToolOutput<ReadFileOutput> {
    let structured = ReadFileOutput { next_cursor, ..page.output };
    let content = page.content.into_iter().chain([structured.summary()]).collect();
    ToolOutput { content, structured }
}

/// A position as a cursor carries it: line 0 stands for lines that are not counted.
fn numbers(position: Position) -> [u64; 2] {
    [position.byte, position.line.unwrap_or(0)]
}

fn cursor_alone(args: &ReadFileArgs) -> Result<(), ToolError> {
    let others = [
        ("offset", args.offset.is_some()),
        ("limit", args.limit.is_some()),
        ("byte_offset", args.byte_offset.is_some()),
        ("byte_limit", args.byte_limit.is_some()),
        ("as", args.form.is_some()),
    ];
    match others.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(ToolError::invalid_argument(
            name,
            "a cursor goes on as its reading began; give it alone, as in {\"cursor\": \"…\"}, or start anew with `path`",
        )),
        None => Ok(()),
    }
}

fn request(args: ReadFileArgs) -> Result<Request, ToolError> {
    let invalid = |name, problem| Err(ToolError::invalid_argument(name, problem));
    let Some(path) = args.path else {
        return invalid("path", "is missing; give a path, as in {\"path\": \"/docs/guide.md\"}, or a `cursor`");
    };
    if args.offset == Some(0) {
        return invalid("offset", "lines are counted from 1, as in {\"offset\": 1}");
    }
    if args.limit == Some(0) {
        return invalid("limit", "must be at least 1 line, as in {\"limit\": 200}");
    }
    if args.byte_limit.is_some_and(|limit| limit < 4) {
        return invalid("byte_limit", "must be at least 4, the length of the longest character, as in {\"byte_limit\": 4096}");
    }
    let by_lines = args.offset.is_some() || args.limit.is_some();
    let by_bytes = args.byte_offset.is_some() || args.byte_limit.is_some();
    if by_lines && by_bytes {
        return invalid(
            if args.byte_offset.is_some() { "byte_offset" } else { "byte_limit" },
            "lines and bytes cannot be combined; use `offset` and `limit`, or `byte_offset` and `byte_limit`",
        );
    }
    if by_lines && args.form == Some(ReadFileForm::Base64) {
        return invalid(
            if args.offset.is_some() { "offset" } else { "limit" },
            "base64 has no lines; use `byte_offset` and `byte_limit`, as in {\"as\": \"base64\", \"byte_offset\": 0}",
        );
    }
    let from = match (by_bytes, args.form) {
        (false, None | Some(ReadFileForm::Text)) => From::Line(args.offset.unwrap_or(1)),
        _ => From::Byte(args.byte_offset.unwrap_or(0)),
    };
    let is_whole = !by_lines && !by_bytes;
    Ok(Request { path, from, lines: args.limit, bytes: args.byte_limit, form: args.form, is_whole })
}
