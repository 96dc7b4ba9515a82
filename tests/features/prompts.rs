//! The prompts of the real server.

use serde_json::{Value, json};

use crate::support::client::{McpClient, Reply};
use crate::world::{ADA, NOBODY, SECRET, TEAM, World, teams};

async fn get(client: &McpClient, name: &str, arguments: Value) -> Reply {
    client.request("prompts/get", json!({"name": name, "arguments": arguments})).await
}

fn messages(reply: &Reply) -> &[Value] {
    let messages = reply.result()["messages"].as_array().unwrap_or_else(|| panic!("no messages: {}", reply.text));
    assert!(messages.iter().all(|message| message["role"] == "user"), "{}", reply.text);
    messages
}

/// The text of the message at `index`.
fn text(reply: &Reply, index: usize) -> &str {
    messages(reply)[index]["content"]["text"].as_str().unwrap_or_else(|| panic!("no text at {index}: {}", reply.text))
}

#[tokio::test]
async fn prompts_are_listed_with_their_arguments() {
    let world = World::start(&[]);
    for (revision, client) in world.callers(ADA).await {
        let reply = client.request("prompts/list", json!({})).await;
        let prompts = reply.result()["prompts"].as_array().expect("a list");
        let arguments = |prompt: &Value| -> Vec<(String, bool)> {
            let arguments = prompt["arguments"].as_array().expect("arguments");
            assert!(arguments.iter().all(|argument| !argument["description"].as_str().expect("described").contains('\n')));
            let named = |argument: &Value| argument["name"].as_str().expect("a name").to_owned();
            arguments.iter().map(|argument| (named(argument), argument["required"] == true)).collect()
        };
        let listed: Vec<_> = prompts.iter().map(|prompt| (prompt["name"].as_str().expect("a name"), arguments(prompt))).collect();
        let argument = |name: &str, required| (name.to_owned(), required);
        let expected = [
            ("summarize_folder", vec![argument("path", true), argument("focus", false)]),
            ("review_changes", vec![argument("path", false), argument("since", false)]),
            ("answer_from_files", vec![argument("question", true), argument("path", false)]),
        ];
        let sorted = |mut arguments: Vec<(String, bool)>| {
            arguments.sort();
            arguments
        };
        assert_eq!(
            listed.into_iter().map(|(name, arguments)| (name, sorted(arguments))).collect::<Vec<_>>(),
            expected.map(|(name, arguments)| (name, sorted(arguments))),
            "{revision}"
        );
        for prompt in prompts {
            assert!(prompt["description"].as_str().is_some_and(|text| !text.is_empty()), "{revision}: {prompt}");
            assert_eq!(prompt.get("title").is_some(), revision != "2025-03-26", "{revision}: {prompt}");
        }
        let hints = (reply.result().get("ttlMs").is_some(), reply.result().get("cacheScope").cloned());
        let modern = revision == "2026-07-28";
        assert_eq!(hints, (modern, modern.then(|| json!("private"))), "{revision}");
        let wrong = client.request("prompts/list", json!({"cursor": "nothing-of-ours"})).await;
        assert_eq!(wrong.error_code(), -32602, "{revision}");
    }
    let client = world.caller(NOBODY);
    assert_eq!(client.request("prompts/list", json!({})).await.result()["prompts"], json!([]));
    let reply = get(&client, "review_changes", json!({})).await;
    assert_eq!((reply.status.as_u16(), reply.error_code()), (403, 403), "{}", reply.text);
}

