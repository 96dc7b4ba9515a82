//! The file of API keys, as an operator changes it: one key more or less at a time, and never a file that cannot be read.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use toml_edit::{ArrayOfTables, DocumentMut, Table};

use super::api_key::{self, ApiKeys};
use super::token_digest::TokenDigest;
use crate::replace_file::replace_file;
use crate::watched_files::MAX_FILE_BYTES;

/// How long a change waits for another one to be done.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at whether it is.
const PAUSE: Duration = Duration::from_millis(20);

/// What the file says of a key; nothing of the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// What the key is called, in its file.
    pub name: String,
    /// Who its bearer is, in logs and cursors: the name, unless the file says otherwise.
    pub subject: String,
    /// What its bearer may do.
    pub scopes: Vec<String>,
    /// When it was made, where that is known.
    pub created: Option<SystemTime>,
    /// When it expires, if it does.
    pub expires: Option<SystemTime>,
}

/// What a new key is to be good for.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    /// See [`KeyInfo::name`].
    pub name: &'a str,
    /// Who its bearer is, where that is not the name: for a second key of the same caller, to change over to.
    pub subject: Option<&'a str>,
    /// What its bearer may do.
    pub scopes: &'a [String],
    /// When it expires, if it does.
    pub expires: Option<SystemTime>,
}

/// Why a key file was not changed or cannot be shown: one line without the file's path and without any secret. The file is
/// as it was.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no such file.
    #[error("the file does not exist")]
    Missing,
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file is not one of API keys.
    #[error("{0}; mend it first, nothing was changed")]
    Broken(String),
    /// The file cannot be written.
    #[error("it cannot be changed: {0}")]
    Unwritable(io::Error),
    /// Somebody else holds the lock.
    #[error("another program has been changing it for {} s; nothing was changed", PATIENCE.as_secs())]
    Busy,
    /// What was asked for would make a file that cannot be used.
    #[error("{0}; nothing was changed")]
    Unfit(String),
    /// There is a key of this name already.
    #[error("there is a key with the name `{0}` already; revoke it first, or choose another name")]
    Taken(String),
    /// There is no key of this name.
    #[error("there is no key with the name `{0}`")]
    Unknown(String),
}

/// The keys in the file, in its order.
///
/// # Errors
/// [`KeyFileError`] when it cannot be read or understood.
pub fn list_keys(file: &Path) -> Result<Vec<KeyInfo>, KeyFileError> {
    let file = File::open(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing,
        _ => KeyFileError::Unreadable(error),
    })?;
    api_key::describe(read(file)?.as_bytes()).map_err(KeyFileError::Broken)
}

