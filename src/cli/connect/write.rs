//! Puts a server into a client's own file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::client::Entry;
use crate::replace_file::replace_file;

/// Copies of one second that are told apart.
const MAX_COPIES: u32 = 100;

/// Merges the server into the file, which is made when it is missing, and says what was done; `None` when the server is there
/// already. A copy of the file as it was is put beside it.
///
/// # Errors
/// Why nothing was changed.
pub(super) fn write(place: &Path, entry: &Entry) -> Result<Option<String>, String> {
    // Where a link leads, or the link itself would be replaced.
    let file = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let text = match fs::read(&file) {
        Ok(content) => Some(String::from_utf8(content).map_err(|_| "it is not UTF-8 text".to_owned())?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.to_string()),
    };
    let Some(merged) = entry.merged_into(text.as_deref().unwrap_or_default())? else { return Ok(None) };
    let copy = match &text {
        Some(text) => format!("; as it was it is kept in {}", keep(&file, text).map_err(|error| error.to_string())?.display()),
        None => {
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            }
            String::new()
        }
    };
    replace_file(&file, merged.as_bytes()).map_err(|error| error.to_string())?;
    let exposed = fs::metadata(&file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    let exposed = if exposed { "; other users of this machine can read it" } else { "" };
    Ok(Some(format!("{} has the server now{copy}{exposed}", place.display())))
}

/// Writes the copy, with the rights of the file.
fn keep(file: &Path, text: &str) -> io::Result<PathBuf> {
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(['-', ':'], "");
    let rights = fs::metadata(file)?.permissions();
    for number in 0..MAX_COPIES {
        let number = if number == 0 { String::new() } else { format!("-{number}") };
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".bak-{time}{number}"));
        let copy = file.with_file_name(name);
        let mut opened = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        opened.write_all(text.as_bytes())?;
        opened.set_permissions(rights)?;
        opened.sync_all()?;
        return Ok(copy);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many copies of it already"))
}