#[tokio::test]
async fn summarize_folder_brings_the_listing_and_the_introduction() {
    let world = World::start(&[]);
    world.plant(&[
        ("/docs/README.md", "These are the docs.\n"),
        ("/docs/guide/a.md", "12345"),
        ("/docs/.secret", "hidden"),
        ("/other.md", "other"),
    ]);
    for (revision, client) in world.callers(ADA).await {
        let reply = get(&client, "summarize_folder", json!({"path": "/docs/", "focus": "  how to begin "})).await;
        assert!(reply.result()["description"].as_str().expect("described").contains("/docs"), "{revision}");
        let asked = text(&reply, 0);
        assert!(asked.contains("the folder /docs for") && asked.contains("to me: how to begin\n"), "{revision}: {asked}");
        let listing = text(&reply, 1);
        for line in ["/docs/README.md (20 bytes)\n", "/docs/guide/\n", "/docs/guide/a.md (5 bytes)\n"] {
            assert!(listing.contains(line), "{revision}: {line} is not in {listing}");
        }
        assert!(!reply.text.contains("secret") && !reply.text.contains("other.md"), "{revision}: {}", reply.text);
        let readme = json!({"type": "resource", "resource": {
            "uri": "file:///docs/README.md", "mimeType": "text/markdown", "text": "These are the docs.\n"}});
        assert_eq!(messages(&reply)[2]["content"], readme, "{revision}");
        let plain = get(&client, "summarize_folder", json!({"path": "docs/guide", "focus": ""})).await;
        assert!(!text(&plain, 0).contains("to me:") && messages(&plain).len() == 2, "{revision}: {}", plain.text);
    }
    world.plant(&teams());
    let narrowed = get(&world.caller(TEAM), "summarize_folder", json!({"path": "/"})).await;
    assert!(text(&narrowed, 1).contains("/org/team-a/plan.md"), "{}", narrowed.text);
    assert!(!narrowed.text.contains(SECRET) && !narrowed.text.contains("/docs"), "{}", narrowed.text);
}

#[tokio::test]
async fn review_changes_lists_what_is_new_the_newest_first() {
    let world = World::start(&[]);
    world.plant(&[("/old.md", "old"), ("/docs/new.md", "new"), ("/docs/newer.md", "newer"), ("/notes/today.md", "x")]);
    world.shell("touch -d '40 days ago' old.md; touch -d '10 hours ago' docs/new.md; touch -d '2 hours ago' docs/newer.md");
    for (revision, client) in world.callers(ADA).await {
        let reply = get(&client, "review_changes", json!({})).await;
        let lines: Vec<&str> = text(&reply, 1).lines().map(|line| line.split_once(' ').expect("a time first").1).collect();
        let newest = ["/notes/today.md (1 byte)", "/docs/newer.md (5 bytes)", "/docs/new.md (3 bytes)"];
        assert_eq!(lines, newest, "{revision}");
        let link = &messages(&reply)[2]["content"];
        if revision == "2025-03-26" {
            assert_eq!(link["type"], "text", "this revision has no links: {link}");
            assert!(link["text"].as_str().expect("text").contains("file:///notes/today.md"), "{link}");
        } else {
            let expected = json!({"type": "resource_link", "uri": "file:///notes/today.md", "name": "today.md", "mimeType": "text/markdown"});
            assert_eq!(link, &expected, "{revision}");
        }
        let some = get(&client, "review_changes", json!({"path": "/docs", "since": "5 hours"})).await;
        assert!(text(&some, 1).contains("newer.md") && !some.text.contains("new.md"), "{revision}: {}", some.text);
        let none = get(&client, "review_changes", json!({"path": "/docs", "since": "5 minutes"})).await;
        assert!(messages(&none).len() == 1 && text(&none, 0).contains("No file in /docs has changed"), "{}", none.text);
        let all = get(&client, "review_changes", json!({"since": "2001-01-01"})).await;
        assert!(text(&all, 1).contains("/old.md") && text(&all, 0).contains("2001-01-01T00:00:00Z"), "{revision}: {}", all.text);
    }
}

#[tokio::test]
async fn answer_from_files_brings_the_first_hits() {
    let world = World::start(&[]);
    world.plant(&teams());
    let question = "When does the team deploy, and how many people does deploying need?";
    for (revision, client) in world.callers(TEAM).await {
        let reply = get(&client, "answer_from_files", json!({"question": question})).await;
        assert!(text(&reply, 0).contains(question), "{revision}");
        let hits = text(&reply, 1);
        for hit in ["/org/team-a/plan.md\n2:We deploy on Mondays.\n", "/org/team-a/sub/deep.md\n1:Deploying needs two people.\n"]
        {
            assert!(hits.contains(hit), "{revision}: {hit} is not in {hits}");
        }
        let (best, other) = (hits.find("deep.md"), hits.find("mine.md"));
        assert!(best < other, "more of the words come first: {hits}");
        assert!(!reply.text.contains(SECRET), "{revision}: {}", reply.text);
        let file = get(&client, "answer_from_files", json!({"question": question, "path": "/notes/mine.md"})).await;
        assert!(text(&file, 1).contains("1:to do: deploy") && !file.text.contains("team-a"), "{revision}: {}", file.text);
        let none = get(&client, "answer_from_files", json!({"question": "Quetzalcoatl?", "path": "/org"})).await;
        assert!(text(&none, 1).contains("has found nothing") && text(&none, 1).contains("/org/team-a/plan.md"), "{}", none.text);
    }
}

