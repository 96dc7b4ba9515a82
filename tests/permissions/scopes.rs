//! How scopes are written, in tokens and in the file of API keys; and which scopes are none.

use std::os::unix::fs::PermissionsExt as _;

use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::client::{McpClient, Reply};
use crate::support::server::Pressmark;
use crate::support::tokens::{ED, with};
use crate::world::{World, assert_done, claims};

async fn read(client: &McpClient, path: &str) -> Reply {
    client.call_tool("read_file", json!({"path": path})).await
}

#[tokio::test]
async fn a_scope_means_exactly_the_path_that_it_names() {
    let world = World::start();
    let planted = [
        "/a/x",
        "/a/sub/x",
        "/A/x",
        "/ab/x",
        "/b/x",
        "/to do/x",
        "/100%/x",
        "/a%2fb/x",
        "/*/x",
        "/**/x",
        "/é/x",
        "/e\u{301}/x",
        "/x",
    ];
    for path in planted {
        world.plant(&[(path, "content")]);
    }
    let cases: [(&str, &[&str]); 34] = [
        ("files:read:/a/**", &["/a/x", "/a/sub/x"]),
        ("files:read:/a//**", &["/a/x", "/a/sub/x"]),
        ("files:read:/./a/./**", &["/a/x", "/a/sub/x"]),
        ("files:read:/a/x", &["/a/x"]),
        ("files:read:/a/x/**", &["/a/x"]),
        ("files:read:/%61/**", &["/a/x", "/a/sub/x"]),
        ("files:read:/a%2Fsub/**", &["/a/sub/x"]),
        ("files:read:/A/**", &["/A/x"]),
        ("files:read:/to%20do/**", &["/to do/x"]),
        ("files:read:/100%25/**", &["/100%/x"]),
        ("files:read:/a%252fb/**", &["/a%2fb/x"]),
        ("files:read:/%2A/**", &["/*/x"]),
        ("files:read:/%2A%2A/**", &["/**/x"]),
        ("files:read:/%C3%A9/**", &["/é/x"]),
        ("files:read:/**", &planted),
        ("files:read:/", &[]),
        ("files:read:/a", &[]),
        ("files:read:/a/", &[]),
        ("files:read:/a/*", &[]),
        ("files:read:/a/**/", &[]),
        ("files:read:/*/**", &[]),
        ("files:read:/**/**", &[]),
        ("files:read:/[a]/**", &[]),
        ("files:read:/{a,b}/**", &[]),
        ("files:read:/b/../a/**", &[]),
        ("files:read:/b/%2e%2e/a/**", &[]),
        ("files:read:/b%2f..%2fa/**", &[]),
        ("files:read:/a%00/**", &[]),
        ("files:read:/a%ff/**", &[]),
        ("files:read:a/**", &[]),
        ("files:read: /a/**", &[]),
        ("FILES:READ:/a/** Files:Read files:READ", &[]),
        ("files:read,files:write files:read; files:*:/a/** file:read files::/a/**", &[]),
        ("files:read:read:/a/** xfiles:read \"files:read\" files:readx files:read:", &[]),
    ];
    for (scopes, readable) in cases {
        let client = world.caller(scopes);
        for path in planted {
            let reply = read(&client, path).await;
            if readable.contains(&path) {
                assert_done(&reply, &format!("{path} with {scopes}"));
            } else {
                assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path} with {scopes}: {}", reply.text);
            }
        }
    }
}

#[tokio::test]
async fn a_path_is_checked_as_it_is_used() {
    let world = World::start();
    world.plant(&[("/a/x", "of a"), ("/b/x", "of b")]);
    let client = world.caller("files:/a/**");
    for same in ["/a/x", "a/x", "//a///x", "/a/./x/", "./a/x/."] {
        assert_eq!(read(&client, same).await.content(0), "of a", "{same}");
    }
    for outside in ["/b/x", "b/x", "//b//x", "/./b/x", "/b/x/", "/A/x", "/a /x", " /a/x", "/a\\..\\b\\x", "/ａ/x", "\u{feff}/a/x"]
    {
        let reply = read(&client, outside).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{outside:?}: {}", reply.text);
    }
    for wrong in ["/a/../b/x", "/a/./../b/x", "a/..//b/x", "/a/x/../../b/x", "/a\0/../b/x"] {
        let reply = read(&client, wrong).await;
        assert!(reply.is_tool_error() && reply.content(0).starts_with("invalid_argument: `path`"), "{wrong:?}: {}", reply.text);
    }
    // A denial fits into a header of ordinary size, however long the path, and its words stay words.
    let reply = read(&client, &format!("/b/{}", "long \" \\ \r\n é/".repeat(200))).await;
    let challenge = reply.headers["www-authenticate"].to_str().expect("ASCII");
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(challenge.len() < 1000 && challenge.matches('"').count() == 8, "{} bytes: {challenge}", challenge.len());
}

