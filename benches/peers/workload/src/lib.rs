//! What every peer does behind its protocol, as an ordinary author would write it: cursors in Redis, pages of files, listings.

use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long an unused cursor lives, in seconds.
pub const CURSOR_TTL: u64 = 3_600;

/// What a peer is started with: `PROGRAM ADDRESS:PORT FOLDER REDIS-URL`.
pub struct Options {
    pub listen: SocketAddr,
    pub root: PathBuf,
    pub redis: String,
}

impl Options {
    /// From the command line; the process ends when it is wrong.
    pub fn from_args() -> Self {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let [listen, root, redis] = arguments.as_slice() else { panic!("usage: ADDRESS:PORT FOLDER REDIS-URL") };
        Self { listen: listen.parse().expect("ADDRESS:PORT"), root: root.into(), redis: redis.clone() }
    }

    /// One connection, which all requests share.
    pub async fn connect_redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis.as_str()).expect("a Redis URL");
        client.get_multiplexed_async_connection().await.expect("Redis answers")
    }
}

/// Arguments of `read_file`: a file from its beginning, or a cursor.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ReadFileArgs {
    pub path: Option<String>,
    pub byte_limit: Option<usize>,
    pub cursor: Option<String>,
}

/// What a cursor stands for; its handle is the record's id with a position.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub path: String,
    pub version: String,
    pub bytes: usize,
}

/// A handle: `ID-POSITION`.
pub struct Handle<'a> {
    pub id: &'a str,
    pub position: u64,
}

impl<'a> Handle<'a> {
    pub fn parse(text: &'a str) -> io::Result<Self> {
        let parts = text.split_once('-').and_then(|(id, position)| Some(Self { id, position: position.parse().ok()? }));
        parts.ok_or_else(|| io::Error::other("no such cursor"))
    }
}

/// Cursors in Redis.
#[derive(Clone)]
pub struct Cursors(pub MultiplexedConnection);

impl Cursors {
    /// Keeps a record and gives its id.
    pub async fn create(&self, record: &Record) -> io::Result<String> {
        let id = format!("{:032x}", rand::random::<u128>());
        let text = serde_json::to_string(record)?;
        let _: () = self.0.clone().set_ex(&id, text, CURSOR_TTL).await.map_err(io::Error::other)?;
        Ok(id)
    }

    /// Gets a record, then makes it live for the full time again: two round trips.
    pub async fn open(&self, id: &str) -> io::Result<Record> {
        let mut redis = self.0.clone();
        let text: Option<String> = redis.get(id).await.map_err(io::Error::other)?;
        let text = text.ok_or_else(|| io::Error::other("no such cursor"))?;
        let _: bool = redis.expire(id, CURSOR_TTL.cast_signed()).await.map_err(io::Error::other)?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// What is told of a page beside its text.
#[derive(Clone, Debug, Serialize)]
pub struct PageOutput {
    pub path: String,
    pub version: String,
    pub shown: &'static str,
    pub mime_type: &'static str,
    pub encoding: &'static str,
    pub byte_offset: u64,
    pub byte_length: u64,
    pub total_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl PageOutput {
    /// The page of `record` that starts at `position`; `id` is the record's.
    pub fn new(id: &str, record: Record, position: u64, length: usize, total: u64) -> Self {
        let end = position + length as u64;
        Self {
            path: record.path,
            version: record.version,
            shown: "text",
            mime_type: "text/plain",
            encoding: "utf-8",
            byte_offset: position,
            byte_length: length as u64,
            total_bytes: total,
            next_cursor: (end < total).then(|| format!("{id}-{end}")),
        }
    }

    /// One line for the model.
    pub fn summary(&self) -> String {
        let Self { path, version, byte_offset, byte_length, total_bytes, .. } = self;
        let mut text = format!(
            "{path}: bytes {byte_offset}-{} of {total_bytes}, utf-8, version {version}",
            (byte_offset + byte_length).saturating_sub(1)
        );
        let _ = match &self.next_cursor {
            Some(cursor) => write!(text, "; more: read_file with {{\"cursor\": \"{cursor}\"}}"),
            None => write!(text, "; end of file"),
        };
        text
    }
}

/// Reads a page: with a cursor the one that it names, without one the first.
pub async fn read_file(root: &Path, cursors: &Cursors, args: ReadFileArgs) -> io::Result<(String, PageOutput)> {
    let root = root.to_owned();
    let Some(cursor) = args.cursor else {
        let record = begin(&root, args)?;
        let id = cursors.create(&record).await?;
        return page(&root, &id, record, 0);
    };
    let handle = Handle::parse(&cursor)?;
    let (id, position) = (handle.id.to_owned(), handle.position);
    let record = cursors.open(&id).await?;
    blocking(move || page(&root, &id, record, position)).await
}

/// The record of a reading that begins.
pub fn begin(root: &Path, args: ReadFileArgs) -> io::Result<Record> {
    let path = args.path.ok_or_else(|| io::Error::other("give a path or a cursor"))?;
    let version = version(&inside(root, &path)?.metadata()?);
    Ok(Record { path, version, bytes: args.byte_limit.unwrap_or(32_768) })
}

fn page(root: &Path, id: &str, record: Record, position: u64) -> io::Result<(String, PageOutput)> {
    let file = File::open(inside(root, &record.path)?)?;
    let metadata = file.metadata()?;
    if version(&metadata) != record.version {
        return Err(io::Error::other("the file has changed"));
    }
    let left = metadata.len().saturating_sub(position);
    let mut bytes = vec![0; record.bytes.min(usize::try_from(left).unwrap_or(usize::MAX))];
    file.read_exact_at(&mut bytes, position)?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let output = PageOutput::new(id, record, position, text.len(), metadata.len());
    Ok((text, output))
}

/// Changes whenever the file does.
pub fn version(metadata: &Metadata) -> String {
    format!("{:x}-{:x}-{:x}{:x}", metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// The place of `path`, which starts at `/` and cannot leave the root.
pub fn inside(root: &Path, path: &str) -> io::Result<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    if relative.components().all(|part| matches!(part, Component::Normal(_))) {
        Ok(root.join(relative))
    } else {
        Err(io::Error::other("outside of the root"))
    }
}

/// One entry of a folder.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub path: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// Lists a folder, by name, with a stat of each entry.
pub async fn list_directory(root: &Path, path: String) -> io::Result<Vec<Entry>> {
    let folder = inside(root, &path)?;
    blocking(move || {
        let mut entries = Vec::new();
        for entry in folder.read_dir()? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            entries.push(Entry {
                path: format!("{}/{}", path.trim_end_matches('/'), entry.file_name().to_string_lossy()),
                kind: if metadata.is_dir() { "folder" } else { "file" },
                size: metadata.is_file().then_some(metadata.len()),
                modified: Some(
                    humantime::format_rfc3339_seconds(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)).to_string(),
                ),
            });
        }
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    })
    .await
}

/// One line an entry, for the model.
pub fn lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        let modified = entry.modified.as_deref().unwrap_or_default();
        let _ = match entry.size {
            Some(size) => writeln!(text, "{name}\t{size} bytes\t{modified}"),
            None => writeln!(text, "{name}/\t{modified}"),
        };
    }
    text.pop();
    text
}

/// Runs work on files where it holds up no other request.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
