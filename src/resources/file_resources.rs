//! The resources of the tree: every file and folder that a caller may read.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::folder_content::FolderContent;
use super::{Annotations, FILE_URI_TEMPLATE, FileUri, Resource, ResourceError, ResourcePage, ResourceTemplate};
use crate::call::{Completion, ResourceContents};
use crate::files::{
    Encoding, Entry, FileError, FileKind, FileMetadata, Place, Reader, Stop, View, Walk, WalkFrom, WalkOptions, media_type,
    media_type_of_name, rfc3339,
};
use crate::path::TreePath;

/// The most values that a completion gives (the specification's limit).
pub const MAX_COMPLETIONS: usize = 100;

const FOLDER_TYPE: &str = "inode/directory";
/// How often a file that changes while it is read is read anew.
const MAX_ATTEMPTS: usize = 3;
/// How often a folder's reading is asked whether it should stop before a completion does with what it has: after about
/// 260,000 entries.
const COMPLETION_STEPS: usize = 64;
/// How many names are held at once while completing.
const ENTRIES_AT_ONCE: usize = 1_024;
/// In the value of a template's variable, only what would end the path or be taken for an encoding: expanding the
/// template encodes the rest.
const COMPLETION_ENCODED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b'[').add(b']');
/// Before the position in a cursor.
const CURSOR_PREFIX: &str = "p";

/// The resources that one caller sees.
#[derive(Clone, Debug)]
pub struct FileResources {
    view: View,
}

/// How much a page of the list may hold.
#[derive(Clone, Copy, Debug)]
pub struct ListLimits {
    /// Resources.
    pub resources: usize,
    /// Bytes of JSON.
    pub bytes: usize,
}

