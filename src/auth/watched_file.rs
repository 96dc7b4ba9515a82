//! A file whose content is kept current.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// Far more than any key file has.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What a file says, read anew when the file changes. A file that cannot be understood leaves in force what was read
/// before, so that a slip of the editor locks nobody out.
pub(super) struct WatchedFile<T> {
    current: watch::Receiver<Arc<T>>,
}

/// How a file is called in logs, who may read it, and how it is understood.
pub(super) struct FileFormat<T> {
    pub(super) name: &'static str,
    /// Warn when others than its owner can read it.
    pub(super) private: bool,
    pub(super) parse: fn(&[u8]) -> Result<T, String>,
    /// What is in force when something else was before.
    pub(super) succeed: fn(T, &T) -> T,
}

impl<T: Send + Sync + 'static> WatchedFile<T> {
    /// Reads the file now, then looks at it `every` so often for as long as this value lives.
    ///
    /// # Errors
    /// Why the file cannot be read or understood now: one line, without its path.
    pub(super) async fn open(path: PathBuf, format: FileFormat<T>, every: Duration) -> Result<Self, String> {
        let name = format.name;
        let mut file = SeenFile { path, format, stamp: None };
        let first = spawn_blocking(move || file.read().map(|content| (file, content))).await;
        let (file, content) = first.map_err(|error| error.to_string())??;
        let (sender, current) = watch::channel(Arc::new(content));
        tokio::spawn(async move {
            if keep_current(file, every, sender).await.is_err() {
                tracing::error!("the {name} is not watched any more; restart the server to have changes read");
            }
        });
        Ok(Self { current })
    }

    pub(super) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.borrow())
    }
}

async fn keep_current<T: Send + Sync + 'static>(
    mut file: SeenFile<T>,
    every: Duration,
    sender: watch::Sender<Arc<T>>,
) -> Result<(), tokio::task::JoinError> {
    loop {
        tokio::select! {
            () = sender.closed() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
        let name = file.format.name;
        let look = move || {
            let change = file.has_changed().then(|| file.read());
            (file, change)
        };
        let change;
        (file, change) = spawn_blocking(look).await?;
        match change {
            None => {}
            Some(Ok(content)) => {
                let content = (file.format.succeed)(content, &sender.borrow());
                sender.send_replace(Arc::new(content));
                tracing::info!("the {name} has changed and was read again");
            }
            Some(Err(problem)) => {
                tracing::error!(problem, "the {name} has changed and cannot be used; what it said before stays in force");
            }
        }
    }
}

/// A file and what it looked like when it was last read.
struct SeenFile<T> {
    path: PathBuf,
    format: FileFormat<T>,
    stamp: Option<Stamp>,
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
    fn of(metadata: &Metadata) -> Self {
        Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode: std::os::unix::fs::MetadataExt::ino(metadata) }
    }
}

impl<T> SeenFile<T> {
    fn has_changed(&self) -> bool {
        fs::metadata(&self.path).ok().as_ref().map(Stamp::of) != self.stamp
    }

    fn read(&mut self) -> Result<T, String> {
        let metadata = fs::metadata(&self.path);
        // Taken before reading: what changes from here on is seen at the next look.
        self.stamp = metadata.as_ref().ok().map(Stamp::of);
        let metadata = metadata.map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        self.warn_if_exposed(&metadata);
        let mut content = Vec::new();
        let file = File::open(&self.path).map_err(|error| error.to_string())?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
        }
        (self.format.parse)(&content)
    }

    fn warn_if_exposed(&self, metadata: &Metadata) {
        let mode = std::os::unix::fs::MetadataExt::mode(metadata);
        if self.format.private && mode & 0o077 != 0 {
            tracing::warn!("the {} can be read by other users of this machine; run chmod 600 on it", self.format.name);
        }
    }
}
