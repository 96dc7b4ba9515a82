//! The served folders: everything that Pressmark does in them is tried once.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::report::Report;
use crate::config::Config;
use crate::files::{MountSpec, Tree};

/// A folder on a network that does not answer in this time will not.
const PATIENCE: Duration = Duration::from_secs(10);
/// Below this a few large files fill the volume.
const LITTLE_SPACE: u64 = 100 * 1024 * 1024;

pub(super) async fn examine(config: &Config, report: &mut Report) {
    report.section("Files");
    for spec in &config.mounts {
        let (shown, tried) = (describe(spec), spec.clone());
        let looked = tokio::task::spawn_blocking(move || look_at(&tried));
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(Ok(Ok(found))) => report.right(format!("{shown}: {found}")),
            Ok(Ok(Err(Problem { found, fix }))) => report.wrong(format!("{shown}: {found}"), fix),
            Ok(Err(_)) | Err(_) => report.wrong(
                format!("{shown}: does not answer within {} s", PATIENCE.as_secs()),
                "see that the server of this volume runs and can be reached",
            ),
        }
    }
    // As the server itself sees them together: names, and secrets that lie within reach.
    let Ok(tree) = Tree::open(config.mounts.clone()).map_err(|error| report.wrong(error, "change PATH or --mount")) else {
        return;
    };
    let tls_key = config.tls.as_ref().map(|files| &files.key);
    let kept: [(&str, Option<&PathBuf>); 4] = [
        ("--api-keys", config.auth.api_keys.as_ref()),
        ("--seal-keys", config.seal_keys.as_ref()),
        ("--tls-key", tls_key),
        ("--audit-log", config.audit_log.as_ref()),
    ];
    for (setting, file) in kept {
        let Some(file) = file else { continue };
        if let Some(mount) = tree.mount_with(file).filter(|mount| mount.is_writable() || setting != "--api-keys") {
            let found = format!("{setting} {} lies in what is served at {}", file.display(), mount.path());
            report.wrong(found, "move it out of the served folder: callers could read or change it");
        }
    }
}

fn describe(spec: &MountSpec) -> String {
    format!("/{} is {}", spec.name.as_deref().unwrap_or_default(), spec.directory.display())
}

/// What is wrong with a folder, and what to do.
struct Problem {
    found: String,
    fix: String,
}

impl Problem {
    fn new(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { found: found.into(), fix: fix.into() }
    }
}

fn look_at(spec: &MountSpec) -> Result<String, Problem> {
    let user = rustix::process::geteuid().as_raw();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Problem::new("it does not exist", "make the folder, or mount the volume"),
        io::ErrorKind::NotADirectory => Problem::new("it is not a folder", "name the folder that holds it"),
        io::ErrorKind::PermissionDenied => {
            Problem::new("it cannot be read", format!("let uid {user}, who would run the server, read and enter it"))
        }
        _ => Problem::new(error.to_string(), "see that the volume is whole"),
    };
    fs::read_dir(&spec.directory).map_err(unreadable)?.take(1).try_for_each(|entry| entry.map(drop)).map_err(unreadable)?;
    if !spec.writable {
        return Ok("readable; read-only".to_owned());
    }
    let space = rustix::fs::statvfs(&spec.directory).map_err(|error| unreadable(error.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    // File systems that count no inodes say that there are none at all.
    if space.f_files > 0 && space.f_favail == 0 {
        return Err(Problem::new("no further file can be made: the volume has no inodes left", "delete files, or enlarge it"));
    }
    if free < LITTLE_SPACE {
        return Err(Problem::new(format!("only {} are free", size(free)), "make room, or enlarge the volume"));
    }
    try_writing(&spec.directory).map_err(|(what, error)| {
        let fix = match error.kind() {
            io::ErrorKind::PermissionDenied => format!("let uid {user} write there, or serve with --read-only"),
            io::ErrorKind::ReadOnlyFilesystem => "mount it for writing, or serve with --read-only".to_owned(),
            _ => "use a volume that does what a local one does (NFS 4 does), or serve with --read-only".to_owned(),
        };
        Problem::new(format!("{what}: {error}"), fix)
    })?;
    Ok(format!("readable, writable, replaces in one step, locks; {} free", size(free)))
}

/// Does what Pressmark does when it writes: makes a file, links it into place, replaces it, locks it.
fn try_writing(folder: &Path) -> Result<(), (&'static str, io::Error)> {
    let name = |part: &str| folder.join(format!(".pressmark-doctor-{:016x}-{part}", rand::random::<u64>()));
    let made = Made(vec![name("new"), name("old")]);
    let [new, old] = &made.0[..] else { return Ok(()) };
    let step = |what: &'static str| move |error: io::Error| (what, error);
    let write = |path: &PathBuf, text: &str| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write(new, "new").map_err(step("no file can be made"))?;
    // New files are linked into place, which fails when the name is taken.
    fs::hard_link(new, old).map_err(step("files cannot be linked"))?;
    match fs::hard_link(new, old) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Ok(()) => return Err(("a name can be taken twice", io::Error::other("two files could be made under one name"))),
        Err(error) => return Err(("files cannot be linked", error)),
    }
    fs::remove_file(old).map_err(step("files cannot be removed"))?;
    write(old, "old").map_err(step("no file can be made"))?;
    let opened = File::open(old).map_err(step("files cannot be opened"))?;
    lock_twice(old).map_err(step("files cannot be locked"))?;
    fs::rename(new, old).map_err(step("files cannot be replaced"))?;
    let read = |mut file: File| {
        let mut text = String::new();
        file.read_to_string(&mut text).map(|_| text)
    };
    let after = File::open(old).and_then(read).map_err(step("files cannot be opened"))?;
    let before = read(opened).map_err(step("a file that was replaced cannot be read on"))?;
    if (after.as_str(), before.as_str()) != ("new", "old") {
        return Err(("files are not replaced in one step", io::Error::other("what was open has changed")));
    }
    Ok(())
}

fn lock_twice(path: &Path) -> io::Result<()> {
    let open = || OpenOptions::new().read(true).write(true).open(path);
    let (first, second) = (open()?, open()?);
    let failed = |error: TryLockError| match error {
        TryLockError::Error(error) => error,
        TryLockError::WouldBlock => io::Error::other("somebody else has locked a file that was just made"),
    };
    first.try_lock().map_err(failed)?;
    match second.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(()),
        Ok(()) => Err(io::Error::other("two can have the same lock")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Files that go when the check is over, however it ends.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 && unit > 0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}