#[tokio::test]
async fn what_cannot_be_made_says_why() {
    let world = World::start(&[]);
    world.plant(&teams());
    world.plant(&[("/docs/a.md", "a")]);
    for (revision, client) in world.callers(ADA).await {
        for (name, arguments, said) in [
            ("no_such_prompt", json!({}), "no_such_prompt"),
            ("summarize_folder", json!({}), "path"),
            ("summarize_folder", json!({"path": "/missing"}), "/missing does not exist"),
            ("summarize_folder", json!({"path": "/docs/a.md"}), "not a folder"),
            ("summarize_folder", json!({"path": "/docs/../.."}), ".."),
            ("summarize_folder", json!({"path": "/docs", "depth": "3"}), "depth"),
            ("summarize_folder", json!({"path": 1}), "strings"),
            ("summarize_folder", json!({"path": "/docs", "focus": "x".repeat(100_000)}), "bytes"),
            ("review_changes", json!({"since": "yesterday"}), "3 days"),
            ("review_changes", json!({"since": "2999-01-01"}), "future"),
            ("review_changes", json!({"path": "/missing"}), "/missing does not exist"),
            ("answer_from_files", json!({"path": "/docs"}), "question"),
            ("answer_from_files", json!({"question": "  "}), "question"),
            ("answer_from_files", json!({"question": "why?", "path": "/missing"}), "/missing does not exist"),
        ] {
            let reply = get(&client, name, arguments).await;
            assert_eq!((reply.status.as_u16(), reply.error_code()), (200, -32602), "{revision} {name}: {}", reply.text);
            let message = reply.error()["message"].as_str().expect("a message");
            assert!(message.contains(said), "{revision} {name}: {said} is not in {message}");
            assert!(!message.contains(world.root()), "{message}");
        }
        let reply = client.request("prompts/get", json!({"name": "review_changes", "arguments": ["/docs"]})).await;
        assert_eq!(reply.error_code(), -32602, "{revision}: {}", reply.text);
        let reply = client.request("prompts/get", json!({})).await;
        assert_eq!(reply.error_code(), -32602, "{revision}: no name");
    }
    let client = world.caller(TEAM);
    for (name, arguments) in [
        ("summarize_folder", json!({"path": "/org/zebra"})),
        ("review_changes", json!({"path": "/org/zebra"})),
        ("answer_from_files", json!({"path": "/org/zebra.md", "question": "what?"})),
    ] {
        let hidden = get(&client, name, arguments.clone()).await;
        assert_eq!(hidden.error_code(), -32602, "{name}: {}", hidden.text);
        let mut missing = arguments.clone();
        missing["path"] = json!("/org/quagga");
        let missing = get(&client, name, missing).await;
        let anonymous = |reply: &Reply, path: &str| reply.error()["message"].as_str().expect("text").replace(path, "<path>");
        let path = arguments["path"].as_str().expect("text");
        assert_eq!(anonymous(&hidden, path), anonymous(&missing, "/org/quagga"), "{name}: hidden and missing look alike");
    }
}

#[tokio::test]
async fn a_prompt_keeps_within_the_budget_of_a_result() {
    const BUDGET: usize = 4000;
    let world = World::start(&["--max-result-bytes", "4000"]);
    for number in 0..300 {
        world.plant(&[(&format!("/many/a-rather-long-name-{number:03}.md"), "deploying \"quoted\" \u{1}\n")]);
    }
    world.plant(&[("/many/README.md", &"long \"introduction\"\n".repeat(1000))]);
    let client = world.caller(ADA);
    for (name, arguments, mark) in [
        ("summarize_folder", json!({"path": "/many"}), "there is more"),
        ("review_changes", json!({}), "older changes"),
        ("answer_from_files", json!({"question": "What is deploying?"}), "1:deploying"),
    ] {
        let reply = get(&client, name, arguments).await;
        let bytes =
            json!({"description": reply.result()["description"], "messages": reply.result()["messages"]}).to_string().len();
        assert!((1000..=BUDGET).contains(&bytes), "{name}: {bytes} bytes");
        assert!(text(&reply, 1).contains(mark), "{name}: {}", reply.text);
    }
}