impl FileResources {
    /// The resources that `view` shows.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self { view }
    }

    /// The templates of all resources' URIs.
    #[must_use]
    pub fn templates() -> Vec<ResourceTemplate> {
        vec![ResourceTemplate {
            uri_template: FILE_URI_TEMPLATE.to_owned(),
            name: "file".to_owned(),
            title: Some("A file or folder".to_owned()),
            description: Some(
                "Any file or folder of the tree by its path, such as docs/guide.md. A folder's content is a list of what is \
                 in it."
                    .to_owned(),
            ),
            mime_type: None,
        }]
    }

    /// A page of all files and folders that the caller may see, each folder before what is in it. Hidden and ignored ones
    /// are left out, as `find_files` leaves them out; they are resources all the same. The cursor names a place in the
    /// tree and nothing else: any replica goes on from it, at any time, and it shows nobody more than the caller may see.
    ///
    /// # Errors
    /// [`InvalidCursor`](ResourceError::InvalidCursor); [`Unreadable`](ResourceError::Unreadable) when the root cannot be
    /// read, or nobody waits any more.
    pub fn list(&self, cursor: Option<&str>, limits: ListLimits, stop: Stop) -> Result<ResourcePage, ResourceError> {
        let after = cursor.map(|cursor| read_cursor(cursor).ok_or(ResourceError::InvalidCursor)).transpose()?;
        let root = TreePath::root();
        let failed = |source| unreadable(&root, source);
        let mut page = Page { resources: Vec::new(), limits, bytes: 0, last: after.clone() };
        if after.is_none() {
            let metadata = self.view.metadata(&root).map_err(failed)?;
            page.push(resource(&root, &metadata), Place::default());
        }
        let folder = self.view.open_folder(&root).map_err(failed)?;
        let options =
            WalkOptions { hidden: false, ignored: false, max_depth: usize::MAX, expected: limits.resources.saturating_add(1) };
        let from = after.as_ref().map_or(WalkFrom::Start, WalkFrom::After);
        let walk = Walk::new(&self.view, folder, options, from, stop).map_err(failed)?;
        // What cannot be read now is left out: it is no readable resource.
        for walked in walk.flatten() {
            let (Some(path), FileKind::File | FileKind::Folder) = (walked.path(), walked.kind()) else { continue };
            let Ok(metadata) = walked.metadata() else { continue };
            if !page.push(resource(&path, &metadata), walked.place()) {
                return Ok(page.finish(true));
            }
        }
        if stop() { Err(failed(FileError::Cancelled)) } else { Ok(page.finish(false)) }
    }

    /// What is in a file or folder. A file comes as text where it is text, and as bytes where it is not, or where its
    /// text would lose something; never in part. `max_bytes` is the size of the file at most.
    ///
    /// # Errors
    /// [`ResourceError`].
    pub fn read(&self, uri: &str, max_bytes: usize, stop: Stop) -> Result<ResourceContents, ResourceError> {
        let uri: FileUri = uri.parse().map_err(|problem| ResourceError::InvalidUri { uri: uri.to_owned(), problem })?;
        match self.read_file(&uri, max_bytes) {
            Err(ResourceError::Unreadable { source: FileError::IsAFolder(_), .. }) => self.read_folder(&uri, stop),
            // A folder on the way down to what the caller may read is no file that it may read.
            Err(ResourceError::NotFound { .. }) => self.read_folder(&uri, stop),
            outcome => outcome,
        }
    }

    /// Values for the variable of the template that begin with what was typed so far: paths without a leading slash,
    /// folders with one at the end.
    ///
    /// # Errors
    /// [`Unreadable`](ResourceError::Unreadable) when the disk fails, or nobody waits any more. Where
    /// nothing is that the caller may see, there are just no values.
    pub fn complete(&self, typed: &str, stop: Stop) -> Result<Completion, ResourceError> {
        match percent_decode_str(typed).decode_utf8() {
            Ok(typed) => self.complete_as(&typed, variable_value, |_| true, stop),
            Err(_) => Ok(nothing()),
        }
    }

    /// Paths of the wanted kinds that begin with what was typed so far, as tools and prompts take them: with a leading
    /// slash, and folders with one at the end.
    ///
    /// # Errors
    /// As for [`complete`](Self::complete).
    pub fn complete_path(&self, typed: &str, wanted: impl Fn(FileKind) -> bool, stop: Stop) -> Result<Completion, ResourceError> {
        self.complete_as(typed, |path, kind| format!("{path}{}", end(kind)), wanted, stop)
    }

    fn complete_as(
        &self,
        typed: &str,
        value: impl Fn(&TreePath, FileKind) -> String,
        wanted: impl Fn(FileKind) -> bool,
        stop: Stop,
    ) -> Result<Completion, ResourceError> {
        let typed = typed.strip_prefix('/').unwrap_or(typed);
        let (above, start) = typed.rsplit_once('/').unwrap_or(("", typed));
        let Ok(path) = TreePath::parse(above) else { return Ok(nothing()) };
        let steps = std::cell::Cell::new(0);
        let enough = || {
            steps.set(steps.get() + 1);
            steps.get() > COMPLETION_STEPS || stop()
        };
        let folder = match self.view.open_folder(&path) {
            Ok(folder) => folder,
            Err(source @ FileError::Io { .. }) => return Err(unreadable(&path, source)),
            Err(_) => return Ok(nothing()),
        };
        let mut values = Vec::new();
        let mut after: Option<Box<[u8]>> = None;
        while values.len() <= MAX_COMPLETIONS {
            let from = after.as_deref().map_or(Bound::Included(start.as_bytes()), Bound::Excluded);
            let found = folder.entries(from, ENTRIES_AT_ONCE, &enough).map_err(|source| unreadable(&path, source))?;
            let fits = |name: &[u8]| name.starts_with(start.as_bytes());
            // Hidden names only where one is being typed.
            let shown =
                |entry: &Entry<'_>| fits(entry.name) && wanted(entry.kind) && (start.starts_with('.') || !entry.is_hidden());
            let paths = found.iter().filter(shown).filter_map(|entry| Some((folder.child(entry.name)?, entry.kind)));
            values.extend(paths.map(|(path, kind)| value(&path, kind)));
            after = found.last().filter(|last| found.has_more() && fits(last.name)).map(|last| last.name.into());
            if after.is_none() || enough() {
                break;
            }
        }
        if stop() {
            return Err(unreadable(&path, FileError::Cancelled));
        }
        let has_more = values.len() > MAX_COMPLETIONS || steps.get() > COMPLETION_STEPS;
        values.truncate(MAX_COMPLETIONS);
        Ok(Completion { total: (!has_more).then_some(values.len()), values, has_more })
    }

    fn read_file(&self, uri: &FileUri, max_bytes: usize) -> Result<ResourceContents, ResourceError> {
        let path = uri.path();
        let failed = |source| unreadable(path, source);
        for _ in 0..MAX_ATTEMPTS {
            let reader = Reader::new(self.view.open_file(path).map_err(failed)?).map_err(failed)?;
            let size = reader.size();
            if size > max_bytes as u64 {
                return Err(ResourceError::TooLarge { uri: uri.to_string(), path: path.to_string(), size, limit: max_bytes });
            }
            let contents = contents(uri, &reader).map_err(failed);
            if reader.is_unchanged().map_err(failed)? {
                return contents;
            }
        }
        Err(failed(FileError::Changed(path.clone())))
    }

    fn read_folder(&self, uri: &FileUri, stop: Stop) -> Result<ResourceContents, ResourceError> {
        let failed = |source| unreadable(uri.path(), source);
        let folder = self.view.open_folder(uri.path()).map_err(failed)?;
        let content = FolderContent::read(&folder, stop).map_err(failed)?;
        let text = serde_json::to_string(&content)
            .map_err(|error| failed(FileError::Io { path: uri.path().clone(), source: std::io::Error::other(error) }))?;
        Ok(ResourceContents::text(uri.to_string(), FOLDER_TYPE, text))
    }
}

