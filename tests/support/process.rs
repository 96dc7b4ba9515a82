//! Programs that tests start, and free ports for them.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A program that runs until it is killed or goes out of scope.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program. `package` is what provides it, for a machine that lacks it.
    pub fn spawn(command: &mut Command, package: &str) -> Self {
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {:?}: {error}; install {package} (scripts/test does)", command.get_program())
        });
        Self { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program writes, for the one who piped it.
    pub fn take_output(&mut self) -> (ChildStdout, ChildStderr) {
        let child = &mut self.child;
        (child.stdout.take().expect("standard output is piped"), child.stderr.take().expect("standard error is piped"))
    }

    /// Sends a signal by its name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status().expect("sh is everywhere");
        assert!(sent.success(), "signal {name} could not be sent");
    }

    /// Kills at once, as `kill -9` does, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The status, if the program has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for the end; panics when it does not come in time.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        wait_until(limit, "the program has ended", || {
            status = self.ended();
            status.is_some()
        });
        status.expect("just seen")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A loopback port that nobody listens on. It lies below the range that the system takes for outgoing connections, so
/// that a server can be stopped and started again on the same port.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    loop {
        let port = rand::random_range(10_000..32_000);
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let mut taken = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if free && taken.get_or_insert_default().insert(port) {
            return port;
        }
    }
}

/// Does anybody accept connections on this loopback port?
pub fn accepts(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Looks every 20 ms until `condition` holds; panics with `what` was waited for when it does not in time.
pub fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Do the tests run as root? Some servers then drop privileges unless told not to.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
