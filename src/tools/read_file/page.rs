//! Makes one page of a file: the part of `read_file` that touches files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ReadFileForm;
use super::output::{ReadFileOutput, Shown};
use crate::call::{Content, ToolError, ToolErrorKind};
use crate::files::{Encoding, LineStart, PageLimits, Position, Reader, Version, View, media_type};
use crate::path::TreePath;
use crate::state::CursorError;
use crate::tools::counted;

/// How often a file that changes while it is read is read anew.
const MAX_ATTEMPTS: usize = 3;
const IMAGE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// A reading that begins.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) path: TreePath,
    pub(super) from: From,
    /// The most lines in a page.
    pub(super) lines: Option<u64>,
    /// The most bytes in a page.
    pub(super) bytes: Option<u64>,
    pub(super) form: Option<ReadFileForm>,
    /// Was no part of the file asked for?
    pub(super) is_whole: bool,
}

/// Where a reading begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    /// At the start of a line, from 1.
    Line(u64),
    /// At a byte, from 0.
    Byte(u64),
}

/// What all pages of one reading have in common: what a cursor pins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) path: TreePath,
    version: Version,
    mime_type: String,
    /// `None` for base64.
    encoding: Option<Encoding>,
    lines: Option<u64>,
    bytes: Option<u64>,
}

/// One page, its cursor not yet made.
#[derive(Debug)]
pub(super) struct Page {
    /// The file's content, where some is shown.
    pub(super) content: Option<Content>,
    pub(super) output: ReadFileOutput,
    /// Where the next page starts; `None` at the end.
    pub(super) next: Option<Position>,
}

/// The first page of a reading, and the record for those that follow. A file that changes meanwhile is read anew.
pub(super) fn first(
    view: &View,
    request: &Request,
    max_result_bytes: usize,
    stop: impl Fn() -> bool,
) -> Result<(Page, Option<Record>), ToolError> {
    for _ in 0..MAX_ATTEMPTS {
        let reader = Reader::new(view.open_file(&request.path)?)?;
        let page = begin(&reader, request, max_result_bytes, &stop);
        if reader.is_unchanged()? {
            return page;
        }
    }
    Err(ToolError::new(
        ToolErrorKind::Changed,
        format!("{} is being written to at this moment; repeat the call after a moment", request.path),
    ))
}

/// The page of a reading that starts at `start`.
pub(super) fn next(view: &View, record: &Record, start: Position, max_result_bytes: usize) -> Result<Page, ToolError> {
    let Some(reader) = Reader::at_version(view.open_file(&record.path)?, &record.version) else {
        return Err(changed(record, start));
    };
    // A position that was never given out would show nothing, or divide a character, which the reader notices.
    if start.byte >= reader.size() {
        return Err(CursorError::Invalid.into());
    }
    let page = page(&reader, record, start, max_result_bytes);
    if reader.is_unchanged()? { page } else { Err(changed(record, start)) }
}

fn begin(
    reader: &Reader,
    request: &Request,
    max_result_bytes: usize,
    stop: impl Fn() -> bool,
) -> Result<(Page, Option<Record>), ToolError> {
    let head = reader.head()?;
    let detected = Encoding::detect(&head);
    let mime_type = media_type(request.path.file_name().unwrap_or_default(), &head, detected.is_some());
    let encoding = match request.form {
        None => detected,
        Some(ReadFileForm::Text) => Some(detected.unwrap_or(Encoding::Utf8)),
        Some(ReadFileForm::Base64) => None,
    };
    if request.form.is_none() && encoding.is_none() {
        return Ok((binary(reader, request, mime_type, max_result_bytes)?, None));
    }
    let record = Record {
        path: request.path.clone(),
        version: reader.version().clone(),
        mime_type: mime_type.to_owned(),
        encoding,
        lines: request.lines,
        bytes: request.bytes,
    };
    let start = match (request.from, encoding) {
        (From::Line(line), Some(encoding)) => start_of_line(reader, encoding, line, stop)?,
        (From::Byte(byte), _) => start_at_byte(reader, encoding, byte)?,
        (From::Line(_), None) => Position { byte: 0, line: None },
    };
    Ok((page(reader, &record, start, max_result_bytes)?, Some(record)))
}

