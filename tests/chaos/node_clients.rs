//! Other people's clients through the balancer: their user is asked, and answers after the replica that asked was killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStderr, Stdio};
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::support::node::node;
use crate::support::process::Process;
use crate::support::redis::RedisServer;
use crate::world::{World, fill, token};

/// Longer than the second after which these clients come back to a stream that broke.
const BACK: Duration = Duration::from_millis(1_500);
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn typescript_clients_answer_questions_through_the_balancer() {
    let redis = RedisServer::start();
    let mut world = World::serve(&redis.url());
    for package in ["sdk", "client"] {
        deletes(&mut world, package, |_| {});
    }
}

#[test]
fn typescript_clients_answer_questions_of_a_replica_that_was_killed() {
    let redis = RedisServer::start();
    let mut world = World::serve(&redis.url());
    for package in ["sdk", "client"] {
        deletes(&mut world, package, |world| {
            // One of them holds the stream of the call; one, perhaps the same, the other stream of the session.
            for replica in &mut world.replicas {
                replica.restart();
            }
            sleep(BACK);
        });
    }
}

/// Deletes a folder; `meanwhile` happens while the user thinks.
fn deletes(world: &mut World, package: &str, meanwhile: impl FnOnce(&mut World)) {
    let folder = world.at("full");
    fill(&folder);
    let mut command = node(&["confirm.mjs", package, &format!("{}/mcp", world.url()), &token(0), "/full"]);
    let (input, mut answers) = std::io::pipe().expect("a pipe");
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = Process::spawn(&mut command, "node");
    drop(command);
    let (stdout, stderr) = client.take_output();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        // It fails when the test has ended.
        BufReader::new(stdout).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
    });
    let Ok(first) = lines.recv_timeout(LIMIT) else { give_up(client, stderr) };
    assert_eq!(first, "asked", "{package}");
    assert!(folder.exists(), "nothing happens before the answer");
    meanwhile(world);
    answers.write_all(b"yes\n").expect("the client reads");
    let Ok(line) = lines.recv_timeout(LIMIT) else { give_up(client, stderr) };
    let result: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{package}: asked again? {line}"));
    assert!(result["isError"] != true && result["structuredContent"]["files"] == 2, "{package}: {line}");
    assert!(!folder.exists(), "{package}");
}

fn give_up(mut client: Process, stderr: ChildStderr) -> ! {
    client.kill();
    panic!("the client says no more: {}", std::io::read_to_string(stderr).unwrap_or_default());
}
