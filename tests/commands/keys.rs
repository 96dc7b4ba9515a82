//! `pressmark keys`.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::client::McpClient;
use super::support::server::Pressmark;
use super::{Said, folder, rights, run, run_in, text};

/// A folder for key files, which lie outside of what is served.
fn place() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = text(&folder.path().join("keys.toml")).to_owned();
    (folder, file)
}

fn new(file: &str, arguments: &[&str]) -> Said {
    run(&[&["keys", "new", "--api-keys", file], arguments].concat())
}

fn key(said: &Said) -> &str {
    assert_eq!((said.code, said.stdout.lines().count()), (Some(0), 1), "the key alone: {said:?}");
    assert!(!said.stderr.contains(said.stdout.trim()), "{said:?}");
    said.stdout.trim()
}

fn list(file: &str) -> Vec<Value> {
    let said = run(&["keys", "list", "--json", "--api-keys", file]);
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str::<Vec<Value>>(&said.stdout).expect("an array")
}

/// Nothing but this file lies in its folder: no half-written one was left.
fn is_alone(file: &str) -> bool {
    let folder = Path::new(file).parent().expect("a folder");
    std::fs::read_dir(folder).expect("a folder").all(|entry| entry.expect("an entry").path() == Path::new(file))
}

async fn status(server: &Pressmark, key: &str) -> u16 {
    let client = McpClient::modern(&server.url(), Some(key));
    client.call_tool("read_file", json!({"path": "/hello.txt"})).await.status.as_u16()
}

