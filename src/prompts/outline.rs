//! What is in a folder, at a glance.

use crate::files::{FileError, FileKind, Stop, View, Walk, WalkFrom, WalkOptions};
use crate::path::TreePath;
use crate::tools::{counted, json_len, one_line};

/// So many levels are shown if there is room for them, or else so many, or else one.
const DEPTHS: [usize; 3] = [4, 2, 1];

/// The files and folders in `folder`, one a line, as many whole levels as fit into `max_bytes` of JSON; of one level that
/// does not fit, the beginning. Hidden and ignored ones are left out, as `find_files` leaves them out. The last line says
/// what is missing.
pub(super) fn outline(view: &View, folder: &TreePath, max_bytes: usize, stop: Stop) -> Result<String, FileError> {
    let mut shown = String::new();
    for depth in DEPTHS {
        let (lines, whole) = level_lines(view, folder, depth, max_bytes, stop)?;
        if whole && lines.is_empty() {
            return Ok("[nothing that is not hidden]\n".to_owned());
        }
        shown = lines;
        if whole {
            shown.push_str(&format!("[shown down to level {depth}; find_files shows what lies deeper]\n"));
            return Ok(shown);
        }
    }
    shown.push_str("[there is more; list_directory shows all, page by page]\n");
    Ok(shown)
}

/// The lines of so many levels, and whether these are all.
fn level_lines(
    view: &View,
    folder: &TreePath,
    max_depth: usize,
    max_bytes: usize,
    stop: Stop,
) -> Result<(String, bool), FileError> {
    let options = WalkOptions { hidden: false, ignored: false, max_depth, expected: usize::MAX };
    let (mut text, mut bytes) = (String::new(), 0);
    // What cannot be read now is left out: a glance is no inventory.
    for walked in Walk::new(view, view.open_folder(folder)?, options, WalkFrom::Start, stop)?.flatten() {
        let Some(path) = walked.path() else { continue };
        let path = one_line(path.as_str());
        let line = match walked.kind() {
            FileKind::Folder => format!("{path}/\n"),
            FileKind::File => match walked.metadata() {
                Ok(metadata) => format!("{path} ({})\n", counted(metadata.size, "byte")),
                Err(_) => continue,
            },
            FileKind::Symlink => format!("{path} (a symbolic link)\n"),
            FileKind::Other => continue,
        };
        bytes += json_len(&line);
        if bytes > max_bytes {
            return Ok((text, false));
        }
        text.push_str(&line);
    }
    if stop() { Err(FileError::Cancelled) } else { Ok((text, true)) }
}
