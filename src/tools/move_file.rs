//! `move_file`: another path for a file or a folder.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::copy_file::report_bytes;
use super::write_file::yes;
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane};
use crate::files::{TransferOptions, Tree, Version, View};
use crate::path::TreePath;

/// The tool.
#[derive(Clone, Debug)]
pub struct MoveFile {
    tree: Arc<Tree>,
}

/// What to move where.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveFileArgs {
    /// The file or folder to move, for example "/drafts/guide.md".
    pub from: TreePath,
    /// Its new path, with its name, for example "/docs/guide.md".
    pub to: TreePath,
    /// Move only if the file at `from` still has this version, as read_file or get_file_info gave it. Not for folders.
    pub if_match: Option<Version>,
    /// Let a file replace a file that is at `to`. Without it nothing is overwritten; a folder never overwrites.
    #[serde(default)]
    pub overwrite: bool,
    /// Make the folders that are missing above `to` (the default).
    #[serde(default = "yes")]
    pub create_parents: bool,
}

/// What was moved.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MoveFileOutput {
    /// Where it was.
    pub from: TreePath,
    /// Where it is.
    pub to: TreePath,
    /// The version of the moved file, which is a new one; none for a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Was a file at `to` replaced?
    pub replaced: bool,
}

impl MoveFile {
    /// The tool over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Tool for MoveFile {
    const SPEC: ToolSpec = ToolSpec {
        name: "move_file",
        title: "Move or rename",
        description: "Moves or renames a file, or a folder with all that is in it. `to` is the new path with its name, not \
                      the folder to move into. Refuses to replace what is at `to`; `overwrite: true` lets a file replace a \
                      file. With `if_match`, a version that read_file or get_file_info gave, a file is moved only if nobody \
                      has changed it since. Folders cannot be moved from one mount to another.",
        scopes: &[Scope::Files(Permission::Write)],
        effect: Effect::Destructive { idempotent: false },
        lane: Lane::Io,
        example: r#"{"from": "/drafts/guide.md", "to": "/docs/guide.md"}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::from(Permission::Write), PathArgument::to(Permission::Write)];
    type Args = MoveFileArgs;
    type Output = MoveFileOutput;

    fn touches(args: &MoveFileArgs) -> Touches<'_> {
        [Some((Permission::Write, &args.from)), Some((Permission::Write, &args.to))]
    }

    async fn call(&self, cx: &CallContext, args: MoveFileArgs) -> Result<ToolOutput<MoveFileOutput>, Interrupted> {
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        let mut report = report_bytes(cx.reports().clone());
        cx.run(move |flag| {
            let MoveFileArgs { from, to, if_match, overwrite, create_parents } = args;
            let options = TransferOptions { if_match: if_match.as_ref(), overwrite, create_parents };
            let moved = view.move_path(&from, &to, options, &mut report, &|| flag.is_set())?;
            let verb = if moved.replaced { "over" } else { "to" };
            let text = match &moved.version {
                Some(version) => format!("Moved {from} {verb} {to}; its version is now {version}."),
                None => format!("Moved the folder {from} to {to}."),
            };
            Ok(ToolOutput::text(text, MoveFileOutput { from, to, version: moved.version, replaced: moved.replaced }))
        })
        .await
        .map_err(Interrupted::from)
    }
}
