//! Callers narrowed to a part of the tree try to change what lies outside of it.

use serde_json::{Value, json};

use crate::support::client::McpClient;
use crate::world::{World, assert_done, assert_insufficient, assert_tool_error, calls, files};

fn plant(world: &World) {
    world.clear();
    for (path, content) in files("/team-a", "of team a").into_iter().chain(files("/team-b", "of team b")) {
        world.plant(&[(&path, content)]);
    }
    world.plant(&[("/shared/guide.md", "for all"), ("/top.md", "at the top")]);
}

/// Calls that must all be refused, in whatever words, and change nothing.
async fn assert_all_refused(world: &World, client: &McpClient, calls: impl IntoIterator<Item = (&'static str, Value)>) {
    let before = world.snapshot();
    for (tool, arguments) in calls {
        let reply = client.call_tool(tool, arguments.clone()).await;
        let is_refused = reply.status == 403 || (reply.status == 200 && reply.is_tool_error());
        assert!(is_refused, "{tool} {arguments}: {} {}", reply.status, reply.text);
        assert!(!reply.text.contains("of team b"), "{tool} {arguments}: {}", reply.text);
        assert!(world.snapshot() == before, "{tool} {arguments} changed something: {:?}", world.snapshot());
    }
}

#[tokio::test]
async fn moves_and_copies_need_permission_at_both_ends() {
    let world = World::start();
    plant(&world);
    let before = world.snapshot();
    let client = world.caller("files:/team-a/** files:read:/shared/**");
    let denied = [
        ("move_file", "/team-a/plan.md", "/team-b/stolen.md", "files:write does not cover /team-b/stolen.md"),
        ("move_file", "/team-b/plan.md", "/team-a/stolen.md", "files:write does not cover /team-b/plan.md"),
        ("move_file", "/team-a/sub", "/team-b/sub2", "files:write does not cover /team-b/sub2"),
        ("move_file", "/team-b/sub", "/team-a/sub2", "files:write does not cover /team-b/sub"),
        ("move_file", "/team-b", "/team-a/all", "files:write does not cover /team-b"),
        ("move_file", "/shared/guide.md", "/team-a/guide.md", "files:write does not cover /shared/guide.md"),
        ("move_file", "/team-b/plan.md", "/team-b/moved.md", "files:write does not cover /team-b/plan.md"),
        ("copy_file", "/team-a/plan.md", "/team-b/stolen.md", "files:write does not cover /team-b/stolen.md"),
        ("copy_file", "/team-b/plan.md", "/team-a/stolen.md", "files:read does not cover /team-b/plan.md"),
        ("copy_file", "/team-a/plan.md", "/shared/guide.md", "files:write does not cover /shared/guide.md"),
        ("copy_file", "/team-b/plan.md", "/team-b/copy.md", "files:read does not cover /team-b/plan.md"),
        ("copy_file", "/top.md", "/team-a/top.md", "files:read does not cover /top.md"),
    ];
    for (tool, from, to, description) in denied {
        for overwrite in [false, true] {
            let reply = client.call_tool(tool, json!({"from": from, "to": to, "overwrite": overwrite})).await;
            assert_insufficient(&reply, "files:write", description);
        }
    }
    assert!(world.snapshot() == before);
    let copied = client.call_tool("copy_file", json!({"from": "/shared/guide.md", "to": "/team-a/guide.md"})).await;
    assert_done(&copied, "from where it may read to where it may write");
    let moved = client.call_tool("move_file", json!({"from": "/team-a/sub", "to": "/team-a/sub2"})).await;
    assert_done(&moved, "within its own folder");
    let after = world.snapshot();
    assert_eq!((after.text("team-a/guide.md"), after.text("shared/guide.md")), ("for all", "for all"));
    assert!(after.has("team-a/sub2/deep.md") && !after.has("team-a/sub"));
}

#[tokio::test]
async fn a_folder_on_the_way_down_can_be_looked_into_only() {
    let world = World::start();
    world.plant(&[("/org/team-a/plan.md", "of team a"), ("/org/team-b/plan.md", "of team b"), ("/org/note.md", "of team b")]);
    let client = world.caller("files:/org/team-a/**");
    let attempts = [
        ("read_file", json!({"path": "/org"})),
        ("read_file", json!({"path": "/"})),
        ("write_file", json!({"path": "/org", "content": "x", "overwrite": true})),
        ("write_file", json!({"path": "/org/new.md", "content": "x"})),
        ("write_file", json!({"path": "/org/team-ab/new.md", "content": "x"})),
        ("edit_file", json!({"path": "/org/note.md", "edits": [{"old_text": "of", "new_text": "x"}]})),
        ("create_directory", json!({"path": "/org"})),
        ("create_directory", json!({"path": "/org/new"})),
        ("create_directory", json!({"path": "/"})),
        ("move_file", json!({"from": "/org", "to": "/org/team-a/org"})),
        ("move_file", json!({"from": "/org/note.md", "to": "/org/team-a/note.md"})),
        ("move_file", json!({"from": "/org/team-a", "to": "/org/team-c"})),
        ("move_file", json!({"from": "/org/team-a/plan.md", "to": "/org/note.md", "overwrite": true})),
        ("copy_file", json!({"from": "/org", "to": "/org/team-a/org"})),
        ("copy_file", json!({"from": "/org/note.md", "to": "/org/team-a/note.md"})),
        ("delete_file", json!({"path": "/org", "recursive": true})),
        ("delete_file", json!({"path": "/", "recursive": true})),
        ("delete_file", json!({"path": "/org/note.md"})),
    ];
    assert_all_refused(&world, &client, attempts).await;
}

#[tokio::test]
async fn folders_are_made_where_the_caller_may_write_only() {
    let world = World::start();
    world.plant(&[("/org/note.md", "at the top")]);
    let client = world.caller("files:/org/team/** files:/none/team/** files:write:/one/file.md");
    let attempts = [
        ("write_file", json!({"path": "/none/team/new.md", "content": "x"})),
        ("write_file", json!({"path": "/none/team/a/b/c.md", "content": "x", "overwrite": true})),
        ("create_directory", json!({"path": "/none/team"})),
        ("create_directory", json!({"path": "/none/team/a/b"})),
        ("write_file", json!({"path": "/one/file.md", "content": "x"})),
        ("write_file", json!({"path": "/one/file.md/deeper.md", "content": "x"})),
    ];
    assert_all_refused(&world, &client, attempts).await;
    let reply = client.call_tool("write_file", json!({"path": "/org/team/a/b/c.md", "content": "x"})).await;
    assert_done(&reply, "the top of its own subtree is its own");
    let transfers = [
        ("copy_file", json!({"from": "/org/team/a/b/c.md", "to": "/none/team/c.md"})),
        ("move_file", json!({"from": "/org/team/a/b/c.md", "to": "/none/team/c.md"})),
        ("move_file", json!({"from": "/org/team/a", "to": "/none/team/a"})),
    ];
    assert_all_refused(&world, &client, transfers).await;
}

#[tokio::test]
async fn a_whole_folder_needs_permission_for_all_that_is_in_it() {
    let world = World::start();
    plant(&world);
    // The folder itself and single things in it are not all of it.
    let patchwork = ["", "/plan.md", "/edit.md", "/move.md", "/delete.md", "/sub/**"];
    let patchwork = patchwork.map(|part| format!("files:/team-a{part}")).join(" ");
    let client = world.caller(&format!("{patchwork} files:/target/**"));
    let attempts = [
        ("delete_file", json!({"path": "/team-a", "recursive": true})),
        ("delete_file", json!({"path": "/team-a"})),
        ("move_file", json!({"from": "/team-a", "to": "/target/team-a"})),
        ("move_file", json!({"from": "/team-a/sub", "to": "/team-a"})),
    ];
    assert_all_refused(&world, &client, attempts).await;
    let client = world.caller("files:/team-a/** files:write:/team-c");
    assert_all_refused(&world, &client, [("move_file", json!({"from": "/team-a/sub", "to": "/team-c"}))]).await;
    let reply = client.call_tool("delete_file", json!({"path": "/team-a", "recursive": true})).await;
    assert_done(&reply, "one grant covers it all");
    let after = world.snapshot();
    assert!(!after.has("team-a") && after.has("team-b/sub/deep.md"));
}

#[tokio::test]
async fn no_link_leads_out_of_a_subtree() {
    let world = World::start();
    plant(&world);
    let links = [
        ("/team-a/sibling", "../team-b"),
        ("/team-a/up", ".."),
        ("/team-a/chain", "sub/../sibling"),
        ("/team-a/sub/back", "../../team-b"),
        ("/team-a/file", "../team-b/plan.md"),
        ("/team-a/missing", "../team-b/missing.md"),
        ("/team-c", "team-a"),
    ];
    for (at, target) in links {
        world.link(at, target);
    }
    let narrowed = world.caller("files:/team-a/** files:/team-c/**");
    for folder in ["/team-a/sibling", "/team-a/up/team-b", "/team-a/chain", "/team-a/sub/back", "/team-c"] {
        assert_all_refused(&world, &narrowed, calls(folder)).await;
    }
    let edits = json!([{"old_text": "of", "new_text": "x"}]);
    for file in ["/team-a/file", "/team-a/missing"] {
        let attempts = [
            ("read_file", json!({"path": file})),
            ("search_text", json!({"path": file, "pattern": "."})),
            ("write_file", json!({"path": file, "content": "x", "overwrite": true})),
            ("edit_file", json!({"path": file, "edits": edits})),
            ("create_directory", json!({"path": format!("{file}/new")})),
            ("copy_file", json!({"from": file, "to": "/team-a/copy.md"})),
            ("copy_file", json!({"from": "/team-a/plan.md", "to": file, "overwrite": true})),
            ("move_file", json!({"from": file, "to": "/team-a/moved.md"})),
            ("move_file", json!({"from": "/team-a/plan.md", "to": file, "overwrite": true})),
        ];
        assert_all_refused(&world, &narrowed, attempts).await;
    }
    // The link itself is the caller's own: it may be looked at, without what it leads to, and deleted.
    let info = narrowed.call_tool("get_file_info", json!({"path": "/team-a/file"})).await;
    assert_eq!(info.structured()["type"], "symlink", "{}", info.text);
    assert!(info.structured().get("leads_to").is_none() && info.structured().get("size").is_none(), "{}", info.text);
    let before = world.snapshot();
    let recursive = json!({"path": "/team-a/sibling", "recursive": true});
    assert_done(&narrowed.call_tool("delete_file", recursive).await, "a link can be deleted");
    assert_done(&narrowed.call_tool("delete_file", json!({"path": "/team-a/file"})).await, "a link can be deleted");
    let mut wanted = before;
    wanted.0.retain(|path, _| !path.ends_with("sibling") && !path.ends_with("file"));
    assert_eq!(world.snapshot(), wanted);
    // Who may read everything is led by links within the folder.
    let reply = world.caller("files:read").call_tool("read_file", json!({"path": "/team-a/sub/back/plan.md"})).await;
    assert_eq!(reply.content(0), "of team b");
}

#[tokio::test]
async fn permissions_of_one_folder_are_not_those_of_another() {
    let world = World::start();
    plant(&world);
    let client = world.caller("files:read:/team-a/** files:write:/team-b/plan.md files:delete:/shared/**");
    let denied = [
        ("write_file", json!({"path": "/team-a/plan.md", "content": "x", "overwrite": true}), "files:write"),
        ("delete_file", json!({"path": "/team-a/plan.md"}), "files:delete"),
        ("delete_file", json!({"path": "/team-b/plan.md"}), "files:delete"),
        ("read_file", json!({"path": "/shared/guide.md"}), "files:read"),
        ("read_file", json!({"path": "/team-b/edit.md"}), "files:read"),
        ("list_directory", json!({"path": "/shared"}), "files:read"),
        ("move_file", json!({"from": "/team-b/plan.md", "to": "/team-a/new.md"}), "files:write"),
        ("copy_file", json!({"from": "/shared/guide.md", "to": "/team-b/plan.md", "overwrite": true}), "files:write"),
    ];
    let before = world.snapshot();
    for (tool, arguments, scope) in denied {
        let reply = client.call_tool(tool, arguments.clone()).await;
        let challenge = reply.headers.get("www-authenticate").map(|value| value.to_str().expect("ASCII"));
        assert_eq!(reply.status, 403, "{tool} {arguments}: {}", reply.text);
        assert!(challenge.is_some_and(|text| text.contains(&format!("scope=\"{scope}\""))), "{tool} {arguments}: {challenge:?}");
    }
    assert!(world.snapshot() == before);
    let copy = json!({"from": "/team-a/plan.md", "to": "/team-b/plan.md", "overwrite": true});
    assert_done(&client.call_tool("copy_file", copy).await, "writing implies reading");
    assert_tool_error(&client.call_tool("list_directory", json!({"path": "/team-b/plan.md"})).await, "conflict", "a file");
    assert_done(
        &client.call_tool("delete_file", json!({"path": "/shared", "recursive": true})).await,
        "deleting needs no reading",
    );
}
