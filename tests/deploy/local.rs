//! `deploy/local/up`: one command up, Ctrl-C and everything is gone.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::deploy;
use crate::support::process::{Process, accepts, free_port, wait_until};

#[test]
fn the_whole_stack_comes_up_and_goes_down() {
    let packages = deploy("identity/node_modules");
    assert!(packages.exists(), "{} is missing; run scripts/test once, which installs it", packages.display());
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("seen-through-everything.txt"), "x").expect("a file");
    let ports: [u16; 6] = std::array::from_fn(|_| free_port());
    let [port, one, two, three, redis, identity] = ports.map(|port| port.to_string());
    // Who runs tests in the background may ignore what Ctrl-C sends, and a shell could not change that for itself.
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT")
        .arg(deploy("local/up"))
        .arg(folder.path())
        .env("PRESSMARK", env!("CARGO_BIN_EXE_pressmark"));
    command
        .env("PORT", port)
        .env("REPLICA_PORTS", format!("{one} {two} {three}"))
        .env("REDIS_PORT", redis)
        .env("IDENTITY_PORT", identity);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut stack = Process::spawn(&mut command, "bash");
    let (out, mut err) = stack.take_output();
    let mut said = String::new();
    for line in BufReader::new(out).lines() {
        said += &format!("{}\n", line.expect("text"));
        if said.contains("Ctrl-C") {
            break;
        }
    }
    if !said.contains("Ctrl-C") {
        let mut problem = String::new();
        let _ = std::io::Read::read_to_string(&mut err, &mut problem);
        panic!("it did not come up: {said}{problem}");
    }

    // What it says to try is tried.
    let lines: Vec<_> =
        said.lines().skip_while(|line| !line.contains("TOKEN=")).take_while(|line| line.starts_with(' ')).collect();
    let tried =
        Command::new("bash").args(["-c", &lines.join("\n")]).env("no_proxy", "127.0.0.1").output().expect("bash is everywhere");
    let answer = String::from_utf8_lossy(&tried.stdout);
    assert!(answer.contains("seen-through-everything.txt"), "{answer}{}", String::from_utf8_lossy(&tried.stderr));

    stack.signal("INT");
    assert!(stack.wait(Duration::from_secs(30)).success());
    for port in ports {
        wait_until(Duration::from_secs(5), "everything is stopped", || !accepts(port));
    }
}
