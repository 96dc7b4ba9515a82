//! `summarize_folder`: what a folder is for, and what in it matters.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::outline::outline;
use super::with_files::{Messages, NO_INSTRUCTIONS, complete_path, filled, view};
use super::{Prompt, PromptOutput, PromptSpec};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Completing, Completion, Content, Interrupted, Lane, ResourceContents};
use crate::files::{FileKind, Stop, Tree, View};
use crate::path::TreePath;
use crate::resources::{FileResources, FileUri};

/// Where a folder says of itself what it is.
const INTRODUCTIONS: [&str; 5] = ["README.md", "README", "README.txt", "readme.md", "index.md"];

/// The prompt.
#[derive(Clone, Debug)]
pub struct SummarizeFolder {
    tree: Arc<Tree>,
}

/// What to summarize.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SummarizeFolderArgs {
    /// The folder, such as /docs
    path: TreePath,
    /// What matters most to you, such as "how to deploy it". Default: everything alike
    focus: Option<String>,
}

impl SummarizeFolder {
    /// The prompt over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Prompt for SummarizeFolder {
    const SPEC: PromptSpec = PromptSpec {
        name: "summarize_folder",
        title: "Summarize a folder",
        description: "What a folder is for, how it is organised, and which of its files to know.",
        scopes: &[Scope::Files(Permission::Read)],
        lane: Lane::Io,
    };
    type Args = SummarizeFolderArgs;

    async fn get(&self, cx: &CallContext, args: SummarizeFolderArgs) -> Result<PromptOutput, Interrupted> {
        let (view, path) = (view(&self.tree, cx), args.path.clone());
        let mut messages = Messages::new(instructions(&args), cx.max_result_bytes());
        let messages = cx
            .run(move |flag| {
                let stop = || flag.is_set();
                let room = messages.left();
                let listing = outline(&view, &path, room / 2, &stop)?;
                messages.push(Content::text(format!("What is in {path}:\n\n{listing}")));
                if let Some(resource) = introduction(&view, &path, messages.left(), &stop) {
                    messages.push_if_it_fits(Content::Resource { resource });
                }
                Ok(messages)
            })
            .await?;
        Ok(messages.finish(format!("A summary of {}", args.path)))
    }

    async fn complete(&self, cx: &CallContext, completing: &Completing) -> Result<Completion, Interrupted> {
        match completing.argument.as_str() {
            "path" => complete_path(&self.tree, cx, &completing.value, |kind| kind == FileKind::Folder).await,
            _ => Ok(Completion::default()),
        }
    }
}

fn instructions(args: &SummarizeFolderArgs) -> String {
    let path = &args.path;
    let focus = filled(args.focus.as_deref()).map_or_else(String::new, |focus| format!("\nWhat matters most to me: {focus}\n"));
    format!(
        "Summarize the folder {path} for somebody who has never seen it.
{focus}
Say in a few sentences what it is for, then how it is organised, then which files to know, each by its path and with one \
line on what is in it.

Before you write, read: first what explains the rest (a README, an index, a manifest), with read_file; then a few files of \
each kind. find_files and search_text show what the listing below leaves out. Claim of a file only what you have read in it, \
and end with what you have not looked at. {NO_INSTRUCTIONS}"
    )
}

/// The content of the file in which the folder explains itself, if it has one that fits.
fn introduction(view: &View, folder: &TreePath, max_bytes: usize, stop: Stop) -> Option<ResourceContents> {
    let paths = INTRODUCTIONS.iter().map(|name| folder.join(name));
    let path = paths.into_iter().find(|path| view.metadata(path).is_ok_and(|found| found.kind == FileKind::File))?;
    let uri = FileUri::new(path).to_string();
    FileResources::new(view.clone()).read(&uri, max_bytes, stop).ok().filter(|contents| contents.text.is_some())
}
