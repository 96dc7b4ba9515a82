//! Folders that cannot be served, or not any more, and what cannot be written.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::support::client::McpClient;
use super::support::process::{Process, free_port};
use super::support::server::Pressmark;
use super::{TOKEN, folder, path};

/// `nobody`, for whom permissions count.
const NOBODY: u32 = 65_534;

/// A folder that everybody may enter, and the program in it: where it was built, perhaps nobody may look.
fn open_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("pressmark");
    fs::copy(env!("CARGO_BIN_EXE_pressmark"), &program).expect("a copy");
    for path in [folder.path(), &program] {
        set_mode(path, 0o755);
    }
    (folder, program)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("permissions are set");
}

/// A command that runs as somebody to whom permissions apply: the tests may run as root.
fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new(program);
    if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        command.uid(NOBODY);
    }
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_folder_that_cannot_be_read_is_not_served() {
    let (temp, program) = open_folder();
    let private = temp.path().join("private");
    fs::create_dir(&private).expect("a folder");
    for mode in [0o311, 0o000, 0o444] {
        set_mode(&private, mode);
        let output = as_nobody(&program).arg("serve").arg(&private).args(["--listen", "127.0.0.1:0"]).output().expect("it ends");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{mode:o}: {said}");
        assert!(said.contains("private cannot be read (permission denied); the server runs as uid "), "{mode:o}: {said}");
    }
    set_mode(&private, 0o755);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_apart_from_one_that_must_not() {
    let (temp, program) = open_folder();
    let served = temp.path().join("served");
    fs::create_dir(&served).expect("a folder");
    fs::write(served.join("hello.txt"), "hello\n").expect("a file");
    set_mode(&served, 0o555);
    let port = free_port();
    let mut command = as_nobody(&program);
    command.arg("serve").arg(&served).args(["--dev-token", TOKEN, "--listen", &format!("127.0.0.1:{port}")]);
    let mut server = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()), "nothing: cargo builds it");
    let (stdout, _stderr) = server.take_output();
    let banner: Vec<String> =
        std::io::BufRead::lines(std::io::BufReader::new(stdout)).take(3).map(|line| line.expect("UTF-8")).collect();
    assert!(banner.iter().any(|line| line.ends_with("(the server may not write here)")), "{banner:?}");
    let url = format!("http://127.0.0.1:{port}");
    let client = McpClient::modern(&url, Some(TOKEN));
    let info = client.call_tool("get_file_info", json!({"path": "/hello.txt"})).await;
    assert_eq!(info.structured()["writable"], false, "{}", info.text);
    let ready = async || reqwest::get(format!("{url}/readyz")).await.expect("an answer");
    assert_eq!(ready().await.status(), 200);
    // What could be read at the start and cannot be now is of no use to anybody.
    set_mode(&served, 0o111);
    let answer = ready().await;
    let (status, body) = (answer.status(), answer.text().await.expect("a body"));
    assert!(status == 503 && body.contains("the mount / cannot be reached"), "{status} {body}");
    assert!(!body.contains("served"), "readiness is public: {body}");
    set_mode(&served, 0o755);
}

#[tokio::test]
async fn a_folder_that_is_gone_does_not_look_empty() {
    let root = folder();
    let served = root.path().join("served");
    let start = || {
        fs::create_dir(&served).expect("a folder");
        fs::write(served.join("hello.txt"), "hello\n").expect("a file");
        let server = Pressmark::start(&[served.to_str().expect("UTF-8"), "--dev-token", TOKEN]);
        fs::remove_dir_all(&served).expect("removed");
        server
    };
    let server = start();
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    for (tool, arguments) in [
        ("list_directory", json!({})),
        ("find_files", json!({"glob": "**"})),
        ("search_text", json!({"pattern": "hello"})),
        ("read_file", json!({"path": "/hello.txt"})),
        ("write_file", json!({"path": "/new.txt", "content": "new"})),
    ] {
        let reply = client.call_tool(tool, arguments).await;
        assert!(reply.is_tool_error(), "{tool}: {}", reply.text);
        assert_eq!(reply.content(0), "unavailable: the mount / is gone; tell the operator", "{tool}");
    }
    let empty = folder();
    fs::remove_file(empty.path().join("hello.txt")).expect("removed");
    let server = Pressmark::start(&[path(&empty), "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    assert_eq!(client.call_tool("list_directory", json!({})).await.content(0), "(the folder is empty)");
    assert_eq!(client.call_tool("search_text", json!({"pattern": "hello"})).await.content(0), "No matches in 0 files.");
}

#[tokio::test]
async fn a_server_that_writes_nothing_has_no_tools_that_write() {
    let folder = folder();
    let server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--read-only"]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let listed = client.request("tools/list", json!({})).await;
    let names: Vec<&str> =
        listed.result()["tools"].as_array().expect("a list").iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["list_directory", "find_files", "search_text", "read_file", "get_file_info"]);
    let reply = client.call_tool("write_file", json!({"path": "/new.txt", "content": "new"})).await;
    assert!(reply.error()["message"].as_str().is_some_and(|message| message.contains("unknown tool")), "{}", reply.text);
    assert_eq!(client.call_tool("get_file_info", json!({"path": "/hello.txt"})).await.structured()["writable"], false);
    assert!(!folder.path().join("new.txt").exists());
}
