//! Hostile paths, each with every tool.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{McpClient, Reply};
use crate::support::server::Pressmark;
use crate::world::{NEVER_NAMED, NEVER_SHOWN, TOKEN, World, calls};

/// Longer than any of these calls takes on a busy machine, and far shorter than one that waits for a pipe.
const LIMIT: Duration = Duration::from_secs(5);

/// How a path begins that is so deep that what were made there could be neither found nor deleted.
const TOO_DEEP: &str = "a/a/";

/// Paths, and how reading each ends: `ok`, or the kind of the error.
fn hostile_paths(base: &str) -> Vec<(String, &'static str)> {
    let fixed = [
        // Up and out.
        ("..", "invalid_argument"),
        ("/..", "invalid_argument"),
        ("../outside/plain.txt", "invalid_argument"),
        ("/../outside/plain.txt", "invalid_argument"),
        ("/./../outside/plain.txt", "invalid_argument"),
        ("//..//outside/plain.txt", "invalid_argument"),
        ("/folder/../../outside/plain.txt", "invalid_argument"),
        ("/folder/../ok.txt", "invalid_argument"),
        ("/ok.txt/..", "invalid_argument"),
        ("/inner-folder/../file.txt", "invalid_argument"),
        ("/.git/../../outside", "invalid_argument"),
        ("/mount/../ok.txt", "invalid_argument"),
        // What some program might decode, cut off or expand.
        ("/%2e%2e/outside/plain.txt", "not_found"),
        ("%2e%2e%2foutside%2fplain.txt", "not_found"),
        ("/%252e%252e/outside/plain.txt", "not_found"),
        ("/folder/..%2f..%2foutside/plain.txt", "not_found"),
        ("/..%c0%af..%c0%afoutside/plain.txt", "not_found"),
        ("/..;/outside/plain.txt", "not_found"),
        ("/.../outside/plain.txt", "not_found"),
        ("/.. /outside/plain.txt", "not_found"),
        ("/. ./outside/plain.txt", "not_found"),
        ("/.\t./outside/plain.txt", "not_found"),
        ("/..\n/outside/plain.txt", "not_found"),
        ("..\\outside\\plain.txt", "not_found"),
        ("/folder\\..\\..\\outside\\plain.txt", "not_found"),
        ("C:\\Windows\\win.ini", "not_found"),
        ("\\\\host\\share\\file", "not_found"),
        ("~/.ssh/id_rsa", "not_found"),
        ("$HOME/.profile", "not_found"),
        ("`id`", "not_found"),
        ("/*", "not_found"),
        ("/folder/{file,other}.txt", "not_found"),
        ("/ok.txt.", "not_found"),
        ("/ok.txt ", "not_found"),
        ("/ok.txt::$DATA", "not_found"),
        ("/OK.TXT", "not_found"),
        ("-rf", "not_found"),
        ("file:///etc/passwd", "not_found"),
        ("file://localhost/etc/passwd", "not_found"),
        // NUL.
        ("\0", "invalid_argument"),
        ("/ok.txt\0", "invalid_argument"),
        ("/ok.txt\0.png", "invalid_argument"),
        ("/folder\0/../../outside", "invalid_argument"),
        // Places of the machine.
        ("/etc/passwd", "not_found"),
        ("/proc/self/environ", "not_found"),
        ("/proc/self/root/etc/passwd", "not_found"),
        ("/dev/zero", "not_found"),
        ("//etc/passwd", "not_found"),
        // The root and forms of ordinary paths.
        ("", "conflict"),
        ("/", "conflict"),
        (".", "conflict"),
        ("////", "conflict"),
        ("/ok.txt/", "ok"),
        ("/ok.txt/.", "ok"),
        ("/ok.txt/x", "conflict"),
        // What looks like a dot or a slash and is none.
        ("/\u{2024}\u{2024}/outside/plain.txt", "not_found"),
        ("/\u{2025}/outside/plain.txt", "not_found"),
        ("/\u{ff0e}\u{ff0e}/outside/plain.txt", "not_found"),
        ("/\u{fe52}\u{fe52}/outside/plain.txt", "not_found"),
        ("\u{ff0f}etc\u{ff0f}passwd", "not_found"),
        ("/..\u{2215}outside\u{2215}plain.txt", "not_found"),
        ("/..\u{2044}outside", "not_found"),
        ("/..\u{29f8}outside", "not_found"),
        ("/.\u{200b}./outside/plain.txt", "not_found"),
        ("/.\u{0307}/outside", "not_found"),
        ("/\u{feff}../outside", "not_found"),
        ("/\u{202e}txt.ko", "not_found"),
        // Links out.
        ("/abs-file", "forbidden"),
        ("/abs-file/", "forbidden"),
        ("/abs-folder", "forbidden"),
        ("/abs-folder/plain.txt", "forbidden"),
        ("/abs-folder/new/file.txt", "forbidden"),
        ("/abs-inside", "forbidden"),
        ("/rel-file", "forbidden"),
        ("/rel-folder", "forbidden"),
        ("/rel-folder/plain.txt", "forbidden"),
        ("/rel-folder/folder/sub/doomed.txt", "forbidden"),
        ("/rel-folder/missing.txt", "forbidden"),
        ("/chain-1", "forbidden"),
        ("/folder/chain-3", "forbidden"),
        ("/folder/middle", "forbidden"),
        ("/folder/middle/plain.txt", "forbidden"),
        ("/folder/middle/sub", "forbidden"),
        ("/folder/around", "forbidden"),
        ("/dangling", "forbidden"),
        ("/dangling/x", "forbidden"),
        ("/dangling-abs", "forbidden"),
        ("/dangling-inside", "not_found"),
        ("/loop", "forbidden"),
        ("/loop-1/x", "forbidden"),
        ("/up", "forbidden"),
        ("/up/outside/plain.txt", "forbidden"),
        ("/up/inside/ok.txt", "forbidden"),
        ("/top", "forbidden"),
        ("/top/etc/passwd", "forbidden"),
        ("/passwd", "forbidden"),
        ("/proc-root/etc/passwd", "forbidden"),
        ("/proc-cwd/Cargo.toml", "forbidden"),
        ("/proc-fd", "forbidden"),
        ("/zero", "forbidden"),
        ("/stdin", "forbidden"),
        ("/cross", "forbidden"),
        // Links within.
        ("/inner", "ok"),
        ("/here/here/ok.txt", "ok"),
        ("/here/rel-file", "forbidden"),
        ("/inner-folder/deep.txt", "ok"),
        // What is no file.
        ("/pipe", "forbidden"),
        ("/pipe/x", "conflict"),
        ("/socket", "forbidden"),
        ("/socket/x", "conflict"),
        // Names that are no text, as they are shown and as they could be guessed.
        ("/bad-\u{fffd}.txt", "not_found"),
        ("/bad-folder-\u{fffd}/file.txt", "not_found"),
        ("/bad-ÿ.txt", "not_found"),
        ("/bad-%ff.txt", "not_found"),
        ("/bad-\\xff.txt", "not_found"),
        // Mounts.
        ("/mount", "conflict"),
        ("/mount/", "conflict"),
        ("/MOUNT/file.txt", "not_found"),
        ("/mount/out", "forbidden"),
        ("/mount/out/plain.txt", "forbidden"),
        ("/mount/../../outside/plain.txt", "invalid_argument"),
        ("/mount/inside/ok.txt", "not_found"),
        ("/lib", "conflict"),
    ];
    let mut paths: Vec<_> = fixed.into_iter().map(|(path, read)| (path.to_owned(), read)).collect();
    paths.extend([
        (format!("{base}/outside/plain.txt"), "not_found"),
        (format!("{base}/inside/ok.txt"), "not_found"),
        (format!("file://{base}/outside/plain.txt"), "not_found"),
        (format!("/lib/{NEVER_NAMED}"), "not_found"),
        ("x".repeat(255), "not_found"),
        ("x".repeat(256), "invalid_argument"),
        ("é".repeat(128), "invalid_argument"),
        ("\u{1f600}".repeat(63), "not_found"),
        (TOO_DEEP.repeat(51), "not_found"),
        (TOO_DEEP.repeat(1000), "not_found"),
        (TOO_DEEP.repeat(1050), "invalid_argument"),
        (format!("/{}etc/passwd", "../".repeat(100)), "invalid_argument"),
        (format!("/ok.txt{}", "/.".repeat(1000)), "ok"),
        (format!("{}ok.txt", "here/".repeat(100)), "forbidden"),
        ("/".repeat(5000), "invalid_argument"),
    ]);
    paths
}