#[tokio::test]
async fn scopes_come_as_text_or_as_a_list() {
    let world = World::start();
    world.plant(&[("/a/x", "of a"), ("/b/x", "of b")]);
    let scopes = |changes: Value| ED.sign(&with(claims("files"), with(json!({"scope": null}), changes)));
    let tokens = [
        (scopes(json!({"scope": "openid  files:read:/a/**"})), true),
        (scopes(json!({"scp": ["openid", "files:read:/a/**"]})), true),
        (scopes(json!({"scp": "openid files:read:/a/**"})), true),
        (scopes(json!({"scope": "openid", "scp": ["files"]})), false),
        (scopes(json!({"roles": ["files"], "permissions": "files"})), false),
    ];
    for (token, reads) in tokens {
        let client = McpClient::modern(&world.server.url(), Some(&token));
        assert_eq!(read(&client, "/a/x").await.status, if reads { 200 } else { 403 });
        assert_eq!(read(&client, "/b/x").await.status, 403);
    }
}

#[tokio::test]
async fn mounts_may_be_named_like_scopes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("x"), "content").expect("a file can be written");
    let directory = folder.path().to_str().expect("UTF-8");
    let names = ["files:read", "files:", "**", "*", "a:b", "100%", "to do"];
    let mounts: Vec<_> = names.iter().flat_map(|name| ["--mount".to_owned(), format!("{name}={directory}")]).collect();
    let world = World::start_with(&mounts.iter().map(String::as_str).collect::<Vec<_>>());
    let cases = [
        ("files:read:/files:read/**", "files:read"),
        ("files:read:/files:/**", "files:"),
        ("files:/files:read/**", "files:read"),
        ("files:read:/%2A%2A/**", "**"),
        ("files:read:/%2a/**", "*"),
        ("files:read:/a:b/**", "a:b"),
        ("files:read:/100%25/**", "100%"),
        ("files:read:/to%20do/x", "to do"),
    ];
    for (scope, readable) in cases {
        let client = world.caller(scope);
        for name in names {
            let status = read(&client, &format!("/{name}/x")).await.status;
            assert_eq!(status, if name == readable { 200 } else { 403 }, "{scope}: {name}");
        }
        let listed = client.call_tool("list_directory", json!({})).await;
        assert_eq!(crate::world::paths(&listed), [format!("/{readable}")], "{scope}");
        // The mounts themselves are nobody's to remove or to replace.
        let owner = world.caller("files");
        for (tool, arguments) in [
            ("delete_file", json!({"path": format!("/{readable}"), "recursive": true})),
            ("move_file", json!({"from": format!("/{readable}"), "to": "/elsewhere"})),
            ("write_file", json!({"path": format!("/{readable}"), "content": "x", "overwrite": true})),
        ] {
            let reply = owner.call_tool(tool, arguments).await;
            assert!(reply.is_tool_error(), "{tool} {readable}: {}", reply.text);
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("x")).expect("still there"), "content");
    }
}

#[tokio::test]
async fn api_keys_have_scopes_and_an_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (root, keys) = (folder.path().join("served"), folder.path().join("keys.toml"));
    for team in ["a", "b"] {
        std::fs::create_dir_all(root.join(team)).expect("a folder can be made");
        std::fs::write(root.join(team).join("x"), "content").expect("a file can be written");
    }
    let entry = |name: &str, scopes: &str, expires: &str| {
        let hash: String = Sha256::digest(format!("pm_{name}")).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\nscopes = {scopes}\nexpires = {expires}\n")
    };
    let (past, future) = ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
    let content = [
        entry("reader", "\"files:read\"", future),
        entry("narrow", "[\"files:read:/a/**\", \"files:write:/a/x\"]", future),
        entry("expired", "\"files\"", past),
    ];
    std::fs::write(&keys, content.concat()).expect("a file can be written");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).expect("permissions can be set");
    let server = Pressmark::start(&[root.to_str().expect("UTF-8"), "--api-keys", keys.to_str().expect("UTF-8")]);

    let caller = |key: &str| McpClient::modern(&server.url(), Some(key));
    let write = json!({"path": "/a/x", "content": "new", "overwrite": true});
    let cases = [("pm_reader", [200, 200, 403]), ("pm_narrow", [200, 403, 200])];
    for (key, wanted) in cases {
        let client = caller(key);
        let statuses = [
            read(&client, "/a/x").await.status,
            read(&client, "/b/x").await.status,
            client.call_tool("write_file", write.clone()).await.status,
        ];
        assert_eq!(statuses.map(|status| status.as_u16()), wanted, "{key}");
    }
    assert_eq!(std::fs::read_to_string(root.join("a/x")).expect("there"), "new");
    // Without an authorization server nobody is sent to look for one.
    let invalid = |problem: &str| {
        format!(r#"Bearer realm="pressmark", scope="files:read", error="invalid_token", error_description="{problem}""#)
    };
    for (key, problem) in [("pm_expired", "the token has expired"), ("pm_unknown", "the token is not known to this server")] {
        let reply = caller(key).call_tool("write_file", write.clone()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{key}: {}", reply.text);
        assert_eq!(reply.headers["www-authenticate"], invalid(problem), "{key}");
    }
    let denied = read(&caller("pm_narrow"), "/b/x").await;
    let challenge = r#"Bearer realm="pressmark", scope="files:read", error="insufficient_scope", error_description="files:read does not cover /b/x""#;
    assert_eq!(denied.headers["www-authenticate"], challenge);
}
