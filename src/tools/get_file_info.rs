//! `get_file_info`: what is known of a path beside its content.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counted::counted;
use super::json_len::json_len;
use super::{Effect, PathArgument, Tool, ToolOutput, ToolSpec, Touches};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, CancelFlag, Interrupted, Lane, ToolError, ToolErrorKind};
use crate::files::{Encoding, FileError, FileKind, FileMetadata, Reader, Tree, Version, View, media_type, rfc3339};
use crate::path::TreePath;

/// The content's hash and lines are told of files up to this size, in bytes: reading it all takes some milliseconds.
const MAX_READ_BYTES: u64 = 16 * 1024 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;
/// How often a file that changes while it is looked at is looked at anew.
const MAX_ATTEMPTS: usize = 3;
/// Room for what stands around the path in the result, in bytes.
const FRAME_BYTES: usize = 2500;

/// The tool.
#[derive(Clone, Debug)]
pub struct GetFileInfo {
    tree: Arc<Tree>,
}

/// What to look at.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetFileInfoArgs {
    /// The file or folder, for example "/docs/guide.md".
    pub path: TreePath,
}

/// What is known of a path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GetFileInfoOutput {
    /// The file or folder.
    pub path: TreePath,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: FileKind,
    /// Of a symbolic link: what it leads to. Absent when it leads nowhere, or may not be followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leads_to: Option<FileKind>,
    /// Of a file, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When the content last changed (RFC 3339, UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// When it was made (RFC 3339, UTC), where the file system knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Of a file: changes whenever the file does. Give it as `if_match` to change exactly this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Of a file: the BLAKE3 hash of its content, in hexadecimal digits. Told of files up to 16 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// Of a file: its media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Of a text file: how the text is written in bytes. A file without it is binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Of a text file: how many lines it has. Told of files up to 16 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// May you change it?
    pub writable: bool,
}

impl GetFileInfo {
    /// The tool over these files.
    #[must_use]
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }
}

impl Tool for GetFileInfo {
    const SPEC: ToolSpec = ToolSpec {
        name: "get_file_info",
        title: "Get information about a file",
        description: "Tells what is at a path without showing its content: type, size, times, version, and of a file its \
                      media type, encoding, number of lines and content hash, and whether you may change it. The version \
                      is what write_file and edit_file take as `if_match`.",
        scopes: &[Scope::Files(Permission::Read)],
        effect: Effect::ReadOnly,
        lane: Lane::Io,
        example: r#"{"path": "/docs/guide.md"}"#,
        ..ToolSpec::DEFAULT
    };
    const PATHS: &[PathArgument] = &[PathArgument::path(Permission::Read)];
    type Args = GetFileInfoArgs;
    type Output = GetFileInfoOutput;

    fn touches(args: &GetFileInfoArgs) -> Touches<'_> {
        [Some((Permission::Read, &args.path)), None]
    }

    async fn call(&self, cx: &CallContext, args: GetFileInfoArgs) -> Result<ToolOutput<GetFileInfoOutput>, Interrupted> {
        if json_len(&args.path) + FRAME_BYTES > cx.max_result_bytes() {
            return Err(ToolError::new(ToolErrorKind::TooLarge, "the path is too long for a result; use a shorter path").into());
        }
        let view = View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()));
        let info = cx.run(move |flag| look(&view, &args.path, flag)).await?;
        Ok(ToolOutput::text(info.summary(), info))
    }
}

fn look(view: &View, path: &TreePath, flag: &CancelFlag) -> Result<GetFileInfoOutput, ToolError> {
    for _ in 0..MAX_ATTEMPTS {
        let metadata = view.metadata(path)?;
        let mut info = GetFileInfoOutput::new(view, path, &metadata);
        match metadata.kind {
            FileKind::File => {}
            FileKind::Symlink => {
                info.leads_to = view.metadata_of_target(path).ok().map(|target| target.kind);
                return Ok(info);
            }
            FileKind::Folder | FileKind::Other => return Ok(info),
        }
        let reader = match view.open_file(path) {
            Ok(file) => Reader::new(file)?,
            // That the server may not read the content does not hide what the folder says of the file.
            Err(FileError::NotPermitted(_)) => return Ok(info),
            Err(error) => return Err(error.into()),
        };
        info.add_content(&reader, flag)?;
        if metadata.version.as_ref() == Some(reader.version()) && reader.is_unchanged()? {
            return Ok(info);
        }
    }
    // A file that never comes to rest has no content to speak of, but still a size and times.
    Ok(GetFileInfoOutput::new(view, path, &view.metadata(path)?))
}

impl GetFileInfoOutput {
    fn new(view: &View, path: &TreePath, metadata: &FileMetadata) -> Self {
        Self {
            path: path.clone(),
            kind: metadata.kind,
            leads_to: None,
            size: (metadata.kind == FileKind::File).then_some(metadata.size),
            modified: metadata.modified.and_then(rfc3339),
            created: metadata.created.and_then(rfc3339),
            version: metadata.version.clone(),
            blake3: None,
            mime_type: None,
            encoding: None,
            lines: None,
            writable: view.is_writable(path),
        }
    }

    fn add_content(&mut self, reader: &Reader, flag: &CancelFlag) -> Result<(), ToolError> {
        let head = reader.head()?;
        self.encoding = Encoding::detect(&head);
        let name = self.path.file_name().unwrap_or_default();
        self.mime_type = Some(media_type(name, &head, self.encoding.is_some()).to_owned());
        if reader.size() > MAX_READ_BYTES {
            return Ok(());
        }
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        while at < reader.size() && !flag.is_set() {
            let chunk = reader.bytes(at, CHUNK_BYTES)?;
            hasher.update(&chunk);
            at += CHUNK_BYTES as u64;
        }
        self.blake3 = Some(hasher.finalize().to_hex().to_string());
        if let Some(encoding) = self.encoding {
            self.lines = Some(reader.count_lines(encoding, || flag.is_set())?);
        }
        Ok(())
    }

    /// The same for the model: one line for each thing known.
    fn summary(&self) -> String {
        let kind = |kind| match kind {
            FileKind::File => "file",
            FileKind::Folder => "folder",
            FileKind::Symlink => "symbolic link",
            FileKind::Other => "neither a file nor a folder (a device, a pipe or a socket)",
        };
        let lines = [
            Some(format!("type: {}", kind(self.kind))),
            self.leads_to.map(|target| format!("leads to: {}", kind(target))),
            self.size.map(|size| format!("size: {}", counted(size, "byte"))),
            self.modified.as_ref().map(|time| format!("modified: {time}")),
            self.created.as_ref().map(|time| format!("created: {time}")),
            self.version.as_ref().map(|version| format!("version: {version}")),
            self.blake3.as_ref().map(|hash| format!("blake3: {hash}")),
            self.mime_type.as_ref().map(|media_type| format!("media type: {media_type}")),
            self.encoding.map(|encoding| format!("encoding: {}", encoding.name())),
            self.lines.map(|lines| format!("lines: {lines}")),
            Some(format!("writable: {}", if self.writable { "yes" } else { "no" })),
        ];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}
