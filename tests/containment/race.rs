//! A folder and a file are exchanged with links to the outside, all the time, while callers read and write through them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use crate::support::client::McpClient;
use crate::support::server::Pressmark;
use crate::support::tokens::{ED, jwks, now};
use crate::world::{NEVER_NAMED, NEVER_SHOWN, World};

const RACE: Duration = Duration::from_secs(4);
const AUDIENCE: &str = "https://mcp.example.com/mcp";

/// What each agent does, over and over.
fn calls(n: usize) -> Vec<(&'static str, Value)> {
    let new = format!("/swap/new-{n}.txt");
    vec![
        ("read_file", json!({"path": "/swap/file.txt"})),
        ("read_file", json!({"path": "/leaf.txt"})),
        ("list_directory", json!({"path": "/swap", "depth": 5, "include_hidden": true})),
        ("write_file", json!({"path": new, "content": "inside text\n", "overwrite": true})),
        ("find_files", json!({"glob": "**", "type": "any", "include_hidden": true})),
        (
            "edit_file",
            json!({"path": "/swap/file.txt", "edits": [{"old_text": "text", "new_text": "text"}, {"old_text": "text\n", "new_text": "text \n"}]}),
        ),
        ("search_text", json!({"pattern": "text", "mode": "lines", "include_hidden": true})),
        ("copy_file", json!({"from": "/swap/file.txt", "to": format!("/taken-{n}.txt"), "overwrite": true})),
        ("search_text", json!({"path": "/swap", "pattern": "text", "mode": "lines"})),
        ("copy_file", json!({"from": "/swap/sub/file.txt", "to": "/swap/sub/copy.txt", "overwrite": true})),
        ("get_file_info", json!({"path": "/swap/file.txt"})),
        ("write_file", json!({"path": "/leaf.txt", "content": "inside text\n", "overwrite": true})),
        ("create_directory", json!({"path": format!("/swap/made-{n}/deep")})),
        ("move_file", json!({"from": new, "to": "/swap/sub/moved.txt", "overwrite": true})),
        ("move_file", json!({"from": "/swap/sub/moved.txt", "to": "/leaf.txt", "overwrite": true})),
        ("delete_file", json!({"path": "/swap/doomed.txt"})),
        ("delete_file", json!({"path": "/swap/sub", "recursive": true})),
        ("write_file", json!({"path": "/swap/sub/file.txt", "content": "inside text\n", "overwrite": true})),
        ("delete_file", json!({"path": "/swap", "recursive": true})),
    ]
}

/// A place, and another that it is exchanged with; at one of the two is a link to the outside.
struct Pair {
    here: PathBuf,
    spare: PathBuf,
    target: &'static str,
    /// Makes what is at the other one, as an entry of the stage.
    make: fn(&Path),
}

impl Pair {
    fn exchange(&self) -> bool {
        let exchanged = renameat_with(CWD, &self.here, CWD, &self.spare, RenameFlags::EXCHANGE).is_ok();
        exchanged && (is_link(&self.here) || is_link(&self.spare))
    }

    /// Puts back what callers have deleted, and takes away what they have made in place of a link. Things are made whole
    /// on the stage and then renamed: writing to them where they belong could go through a link.
    fn restore(&self, stage: &Path, made: &mut usize) {
        for (place, other) in [(&self.here, &self.spare), (&self.spare, &self.here)] {
            *made += 1;
            let staged = stage.join(made.to_string());
            if is_link(other) && fs::symlink_metadata(place).is_err() {
                (self.make)(&staged);
                let _ = renameat_with(CWD, &staged, CWD, place, RenameFlags::NOREPLACE);
            } else if !is_link(other) && !is_link(place) {
                let _ = fs::rename(place, &staged);
                let _ = symlink(self.target, place);
            }
        }
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

fn make_folder(at: &Path) {
    fs::create_dir_all(at.join("sub")).expect("a folder can be made");
    for name in ["file.txt", "doomed.txt", "sub/file.txt", "sub/doomed.txt"] {
        make_file(&at.join(name));
    }
}

fn make_file(at: &Path) {
    fs::write(at, "inside text\n").expect("a file can be written");
}

/// Exchanges `/swap` and `/leaf.txt` with links to the outside until told to stop; gives how often.
fn exchange(inside: &Path, stage: &Path, stop: &AtomicBool) -> usize {
    let pair = |name: &str, spare: &str, target, make| Pair { here: inside.join(name), spare: inside.join(spare), target, make };
    let pairs = [
        pair("swap", ".spare", "../outside/swap", make_folder as fn(&Path)),
        pair("leaf.txt", ".leaf", "../outside/plain.txt", make_file),
    ];
    let (mut rounds, mut made) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        for pair in &pairs {
            if pair.exchange() {
                rounds += 1;
            } else {
                pair.restore(stage, &mut made);
            }
        }
    }
    rounds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanging_folders_with_links_opens_no_way_out() {
    let world = World::new();
    world.clear();
    let inside = world.inside();
    let stage = tempfile::tempdir().expect("a temporary folder");
    let keys = stage.path().join("keys.json");
    fs::write(&keys, jwks(&[&ED]).to_string()).expect("a file can be written");
    let root = inside.to_str().expect("UTF-8");
    let keys = keys.to_str().expect("UTF-8");
    let server = Pressmark::start(&[root, "--jwks-file", keys, "--jwt-audience", AUDIENCE]);

    let stop = Arc::new(AtomicBool::new(false));
    let exchanging = {
        let (inside, stage, stop) = (inside.clone(), stage.path().to_owned(), Arc::clone(&stop));
        std::thread::spawn(move || exchange(&inside, &stage, &stop))
    };
    // One caller is led by links within the folder; for the other no link is followed at all.
    let narrow = ["/swap/**", "/leaf.txt", "/taken-2.txt", "/taken-3.txt"].map(|part| format!("files:{part}")).join(" ");
    let (done, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let until = Instant::now() + RACE;
    let agents: Vec<_> = (0..4)
        .map(|n| {
            let scope = if n < 2 { "files".to_owned() } else { narrow.clone() };
            let token = ED.sign(&json!({"sub": "agent", "aud": AUDIENCE, "exp": now() + 600, "scope": scope}));
            let client = McpClient::modern(&server.url(), Some(&token));
            let (done, refused) = (Arc::clone(&done), Arc::clone(&refused));
            tokio::spawn(async move {
                let calls = calls(n);
                for (tool, arguments) in calls.iter().cycle().skip(n * 5) {
                    if Instant::now() > until {
                        break;
                    }
                    let reply = client.call_tool(tool, arguments.clone()).await;
                    let text = &reply.text;
                    assert_eq!(reply.status.as_u16(), 200, "{tool} {arguments}: {text}");
                    assert!(!text.contains(NEVER_SHOWN) && !text.contains(NEVER_NAMED), "{tool} {arguments}: {text}");
                    let count = if reply.is_tool_error() { &refused } else { &done };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for agent in agents {
        outcomes.push(agent.await);
    }
    stop.store(true, Ordering::Relaxed);
    let rounds = exchanging.join().expect("the exchange went on to the end");
    for outcome in outcomes {
        outcome.expect("an agent saw nothing from outside");
    }
    world.assert_contained("an agent in the race");
    // The race was one: many exchanges, and calls that met the folder as well as calls that met the link.
    let (done, refused) = (done.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    assert!(rounds > 1000 && done > 50 && refused > 50, "{rounds} exchanges, {done} calls done, {refused} refused");
}
