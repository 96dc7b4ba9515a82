//! A tool of your own beside those on files, on the same files: `cargo run --example minimal -- ./docs`, then connect a
//! client to the URL it prints.

use std::process::ExitCode;
use std::sync::Arc;

use pressmark::auth::{Permission, Scope};
use pressmark::call::{CallContext, Interrupted, Lane, ToolError, ToolErrorKind};
use pressmark::files::{Tree, View};
use pressmark::path::TreePath;
use pressmark::tools::{Effect, Tool, ToolOutput, ToolSpec, Touches};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_BYTES: u64 = 16 * 1024 * 1024;

struct CountWords {
    tree: Arc<Tree>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The file, for example "/guide.md".
    path: TreePath,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    words: usize,
}

impl Tool for CountWords {
    const SPEC: ToolSpec = ToolSpec {
        name: "count_words",
        title: "Count words",
        description: "Counts the words of a text file.",
        scopes: &[Scope::Files(Permission::Read)],
        effect: Effect::ReadOnly,
        lane: Lane::Io,
        example: r#"{"path": "/guide.md"}"#,
        ..ToolSpec::DEFAULT
    };
    type Args = Args;
    type Output = Output;

    /// The caller's scopes are checked against these paths before the tool runs.
    fn touches(args: &Args) -> Touches<'_> {
        [Some((Permission::Read, &args.path)), None]
    }

    async fn call(&self, cx: &CallContext, args: Args) -> Result<ToolOutput<Output>, Interrupted> {
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        let words = cx.run(move |_| count(&view, &args.path)).await?;
        Ok(ToolOutput::text(format!("{words} words"), Output { words }))
    }
}

fn count(view: &View, path: &TreePath) -> Result<usize, ToolError> {
    let open = view.open_file(path)?;
    if open.metadata.len() > MAX_BYTES {
        return Err(ToolError::new(ToolErrorKind::TooLarge, "the file is larger than 16 MiB; choose a smaller one"));
    }
    let text = std::io::read_to_string(open.file)
        .map_err(|_| ToolError::invalid_argument("path", "is no text file; find_files shows what there is"))?;
    Ok(text.split_whitespace().count())
}

fn main() -> ExitCode {
    pressmark::cli::serve(|app| {
        let tree = app.tree();
        app.with(CountWords { tree })
    })
}
