//! Files and folders as resources.

use std::collections::BTreeSet;
use std::fs;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::support::client::{McpClient, Reply};
use crate::world::{ADA, NOBODY, SECRET, TEAM, World, not_found, teams};

async fn read(client: &McpClient, uri: &str) -> Reply {
    client.request("resources/read", json!({"uri": uri})).await
}

/// All resources, page by page.
async fn listed(client: &McpClient) -> (Vec<Value>, usize) {
    let (mut all, mut pages, mut params, mut scope) = (Vec::new(), 0, json!({}), None);
    loop {
        let reply = client.request("resources/list", params).await;
        let result = reply.result();
        pages += 1;
        assert!(pages < 100, "it does not end");
        let said = result.get("cacheScope").cloned();
        assert_eq!(said, *scope.get_or_insert_with(|| said.clone()), "all pages say the same");
        all.extend(result["resources"].as_array().expect("a list").iter().cloned());
        match result.get("nextCursor") {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => return (all, pages),
        }
    }
}

fn uris(resources: &[Value]) -> Vec<&str> {
    resources.iter().map(|resource| resource["uri"].as_str().expect("a URI")).collect()
}

#[tokio::test]
async fn everything_is_listed_once_page_by_page_in_every_revision() {
    let world = World::start(&[]);
    let mut expected: BTreeSet<String> = ["file:///", "file:///many", "file:///a%20b.md"].map(str::to_owned).into();
    world.plant(&[("/a b.md", "# A\n"), ("/.hidden/x", "x"), ("/.ignore", "*.log"), ("/x.log", "")]);
    for number in 0..450 {
        world.plant(&[(&format!("/many/{number:03}.txt"), "one")]);
        expected.insert(format!("file:///many/{number:03}.txt"));
    }
    for (revision, client) in world.callers(ADA).await {
        let (all, pages) = listed(&client).await;
        assert!(pages >= 3, "{revision}: {pages} pages");
        let found = uris(&all);
        assert_eq!(found.len(), expected.len(), "{revision}: each once");
        assert_eq!(found.iter().map(|uri| (*uri).to_owned()).collect::<BTreeSet<_>>(), expected, "{revision}");
        let file = all.iter().find(|resource| resource["uri"] == "file:///a%20b.md").expect("listed");
        assert_eq!((&file["name"], &file["mimeType"], &file["size"]), (&json!("a b.md"), &json!("text/markdown"), &json!(4)));
        assert_eq!(file.get("title").is_some(), revision != "2025-03-26", "{revision}: {file}");
        let first = client.request("resources/list", json!({})).await;
        let hints = (first.result().get("ttlMs").cloned(), first.result().get("cacheScope").cloned());
        let expected_hints = if revision == "2026-07-28" { (Some(json!(0)), Some(json!("private"))) } else { (None, None) };
        assert_eq!(hints, expected_hints, "{revision}: files come and go");
        for cursor in ["", "0", "0.nonsense", "9.pLw", "-1.", "0.p!", "18446744073709551616.x"] {
            let reply = client.request("resources/list", json!({"cursor": cursor})).await;
            assert_eq!(reply.error_code(), -32602, "{revision} {cursor:?}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn a_narrowed_caller_has_its_part_and_the_rest_is_not_there() {
    let world = World::start(&[]);
    world.plant(&teams());
    let part = [
        "file:///",
        "file:///notes",
        "file:///notes/mine.md",
        "file:///org",
        "file:///org/team-a",
        "file:///org/team-a/plan.md",
        "file:///org/team-a/sub",
        "file:///org/team-a/sub/deep.md",
    ];
    for (revision, client) in world.callers(TEAM).await {
        let (all, _) = listed(&client).await;
        assert_eq!(uris(&all), part, "{revision}");
        for uri in uris(&all) {
            let reply = read(&client, uri).await;
            assert_eq!(reply.result()["contents"][0]["uri"], uri, "{revision}");
            assert!(!reply.text.contains(SECRET), "{revision} {uri}: {}", reply.text);
        }
        let mut errors = Vec::new();
        for uri in ["file:///org/zebra/plan.md", "file:///org/zebra.md", "file:///org/missing.md", "file:///org/team-a/missing"] {
            let reply = read(&client, uri).await;
            let code = if revision == "2026-07-28" { -32602 } else { -32002 };
            assert_eq!(not_found(&reply), (code, &json!(uri)), "{revision}: {}", reply.text);
            errors.push(reply.error()["message"].as_str().expect("a message").replace(uri, "<uri>"));
        }
        assert!(errors.iter().all(|error| *error == errors[0]), "hidden and missing look alike: {errors:?}");
    }
    for (revision, client) in world.callers(NOBODY).await {
        assert_eq!(listed(&client).await.0, [] as [Value; 0], "{revision}");
        assert_eq!(client.request("resources/templates/list", json!({})).await.result()["resourceTemplates"], json!([]));
        let reply = read(&client, "file:///notes/mine.md").await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (403, 403), "{revision}: {}", reply.text);
        assert!(reply.headers["www-authenticate"].to_str().expect("ASCII").contains("files:read"), "{revision}");
    }
}

#[tokio::test]
async fn content_is_text_or_bytes_or_a_listing_and_never_a_part() {
    let world = World::start(&[]);
    world.plant(&[("/docs/a.md", "täxt\n"), ("/empty", "")]);
    fs::write(world.at("/bytes.bin"), b"\x00\xFF\x01").expect("written");
    fs::write(world.at("/large.txt"), vec![b'x'; (1 << 20) + 1]).expect("written");
    fs::write(world.at("/full.txt"), vec![b'x'; 1 << 20]).expect("written");
    for (revision, client) in world.callers(ADA).await {
        let contents = async |uri: &str| read(&client, uri).await.result()["contents"].clone();
        let text = json!([{"uri": "file:///docs/a.md", "mimeType": "text/markdown", "text": "täxt\n"}]);
        assert_eq!(contents("file:///docs/a.md").await, text, "{revision}");
        assert_eq!(contents("FILE:///docs/%61.md").await, text, "{revision}: another spelling of the same");
        assert_eq!(contents("file:///empty").await[0]["text"], "", "{revision}");
        let bytes = contents("file:///bytes.bin").await;
        assert_eq!((&bytes[0]["blob"], bytes[0].get("text")), (&json!("AP8B"), None), "{revision}: {bytes}");
        let folder = contents("file:///docs").await;
        assert_eq!(folder[0]["mimeType"], "inode/directory", "{revision}");
        assert!(folder[0]["text"].as_str().expect("JSON").contains("file:///docs/a.md"), "{revision}");
        assert_eq!(contents("file:///full.txt").await[0]["text"].as_str().map(str::len), Some(1 << 20), "{revision}");
        let reply = read(&client, "file:///large.txt").await;
        assert_eq!(reply.error_code(), -32602, "{revision}");
        assert!(reply.error()["message"].as_str().expect("text").contains("read_file"), "{revision}: {}", reply.text);
        let reply = read(&client, "file:///docs/a.md").await;
        if revision == "2026-07-28" {
            assert_eq!((&reply.result()["ttlMs"], &reply.result()["cacheScope"]), (&json!(0), &json!("private")));
        } else {
            assert!(reply.result().get("ttlMs").is_none(), "{revision}");
        }
    }
}

#[tokio::test]
async fn hostile_uris_name_nothing() {
    let world = World::start(&[]);
    world.plant(&[("/a.md", "inside")]);
    fs::write(world.beside("outside.md"), "outside").expect("written");
    world.shell("ln -s ../outside.md link.md; ln -s .. up; mkfifo pipe");
    for (revision, client) in world.callers(ADA).await {
        for uri in [
            "",
            "/a.md",
            "a.md",
            "file:",
            "file:a.md",
            "file://localhost/a.md",
            "file:///../outside.md",
            "file:///%2e%2e/outside.md",
            "file:///x/..%2f..%2foutside.md",
            "file:///a.md%00.txt",
            "file:///%ff",
            "file:///%",
            "file:////a.md",
            "file:///a.md?x=1",
            "file:///a.md#x",
            "file:///{+path}",
            "file:///link.md",
            "file:///up/outside.md",
            "file:///a.md/x",
            "file:///pipe",
            "http://169.254.169.254/",
            "nothing://a.md",
        ] {
            let reply = read(&client, uri).await;
            // Not there, which has a code of its own in the handshake revisions, or no URI of a file at all.
            let of_revision = revision != "2026-07-28" && reply.error_code() == -32002;
            assert!(reply.status == 200 && (of_revision || reply.error_code() == -32602), "{revision} {uri}: {}", reply.text);
            assert!(!reply.text.contains("contents") && reply.text.len() < 1000, "{revision} {uri}: {}", reply.text);
            assert!(!reply.text.contains(world.root()), "{revision} {uri}: {}", reply.text);
        }
        let reply = client.request("resources/read", json!({})).await;
        assert_eq!(reply.error_code(), -32602, "{revision}: no URI");
        let reply = client.request("resources/read", json!({"uri": ["file:///a.md"]})).await;
        assert_eq!(reply.error_code(), -32602, "{revision}: no string");
        if revision != "2026-07-28" {
            let long = read(&client, &format!("file:///{}", "ä".repeat(200_000))).await;
            assert!(long.error_code() == -32602 && long.text.len() < 2000, "{revision}: {} bytes", long.text.len());
        }
    }
}

#[tokio::test]
async fn headers_name_what_is_read_or_got() {
    let world = World::start(&[]);
    world.plant(&[("/a.md", "a"), ("/b.md", "b")]);
    let client = world.caller(ADA);
    for (method, params, other, encoded) in [
        ("resources/read", json!({"uri": "file:///a.md"}), "file:///b.md", "=?base64?ZmlsZTovLy9hLm1k?="),
        ("prompts/get", json!({"name": "review_changes"}), "summarize_folder", "=?base64?cmV2aWV3X2NoYW5nZXM=?="),
    ] {
        let message = client.message(method, params);
        let send = async |name: Option<&str>| {
            let mut headers = client.headers(&message);
            headers.remove("mcp-name");
            if let Some(name) = name {
                headers.insert(HeaderName::from_static("mcp-name"), HeaderValue::from_str(name).expect("a header"));
            }
            client.post(&headers, message.to_string()).await
        };
        for wrong in [None, Some(other), Some(""), Some("=?base64?!!?=")] {
            let reply = send(wrong).await;
            assert_eq!((reply.status.as_u16(), reply.error_code()), (400, -32020), "{method} {wrong:?}: {}", reply.text);
        }
        assert!(send(Some(encoded)).await.result().is_object(), "{method}");
    }
}

#[tokio::test]
async fn templates_tell_how_uris_are_made() {
    let world = World::start(&[]);
    world.plant(&[("/docs/a b.md", "a")]);
    for (revision, client) in world.callers(ADA).await {
        let reply = client.request("resources/templates/list", json!({})).await;
        let templates = &reply.result()["resourceTemplates"];
        assert_eq!((templates.as_array().map(Vec::len), &templates[0]["uriTemplate"]), (Some(1), &json!("file:///{+path}")));
        assert_eq!(reply.result().get("cacheScope").is_some(), revision == "2026-07-28", "{revision}");
        let uri = templates[0]["uriTemplate"].as_str().expect("text").replace("{+path}", "docs/a%20b.md");
        assert_eq!(read(&client, &uri).await.result()["contents"][0]["text"], "a", "{revision}");
    }
}
