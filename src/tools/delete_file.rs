//! `delete_file`: a file or a folder, gone.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane};
use crate::files::{Tree, Version, View};
use crate::path::TreePath;

/// The tool.
#[derive(Clone, Debug)]
pub struct DeleteFile {
    tree: Arc<Tree>,
}

/// What to delete.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteFileArgs {
    /// The file or folder, for example "/drafts/old.md".
    pub path: TreePath,
    /// Delete the file only if it still has this version, as read_file or get_file_info gave it. Not for folders.
    pub if_match: Option<Version>,
    /// Delete a folder with everything in it. Without it only an empty folder is deleted.
    #[serde(default)]
    pub recursive: bool,
}

/// What was deleted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DeleteFileOutput {
    /// What is gone.
    pub path: TreePath,
    /// How many files were deleted, links included.
    pub files: u64,
    /// How many folders were deleted.
    pub folders: u64,
}

impl DeleteFile {
    /// The tool over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Tool for DeleteFile {
    const SPEC: ToolSpec = ToolSpec {
        name: "delete_file",
        title: "Delete a file or folder",
        description: "Deletes a file or an empty folder for good; there is no way back. A folder with content is deleted only \
                      with `recursive: true`; look into it with list_directory first. With `if_match`, a version that \
                      read_file or get_file_info gave, a file is deleted only if nobody has changed it since. Of a symbolic \
                      link only the link is deleted, never what it leads to.",
        scopes: &[Scope::Files(Permission::Delete)],
        effect: Effect::Destructive { idempotent: true },
        lane: Lane::Io,
        example: r#"{"path": "/drafts/old.md"}"#,
        ..ToolSpec::DEFAULT
    };
    type Args = DeleteFileArgs;
    type Output = DeleteFileOutput;

    fn touches(args: &DeleteFileArgs) -> Touches<'_> {
        [Some((Permission::Delete, &args.path)), None]
    }

    async fn call(&self, cx: &CallContext, args: DeleteFileArgs) -> Result<ToolOutput<DeleteFileOutput>, Interrupted> {
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        cx.run(move |flag| {
            let DeleteFileArgs { path, if_match, recursive } = args;
            let removed = view.remove(&path, if_match.as_ref(), recursive, &|| flag.is_set())?;
            let text = match removed.folders {
                0 => format!("Deleted {path}."),
                folders => format!("Deleted {path}: {} files and {folders} folders.", removed.files),
            };
            Ok(ToolOutput::text(text, DeleteFileOutput { path, files: removed.files, folders: removed.folders }))
        })
        .await
        .map_err(Interrupted::from)
    }
}
