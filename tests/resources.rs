//! Files and folders as resources, for callers of any scopes.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pressmark::auth::{Principal, ScopeSet};
use pressmark::call::Completion;
use pressmark::files::{MountSpec, Tree, View};
use pressmark::path::TreePath;
use pressmark::resources::{FileResources, FileUri, ListLimits, ResourceError};
use serde_json::{Value, json};
use tempfile::TempDir;

const PLENTY: ListLimits = ListLimits { resources: 1_000_000, bytes: usize::MAX };
const MAX_BYTES: usize = 100_000;

struct World(TempDir);

impl World {
    fn new(files: &[&str]) -> Self {
        let world = Self(TempDir::new().unwrap());
        fs::create_dir(world.at("")).unwrap();
        for file in files {
            world.write(file, format!("content of {file}"));
        }
        world
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join("served").join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// What a caller sees by a replica of its own.
    fn resources(&self, scopes: &[&str]) -> FileResources {
        let root = MountSpec { name: None, directory: self.at(""), writable: true };
        let scopes = ScopeSet::parse(scopes.iter().copied());
        let caller = Principal::new("test", "alice", scopes);
        FileResources::new(View::new(Arc::new(Tree::open(vec![root]).unwrap()), Arc::new(caller)))
    }

    fn full(&self) -> FileResources {
        self.resources(&["files"])
    }

    /// The paths of all pages, each page served by another replica.
    fn pages(&self, scopes: &[&str], limits: ListLimits) -> Vec<String> {
        let mut paths = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.resources(scopes).list(cursor.as_deref(), limits, &|| false).unwrap();
            assert!(page.resources.len() <= limits.resources);
            assert!(serde_json::to_string(&page.resources).unwrap().len() <= limits.bytes.saturating_add("[]".len()));
            paths.extend(page.resources.iter().map(|resource| resource.title.clone().unwrap()));
            cursor = page.next_cursor;
            match &cursor {
                Some(_) => assert!(paths.len() < 10_000, "it does not end"),
                None => return paths,
            }
        }
    }
}

fn read(resources: &FileResources, uri: &str) -> Result<Value, ResourceError> {
    resources.read(uri, MAX_BYTES, &|| false).map(|contents| serde_json::to_value(contents).unwrap())
}

fn complete(resources: &FileResources, typed: &str) -> Completion {
    resources.complete(typed, &|| false).unwrap()
}

fn files() -> World {
    let world = World::new(&[
        "/a.md",
        "/b/c.md",
        "/b/d/e.rs",
        "/b-x/y.md",
        "/b.md",
        "/z/ä ö.md",
        "/z/100%.md",
        "/.hidden/x.md",
        "/.env",
        "/.git/HEAD",
        "/.gitignore",
        "/target/out.o",
    ]);
    world.write("/.gitignore", "target/\n");
    symlink("a.md", world.at("/link.md")).unwrap();
    symlink("../..", world.at("/z/out")).unwrap();
    fs::create_dir(world.at("/empty")).unwrap();
    fs::write(world.at("/z").join(std::ffi::OsStr::from_bytes(b"not\xFFutf8")), "").unwrap();
    world
}

const LISTED: [&str; 13] =
    ["/", "/a.md", "/b", "/b/c.md", "/b/d", "/b/d/e.rs", "/b-x", "/b-x/y.md", "/b.md", "/empty", "/z", "/z/100%.md", "/z/ä ö.md"];

#[test]
fn pages_of_any_size_join_to_everything_that_is_listed() {
    let world = files();
    let all = world.pages(&["files"], PLENTY);
    assert_eq!(all.iter().map(String::as_str).collect::<BTreeSet<_>>(), LISTED.into());
    let position = |path: &str| all.iter().position(|found| found == path).unwrap();
    assert!(position("/") == 0 && position("/b") < position("/b/c.md") && position("/b/d") < position("/b/d/e.rs"));
    for resources in [1, 2, 3, 5, 100] {
        for bytes in [250, 1000, usize::MAX] {
            assert_eq!(world.pages(&["files"], ListLimits { resources, bytes }), all, "{resources} of {bytes} bytes");
        }
    }
}

