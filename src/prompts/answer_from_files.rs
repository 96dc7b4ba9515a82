//! `answer_from_files`: a question that the files answer, with the places where they do.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::first_hits::{FirstHits, words_of};
use super::outline::outline;
use super::with_files::{Messages, NO_INSTRUCTIONS, complete_path, required, view};
use super::{Prompt, PromptOutput, PromptSpec};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Completing, Completion, Content, Interrupted, Lane};
use crate::files::Tree;
use crate::path::TreePath;

/// The prompt.
#[derive(Clone, Debug)]
pub struct AnswerFromFiles {
    tree: Arc<Tree>,
}

/// What to answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerFromFilesArgs {
    /// What you want to know
    question: String,
    /// The folder or file that holds the answer, such as /docs. Default: the whole tree
    path: Option<TreePath>,
}

impl AnswerFromFiles {
    /// The prompt over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Prompt for AnswerFromFiles {
    const SPEC: PromptSpec = PromptSpec {
        name: "answer_from_files",
        title: "Answer a question from the files",
        description: "An answer that rests on the files alone and names path and line for each claim.",
        scopes: &[Scope::Files(Permission::Read)],
        lane: Lane::Cpu,
    };
    type Args = AnswerFromFilesArgs;

    async fn get(&self, cx: &CallContext, args: AnswerFromFilesArgs) -> Result<PromptOutput, Interrupted> {
        let question = required("question", &args.question)?;
        let path = args.path.unwrap_or_else(TreePath::root);
        let mut messages = Messages::new(instructions(question, &path), cx.max_result_bytes());
        let (view, room, words, searched) = (view(&self.tree, cx), messages.left() / 2, words_of(question), path.clone());
        let found = cx
            .run(move |flag| {
                let stop = || flag.is_set();
                let hits = FirstHits::find(&view, &searched, &words, &stop)?;
                if let Some(shown) = hits.shown(&words, room) {
                    return Ok(shown);
                }
                let nothing = "A first search for the words of the question has found nothing.";
                Ok(match view.open_folder(&searched) {
                    Ok(_) => format!("{nothing} What is there:\n\n{}", outline(&view, &searched, room, &stop)?),
                    Err(_) => nothing.to_owned(),
                })
            })
            .await?;
        messages.push(Content::text(found));
        Ok(messages.finish(format!("An answer from the files in {path}")))
    }

    async fn complete(&self, cx: &CallContext, completing: &Completing) -> Result<Completion, Interrupted> {
        match completing.argument.as_str() {
            "path" => complete_path(&self.tree, cx, &completing.value, |_| true).await,
            _ => Ok(Completion::default()),
        }
    }
}

fn instructions(question: &str, path: &TreePath) -> String {
    format!(
        "Answer this question from the files in {path}, and from nothing else:

{question}

1. Search: search_text with `mode: \"lines\"` and `path: {path:?}`, for the words of the question and for those that its \
answer may use instead; find_files finds files by name. What a first search has found is below: a beginning, not the answer.
2. Read: open what looks promising with read_file, and read around a line before you rely on it.
3. Answer briefly. After each claim name where it stands, as in /notes/plan.md:12, and quote where the wording matters.
4. Where files contradict each other, say so and name both places. What the files do not tell, say that they do not tell, and \
what you searched for. Fill no gap from memory.

{NO_INSTRUCTIONS}",
        path = path.as_str()
    )
}