async fn becomes(server: &Pressmark, key: &str, expected: u16) {
    let begun = Instant::now();
    while status(server, key).await != expected {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain for {expected}: {}", server.stderr());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_running_server_takes_what_the_command_makes_and_revokes() {
    let (folder, (_place, file)) = (folder(), place());
    let first = new(&file, &["--name", "first", "--scope", "files:read"]);
    let server = Pressmark::start(&[text(folder.path()), "--api-keys", &file]);
    assert_eq!(status(&server, key(&first)).await, 200);
    let second = new(&file, &["--name", "second", "--scope", "files:read", "--scope", "files:write:/a/**", "--expires", "90d"]);
    becomes(&server, key(&second), 200).await;
    let elsewhere = new(&file, &["--name", "elsewhere", "--scope", "files:read:/a/**"]);
    becomes(&server, key(&elsewhere), 403).await;
    let said = run(&["keys", "revoke", "second", "--api-keys", &file]);
    assert_eq!(said.code, Some(0), "{said:?}");
    becomes(&server, key(&second), 401).await;
    assert_eq!(status(&server, key(&first)).await, 200, "the others stay good");
    assert!(!server.stderr().contains("can be read by other users"), "{}", server.stderr());
}

#[tokio::test]
async fn two_keys_of_one_subject_are_one_caller() {
    let (folder, (_place, file)) = (folder(), place());
    let long = "x\n".repeat(50_000);
    std::fs::write(folder.path().join("long.txt"), long).expect("a file");
    let old = new(&file, &["--name", "agent", "--scope", "files:read"]);
    let new_key = new(&file, &["--name", "agent-2", "--subject", "agent", "--scope", "files:read"]);
    let other = new(&file, &["--name", "other", "--scope", "files:read"]);
    let server = Pressmark::start(&[text(folder.path()), "--api-keys", &file]);
    let page = McpClient::modern(&server.url(), Some(key(&old))).call_tool("read_file", json!({"path": "/long.txt"})).await;
    let cursor = page.structured()["next_cursor"].as_str().expect("more").to_owned();
    let next = async |said: &Said| {
        McpClient::modern(&server.url(), Some(key(said))).call_tool("read_file", json!({ "cursor": cursor })).await
    };
    assert!(!next(&new_key).await.is_tool_error(), "a cursor outlives the key that it was made with");
    assert!(next(&other).await.is_tool_error(), "and is nobody else's");
}

#[test]
fn the_list_tells_all_but_the_keys() {
    let (_place, file) = place();
    let first = new(
        &file,
        &["--name", "build agent", "--scope", "files:read", "--scope", "files:write:/b/**", "--expires", "2099-01-31"],
    );
    new(&file, &["--name", "forever", "--subject", "somebody", "--scope", "files"]);
    let text = std::fs::read_to_string(&file).expect("a file");
    let expired = format!(
        "{text}\n[[key]]\nname = \"old\"\nsha256 = \"{}\"\nscopes = \"files:read files:delete\"\nexpires = 2020-01-01T00:00:00Z\n",
        "ab".repeat(32)
    );
    std::fs::write(&file, expired).expect("a file");
    let keys = list(&file);
    let told = |index: usize, field: &str| keys[index][field].clone();
    assert_eq!(told(0, "name"), "build agent");
    assert_eq!(told(0, "subject"), "build agent");
    assert_eq!(told(0, "scopes"), json!(["files:read", "files:write:/b/**"]));
    assert_eq!(told(0, "expires"), "2099-01-31T00:00:00Z");
    assert_eq!(told(0, "status"), "good");
    assert!(
        humantime::parse_rfc3339(told(0, "created").as_str().expect("a time"))
            .expect("a time")
            .elapsed()
            .expect("past")
            .as_secs()
            < 60
    );
    assert_eq!((told(1, "subject"), told(1, "expires")), (json!("somebody"), Value::Null));
    assert_eq!((told(2, "scopes"), told(2, "status")), (json!(["files:read", "files:delete"]), json!("expired")));
    assert_eq!(told(2, "created"), Value::Null);

    let table = run_in(&["keys", "list"], &[("PRESSMARK_API_KEYS", &file)]);
    let lines: Vec<_> = table.stdout.lines().collect();
    assert_eq!((table.code, lines.len()), (Some(0), 4), "{table:?}");
    assert!(lines[0].starts_with("NAME         SUBJECT      SCOPES"), "{table:?}");
    assert!(
        lines[1].contains("build agent  build agent  files:read files:write:/b/**") && lines[1].ends_with("good"),
        "{table:?}"
    );
    assert!(lines[2].contains("never") && lines[3].contains("unknown") && lines[3].ends_with("expired"), "{table:?}");
    assert!(!table.stdout.contains(key(&first)) && !std::fs::read_to_string(&file).expect("a file").contains(key(&first)));
}

#[test]
fn many_at_once_lose_nothing() {
    let (_place, file) = place();
    let makers: Vec<_> = (0..8)
        .map(|number| {
            let file = file.clone();
            std::thread::spawn(move || {
                let said = new(&file, &["--name", &format!("key-{number}"), "--scope", "files:read"]);
                key(&said).to_owned()
            })
        })
        .collect();
    let made: std::collections::BTreeSet<_> = makers.into_iter().map(|maker| maker.join().expect("a key")).collect();
    assert_eq!((made.len(), list(&file).len()), (8, 8));
    let revokers: Vec<_> = (0..7)
        .map(|number| {
            let file = file.clone();
            std::thread::spawn(move || run(&["keys", "revoke", &format!("key-{number}"), "--api-keys", &file]).code)
        })
        .collect();
    for revoker in revokers {
        assert_eq!(revoker.join().expect("an end"), Some(0));
    }
    assert_eq!(list(&file).iter().map(|key| key["name"].clone()).collect::<Vec<_>>(), ["key-7"]);
    assert!(is_alone(&file));
}

#[test]
fn what_people_wrote_into_the_file_stays() {
    let (_place, file) = place();
    let hash = |digit: &str| digit.repeat(64);
    let text = format!(
        "# Keys of the build farm.\n# Ask Ada before you change them.\n\n# the first\n[[key]]\nname = 'a' # short\nsha256 = \"{}\"\n\
         scopes = [ \"files:read\" ]\n\n# the second\n[[key]]\nname = \"b\"\nsha256 = \"{}\"\nscopes = \"files\"",
        hash("a"),
        hash("b")
    );
    std::fs::write(&file, &text).expect("a file");
    new(&file, &["--name", "c", "--scope", "files:read"]);
    let longer = std::fs::read_to_string(&file).expect("a file");
    assert!(longer.starts_with(&format!("{text}\n\n[[key]]\nname = \"c\"\n")), "{longer}");
    for (revoked, gone, stays) in
        [("a", "# the first", "# the second"), ("b", "# the second", "name = \"c\""), ("c", "name = \"c\"", "# Ask Ada")]
    {
        assert_eq!(run(&["keys", "revoke", revoked, "--api-keys", &file]).code, Some(0));
        let left = std::fs::read_to_string(&file).expect("a file");
        assert!(left.starts_with("# Keys of the build farm.\n# Ask Ada before you change them.\n"), "{left}");
        assert!(!left.contains(gone) && left.contains(stays), "{left}");
    }
    assert!(list(&file).is_empty());
    assert_eq!(new(&file, &["--name", "d", "--scope", "files"]).code, Some(0), "the file can be used again");
}

#[test]
fn the_file_keeps_its_rights_and_its_place() {
    let (place, file) = place();
    new(&file, &["--name", "a", "--scope", "files:read"]);
    assert_eq!(rights(Path::new(&file)), 0o600, "a new file is its owner's alone");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("rights");
    let link = place.path().join("link.toml");
    symlink("keys.toml", &link).expect("a link");
    new(text(&link), &["--name", "b", "--scope", "files:read"]);
    assert_eq!(rights(Path::new(&file)), 0o640, "rights stay");
    assert!(link.is_symlink() && list(&file).len() == 2, "the link leads to the file as before");
}

#[test]
fn a_file_with_a_mistake_stays_as_it_is() {
    let (_place, file) = place();
    for (broken, told) in [
        ("[[key]]\nname = \"a\"\nsha256 = \"hunter2\"\nscopes = \"files\"\n", "line 3"),
        ("not toml at all", "line 1"),
        ("[[key]]\nname = \"a\"\nkee = 1\n", "unknown field"),
        ("key = [{name = \"a\", sha256 = \"x\", scopes = \"files\"}]\n", "line 1"),
    ] {
        std::fs::write(&file, broken).expect("a file");
        for arguments in [&["new", "--name", "b", "--scope", "files"][..], &["revoke", "a"], &["list"]] {
            let said = run(&[&["keys"], arguments, &["--api-keys", &file]].concat());
            assert_eq!((said.code, said.stdout.as_str(), said.stderr.lines().count()), (Some(1), "", 1), "{said:?}");
            assert!(said.stderr.contains(told) && said.stderr.contains(&file) && !said.stderr.contains("hunter2"), "{said:?}");
            assert_eq!(std::fs::read_to_string(&file).expect("a file"), broken);
        }
    }
    assert!(is_alone(&file));
}

#[test]
fn what_cannot_be_is_told_and_changes_nothing() {
    let (_place, file) = place();
    new(&file, &["--name", "a", "--scope", "files:read"]);
    let before = std::fs::read_to_string(&file).expect("a file");
    let long = "x".repeat(129);
    for (arguments, code, told) in [
        (vec!["new", "--name", "a", "--scope", "files"], 1, "a key with the name `a` already"),
        (vec!["new", "--name", &long, "--scope", "files"], 1, "`name` must be 1 to 128 printable characters"),
        (vec!["new", "--name", "b", "--subject", "", "--scope", "files"], 1, "`subject` must be 1 to 128"),
        (vec!["new", "--name", "b", "--scope", "files:raed"], 2, "--scope: 'files:raed': it is no scope"),
        (vec!["new", "--name", "b", "--scope", "files:read files:write"], 2, "repeat --scope"),
        (vec!["new", "--name", "b"], 2, "--scope"),
        (vec!["new", "--name", "b", "--scope", "files", "--expires", "2020-01-01"], 2, "it has passed"),
        (vec!["new", "--name", "b", "--scope", "files", "--expires", "soon"], 2, "--expires: 'soon': write it like 90d"),
        (vec!["new", "--name", "b", "--scope", "files", "--expires", "99999y"], 2, "too far away"),
        (vec!["revoke", "b"], 1, "there is no key with the name `b`"),
    ] {
        let said = run(&[&["keys"], &arguments[..], &["--api-keys", &file]].concat());
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.lines().count()), (Some(code), "", 1), "{arguments:?} {said:?}");
        assert!(said.stderr.contains(told), "{told}: {said:?}");
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), before, "{arguments:?}");
    }
    let missing = format!("{file}.none");
    for arguments in [&["list"][..], &["revoke", "a"]] {
        let said = run(&[&["keys"], arguments, &["--api-keys", &missing]].concat());
        assert_eq!((said.code, said.stderr), (Some(1), format!("pressmark: {missing}: the file does not exist\n")));
    }
    let nowhere = new("/no/such/folder/keys.toml", &["--name", "b", "--scope", "files"]);
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (Some(1), ""), "{nowhere:?}");
    assert!(is_alone(&file));
    let foreign = new(&file, &["--name", "b", "--scope", "reports:read"]);
    assert!(foreign.code == Some(0) && foreign.stderr.contains("`reports:read` is no scope on files"), "{foreign:?}");
}
