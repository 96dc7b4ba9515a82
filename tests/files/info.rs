//! `get_file_info`.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::support::{Page, Served, caller};

#[test]
fn a_file_is_described() {
    let served = Served::new();
    let content = "naïve\r\ncafé";
    served.write("notes/guide.md", content);
    let info = served.info("/notes/guide.md");
    assert_eq!(info["type"], "file");
    assert_eq!(info["size"], content.len());
    assert_eq!(info["mime_type"], "text/markdown");
    assert_eq!(info["encoding"], "utf-8");
    assert_eq!(info["lines"], 2);
    assert_eq!(info["blake3"], blake3::hash(content.as_bytes()).to_hex().to_string());
    assert_eq!(info["writable"], true);
    let modified = humantime::parse_rfc3339(info["modified"].as_str().unwrap()).unwrap();
    assert!(modified.elapsed().unwrap().as_secs() < 60);
    assert_eq!(info["version"], served.read(&json!({ "path": "/notes/guide.md" })).structured["version"]);
}

#[test]
fn what_is_no_text_file_is_described_too() {
    let served = Served::new();
    served.write("folder/data", b"\0\0");
    let folder = served.info("/folder");
    assert_eq!((&folder["type"], folder.get("size"), folder.get("version")), (&json!("folder"), None, None));
    let data = served.info("/folder/data");
    assert_eq!((data.get("encoding"), data.get("lines")), (None, None));
    assert_eq!(data["mime_type"], "application/octet-stream");
    fs::write(served.at("large"), "line\n".repeat(4 << 20)).unwrap();
    let large = served.info("/large");
    assert_eq!((large.get("blake3"), large.get("lines"), &large["encoding"]), (None, None, &json!("utf-8")));
    let root = served.info("/");
    assert_eq!((&root["type"], &root["writable"]), (&json!("folder"), &json!(false)));
}

#[test]
fn a_link_is_a_link() {
    let served = Served::new();
    served.write("folder/file", "text");
    fs::write(served.outside("secret"), "secret").unwrap();
    symlink("folder/file", served.at("to_file")).unwrap();
    symlink("folder", served.at("to_folder")).unwrap();
    symlink("nowhere", served.at("to_nothing")).unwrap();
    symlink("../outside/secret", served.at("to_outside")).unwrap();
    for (name, leads_to) in
        [("to_file", json!("file")), ("to_folder", json!("folder")), ("to_nothing", json!(null)), ("to_outside", json!(null))]
    {
        let info = served.info(name);
        assert_eq!((&info["type"], &info["leads_to"]), (&json!("symlink"), &leads_to), "{name}");
        assert_eq!((info.get("size"), info.get("blake3")), (None, None), "{name}");
    }
    let narrowed = caller("bob", &["files:read:/to_file"]);
    let info = Page::new(served.call(&narrowed, "get_file_info", &json!({ "path": "/to_file" })).unwrap()).structured;
    assert_eq!((&info["type"], info.get("leads_to"), &info["writable"]), (&json!("symlink"), None, &json!(false)));
}