fn page(reader: &Reader, record: &Record, start: Position, max_result_bytes: usize) -> Result<Page, ToolError> {
    let nothing = ReadFileOutput::nothing(record.path.clone(), record.version.clone(), record.mime_type.clone(), reader.size());
    let room = nothing.room(max_result_bytes)?;
    let Some(encoding) = record.encoding else { return base64_page(reader, record, start, room, nothing) };
    let limits = PageLimits { json_bytes: room, lines: record.lines, bytes: record.bytes };
    let page = reader.text_page(encoding, start, limits)?.ok_or(CursorError::Invalid)?;
    let is_last = page.end.byte >= reader.size();
    let is_empty = page.text.len() == 0;
    // The line feed belongs to the line that it ends; an empty file has no line at all.
    let last_line = page.end.line.map(|line| if page.ends_a_line || is_empty { line - 1 } else { line });
    let output = ReadFileOutput {
        shown: Shown::Text,
        encoding: Some(encoding),
        lossy: page.lossy.then_some(true),
        first_line: start.line.filter(|_| !is_empty),
        last_line: last_line.filter(|_| !is_empty),
        total_lines: last_line.filter(|_| is_last),
        ends_inside_line: (!is_last && !page.ends_a_line).then_some(true),
        byte_offset: start.byte,
        byte_length: page.end.byte - start.byte,
        ..nothing
    };
    Ok(Page { content: Some(Content::text(page.text)), output, next: (!is_last).then_some(page.end) })
}

fn base64_page(
    reader: &Reader,
    record: &Record,
    start: Position,
    room: usize,
    nothing: ReadFileOutput,
) -> Result<Page, ToolError> {
    // Whole groups of three bytes, so that the texts of all pages, put together, decode as one.
    let fits = room / 4 * 3;
    let len = record.bytes.map_or(fits, |bytes| fits.min(usize::try_from(bytes).unwrap_or(usize::MAX)));
    let bytes = reader.bytes(start.byte, len)?;
    let end = start.byte + bytes.len() as u64;
    let output = ReadFileOutput { shown: Shown::Base64, byte_offset: start.byte, byte_length: bytes.len() as u64, ..nothing };
    let next = (end < reader.size()).then_some(Position { byte: end, line: None });
    Ok(Page { content: Some(Content::text(BASE64.encode(bytes))), output, next })
}

/// What is shown of a file that is not text: an image that fits, or nothing.
fn binary(reader: &Reader, request: &Request, mime_type: &str, max_result_bytes: usize) -> Result<Page, ToolError> {
    let nothing = ReadFileOutput::nothing(request.path.clone(), reader.version().clone(), mime_type.to_owned(), reader.size());
    let room = nothing.room(max_result_bytes)?;
    let fits = reader.size() <= (room / 4 * 3) as u64;
    if !(request.is_whole && fits && IMAGE_TYPES.contains(&mime_type)) {
        return Ok(Page { content: None, output: nothing, next: None });
    }
    let bytes = reader.bytes(0, room)?;
    let output = ReadFileOutput { shown: Shown::Image, byte_length: bytes.len() as u64, ..nothing };
    let content = Content::Image { data: BASE64.encode(bytes), mime_type: mime_type.to_owned() };
    Ok(Page { content: Some(content), output, next: None })
}

fn start_of_line(reader: &Reader, encoding: Encoding, line: u64, stop: impl Fn() -> bool) -> Result<Position, ToolError> {
    match reader.line_start(encoding, line, stop)? {
        // The first page begins with the file, so that its byte order mark is counted as shown.
        LineStart::At(_) if line == 1 => Ok(Position { byte: 0, line: Some(1) }),
        LineStart::At(byte) => Ok(Position { byte, line: Some(line) }),
        LineStart::Beyond { lines } => {
            let count = counted(lines, "line");
            let problem = format!("{line} is beyond the end: the file has {count}; use an `offset` from 1 to {}", lines.max(1));
            Err(ToolError::invalid_argument("offset", problem))
        }
    }
}

fn start_at_byte(reader: &Reader, encoding: Option<Encoding>, byte: u64) -> Result<Position, ToolError> {
    let size = reader.size();
    if byte > 0 && byte >= size {
        let (count, last) = (counted(size, "byte"), size.max(1) - 1);
        let problem = format!("{byte} is beyond the end: the file has {count}; use a `byte_offset` from 0 to {last}");
        return Err(ToolError::invalid_argument("byte_offset", problem));
    }
    if let Some(encoding) = encoding {
        let is_boundary = |at| reader.is_boundary(encoding, at);
        if !is_boundary(byte)? {
            let mut near = byte;
            while !is_boundary(near)? {
                near -= 1;
            }
            let problem = format!("{byte} lies inside a character, which starts at {near}; use that, or `as: \"base64\"`");
            return Err(ToolError::invalid_argument("byte_offset", problem));
        }
    }
    Ok(Position { byte, line: None })
}

/// The file is no longer what the cursor was made for: how to go on from about the same place.
fn changed(record: &Record, at: Position) -> ToolError {
    let mut restart = json!({
        "path": record.path,
        "offset": at.line,
        "limit": record.lines,
        "byte_offset": at.line.is_none().then_some(at.byte),
        "byte_limit": record.bytes,
        "as": record.encoding.is_none().then_some(ReadFileForm::Base64),
    });
    if let Some(arguments) = restart.as_object_mut() {
        arguments.retain(|_, value| !value.is_null());
    }
    ToolError::new(
        ToolErrorKind::Changed,
        format!("{} has changed since this cursor was made; start again with {restart}, or from its beginning", record.path),
    )
}
