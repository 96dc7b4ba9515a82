//! `delete_file`: a file or a folder, gone.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counted::counted;
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Elicitation, Interrupted, Lane, ToolError, ToolErrorKind};
use crate::files::{FileError, Removed, Tree, Version, View};
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
    /// Delete a folder with everything in it, without asking the user.
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
                      with `recursive: true`, or after the user has agreed where the client can ask; look into it with \
                      list_directory first. With `if_match`, a version that \
                      read_file or get_file_info gave, a file is deleted only if nobody has changed it since. Of a symbolic \
                      link only the link is deleted, never what it leads to.",
        scopes: &[Scope::Files(Permission::Delete)],
        effect: Effect::Destructive { idempotent: true },
        lane: Lane::Io,
        example: r#"{"path": "/drafts/old.md"}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Delete)];
    type Args = DeleteFileArgs;
    type Output = DeleteFileOutput;

    fn touches(args: &DeleteFileArgs) -> Touches<'_> {
        [Some((Permission::Delete, &args.path)), None]
    }

    async fn call(&self, cx: &CallContext, args: DeleteFileArgs) -> Result<ToolOutput<DeleteFileOutput>, Interrupted> {
        let removed = match self.remove(cx, &args, args.recursive).await? {
            Err(FileError::NotEmpty(_)) if cx.client().has_forms() => {
                confirm(cx, &args.path, &self.version(cx, &args.path).await?)?;
                self.remove(cx, &args, true).await?
            }
            removed => removed,
        };
        let Removed { files, folders } = removed.map_err(ToolError::from)?;
        let path = args.path;
        let text = match folders {
            0 => format!("Deleted {path}."),
            folders => format!("Deleted {path}: {} and {}.", counted(files, "file"), counted(folders, "folder")),
        };
        Ok(ToolOutput::text(text, DeleteFileOutput { path, files, folders }))
    }
}

impl DeleteFile {
    async fn remove(
        &self,
        cx: &CallContext,
        args: &DeleteFileArgs,
        recursive: bool,
    ) -> Result<Result<Removed, FileError>, ToolError> {
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        let DeleteFileArgs { path, if_match, .. } = args.clone();
        cx.run(move |flag| Ok(view.remove(&path, if_match.as_ref(), recursive, &|| flag.is_set()))).await
    }

    async fn version(&self, cx: &CallContext, path: &TreePath) -> Result<Version, ToolError> {
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        let path = path.clone();
        cx.run(move |_| Ok(view.removable_version(&path)?)).await
    }
}

/// Asks the user whether a folder may go with all its content. The answer is about this version of it: a yes is no leave to
/// delete what is made under the same name later.
fn confirm(cx: &CallContext, path: &TreePath, version: &Version) -> Result<(), Interrupted> {
    let question = Elicitation::form_of::<Confirmation>(format!(
        "The folder {path} is not empty. Delete it with everything in it? There is no way back."
    ));
    let answer = cx.elicit(&format!("delete_content_{version}"), &question)?;
    if answer.accepted::<Confirmation>().is_some_and(|confirmation| confirmation.delete) {
        return Ok(());
    }
    let problem = format!("the user did not agree to delete {path} with its content; nothing was changed");
    Err(ToolError::new(ToolErrorKind::Forbidden, problem).into())
}

/// The form that the user fills in.
#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    /// Delete the folder with everything in it
    delete: bool,
}