#[test]
fn every_listed_resource_can_be_read_and_says_what_it_is() {
    let world = files();
    let resources = world.full();
    let page = resources.list(None, PLENTY, &|| false).unwrap();
    for resource in &page.resources {
        let contents = read(&resources, &resource.uri).unwrap();
        assert_eq!(contents["uri"], json!(resource.uri));
        let path = resource.title.as_deref().unwrap();
        if resource.mime_type.as_deref() == Some("inode/directory") {
            assert_eq!(resource.size, None);
            assert_eq!(contents["mimeType"], "inode/directory");
        } else {
            assert_eq!(contents["text"], json!(format!("content of {path}")));
            assert_eq!(resource.size, Some(format!("content of {path}").len() as u64));
        }
    }
    let shown = |path: &str| {
        let found = page.resources.iter().find(|resource| resource.title.as_deref() == Some(path)).unwrap();
        let mut shown = serde_json::to_value(found).unwrap();
        let modified = shown["annotations"]["lastModified"].take();
        assert!(modified.as_str().unwrap().ends_with('Z'));
        shown
    };
    let wanted = json!({
        "uri": "file:///z/%C3%A4%20%C3%B6.md", "name": "ä ö.md", "title": "/z/ä ö.md", "mimeType": "text/markdown", "size": 22,
        "annotations": {"lastModified": null},
    });
    assert_eq!(shown("/z/ä ö.md"), wanted);
    let wanted = json!({
        "uri": "file:///b", "name": "b", "title": "/b", "mimeType": "inode/directory", "annotations": {"lastModified": null},
    });
    assert_eq!(shown("/b"), wanted);
}

#[test]
fn a_cursor_goes_on_where_its_page_ended_whatever_has_happened_since() {
    let world = files();
    let two = ListLimits { resources: 4, bytes: usize::MAX };
    let first = world.full().list(None, two, &|| false).unwrap();
    assert_eq!(first.resources.last().unwrap().uri, "file:///b/c.md");
    world.write("/a-new.md", "");
    fs::remove_file(world.at("/b/c.md")).unwrap();
    let again = || world.full().list(first.next_cursor.as_deref(), two, &|| false).unwrap();
    assert_eq!(again().resources[0].uri, "file:///b/d");
    assert_eq!(again(), again(), "a cursor never moves");
    fs::remove_dir_all(world.at("/b")).unwrap();
    assert_eq!(again().resources[0].uri, "file:///b-x");
    for forged in ["", "p!", "p=", "x", "\0", "Lw", &"p".repeat(50)] {
        let refused = world.full().list(Some(forged), two, &|| false);
        let is_harmless = matches!(&refused, Err(ResourceError::InvalidCursor) | Ok(_));
        assert!(is_harmless, "{forged}: {refused:?}");
    }
    assert!(matches!(world.full().list(Some("nonsense"), two, &|| false), Err(ResourceError::InvalidCursor)));
}

#[test]
fn narrowed_callers_see_their_part_and_the_way_to_it() {
    let world = World::new(&["/org/team-a/plan.md", "/org/team-a/x/y.md", "/org/team-b/zebra.md", "/notes/mine.md", "/zebra.md"]);
    symlink("../team-b/zebra.md", world.at("/org/team-a/link.md")).unwrap();
    let scopes = ["files:read:/org/team-a/**", "files:read:/notes/mine.md"];
    let seen =
        ["/", "/notes", "/notes/mine.md", "/org", "/org/team-a", "/org/team-a/plan.md", "/org/team-a/x", "/org/team-a/x/y.md"];
    for resources in [1, 3, 100] {
        assert_eq!(world.pages(&scopes, ListLimits { resources, bytes: usize::MAX }), seen);
    }
    // A cursor that stands at what the caller may not see shows it nothing of that.
    let hidden = format!("p{}", URL_SAFE_NO_PAD.encode(b"org\0team-b\0zebra.md"));
    let page = world.resources(&scopes).list(Some(&hidden), PLENTY, &|| false).unwrap();
    assert_eq!(page.resources, []);
    let narrowed = world.resources(&scopes);
    let error = |uri: &str| read(&narrowed, uri).unwrap_err().to_string().replace(uri, "<uri>");
    let missing = error("file:///org/team-a/none.md");
    for uri in
        ["file:///zebra.md", "file:///none.md", "file:///org/team-b", "file:///org/team-b/none", "file:///org/team-a/link.md"]
    {
        assert_eq!(error(uri), missing, "{uri}");
    }
    let listing = read(&narrowed, "file:///org").unwrap()["text"].as_str().unwrap().to_owned();
    assert!(listing.contains("team-a") && !listing.contains("team-b"), "{listing}");
    assert_eq!(complete(&narrowed, "org/t").values, ["org/team-a/"]);
    assert_eq!(complete(&narrowed, "").values, ["notes/", "org/"]);
    assert_eq!(complete(&narrowed, "org/team-b/"), complete(&narrowed, "none/"));
    assert_eq!(complete(&narrowed, "zeb").values.len(), 0);
}

