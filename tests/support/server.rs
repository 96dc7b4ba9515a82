//! The program under test, started as its users start it.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::process::{Process, free_port, wait_until};

/// The program under test.
const PRESSMARK: &str = env!("CARGO_BIN_EXE_pressmark");
const START_LIMIT: Duration = Duration::from_secs(20);

/// `pressmark serve` on a port of its own, which it keeps when killed and started again.
pub struct Pressmark {
    program: PathBuf,
    port: u16,
    listen: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    process: Process,
}

impl Pressmark {
    /// Starts `pressmark serve ARGUMENTS --listen 127.0.0.1:PORT` and waits until it is alive.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with_environment(arguments, &[])
    }

    /// The same, with environment variables.
    pub fn start_with_environment(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_program(PathBuf::from(PRESSMARK), &[&["serve"], arguments].concat(), environment)
    }

    /// The same with `--listen LISTEN`, such as `unix:PATH`.
    pub fn start_at(listen: &str, arguments: &[&str]) -> Self {
        Self::start_program_at(PathBuf::from(PRESSMARK), 0, listen.to_owned(), &[&["serve"], arguments].concat(), &[])
    }

    /// Starts one of the examples in place of `pressmark serve`. `cargo test` builds them, `cargo test --test NAME` does not.
    pub fn start_example(name: &str, arguments: &[&str]) -> Self {
        let program = Path::new(PRESSMARK).with_file_name("examples").join(name);
        assert!(is_built(&program), "`cargo build --example {name}` first: it is missing, or older than its source");
        Self::start_program(program, arguments, &[])
    }

    fn start_program(program: PathBuf, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let port = free_port();
        Self::start_program_at(program, port, format!("127.0.0.1:{port}"), arguments, environment)
    }

    fn start_program_at(program: PathBuf, port: u16, listen: String, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let environment: Vec<_> = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let process = launch(&program, &listen, &arguments, &environment, &stdout, &stderr);
        let mut server = Self { program, port, listen, arguments, environment, stdout, stderr, process };
        server.wait_until_alive();
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `http://127.0.0.1:PORT`, without a path; `https` with `--tls-cert`.
    pub fn url(&self) -> String {
        format!("http{}://127.0.0.1:{}", if self.speaks_tls() { "s" } else { "" }, self.port)
    }

    fn speaks_tls(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "--tls-cert")
    }

    /// Everything written to standard output since the first start.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything written to standard error since the first start.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much memory the server holds now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("Linux tells");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory is told");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB") * 1024
    }

    /// Kills the server in the middle of whatever it does, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks the server to end (SIGTERM), without waiting.
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// Waits for the end; panics when it does not come in time.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit)
    }

    /// Starts the server again, on the same port and with the same settings; kills it first when it runs.
    pub fn restart(&mut self) {
        self.respawn();
        self.wait_until_alive();
    }

    /// The same, without waiting until it is alive.
    pub fn respawn(&mut self) {
        self.kill();
        self.process = launch(&self.program, &self.listen, &self.arguments, &self.environment, &self.stdout, &self.stderr);
    }

    pub fn wait_until_alive(&mut self) {
        let (listen, tls, stderr) = (self.listen.clone(), self.speaks_tls(), Arc::clone(&self.stderr));
        let process = &mut self.process;
        wait_until(START_LIMIT, "pressmark is alive", || {
            if let Some(status) = process.ended() {
                let said = stderr.lock().unwrap_or_else(PoisonError::into_inner).clone();
                panic!("pressmark ended at its start with {status}: {said}");
            }
            is_alive(&listen, tls)
        });
    }
}

/// Runs `pressmark ARGUMENTS` to its end.
pub fn run_pressmark(arguments: &[&str]) -> Output {
    run_pressmark_with_environment(arguments, &[])
}

/// The same, with environment variables.
pub fn run_pressmark_with_environment(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = without_settings(Path::new(PRESSMARK));
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    command.output().expect("the program under test is built")
}

/// Is there a program that is newer than all sources?
fn is_built(program: &Path) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("examples")];
    let mut newest = None;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                newest = newest.max(changed(&path));
            }
        }
    }
    changed(program).is_some() && changed(program) >= newest
}

/// A program without any setting from the environment of the tests.
fn without_settings(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("PRESSMARK_") || name_text.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

fn launch(
    program: &Path,
    listen: &str,
    arguments: &[String],
    environment: &[(String, String)],
    stdout: &Arc<Mutex<String>>,
    stderr: &Arc<Mutex<String>>,
) -> Process {
    let mut command = without_settings(program);
    command.args(arguments).args(["--listen", listen]);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command, "nothing: cargo builds it");
    let (out, err) = process.take_output();
    collect(out, stdout);
    collect(err, stderr);
    process
}

fn collect(source: impl Read + Send + 'static, into: &Arc<Mutex<String>>) {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        while source.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}

/// Does `/healthz` answer 200? Asked by hand, so that it can be asked from anywhere; by a Unix socket or over TLS as operators do.
fn is_alive(listen: &str, tls: bool) -> bool {
    use std::io::Write as _;
    if tls || listen.starts_with("unix:") {
        let tls: &[&str] = if tls { &["--tls-cert", "its"] } else { &[] };
        return run_pressmark(&[&["healthcheck", "--listen", listen], tls].concat()).status.success();
    }
    let Ok(mut stream) = std::net::TcpStream::connect(listen) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
