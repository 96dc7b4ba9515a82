//! `completion/complete` for paths of resources and arguments of prompts.

use serde_json::{Value, json};

use crate::support::client::{McpClient, Reply};
use crate::world::{ADA, NOBODY, TEAM, World, teams};

const TEMPLATE: &str = "file:///{+path}";

async fn complete(client: &McpClient, reference: Value, argument: &str, value: &str) -> Reply {
    client.request("completion/complete", json!({"ref": reference, "argument": {"name": argument, "value": value}})).await
}

fn of_template() -> Value {
    json!({"type": "ref/resource", "uri": TEMPLATE})
}

fn of_prompt(name: &str) -> Value {
    json!({"type": "ref/prompt", "name": name})
}

fn values(reply: &Reply) -> Vec<&str> {
    let values = reply.result()["completion"]["values"].as_array().unwrap_or_else(|| panic!("no values: {}", reply.text));
    values.iter().map(|value| value.as_str().expect("text")).collect()
}

#[tokio::test]
async fn paths_are_completed_as_far_as_the_caller_sees() {
    let world = World::start(&[]);
    world.plant(&teams());
    world.plant(&[("/org/100%.md", ""), ("/.hidden/x.md", "")]);
    for (revision, client) in world.callers(ADA).await {
        for (typed, expected) in [
            ("", vec!["notes/", "org/"]),
            ("o", vec!["org/"]),
            ("org/t", vec!["org/team-a/"]),
            ("org/1", vec!["org/100%25.md"]),
            (".h", vec![".hidden/"]),
            ("nothing", vec![]),
            ("../", vec![]),
            ("%ff", vec![]),
        ] {
            let reply = complete(&client, of_template(), "path", typed).await;
            assert_eq!(values(&reply), expected, "{revision} {typed:?}");
            let completion = &reply.result()["completion"];
            assert_eq!((&completion["hasMore"], &completion["total"]), (&json!(false), &json!(expected.len())), "{revision}");
        }
        assert_eq!(values(&complete(&client, of_template(), "other", "o").await), [] as [&str; 0], "{revision}");
        for (prompt, typed, expected) in [
            ("summarize_folder", "", vec!["/notes/", "/org/"]),
            ("summarize_folder", "/org/", vec!["/org/team-a/", "/org/zebra/"]),
            ("review_changes", "org/z", vec!["/org/zebra/"]),
            ("answer_from_files", "/org/z", vec!["/org/zebra/", "/org/zebra.md"]),
            ("answer_from_files", "/org/1", vec!["/org/100%.md"]),
        ] {
            let reply = complete(&client, of_prompt(prompt), "path", typed).await;
            let mut found = values(&reply);
            found.sort_unstable();
            let mut expected = expected;
            expected.sort_unstable();
            assert_eq!(found, expected, "{revision} {prompt} {typed:?}");
        }
        assert_eq!(values(&complete(&client, of_prompt("review_changes"), "since", "3").await), ["3 days", "30 days"]);
        assert_eq!(values(&complete(&client, of_prompt("answer_from_files"), "question", "Wh").await), [] as [&str; 0]);
    }
    for (revision, client) in world.callers(TEAM).await {
        for reference in [of_template(), of_prompt("answer_from_files")] {
            let slash = if reference["type"] == "ref/prompt" { "/" } else { "" };
            for (typed, expected) in [("org/", Some("org/team-a/")), ("notes/", Some("notes/mine.md")), ("org/zebra/", None)] {
                let expected: Vec<String> = expected.iter().map(|path| format!("{slash}{path}")).collect();
                let reply = complete(&client, reference.clone(), "path", typed).await;
                assert_eq!(values(&reply), expected, "{revision} {typed}");
            }
        }
    }
}

#[tokio::test]
async fn at_most_a_hundred_values_are_given() {
    let world = World::start(&[]);
    for number in 0..120 {
        world.plant(&[(&format!("/many/{number:03}/x"), "")]);
    }
    let client = world.caller(ADA);
    for (reference, typed, first) in
        [(of_template(), "many/", "many/000/"), (of_prompt("summarize_folder"), "/many/", "/many/000/")]
    {
        let reply = complete(&client, reference, "path", typed).await;
        assert_eq!((values(&reply).len(), values(&reply)[0]), (100, first));
        assert_eq!(reply.result()["completion"]["hasMore"], true);
    }
}

#[tokio::test]
async fn what_cannot_be_completed_is_an_error() {
    let world = World::start(&[]);
    for (revision, client) in world.callers(ADA).await {
        let path = json!({"name": "path", "value": ""});
        for (what, params) in [
            ("an unknown prompt", json!({"ref": of_prompt("nothing"), "argument": path})),
            ("an unknown template", json!({"ref": {"type": "ref/resource", "uri": "nothing://{x}"}, "argument": path})),
            ("an unknown reference", json!({"ref": {"type": "ref/tool", "name": "read_file"}, "argument": path})),
            ("no reference", json!({"argument": path})),
            ("no argument", json!({"ref": of_template()})),
            ("an argument without a value", json!({"ref": of_template(), "argument": {"name": "path"}})),
            ("a value that is no text", json!({"ref": of_template(), "argument": {"name": "path", "value": 1}})),
            ("an argument that is no object", json!({"ref": of_template(), "argument": ["path", ""]})),
        ] {
            let reply = client.request("completion/complete", params).await;
            assert_eq!(reply.error_code(), -32602, "{revision}: {what}: {}", reply.text);
        }
    }
    for reference in [of_template(), of_prompt("summarize_folder")] {
        let reply = complete(&world.caller(NOBODY), reference, "path", "").await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (403, 403), "{}", reply.text);
    }
}
