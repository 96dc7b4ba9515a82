//! `create_directory`: a folder, and those above it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane};
use crate::files::{Tree, View};
use crate::path::TreePath;

/// The tool.
#[derive(Clone, Debug)]
pub struct CreateDirectory {
    tree: Arc<Tree>,
}

/// Which folder to make.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDirectoryArgs {
    /// The folder, for example "/docs/2026".
    pub path: TreePath,
}

/// The folder that is there now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CreateDirectoryOutput {
    /// The folder.
    pub path: TreePath,
    /// Was it made by this call? If not, it was there already.
    pub created: bool,
}

impl CreateDirectory {
    /// The tool over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Tool for CreateDirectory {
    const SPEC: ToolSpec = ToolSpec {
        name: "create_directory",
        title: "Create a folder",
        description: "Makes a folder and the folders that are missing above it. A folder that is there already is fine. Not \
                      needed before write_file, move_file or copy_file, which make the folders that they need.",
        scopes: &[Scope::Files(Permission::Write)],
        effect: Effect::Additive { idempotent: true },
        lane: Lane::Io,
        example: r#"{"path": "/docs/2026"}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Write)];
    type Args = CreateDirectoryArgs;
    type Output = CreateDirectoryOutput;

    fn touches(args: &CreateDirectoryArgs) -> Touches<'_> {
        [Some((Permission::Write, &args.path)), None]
    }

    async fn call(&self, cx: &CallContext, args: CreateDirectoryArgs) -> Result<ToolOutput<CreateDirectoryOutput>, Interrupted> {
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        cx.run(move |_| {
            let path = args.path;
            let created = view.make_folder(&path)?;
            let text =
                if created { format!("Created the folder {path}.") } else { format!("The folder {path} was there already.") };
            Ok(ToolOutput::text(text, CreateDirectoryOutput { path, created }))
        })
        .await
        .map_err(Interrupted::from)
    }
}
