//! Cursors of a caller whose permissions have shrunk since.

use serde_json::{Value, json};

use crate::world::{SECRET, World, assert_done, assert_tool_error, paths};

#[tokio::test]
async fn a_cursor_gives_no_more_than_the_token_it_comes_with() {
    let world = World::start();
    let lines = "needle of the zebra\n".repeat(10);
    for name in ["a", "b", "c"] {
        world.plant(&[(&format!("/team-a/{name}.md"), "needle\nneedle\n"), (&format!("/zoo/{name}.md"), &lines)]);
    }
    let (wide, narrow) = (world.caller("files:read"), world.caller("files:read:/team-a/**"));
    let calls: [(&str, Value, &str); 6] = [
        ("read_file", json!({"path": "/zoo/a.md", "limit": 1}), "forbidden"),
        ("read_file", json!({"path": "/zoo/a.md", "byte_limit": 5, "as": "base64"}), "forbidden"),
        ("list_directory", json!({"path": "/zoo", "limit": 1}), "forbidden"),
        ("find_files", json!({"path": "/zoo", "glob": "**", "limit": 1}), "forbidden"),
        ("search_text", json!({"path": "/zoo", "pattern": "needle", "limit": 1}), "forbidden"),
        ("search_text", json!({"path": "/zoo", "pattern": "needle", "mode": "lines", "limit": 1}), "forbidden"),
    ];
    for (tool, arguments, kind) in calls {
        let first = wide.call_tool(tool, arguments.clone()).await;
        assert_done(&first, tool);
        let cursor = json!({"cursor": first.structured()["next_cursor"]});
        let refused = narrow.call_tool(tool, cursor.clone()).await;
        assert_tool_error(&refused, kind, tool);
        assert!(!refused.text.contains(SECRET), "{tool}: {}", refused.text);
        // Who has lost every permission does not even come to the tool.
        assert_eq!(world.caller("files:delete").call_tool(tool, cursor.clone()).await.status, 403, "{tool}");
        assert_done(&wide.call_tool(tool, cursor).await, tool);
    }
}

#[tokio::test]
async fn a_listing_goes_on_with_what_may_still_be_seen() {
    let world = World::start();
    world.plant(&[
        ("/a-zebra/1.md", "needle\nneedle zebra\nneedle"),
        ("/a-zebra/2.md", "needle zebra"),
        ("/m/plan.md", "needle"),
        ("/x-zebra/1.md", "needle zebra"),
    ]);
    let (wide, narrow) = (world.caller("files:read"), world.caller("files:read:/m/**"));
    let calls: [(&str, Value, &[&str]); 6] = [
        ("list_directory", json!({"depth": 3, "limit": 2}), &["/m", "/m/plan.md"]),
        ("list_directory", json!({"depth": 3, "limit": 2, "sort": "largest"}), &["/m", "/m/plan.md"]),
        ("find_files", json!({"glob": "**", "limit": 1}), &["/m/plan.md"]),
        ("find_files", json!({"glob": "**", "type": "any", "limit": 1}), &["/m", "/m/plan.md"]),
        ("search_text", json!({"pattern": "needle", "limit": 1}), &["/m/plan.md"]),
        ("search_text", json!({"pattern": "needle", "mode": "count", "limit": 1}), &["/m/plan.md"]),
    ];
    for (tool, arguments, visible) in calls {
        let first = wide.call_tool(tool, arguments.clone()).await;
        let mut cursor = first.structured()["next_cursor"].clone();
        let mut seen = Vec::new();
        while cursor.is_string() {
            let page = narrow.call_tool(tool, json!({"cursor": cursor})).await;
            assert_done(&page, tool);
            assert!(!page.text.contains(SECRET), "{tool} {arguments}: {}", page.text);
            seen.extend(paths(&page).into_iter().map(str::to_owned));
            cursor = page.structured().get("next_cursor").cloned().unwrap_or(Value::Null);
        }
        let is_among = |path: &String| visible.contains(&path.as_str());
        assert!(seen.iter().all(is_among), "{tool} {arguments}: {seen:?}");
        assert!(seen.contains(&"/m/plan.md".to_owned()), "{tool} {arguments}: {seen:?}");
    }
    // A page that ended inside of a file that may not be read any more cannot go on.
    let arguments = json!({"pattern": "needle", "mode": "lines", "limit": 1});
    let first = wide.call_tool("search_text", arguments).await;
    let refused = narrow.call_tool("search_text", json!({"cursor": first.structured()["next_cursor"]})).await;
    assert!(refused.is_tool_error() && !refused.text.contains("needle"), "{}", refused.text);
}
