//! `copy_file`: a file under a second path.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counted::counted;
use super::write_file::yes;
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane, Progress, Reports};
use crate::files::{TransferOptions, Tree, Version, View};
use crate::path::TreePath;

/// How much is copied between two reports of progress, in bytes.
const REPORT_EVERY: u64 = 16 << 20;

/// The tool.
#[derive(Clone, Debug)]
pub struct CopyFile {
    tree: Arc<Tree>,
}

/// What to copy where.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyFileArgs {
    /// The file to copy, for example "/docs/guide.md".
    pub from: TreePath,
    /// The path of the copy, with its name, for example "/archive/guide.md".
    pub to: TreePath,
    /// Copy only if the file at `from` still has this version, as read_file or get_file_info gave it.
    pub if_match: Option<Version>,
    /// Replace a file that is at `to`. Without it nothing is overwritten.
    #[serde(default)]
    pub overwrite: bool,
    /// Make the folders that are missing above `to` (the default).
    #[serde(default = "yes")]
    pub create_parents: bool,
}

/// The copy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CopyFileOutput {
    /// What was copied.
    pub from: TreePath,
    /// The copy.
    pub to: TreePath,
    /// The version of the copy.
    pub version: Version,
    /// Its size in bytes.
    pub bytes: u64,
    /// Was nothing at `to` before?
    pub created: bool,
}

impl CopyFile {
    /// The tool over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Tool for CopyFile {
    const SPEC: ToolSpec = ToolSpec {
        name: "copy_file",
        title: "Copy a file",
        description: "Copies a file of any size to another path, without its content passing through you. Folders are not \
                      copied. Refuses to replace what is at `to` unless `overwrite` is true. With `if_match`, a version that \
                      read_file or get_file_info gave, it copies only that version. The copy appears at once and whole.",
        scopes: &[Scope::Files(Permission::Write)],
        effect: Effect::Destructive { idempotent: true },
        lane: Lane::Io,
        example: r#"{"from": "/docs/guide.md", "to": "/archive/guide.md"}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::from(Permission::Read), PathArgument::to(Permission::Write)];
    type Args = CopyFileArgs;
    type Output = CopyFileOutput;

    fn touches(args: &CopyFileArgs) -> Touches<'_> {
        [Some((Permission::Read, &args.from)), Some((Permission::Write, &args.to))]
    }

    async fn call(&self, cx: &CallContext, args: CopyFileArgs) -> Result<ToolOutput<CopyFileOutput>, Interrupted> {
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        let mut report = report_bytes(cx.reports().clone());
        cx.run(move |flag| {
            let CopyFileArgs { from, to, if_match, overwrite, create_parents } = args;
            let options = TransferOptions { if_match: if_match.as_ref(), overwrite, create_parents };
            let copy = view.copy_file(&from, &to, options, &mut report, &|| flag.is_set())?;
            let verb = if copy.created { "to" } else { "over" };
            let text = format!("Copied {from} {verb} {to}: {}, version {}.", counted(copy.bytes, "byte"), copy.version);
            Ok(ToolOutput::text(
                text,
                CopyFileOutput { from, to, version: copy.version, bytes: copy.bytes, created: copy.created },
            ))
        })
        .await
        .map_err(Interrupted::from)
    }
}

/// Reports copied bytes, but not each of many small steps.
pub(super) fn report_bytes(reports: Reports) -> impl FnMut(u64, u64) + Send + 'static {
    let mut reported = 0;
    #[expect(clippy::cast_precision_loss, reason = "progress is for people")]
    move |copied, total| {
        if copied - reported >= REPORT_EVERY || (copied == total && reported > 0) {
            reported = copied;
            let message = Some(format!("copied {} of {} MiB", copied >> 20, total >> 20));
            reports.progress(Progress { progress: copied as f64, total: Some(total as f64), message });
        }
    }
}
