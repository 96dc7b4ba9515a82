//! Files whose content is kept current.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// Far more than any file of keys or certificates has.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// How often files are read that are replaced just then.
const ATTEMPTS: usize = 3;

/// What files say together, read anew when one of them changes. Files that cannot be understood leave in force what was
/// read before, so that a slip of the editor locks nobody out.
pub(crate) struct WatchedFiles<T> {
    current: watch::Receiver<Arc<T>>,
}

/// How files are called in logs, who may read them, and how they are understood.
pub(crate) struct FileFormat<T, const N: usize = 1> {
    pub(crate) name: &'static str,
    /// How a file is called of which to warn when others than its owner can read it.
    pub(crate) private: [Option<&'static str>; N],
    pub(crate) parse: fn([&[u8]; N]) -> Result<T, String>,
    /// What is in force when something else was before.
    pub(crate) succeed: fn(T, &T) -> T,
}

impl<T: Send + Sync + 'static> WatchedFiles<T> {
    /// Reads the files now, then looks at them `every` so often for as long as this value lives.
    ///
    /// # Errors
    /// Why they cannot be read or understood now: one line, which names a file only when there are several.
    pub(crate) async fn open<const N: usize>(
        paths: [PathBuf; N],
        format: FileFormat<T, N>,
        every: Duration,
    ) -> Result<Self, String> {
        let name = format.name;
        let mut files = SeenFiles { paths, format, stamps: [const { None }; N] };
        let first = spawn_blocking(move || files.read().map(|content| (files, content))).await;
        let (files, content) = first.map_err(|error| error.to_string())??;
        let (sender, current) = watch::channel(Arc::new(content));
        tokio::spawn(async move {
            if keep_current(files, every, sender).await.is_err() {
                tracing::error!("the {name} is not watched any more; restart the server to have changes read");
            }
        });
        Ok(Self { current })
    }

    pub(crate) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.borrow())
    }
}

async fn keep_current<T: Send + Sync + 'static, const N: usize>(
    mut files: SeenFiles<T, N>,
    every: Duration,
    sender: watch::Sender<Arc<T>>,
) -> Result<(), tokio::task::JoinError> {
    loop {
        tokio::select! {
            () = sender.closed() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
        let name = files.format.name;
        let look = move || {
            let change = files.have_changed().then(|| files.read());
            (files, change)
        };
        let change;
        (files, change) = spawn_blocking(look).await?;
        match change {
            None => {}
            Some(Ok(content)) => {
                let content = (files.format.succeed)(content, &sender.borrow());
                sender.send_replace(Arc::new(content));
                tracing::info!("the {name} has changed and was read again");
            }
            Some(Err(problem)) => {
                tracing::error!(problem, "the {name} has changed and cannot be used; what it said before stays in force");
            }
        }
    }
}

/// Files and what they looked like when they were last read.
struct SeenFiles<T, const N: usize> {
    paths: [PathBuf; N],
    format: FileFormat<T, N>,
    stamps: [Option<Stamp>; N],
}

/// Tells one state of a file from another.
#[derive(PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// A file replaced by renaming another over it may have the size and the time of the first.
    inode: u64,
}

impl Stamp {
    /// Follows links: where secrets are mounted, it is a link that changes.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        Some(Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode })
    }
}

impl<T, const N: usize> SeenFiles<T, N> {
    fn have_changed(&self) -> bool {
        self.look() != self.stamps
    }

    fn look(&self) -> [Option<Stamp>; N] {
        self.paths.each_ref().map(|path| Stamp::of(path))
    }

    fn read(&mut self) -> Result<T, String> {
        let mut attempts = 0;
        loop {
            // Taken before reading: what changes from here on is seen at the next look.
            self.stamps = self.look();
            let contents = self.contents();
            attempts += 1;
            // One file may be of the old ones and another of the new ones.
            if attempts == ATTEMPTS || !self.have_changed() {
                let contents = contents?;
                return (self.format.parse)(contents.each_ref().map(Vec::as_slice));
            }
        }
    }

    fn contents(&self) -> Result<[Vec<u8>; N], String> {
        let mut contents = [const { Vec::new() }; N];
        for ((path, private), content) in self.paths.iter().zip(self.format.private).zip(&mut contents) {
            let name = |problem| if N == 1 { problem } else { format!("{}: {problem}", path.display()) };
            *content = read_file(path, private).map_err(name)?;
        }
        Ok(contents)
    }
}

/// The whole of a regular file that is not too large. `private`: how it is called when others than its owner can read it, of which
/// to warn.
///
/// # Errors
/// Why it cannot be read: one line.
pub(crate) fn read_file(path: &Path, private: Option<&str>) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if let Some(name) = private {
        warn_if_exposed(name, &metadata);
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(content)
}

fn warn_if_exposed(name: &str, metadata: &Metadata) {
    let mode = std::os::unix::fs::MetadataExt::mode(metadata);
    if mode & 0o077 != 0 {
        tracing::warn!("the {name} can be read by other users of this machine; run chmod 600 on it");
    }
}
