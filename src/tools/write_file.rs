//! `write_file`: a whole file, made or replaced.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counted::counted;
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane, ToolError};
use crate::files::{Condition, Tree, Version, View};
use crate::path::TreePath;

/// The tool.
#[derive(Clone, Debug)]
pub struct WriteFile {
    tree: Arc<Tree>,
}

/// What to write where, and what must be there for it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFileArgs {
    /// The file, for example "/docs/guide.md".
    pub path: TreePath,
    /// The whole content of the file: text, or with `encoding: "base64"` its bytes in base64.
    pub content: String,
    /// How `content` is written here: "utf-8" (the default) for text, "base64" for any bytes.
    #[serde(default)]
    pub encoding: ContentEncoding,
    /// Replace the file only if it still has this version, as read_file, get_file_info or an earlier write gave it.
    pub if_match: Option<Version>,
    /// Write only if nothing is at `path`. This is also what happens without `if_match`, `if_absent` and `overwrite`.
    #[serde(default)]
    pub if_absent: bool,
    /// Replace the file whatever it holds now. Changes by others are lost: prefer `if_match`.
    #[serde(default)]
    pub overwrite: bool,
    /// Make the folders that are missing above the file (the default).
    #[serde(default = "yes")]
    pub create_parents: bool,
}

/// How content is written in an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ContentEncoding {
    /// As text; the file is written in UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Bytes in base64 (RFC 4648, section 4).
    #[serde(rename = "base64")]
    Base64,
}

/// What was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WriteFileOutput {
    /// The file.
    pub path: TreePath,
    /// Its version now; pass it as `if_match` to change the file only if nobody else has.
    pub version: Version,
    /// Its size in bytes.
    pub bytes: u64,
    /// Was nothing there before?
    pub created: bool,
}

impl WriteFile {
    /// The tool over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Tool for WriteFile {
    const SPEC: ToolSpec = ToolSpec {
        name: "write_file",
        title: "Write a file",
        description: "Makes a file, or replaces one whole; missing folders are made. Without a condition it only makes new \
                      files and refuses to overwrite. To replace a file, pass the version that you last saw of it as \
                      `if_match` (read_file, get_file_info and every write give one): if somebody has changed the file \
                      since, nothing is written and the answer says which version is there now. `overwrite: true` replaces \
                      whatever is there. The write is atomic: nobody ever reads a half-written file. To change a part of a \
                      text file, use edit_file.",
        scopes: &[Scope::Files(Permission::Write)],
        effect: Effect::Destructive { idempotent: true },
        lane: Lane::Io,
        example: r##"{"path": "/docs/guide.md", "content": "# Guide\n"}"##,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Write)];
    type Args = WriteFileArgs;
    type Output = WriteFileOutput;

    fn touches(args: &WriteFileArgs) -> Touches<'_> {
        [Some((Permission::Write, &args.path)), None]
    }

    async fn call(&self, cx: &CallContext, args: WriteFileArgs) -> Result<ToolOutput<WriteFileOutput>, Interrupted> {
        let condition = condition(&args)?;
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        cx.run(move |flag| {
            let WriteFileArgs { path, content, encoding, create_parents, .. } = args;
            let content = match encoding {
                ContentEncoding::Utf8 => content.into_bytes(),
                ContentEncoding::Base64 => decode_base64(&content)?,
            };
            let written = view.write_file(&path, &content, &condition, create_parents, &|| flag.is_set())?;
            let verb = if written.created { "Created" } else { "Replaced" };
            let text = format!("{verb} {path}: {}, version {}.", counted(written.bytes, "byte"), written.version);
            let structured = WriteFileOutput { path, version: written.version, bytes: written.bytes, created: written.created };
            Ok(ToolOutput::text(text, structured))
        })
        .await
        .map_err(Interrupted::from)
    }
}

fn condition(args: &WriteFileArgs) -> Result<Condition, ToolError> {
    let one_only = |name, problem| Err(ToolError::invalid_argument(name, problem));
    match (&args.if_match, args.if_absent, args.overwrite) {
        (Some(_), true, _) => one_only(
            "if_absent",
            "cannot be combined with `if_match`; give `if_match` to replace a file that you have seen, or `if_absent: true` \
             to make a new one",
        ),
        (Some(_), _, true) => one_only(
            "overwrite",
            "cannot be combined with `if_match`; give `if_match` to replace that version only, or `overwrite: true` to \
             replace any",
        ),
        (None, true, true) => one_only(
            "overwrite",
            "cannot be combined with `if_absent`; give `if_absent: true` to make a new file, or `overwrite: true` to replace \
             whatever is there",
        ),
        (Some(version), false, false) => Ok(Condition::Matches(version.clone())),
        (None, false, true) => Ok(Condition::Any),
        (None, _, false) => Ok(Condition::Absent),
    }
}

fn decode_base64(text: &str) -> Result<Vec<u8>, ToolError> {
    // Models leave the padding out and encoders break lines: neither makes the bytes uncertain.
    const FORGIVING: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    FORGIVING.decode(&text).map_err(|error| {
        let right = general_purpose::STANDARD.encode("hello");
        let problem = format!("is not base64 ({error}); write it like {right:?}, or leave out `encoding` to write text");
        ToolError::invalid_argument("content", problem)
    })
}

/// The default of arguments that are on unless turned off.
pub(super) fn yes() -> bool {
    true
}