/// A page of the list in the making.
struct Page {
    resources: Vec<Resource>,
    limits: ListLimits,
    bytes: usize,
    /// Where the last resource of the page stands.
    last: Option<Place>,
}

impl Page {
    /// Adds a resource; `false` when the page is full. One that does not fit into a page of its own is left out: it
    /// would stop the list for good.
    fn push(&mut self, resource: Resource, place: Place) -> bool {
        let bytes = serde_json::to_vec(&resource).map_or(usize::MAX, |json| json.len() + ",".len());
        let fits = self.limits.bytes.checked_sub(self.bytes).is_some_and(|left| bytes <= left);
        let has_room = self.resources.len() < self.limits.resources.max(1);
        if fits && has_room {
            self.bytes += bytes;
            self.resources.push(resource);
        } else if !self.resources.is_empty() {
            return false;
        }
        self.last = Some(place);
        true
    }

    fn finish(self, more: bool) -> ResourcePage {
        let next_cursor = self.last.filter(|_| more).map(|place| format!("{CURSOR_PREFIX}{}", place.to_text()));
        ResourcePage { resources: self.resources, next_cursor }
    }
}

fn read_cursor(cursor: &str) -> Option<Place> {
    cursor.strip_prefix(CURSOR_PREFIX).and_then(Place::from_text)
}

fn resource(path: &TreePath, metadata: &FileMetadata) -> Resource {
    let is_folder = metadata.kind == FileKind::Folder;
    let name = path.file_name().unwrap_or("/");
    Resource {
        uri: FileUri::new(path.clone()).to_string(),
        name: name.to_owned(),
        title: Some(path.to_string()),
        description: None,
        mime_type: if is_folder { Some(FOLDER_TYPE) } else { media_type_of_name(name) }.map(str::to_owned),
        annotations: metadata.modified.and_then(rfc3339).map(|last_modified| Annotations { last_modified: Some(last_modified) }),
        size: (!is_folder).then_some(metadata.size),
    }
}

fn contents(uri: &FileUri, reader: &Reader) -> Result<ResourceContents, FileError> {
    let head = reader.head()?;
    let encoding = Encoding::detect(&head);
    let mime_type = media_type(uri.path().file_name().unwrap_or_default(), &head, encoding.is_some()).to_owned();
    let text = match encoding {
        Some(encoding) => reader.text(encoding)?,
        None => None,
    };
    Ok(match text {
        Some(text) => ResourceContents::text(uri.to_string(), mime_type, text),
        None => ResourceContents::blob(uri.to_string(), mime_type, BASE64.encode(reader.bytes(0, usize::MAX)?)),
    })
}

/// There is nothing to propose.
fn nothing() -> Completion {
    Completion::of([] as [&str; 0])
}

fn variable_value(path: &TreePath, kind: FileKind) -> String {
    format!("{}{}", utf8_percent_encode(path.relative(), COMPLETION_ENCODED), end(kind))
}

fn end(kind: FileKind) -> &'static str {
    if kind == FileKind::Folder { "/" } else { "" }
}

/// What lies outside of the caller's scopes is as good as missing: nobody learns what is there.
fn unreadable(path: &TreePath, source: FileError) -> ResourceError {
    let uri = FileUri::new(path.clone()).to_string();
    match source {
        FileError::NotFound(_)
        | FileError::NotAFolder(_)
        | FileError::NameTooLong(_)
        | FileError::Forbidden(_)
        | FileError::LinkRefused(_) => ResourceError::NotFound { uri },
        source => ResourceError::Unreadable { uri, source },
    }
}
