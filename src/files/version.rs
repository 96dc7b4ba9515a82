//! What a file is at one moment, as a short text that changes whenever the file does.
//!
//! A version is computed from the inode number, the size and the times of the last change of content and of inode, all
//! of an open handle. Not from the device number: replicas that share a network volume each see another one. Not from
//! the content: a page of a large file would cost reading all of it. Three things make this strong enough:
//!
//! - Pressmark replaces files by renaming, so that each of its writes is a new inode.
//! - The inode's change time cannot be set back by a program, and every write in place moves it.
//! - Times tick: two writes within one tick leave the same time. A version is therefore only given out for a file whose
//!   change time lies further back than a tick, the answer that git gives to its "racily clean" index entries. A file
//!   changed just now is waited for; one that never comes to rest gets a version that equals no other.
//!
//! The replicas must see the same files: copies in their own images have inodes and times of their own.
//!
//! What it cannot see: a single write in place that goes on for longer than [`TICK`] after its start, a change through a
//! shared memory mapping that has not reached the file system, and a second change within a tick on a file server whose
//! clock is not the server's.

use std::fmt;
use std::io;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::fs::{Metadata, MetadataExt};
use serde::{Deserialize, Serialize};

/// Longer than the coarsest tick of a kernel's file times (10 ms), with as much again to spare.
const TICK: Duration = Duration::from_millis(20);
/// How often a file that keeps changing is waited for.
const MAX_WAITS: usize = 3;
const VERSION_CHARS: usize = 20;

/// A file's version: equal texts mean equal content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline)]
pub struct Version(String);

/// The numbers that a version is made of, read from a handle at one moment. Comparing two of the same handle, taken
/// before and after reading, shows whether the file changed meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    inode: u64,
    /// In bytes.
    pub size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version of a file, for giving out: waits until the file has been at rest for a tick. `read` reads the
    /// metadata of an open handle; the metadata that it gave last comes back with the version.
    ///
    /// # Errors
    /// What `read` returns.
    pub fn settled<E>(mut read: impl FnMut() -> Result<Metadata, E>) -> Result<(Self, Metadata), E> {
        for _ in 0..MAX_WAITS {
            let metadata = read()?;
            let snapshot = Snapshot::from(&metadata);
            match snapshot.rest_needed(SystemTime::now()) {
                None => return Ok((snapshot.version(), metadata)),
                Some(rest) => sleep(rest),
            }
        }
        let metadata = read()?;
        Ok((Self::unsettled(), metadata))
    }

    /// The version of what cannot change.
    pub(super) fn constant() -> Self {
        Self::of(&[])
    }

    /// The version of a file that does not come to rest: it equals no other.
    pub(super) fn unsettled() -> Self {
        Self::of(&[&rand::random::<[u8; 16]>()])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().to_hex()[..VERSION_CHARS].to_owned())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Snapshot {
    /// The numbers of an open file now.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of(file: &std::fs::File) -> io::Result<Self> {
        Metadata::from_file(file).map(|metadata| Self::from(&metadata))
    }

    /// The version that these numbers make. Good for comparing with one given out before; to give one out, use
    /// [`Version::settled`].
    #[must_use]
    pub fn version(&self) -> Version {
        let numbers = [self.modified.0, self.modified.1, self.changed.0, self.changed.1].map(i64::to_le_bytes);
        Version::of(&[&self.inode.to_le_bytes(), &self.size.to_le_bytes(), numbers.as_flattened()])
    }

    /// How long to wait before the change time lies a tick back; `None` when it does, or when it lies so far in the
    /// future that another clock must have set it and waiting would not help.
    pub(super) fn rest_needed(&self, now: SystemTime) -> Option<Duration> {
        let now = now.duration_since(UNIX_EPOCH).ok()?;
        let changed = Duration::new(self.changed.0.try_into().ok()?, self.changed.1.try_into().ok()?);
        let rest = (changed + TICK).checked_sub(now)?;
        (!rest.is_zero() && rest <= 2 * TICK).then_some(rest)
    }
}

impl From<&Metadata> for Snapshot {
    fn from(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl From<&rustix::fs::Stat> for Snapshot {
    fn from(stat: &rustix::fs::Stat) -> Self {
        Self {
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
        }
    }
}