/// Makes a key, adds its hash to the file, which is made when it is missing, and gives the key. It is kept nowhere else.
///
/// # Errors
/// [`KeyFileError`].
pub fn create_key(file: &Path, new: NewKey<'_>) -> Result<String, KeyFileError> {
    let secret: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("{}{secret}", api_key::PREFIX);
    let table = entry(&key, new);
    // Before the file is made or locked: what is wrong in itself is said of itself.
    let alone = table.to_string();
    api_key::describe(alone.as_bytes()).map_err(|problem| {
        KeyFileError::Unfit(problem.split_once(": ").map_or(problem.clone(), |(_, without_line)| without_line.to_owned()))
    })?;
    change(file, true, |text, keys| {
        if keys.iter().any(|key| key.name == new.name) {
            return Err(KeyFileError::Taken(new.name.to_owned()));
        }
        let gap = match text {
            "" => "",
            text if text.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        Ok(format!("{text}{gap}{table}"))
    })?;
    Ok(key)
}

/// Takes the key of this name out of the file.
///
/// # Errors
/// [`KeyFileError`].
pub fn revoke_key(file: &Path, name: &str) -> Result<(), KeyFileError> {
    change(file, false, |text, keys| {
        let at = keys.iter().position(|key| key.name == name).ok_or_else(|| KeyFileError::Unknown(name.to_owned()))?;
        let unfit = |problem: &str| KeyFileError::Unfit(problem.to_owned());
        let mut document: DocumentMut = text.parse().map_err(|_| unfit("it cannot be taken apart"))?;
        let tables = document.get_mut("key").and_then(|item| item.as_array_of_tables_mut());
        let tables = tables.ok_or_else(|| unfit("its keys are no tables; write each as one that begins with [[key]]"))?;
        let heading = if at == 0 { heading(tables) } else { String::new() };
        tables.remove(at);
        match tables.get_mut(0) {
            Some(first) if at == 0 => {
                let own = prefix(first).trim_start_matches('\n').to_owned();
                first.decor_mut().set_prefix(format!("{heading}{own}"));
            }
            Some(_) => {}
            None => {
                let rest = document.trailing().as_str().unwrap_or_default().to_owned();
                document.set_trailing(format!("{heading}{rest}"));
            }
        }
        Ok(document.to_string())
    })
}

fn entry(key: &str, new: NewKey<'_>) -> DocumentMut {
    let time = |time: SystemTime| {
        let text = humantime::format_rfc3339_seconds(time).to_string();
        // A time of this form is one of TOML's; a year beyond 9999 is not, and is refused as a text that is no time.
        text.parse::<toml_edit::Datetime>().map_or_else(|_| toml_edit::value(text), toml_edit::value)
    };
    let mut table = Table::new();
    table["name"] = toml_edit::value(new.name);
    if let Some(subject) = new.subject {
        table["subject"] = toml_edit::value(subject);
    }
    table["sha256"] = toml_edit::value(TokenDigest::sha256_of(key).to_hex());
    table["scopes"] = toml_edit::value(new.scopes.iter().collect::<toml_edit::Array>());
    table["created"] = time(SystemTime::now());
    if let Some(expires) = new.expires {
        table["expires"] = time(expires);
    }
    let mut tables = ArrayOfTables::new();
    tables.push(table);
    let mut document = DocumentMut::new();
    document["key"] = toml_edit::Item::ArrayOfTables(tables);
    document
}

/// What stands above the first key and is not about it: the comment that a blank line parts from the key's own.
fn heading(tables: &ArrayOfTables) -> String {
    let above = tables.get(0).map(prefix).unwrap_or_default();
    above.rfind("\n\n").map(|at| above[..at + 2].to_owned()).unwrap_or_default()
}

fn prefix(table: &Table) -> &str {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

/// Puts what `make` makes of the file's text and keys in its place, while nobody else changes it.
fn change(
    file: &Path,
    create: bool,
    make: impl FnOnce(&str, &[KeyInfo]) -> Result<String, KeyFileError>,
) -> Result<(), KeyFileError> {
    // Where a link leads, or the link itself would be replaced.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let locked = lock(&file, create)?;
    let text = read(&locked)?;
    let keys = api_key::describe(text.as_bytes()).map_err(KeyFileError::Broken)?;
    let changed = make(&text, &keys)?;
    ApiKeys::parse(changed.as_bytes()).map_err(KeyFileError::Unfit)?;
    if changed.len() as u64 > MAX_FILE_BYTES {
        return Err(KeyFileError::Unfit(format!("the file would be larger than {MAX_FILE_BYTES} bytes")));
    }
    replace_file(&file, changed.as_bytes()).map_err(KeyFileError::Unwritable)
}

/// Opens the file and locks it against other changes. Whoever waited may hold the lock of a file that was replaced
/// meanwhile, and takes the next one.
fn lock(path: &PathBuf, create: bool) -> Result<File, KeyFileError> {
    let begun = Instant::now();
    loop {
        let opened = OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if !create => KeyFileError::Missing,
            _ => KeyFileError::Unwritable(error),
        })?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(KeyFileError::Busy),
            Err(TryLockError::Error(error)) => return Err(KeyFileError::Unwritable(error)),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().and_then(|open| Ok(place(open) == place(fs::metadata(path)?))).unwrap_or(false)
}

fn read(file: impl io::Read) -> Result<String, KeyFileError> {
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => KeyFileError::Broken("it is not UTF-8 text".to_owned()),
        _ => KeyFileError::Unreadable(error),
    })?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(KeyFileError::Broken(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}