/// What must hold of every answer.
fn assert_harmless(reply: &Reply, asked: &str, what: &str) {
    assert_eq!(reply.status.as_u16(), 200, "{what}: {}", reply.text);
    assert_eq!(reply.messages.len(), 1, "{what}: {}", reply.text);
    for secret in [NEVER_SHOWN, "root:x:"] {
        assert!(!reply.text.contains(secret), "{what} shows {secret}: {}", reply.text);
    }
    // Errors repeat what was asked for; nothing else may say what is outside, or where on the machine anything is.
    for name in [NEVER_NAMED, "/outside", "/inside", "other-mount"] {
        assert!(
            asked.contains(name.trim_start_matches('/')) || !reply.text.contains(name),
            "{what} names {name}: {}",
            reply.text
        );
    }
}

/// Writes wait for the disk: several servers share the work.
const SERVERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_paths_lead_nowhere() {
    let servers: Vec<_> = (0..SERVERS).map(|part| tokio::spawn(lead_nowhere(part))).collect();
    for server in servers {
        server.await.expect("every path of its part leads nowhere");
    }
}

/// Tries every [`SERVERS`]th path on a server of its own.
async fn lead_nowhere(part: usize) {
    let world = World::new();
    let other = format!("mount={}/other-mount", world.base());
    // A mount shadows what lies below it under the same name.
    let shadow = format!("lib={}/other-mount", world.base());
    let root = format!("{}/inside", world.base());
    let server = Pressmark::start(&[&root, "--mount", &other, "--mount", &shadow, "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let planted = world.assert_contained("nothing");
    for (path, read) in hostile_paths(world.base()).into_iter().skip(part).step_by(SERVERS) {
        for (tool, arguments) in calls(&path) {
            let what = format!("{tool} {arguments}");
            let reply = tokio::time::timeout(LIMIT, client.call_tool(tool, arguments.clone())).await;
            let reply = reply.unwrap_or_else(|_| panic!("{what} hangs"));
            assert_harmless(&reply, &path, &what);
            if tool == "read_file" && arguments.get("as").is_none() {
                let ended = if reply.is_tool_error() { reply.content(0).split(':').next().unwrap_or_default() } else { "ok" };
                assert_eq!(ended, read, "{what}: {}", reply.text);
                assert!(read != "ok" || reply.content(0) == "inside text\n", "{what}: {}", reply.text);
            }
            let inside = world.assert_contained(&what);
            if inside != planted {
                let reads = ["list_directory", "find_files", "search_text", "read_file", "get_file_info"].contains(&tool);
                assert!(!reads && !path.starts_with(TOO_DEEP), "{what} changed something: {inside:?}");
                world.plant();
            }
        }
    }
}

#[tokio::test]
async fn listings_and_searches_of_the_whole_tree_stay_in_it() {
    let world = World::new();
    let root = format!("{}/inside", world.base());
    let server = Pressmark::start(&[&root, "--dev-token", TOKEN]);
    // What is shadowed in the other test lies in the open here.
    std::fs::remove_dir_all(world.inside().join("lib")).expect("removed");
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let calls = [
        ("list_directory", json!({"depth": 5, "include_hidden": true})),
        ("list_directory", json!({"depth": 5, "include_hidden": true, "sort": "newest"})),
        ("find_files", json!({"glob": "**", "type": "any", "include_hidden": true, "respect_gitignore": false})),
        ("find_files", json!({"glob": "../**", "type": "any"})),
        ("find_files", json!({"glob": "/../outside/**", "type": "any"})),
        ("find_files", json!({"glob": "**/../../outside/*", "type": "any"})),
        ("search_text", json!({"pattern": ".", "mode": "lines", "include_hidden": true, "respect_gitignore": false})),
        ("search_text", json!({"pattern": ".", "include": ["../outside/**", "/etc/**", "**"]})),
    ];
    for (tool, arguments) in calls {
        let what = format!("{tool} {arguments}");
        let reply = tokio::time::timeout(LIMIT, client.call_tool(tool, arguments.clone())).await;
        let reply = reply.unwrap_or_else(|_| panic!("{what} hangs"));
        let asked = arguments.get("glob").or(arguments.get("include")).map_or_else(String::new, Value::to_string);
        assert_harmless(&reply, asked.trim_matches('"'), &what);
        assert!(!reply.text.contains("plain.txt"), "{what}: {}", reply.text);
    }
    // A name that is no text is shown, marked as one that cannot be asked for.
    let reply = client.call_tool("list_directory", json!({})).await;
    let entries = reply.structured()["entries"].as_array().expect("entries");
    let entry = entries.iter().find(|entry| entry["path"] == "/bad-\u{fffd}.txt").expect("shown");
    assert_eq!(entry["addressable"], false);
    let kind = |path: &str| entries.iter().find(|entry| entry["path"] == path).map(|entry| entry["type"].clone());
    assert_eq!(
        (kind("/pipe"), kind("/socket"), kind("/up")),
        (Some(json!("other")), Some(json!("other")), Some(json!("symlink")))
    );
}

/// Devices cannot be made without privileges, but every machine has some. Reading tools only: the folder is the machine's.
#[tokio::test]
async fn devices_are_neither_read_nor_waited_for() {
    let server = Pressmark::start(&["--mount", "dev=/dev", "--read-only", "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    for device in ["zero", "null", "full", "random", "urandom", "tty", "ptmx", "stdin", "fd/0"] {
        let path = format!("/dev/{device}");
        for (tool, arguments) in calls(&path).into_iter().take(6) {
            let what = format!("{tool} {arguments}");
            let reply = tokio::time::timeout(LIMIT, client.call_tool(tool, arguments)).await;
            let reply = reply.unwrap_or_else(|_| panic!("{what} hangs"));
            assert_eq!(reply.status.as_u16(), 200, "{what}: {}", reply.text);
            assert!(reply.is_tool_error() || tool == "get_file_info", "{what}: {}", reply.text);
            if !reply.is_tool_error() {
                assert!(["other", "symlink"].contains(&reply.structured()["type"].as_str().expect("a type")), "{}", reply.text);
            }
        }
    }
}
