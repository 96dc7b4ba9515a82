//! `review_changes`: which files have changed lately, and whether that was well done.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::Deserialize;

use super::with_files::{Messages, NO_INSTRUCTIONS, complete_path, filled, view};
use super::{Prompt, PromptOutput, PromptSpec};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Completing, Completion, Content, Interrupted, Lane, ToolError};
use crate::files::{FileError, FileKind, Stop, Tree, View, Walk, WalkFrom, WalkOptions, media_type_of_name, rfc3339};
use crate::path::TreePath;
use crate::resources::FileUri;
use crate::search::Smallest;
use crate::tools::{counted, json_len, one_line};

const DEFAULT_SINCE: &str = "1 day";
/// What is proposed while `since` is typed.
const PROPOSED: [&str; 6] = ["1 hour", "6 hours", "1 day", "3 days", "7 days", "30 days"];
/// Changed files that are listed, the newest ones.
const MAX_LISTED: usize = 200;
/// Of these, the ones that are also linked, so that clients can attach them.
const MAX_LINKED: usize = 10;

/// The prompt.
#[derive(Clone, Debug)]
pub struct ReviewChanges {
    tree: Arc<Tree>,
}

/// Which changes to review.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewChangesArgs {
    /// The folder to look in, such as /docs. Default: the whole tree
    path: Option<TreePath>,
    /// Since when: a span of time before now, such as "2 hours" or "3 days", or a date or time in UTC, such as 2026-07-28.
    /// Default: 1 day
    since: Option<String>,
}

impl ReviewChanges {
    /// The prompt over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Prompt for ReviewChanges {
    const SPEC: PromptSpec = PromptSpec {
        name: "review_changes",
        title: "Review recent changes",
        description: "Which files have changed lately, and whether they are right, complete and at one with the rest.",
        scopes: &[Scope::Files(Permission::Read)],
        lane: Lane::Cpu,
    };
    type Args = ReviewChangesArgs;

    async fn get(&self, cx: &CallContext, args: ReviewChangesArgs) -> Result<PromptOutput, Interrupted> {
        let since = read_since(filled(args.since.as_deref()).unwrap_or(DEFAULT_SINCE), SystemTime::now())?;
        let (view, path) = (view(&self.tree, cx), args.path.unwrap_or_else(TreePath::root));
        let (max_bytes, searched) = (cx.max_result_bytes(), path.clone());
        let changed = cx.run(move |flag| Ok(Changed::find(&view, &searched, since, &|| flag.is_set())?)).await?;
        let since = rfc3339(since).unwrap_or_else(|| "the beginning".to_owned());
        let description = format!("A review of what has changed in {path} since {since}");
        if changed.count == 0 {
            let problem = format!(
                "No file in {path} has changed since {since}. Tell me so, and offer to look further back: I can pick this \
                 prompt again with an earlier `since`."
            );
            return Ok(Messages::new(problem, max_bytes).finish(description));
        }
        let mut messages = Messages::new(instructions(&path, &since), max_bytes);
        let listing = changed.listing(messages.left() / 2);
        messages.push(Content::text(listing));
        for file in changed.newest.iter().take(MAX_LINKED) {
            messages.push_if_it_fits(file.link());
        }
        Ok(messages.finish(description))
    }

    async fn complete(&self, cx: &CallContext, completing: &Completing) -> Result<Completion, Interrupted> {
        match completing.argument.as_str() {
            "path" => complete_path(&self.tree, cx, &completing.value, |kind| kind == FileKind::Folder).await,
            "since" => Ok(Completion::of(PROPOSED.into_iter().filter(|span| span.starts_with(completing.value.as_str())))),
            _ => Ok(Completion::default()),
        }
    }
}

fn instructions(path: &TreePath, since: &str) -> String {
    format!(
        "Review what has changed in {path} since {since}. The files are listed below, the one that changed last first.

Read the changed files with read_file, those first on which others depend. What they were before is not kept: judge what is \
there now, and do not guess at the difference. Look for what is wrong or unfinished, for what contradicts other files \
(search_text finds who else speaks of the same thing), and for files that should have changed along and did not. Files that \
were removed or renamed do not show up in the list: look for what still refers to them.

Give me the findings that matter, the gravest first, each with path and line, as in /notes/plan.md:12, what is wrong and \
what you propose. Then say in a few lines what the changes are about, and which files you did not read. Change nothing \
unless I ask for it. {NO_INSTRUCTIONS}"
    )
}

