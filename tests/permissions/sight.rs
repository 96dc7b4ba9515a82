//! What a narrowed caller can find out about the rest of the tree: nothing but the way down to its own part.

use serde_json::{Value, json};

use crate::support::client::McpClient;
use crate::world::{SECRET, World, assert_done, paths};

const SCOPES: &str = "files:read:/org/team-a/** files:read:/notes/mine.md";

fn world() -> World {
    let world = World::start();
    world.plant(&[
        ("/org/team-a/plan.md", "needle"),
        ("/org/team-a/.hidden/x.md", "needle"),
        ("/org/zebra/plan.md", "needle zebra"),
        ("/org/zebra.md", "needle zebra"),
        ("/org/team-a-zebra/plan.md", "needle zebra"),
        ("/notes/mine.md", "needle"),
        ("/notes/mine.md.zebra", "needle zebra"),
        ("/notes/.zebra", "needle zebra"),
        ("/zebra/org/team-a/plan.md", "needle zebra"),
        ("/zebra.md", "needle zebra"),
        ("/.git/zebra", "needle zebra"),
    ]);
    world.link("/org/team-a/link", "../zebra");
    world.link("/org/zebra-link", "team-a");
    world.link("/notes/zebra-link.md", "mine.md");
    world
}

/// Every page of a call; panics when one says what it must not.
async fn pages(client: &McpClient, tool: &str, mut arguments: Value) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let reply = client.call_tool(tool, arguments.clone()).await;
        assert_done(&reply, tool);
        assert!(!reply.text.contains(SECRET), "{tool} {arguments}: {}", reply.text);
        found.extend(paths(&reply).into_iter().map(str::to_owned));
        match reply.structured().get("next_cursor") {
            Some(cursor) => arguments = json!({"cursor": cursor}),
            None => return found,
        }
    }
}

/// A scope on a folder without `/**` is one on the folder alone: that it holds nothing would not be true.
#[tokio::test]
async fn a_folder_of_which_nothing_may_be_seen_is_not_called_empty() {
    let world = world();
    let asked = json!({"path": "/org"});
    let narrow = world.caller("files:read:/org").call_tool("list_directory", asked.clone()).await;
    assert_eq!(narrow.content(0), "(nothing here that your access covers)");
    world.plant(&[("/bare/gone", "x")]);
    let wide = world.caller("files");
    assert_done(&wide.call_tool("delete_file", json!({"path": "/bare/gone"})).await, "delete_file");
    assert_eq!(wide.call_tool("list_directory", json!({"path": "/bare"})).await.content(0), "(the folder is empty)");
}

#[tokio::test]
async fn listings_and_searches_show_what_may_be_read_and_the_way_down() {
    let world = world();
    let client = world.caller(SCOPES);
    let files = ["/notes/mine.md", "/org/team-a/.hidden/x.md", "/org/team-a/plan.md"];
    let sorted = |mut paths: Vec<String>| {
        paths.sort();
        paths
    };
    assert_eq!(pages(&client, "list_directory", json!({"include_hidden": true})).await, ["/notes", "/org"]);
    assert_eq!(pages(&client, "list_directory", json!({"path": "/org", "include_hidden": true})).await, ["/org/team-a"]);
    assert_eq!(pages(&client, "list_directory", json!({"path": "/notes", "include_hidden": true})).await, ["/notes/mine.md"]);
    for limit in [1, 2, 100] {
        for sort in ["path", "newest", "largest"] {
            let all = json!({"depth": 5, "sort": sort, "include_hidden": true, "limit": limit});
            let wanted = [
                "/notes",
                "/notes/mine.md",
                "/org",
                "/org/team-a",
                "/org/team-a/.hidden",
                "/org/team-a/.hidden/x.md",
                "/org/team-a/link",
                "/org/team-a/plan.md",
            ];
            assert_eq!(sorted(pages(&client, "list_directory", all).await), wanted, "{sort}, {limit} at a time");
        }
        for sort in ["path", "newest"] {
            for respect_gitignore in [true, false] {
                let all = json!({
                    "glob": "**", "sort": sort, "include_hidden": true, "limit": limit, "respect_gitignore": respect_gitignore,
                });
                assert_eq!(sorted(pages(&client, "find_files", all).await), files);
            }
        }
        for mode in ["files", "lines", "count"] {
            let all = json!({"pattern": "needle", "mode": mode, "include_hidden": true, "limit": limit});
            assert_eq!(pages(&client, "search_text", all).await, files, "{mode}, {limit} at a time");
        }
    }
    for glob in ["/zebra/**", "/org/zebra/*", "**/*zebra*", "/**/plan.md", "../**", "/org/../zebra/**", "{/zebra,/org}/**"] {
        for kind in ["any", "file", "folder", "symlink"] {
            let reply = client.call_tool("find_files", json!({"glob": glob, "type": kind, "include_hidden": true})).await;
            assert_eq!(reply.status, 200, "{glob}: {}", reply.text);
            let found = reply.text.replace(&glob.replace('"', "\\\""), "");
            assert!(!found.contains(SECRET), "{glob}: {found}");
        }
    }
    let reply = client.call_tool("search_text", json!({"pattern": "zebra", "include_hidden": true})).await;
    assert!(reply.structured()["files"] == json!([]), "{}", reply.text);
}

