//! `edit_file`: exact replacements in a text file.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counted::counted;
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Content, Interrupted, Lane, ToolError, ToolErrorKind};
use crate::files::{Edit, EditError, EditFileError, EditOptions, EditedFile, Tree, Version, View};
use crate::path::TreePath;

/// The most edits of one call: each goes over the whole text while other writers wait.
const MAX_EDITS: usize = 200;
/// What the result holds beside the diff and the path, in bytes.
const RESULT_OVERHEAD: usize = 1024;

/// The tool.
#[derive(Clone, Debug)]
pub struct EditFile {
    tree: Arc<Tree>,
}

/// What to replace in which file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditFileArgs {
    /// The file, for example "/src/main.rs".
    pub path: TreePath,
    /// The replacements, applied in order, each to the outcome of those before it. All apply, or nothing is changed.
    #[schemars(length(min = 1, max = 200))]
    pub edits: Vec<Edit>,
    /// Show the diff and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Edit only if the file still has this version, as read_file, get_file_info or an earlier write gave it. Without it
    /// the edits apply to whatever version is there, if their texts are found.
    pub if_match: Option<Version>,
}

/// What was changed. The diff itself is the first content block.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EditFileOutput {
    /// The file.
    pub path: TreePath,
    /// Its version now: the new one, or with `dry_run` the one that was looked at.
    pub version: Version,
    /// Was nothing changed because `dry_run` was given?
    pub dry_run: bool,
    /// How many places were replaced.
    pub replacements: usize,
    /// Lines added, over the whole change.
    pub lines_added: usize,
    /// Lines removed, over the whole change.
    pub lines_removed: usize,
    /// Was the diff too long to be shown whole? The change itself is complete.
    pub diff_truncated: bool,
}

impl EditFile {
    /// The tool over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Tool for EditFile {
    const SPEC: ToolSpec = ToolSpec {
        name: "edit_file",
        title: "Edit a file",
        description: "Replaces exact pieces of a text file; the way to change a part of a file. Each `old_text` must occur \
                      exactly once, white space included, unless `replace_all` is true; copy it from read_file and take in \
                      enough lines around it. If one edit does not fit, nothing is changed and the answer shows the nearest \
                      place, or how often and where the text occurs. Gives a unified diff and the new version. With \
                      `dry_run` the diff only. With `if_match`, a version that read_file or an earlier write gave, the file \
                      is edited only if nobody has changed it since; without it, edits by several callers follow one \
                      another and none is lost. Line feeds in an edit stand for the file's own line endings; encoding and \
                      byte order mark are kept.",
        scopes: &[Scope::Files(Permission::Write)],
        effect: Effect::Destructive { idempotent: false },
        lane: Lane::Io,
        example: r#"{"path": "/src/main.rs", "edits": [{"old_text": "let limit = 10;", "new_text": "let limit = 20;"}]}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Write)];
    type Args = EditFileArgs;
    type Output = EditFileOutput;

    fn touches(args: &EditFileArgs) -> Touches<'_> {
        [Some((Permission::Write, &args.path)), None]
    }

    async fn call(&self, cx: &CallContext, args: EditFileArgs) -> Result<ToolOutput<EditFileOutput>, Interrupted> {
        if args.edits.is_empty() || args.edits.len() > MAX_EDITS {
            let problem = format!("holds {} edits; give 1 to {MAX_EDITS} in one call, as in {}", args.edits.len(), EDITS_EXAMPLE);
            return Err(ToolError::invalid_argument("edits", problem).into());
        }
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        // The path is in the diff's headers, in the text and in the structured form.
        let max_diff_bytes = cx.max_result_bytes().saturating_sub(RESULT_OVERHEAD + 4 * args.path.as_str().len());
        cx.run(move |flag| {
            let EditFileArgs { path, edits, dry_run, if_match } = args;
            let options = EditOptions { if_match: if_match.as_ref(), dry_run, max_diff_bytes };
            let edited = view.edit_file(&path, &edits, options, &|| flag.is_set())?;
            Ok(output(path, dry_run, edited))
        })
        .await
        .map_err(Interrupted::from)
    }
}

const EDITS_EXAMPLE: &str = r#"[{"old_text": "let limit = 10;", "new_text": "let limit = 20;"}]"#;

fn output(path: TreePath, dry_run: bool, edited: EditedFile) -> ToolOutput<EditFileOutput> {
    let EditedFile { version, replacements, diff } = edited;
    let places = counted(replacements as u64, "place");
    let lines = format!("lines: +{} -{}", diff.added, diff.removed);
    let mut summary = match dry_run {
        true => format!("Dry run, nothing changed: the edits apply to {path}, version {version}, in {places} ({lines})."),
        false => format!("Edited {path} in {places} ({lines}); its version is now {version}."),
    };
    if diff.truncated {
        summary.push_str(" The diff above is cut short; read_file shows the whole file.");
    }
    let content = [diff.text, summary].into_iter().filter(|text| !text.is_empty()).map(Content::text).collect();
    let structured = EditFileOutput {
        path,
        version,
        dry_run,
        replacements,
        lines_added: diff.added,
        lines_removed: diff.removed,
        diff_truncated: diff.truncated,
    };
    ToolOutput { content, structured }
}

impl From<EditFileError> for ToolError {
    fn from(error: EditFileError) -> Self {
        let error = match error {
            EditFileError::File(error) => return error.into(),
            EditFileError::Edit(error) => error,
        };
        let kind = match &error {
            EditError::Empty { .. } | EditError::Same { .. } => ToolErrorKind::InvalidArgument,
            EditError::NotFound { .. } | EditError::Ambiguous { .. } => ToolErrorKind::Conflict,
            EditError::TooLarge { .. } | EditError::TooMany { .. } => ToolErrorKind::TooLarge,
            EditError::Cancelled => ToolErrorKind::TimedOut,
        };
        Self::new(kind, error.to_string())
    }
}