/// A point in time before `now`, from a span or a date.
fn read_since(text: &str, now: SystemTime) -> Result<SystemTime, ToolError> {
    let problem = |problem: &str| {
        let examples = "write a span such as \"2 hours\" or \"3 days\", or a date or time in UTC such as 2026-07-28 or \
                        2026-07-28T12:00:00Z";
        ToolError::invalid_argument("since", format!("{problem}; {examples}"))
    };
    if let Ok(span) = humantime::parse_duration(text) {
        let epoch = SystemTime::UNIX_EPOCH;
        return Ok(now.checked_sub(span).unwrap_or(epoch).max(epoch));
    }
    let time = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339(&format!("{text}T00:00:00Z")));
    let time = time.map_err(|_| problem("cannot be read"))?;
    // Clocks differ a little.
    if time > now + Duration::from_secs(60) {
        return Err(problem("lies in the future"));
    }
    Ok(time)
}

/// The files that have changed, the newest of them by name.
struct Changed {
    newest: Vec<ChangedFile>,
    count: usize,
}

struct ChangedFile {
    path: TreePath,
    modified: SystemTime,
    size: u64,
}

impl Changed {
    fn find(view: &View, folder: &TreePath, since: SystemTime, stop: Stop) -> Result<Self, FileError> {
        let options = WalkOptions { hidden: false, ignored: false, max_depth: usize::MAX, expected: usize::MAX };
        let mut newest = Smallest::new(MAX_LISTED);
        let mut count = 0;
        for walked in Walk::new(view, view.open_folder(folder)?, options, WalkFrom::Start, stop)?.flatten() {
            let (Some(path), FileKind::File) = (walked.path(), walked.kind()) else { continue };
            let Ok(metadata) = walked.metadata() else { continue };
            let Some(modified) = metadata.modified.filter(|modified| *modified >= since) else { continue };
            count += 1;
            newest.push((Reverse(modified), path), metadata.size);
        }
        if stop() {
            return Err(FileError::Cancelled);
        }
        let newest = newest.into_sorted().map(|((Reverse(modified), path), size)| ChangedFile { path, modified, size });
        Ok(Self { newest: newest.collect(), count })
    }

    /// One line a file, as many as fit into so many bytes of JSON.
    fn listing(&self, max_bytes: usize) -> String {
        let (mut text, mut bytes, mut shown) = (String::new(), 0, 0);
        for file in &self.newest {
            let time = rfc3339(file.modified).unwrap_or_else(|| "at an unknown time".to_owned());
            let line = format!("{time} {} ({})\n", one_line(file.path.as_str()), counted(file.size, "byte"));
            bytes += json_len(&line);
            if bytes > max_bytes {
                break;
            }
            text.push_str(&line);
            shown += 1;
        }
        match self.count - shown {
            0 => text,
            more => format!("{text}[and {more} older changes; find_files with `sort: \"newest\"` shows them]\n"),
        }
    }
}

impl ChangedFile {
    fn link(&self) -> Content {
        let name = self.path.file_name().unwrap_or_default();
        Content::ResourceLink {
            uri: FileUri::new(self.path.clone()).to_string(),
            name: name.to_owned(),
            mime_type: media_type_of_name(name).map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_span_or_a_date_that_is_past() {
        let now = humantime::parse_rfc3339("2026-08-01T12:00:00Z").expect("a time");
        let read = |text: &str| read_since(text, now).ok().and_then(rfc3339);
        for (text, time) in [
            ("2 hours", "2026-08-01T10:00:00Z"),
            ("1 day", "2026-07-31T12:00:00Z"),
            ("90m", "2026-08-01T10:30:00Z"),
            ("2026-07-28", "2026-07-28T00:00:00Z"),
            ("2026-07-28 06:30:00", "2026-07-28T06:30:00Z"),
            ("2026-07-28T06:30:00Z", "2026-07-28T06:30:00Z"),
            ("100000 years", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(time), "{text}");
        }
        for text in ["yesterday", "2026-13-01", "2027-01-01", "-1 day", "", "1", "\0", "9999999999999999999 years"] {
            let refused = read_since(text, now).expect_err(text);
            assert!(refused.message().contains("`since`") && refused.message().contains("3 days"), "{refused}");
        }
    }
}