#[test]
fn content_is_text_or_bytes_and_never_a_part() {
    let world = World::new(&[]);
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain("ä\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let png = b"\x89PNG\r\n\x1A\n\0\0";
    let mut broken = "täxt ".repeat(200).into_bytes();
    broken.push(0xFF);
    for (name, content) in [("t.ts", b"let a;\n".as_slice()), ("u.txt", &utf16), ("p.png", png), ("b.txt", &broken), ("e", b"")] {
        world.write(name, content);
    }
    let resources = world.full();
    let get = |name: &str| {
        let mut contents = read(&resources, &format!("file:///{name}")).unwrap();
        assert_eq!(contents.as_object_mut().unwrap().remove("uri"), Some(json!(format!("file:///{name}"))));
        contents
    };
    assert_eq!(get("t.ts"), json!({"mimeType": "text/plain", "text": "let a;\n"}));
    assert_eq!(get("u.txt"), json!({"mimeType": "text/plain", "text": "ä\n"}));
    assert_eq!(get("p.png"), json!({"mimeType": "image/png", "blob": STANDARD.encode(png)}));
    assert_eq!(get("b.txt")["blob"], json!(STANDARD.encode(&broken)), "its text would lose a byte");
    assert_eq!(get("e"), json!({"mimeType": "text/plain", "text": ""}));
    // Exactly the limit, and one more.
    world.write("full", "x".repeat(MAX_BYTES));
    assert_eq!(get("full")["text"].as_str().unwrap().len(), MAX_BYTES);
    world.write("more", "x".repeat(MAX_BYTES + 1));
    let refused = read(&resources, "file:///more").unwrap_err();
    assert!(matches!(&refused, ResourceError::TooLarge { size: 100_001, limit: 100_000, .. }), "{refused:?}");
    assert!(refused.to_string().contains(r#"read_file reads it in pages, as in {"path": "/more"}"#), "{refused}");
}

#[test]
fn what_is_no_resource_says_so() {
    let world = files();
    assert!(Command::new("mkfifo").arg(world.at("/pipe")).status().unwrap().success());
    let resources = world.full();
    for uri in ["file:///none", "file:///a.md/x", "file:///z/out", "file:///z/out/etc"] {
        let refused = read(&resources, uri).unwrap_err();
        assert!(matches!(&refused, ResourceError::NotFound { uri: named } if named == uri), "{uri}: {refused:?}");
    }
    assert!(matches!(read(&resources, "file:///pipe"), Err(ResourceError::Unreadable { .. })));
    for uri in ["/a.md", "file:///a/../b", "http://x/", "file://host/a.md"] {
        assert!(matches!(read(&resources, uri), Err(ResourceError::InvalidUri { .. })), "{uri}");
    }
    let long = read(&resources, &"ä".repeat(1_000_000)).unwrap_err();
    assert!(long.to_string().len() < 1000);
    assert_eq!(read(&resources, "file:///link.md").unwrap()["text"], "content of /a.md", "a link inside of the mount");
}

#[test]
fn a_folder_lists_its_entries_by_their_uris() {
    let world = files();
    let resources = world.full();
    let text = |uri: &str| match resources.read(uri, MAX_BYTES, &|| false).unwrap().text {
        Some(text) => serde_json::from_str::<Value>(&text).unwrap(),
        None => panic!("bytes"),
    };
    let wanted = json!({"path": "/b", "entries": [
        {"name": "c.md", "type": "file", "uri": "file:///b/c.md"},
        {"name": "d", "type": "folder", "uri": "file:///b/d"},
    ]});
    assert_eq!(text("file:///b/"), wanted);
    let before = text("file:///b");
    world.write("/b/c.md", "another text");
    assert_eq!(text("file:///b"), before, "what is in a file is no part of it");
    assert_eq!(text("file:///empty"), json!({"path": "/empty", "entries": []}));
    for number in 0..1500 {
        world.write(&format!("/many/{number}"), "");
        world.write(&format!("/many/.{number}"), "");
    }
    let many = text("file:///many");
    assert_eq!(many["entries"].as_array().unwrap().len(), 1000);
    assert!(many["more"].as_str().unwrap().contains("list_directory"));
}

#[test]
fn completion_gives_what_goes_on_from_what_was_typed() {
    let world = files();
    let resources = world.full();
    let values = |typed: &str| {
        let found = complete(&resources, typed);
        assert_eq!((found.total, found.has_more), (Some(found.values.len()), false), "{typed}");
        found.values
    };
    assert_eq!(values("b"), ["b/", "b-x/", "b.md"]);
    assert_eq!(values("b/"), ["b/c.md", "b/d/"]);
    assert_eq!(values("/b/d/e"), ["b/d/e.rs"]);
    assert_eq!(values(".e"), [".env"]);
    assert!(values("").iter().all(|value| !value.starts_with('.')));
    for nothing in ["q", "none/", "a.md/", "../", "b/../", "z/out/", "z/out/e", "b//", "\0", "%ff", "%00"] {
        assert_eq!(values(nothing).len(), usize::from(nothing == "b//") * 2, "{nothing:?}");
    }
    for number in 0..250 {
        world.write(&format!("/many/{number:03}"), "");
    }
    let many = complete(&resources, "many/");
    assert_eq!((many.values.len(), many.total, many.has_more), (100, None, true));
    assert_eq!((many.values[0].as_str(), many.values[99].as_str()), ("many/000", "many/099"));
    assert_eq!(values("many/24").len(), 10);
    let exactly = (0..100).map(|number| format!("/hundred/{number}"));
    exactly.for_each(|file| world.write(&file, ""));
    assert_eq!(values("hundred/").len(), 100);
}

/// What RFC 6570 makes of `{+path}`: reserved and unreserved characters and percent-encodings stand, the rest is encoded.
fn expand(value: &str) -> String {
    let mut uri = "file:///".to_owned();
    for byte in value.bytes() {
        match byte {
            b'%' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => uri.push(byte.into()),
            byte if b"-._~:/?#[]@!$&'()*+,;=".contains(&byte) => uri.push(byte.into()),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[test]
fn completed_values_expand_to_uris_and_go_on() {
    let names = ["a b", "ä", "100%", "50%25", "what?", "c#", "[x]", "new\nline", "a+b", "q\"q", "{x}", "a;b=c"];
    let world = World::new(&[]);
    for name in names {
        world.write(&format!("/d{name}/file"), "found");
    }
    let resources = world.full();
    let folders = complete(&resources, "d").values;
    assert_eq!(folders.len(), names.len());
    for folder in &folders {
        let inside = complete(&resources, folder).values;
        assert_eq!(inside, [format!("{folder}file")]);
        let uri: FileUri = expand(&inside[0]).parse().unwrap_or_else(|error| panic!("{}: {error}", inside[0]));
        assert_eq!(read(&resources, &uri.to_string()).unwrap()["text"], "found");
    }
    let raw = complete(&resources, "da ").values;
    assert_eq!(raw, ["da b/"]);
    assert_eq!(FileResources::templates()[0].uri_template, "file:///{+path}");
    assert_eq!(TreePath::parse("/da b").unwrap(), *"file:///da%20b".parse::<FileUri>().unwrap().path());
}

#[test]
fn nobody_is_waited_for() {
    let world = files();
    let resources = world.full();
    assert!(resources.list(None, PLENTY, &|| true).is_err());
    assert!(resources.read("file:///b", MAX_BYTES, &|| true).is_err());
    assert!(resources.complete("b", &|| true).is_err());
}
