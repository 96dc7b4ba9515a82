//! A file of the operator's, replaced in one step: whoever reads it sees the old content or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// Puts `content` in place of the file at `path`, which keeps its owner and its rights; a new file is its owner's alone.
/// `path` must not be a symbolic link: the link would be replaced, and not what it leads to.
///
/// # Errors
/// What the operating system says. Then the file is what it was.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "it has no file name");
    let name = path.file_name().ok_or_else(no_name)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{:016x}.tmp", rand::random::<u64>()));
    let replaced = write_new(&beside, path, content).and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&beside);
    } else if let Some(folder) = path.parent() {
        // Some file systems have no such thing for folders; the content is safe without.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    replaced
}

fn write_new(beside: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    match fs::metadata(path) {
        Ok(old) => {
            let new = file.metadata()?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.write_all(content)?;
    file.sync_all()
}
