//! `--calls-per-second`: who calls too often is told to wait, in every revision, and nobody else notices.

use std::time::Duration;

use http::header::RETRY_AFTER;
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::support::client::{LEGACY, McpClient, Reply};
use crate::support::server::Pressmark;
use crate::world::{api_keys, token};

const RATE: usize = 2;
/// What a rested caller has at once.
const AT_ONCE: usize = 2 * RATE;

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_too_often_is_told_to_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, keys) = (folder.path().join("files"), folder.path().join("keys.toml"));
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("hello.txt"), "hello").expect("a file");
    std::fs::write(&keys, api_keys(6)).expect("a file");
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let arguments = [&*path(&files), "--api-keys", &*path(&keys), "--calls-per-second", &RATE.to_string()];
    let server = block_in_place(|| Pressmark::start(&arguments));
    let caller = |number: usize| McpClient::modern(&server.url(), Some(&token(number)));
    let params = json!({"name": "read_file", "arguments": {"path": "/hello.txt"}});

    for (number, client) in [caller(0), McpClient::legacy(&server.url(), Some(&token(1)), LEGACY).await].into_iter().enumerate() {
        let replies: Vec<_> = futures_util::future::join_all((0..20).map(|_| client.request("tools/call", params.clone()))).await;
        let (good, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
        assert!(good.len() >= AT_ONCE && !refused.is_empty(), "caller {number}: {} were answered", good.len());
        assert!(good.iter().all(|reply| reply.content(0) == "hello"));
        refused.iter().for_each(tells_to_wait);
        let reference = json!({"type": "ref/resource", "uri": "file:///{+path}"});
        let complete = json!({"ref": reference, "argument": {"name": "path", "value": "h"}});
        let read = json!({"uri": "file:///hello.txt"});
        for (method, params) in [("resources/read", read), ("completion/complete", complete)] {
            let more = (0..20).map(|_| client.request(method, params.clone()));
            let replies = futures_util::future::join_all(more).await;
            let refused = replies.iter().find(|reply| reply.status != 200);
            tells_to_wait(refused.unwrap_or_else(|| panic!("{method} counts as well")));
        }
        assert_eq!(client.request("tools/list", json!({})).await.status, 200, "lists are not counted");
        let wait = refused[0].headers[RETRY_AFTER].to_str().expect("ASCII").parse().expect("seconds");
        sleep(Duration::from_secs(wait)).await;
        assert_eq!(client.request("tools/call", params.clone()).await.content(0), "hello", "after the time that it was told");
    }
    let other = caller(2).request("tools/call", params.clone()).await;
    assert_eq!(other.content(0), "hello", "another caller has a rate of its own");

    // In a batch each call counts, and what is too much has an error of its own.
    let client = McpClient::legacy(&server.url(), Some(&token(3)), "2025-03-26").await;
    let messages: Vec<_> = (0..20).map(|_| client.message("tools/call", params.clone())).collect();
    let reply = client.post(&client.headers(&messages[0]), json!(messages).to_string()).await;
    let answers = reply.messages[0].as_array().expect("an array").clone();
    let refused = answers.iter().filter(|answer| answer["error"]["code"] == 429).count();
    let good = answers.iter().filter(|answer| answer["result"]["content"][0]["text"] == "hello").count();
    assert!(good >= AT_ONCE && refused > 0 && good + refused == 20, "{}", reply.text);
}

fn tells_to_wait(reply: &Reply) {
    assert_eq!((reply.status.as_u16(), reply.error_code()), (429, 429), "{}", reply.text);
    assert!(reply.messages[0]["id"].is_number(), "{}", reply.text);
    assert!(reply.error()["message"].as_str().expect("a text").contains("wait 1 s, then repeat"), "{}", reply.text);
    assert_eq!(reply.headers[RETRY_AFTER], "1");
}