#[tokio::test]
async fn of_a_folder_on_the_way_down_only_its_name_is_told() {
    let world = world();
    let client = world.caller(SCOPES);
    for folder in ["/", "/org", "/notes"] {
        let info = client.call_tool("get_file_info", json!({"path": folder})).await;
        assert_eq!(*info.structured(), json!({"path": folder, "type": "folder", "writable": false}), "{}", info.text);
    }
    let listed = client.call_tool("list_directory", json!({})).await;
    // When a folder changed tells when somebody made or removed something in it.
    let entries = json!([{"path": "/notes", "type": "folder"}, {"path": "/org", "type": "folder"}]);
    assert_eq!(listed.structured()["entries"], entries);
    let own = client.call_tool("get_file_info", json!({"path": "/org/team-a"})).await;
    assert!(own.structured()["modified"].is_string(), "{}", own.text);
    let listed = client.call_tool("list_directory", json!({"path": "/org"})).await;
    assert!(listed.structured()["entries"][0]["modified"].is_string(), "{}", listed.text);
}

#[tokio::test]
async fn what_is_forbidden_looks_the_same_as_what_is_not_there() {
    let world = world();
    let pairs = [
        ("/zebra.md", "/stork.md"),
        ("/zebra/org/team-a/plan.md", "/stork/org/team-a/plan.md"),
        ("/org/zebra", "/org/stork"),
        ("/org/zebra/plan.md", "/org/stork/plan.md"),
        ("/org/zebra-link", "/org/stork-link"),
        ("/org/zebra-link/plan.md", "/org/stork-link/plan.md"),
        ("/notes/mine.md.zebra", "/notes/mine.md.stork"),
    ];
    type Arguments = fn(&str) -> Value;
    let calls: [(&str, Arguments); 8] = [
        ("read_file", |path| json!({"path": path})),
        ("get_file_info", |path| json!({"path": path})),
        ("list_directory", |path| json!({"path": path})),
        ("find_files", |path| json!({"path": path, "glob": "**"})),
        ("search_text", |path| json!({"path": path, "pattern": "."})),
        ("copy_file", |path| json!({"from": path, "to": "/org/team-a/copy.md"})),
        ("write_file", |path| json!({"path": path, "content": "x"})),
        ("delete_file", |path| json!({"path": path})),
    ];
    let before = world.snapshot();
    for scopes in [SCOPES.to_owned(), SCOPES.replace("read", "write"), SCOPES.replace("files:read", "files")] {
        let client = world.caller(&scopes);
        for (there, not_there) in pairs {
            for (tool, arguments) in calls {
                let mut said = Vec::new();
                for path in [there, not_there] {
                    let reply = client.call_tool(tool, arguments(path)).await;
                    assert_eq!(reply.status, 403, "{tool} {path}: {}", reply.text);
                    let error = reply.error().to_string();
                    said.push((
                        reply.headers["www-authenticate"].to_str().expect("ASCII").replace(path, ""),
                        error.replace(path, ""),
                    ));
                }
                assert_eq!(said[0], said[1], "{tool} {there}");
            }
        }
    }
    assert!(world.snapshot() == before);
}
