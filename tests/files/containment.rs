//! Hostile paths: refused with a clear error by everything that takes a path, without waiting and without a hint of what
//! lies outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pressmark::auth::{Permission, Principal};
use pressmark::call::ToolErrorKind::{self, Conflict, Forbidden, InvalidArgument, NotFound};
use rustix::fs::{CWD, FileType, Mode};
use serde_json::json;

use crate::support::{Page, Served, caller, full, name_of};

const SECRET: &str = "SECRET";

/// A served folder with every kind of trap in it.
fn trapped() -> (Served, UnixListener) {
    let served = Served::new();
    served.write("plain", "inside");
    served.write("sub/plain", "inside");
    served.write("other/private", SECRET);
    fs::create_dir(served.outside("folder")).unwrap();
    fs::write(served.outside("secret"), SECRET).unwrap();
    fs::write(served.outside("folder/secret"), SECRET).unwrap();
    let outside = served.temp.path().join("outside");
    for (target, name) in [
        (outside.join("secret").to_str().unwrap(), "absolute_file"),
        (outside.to_str().unwrap(), "absolute_folder"),
        ("../outside/secret", "relative_file"),
        ("../outside", "relative_folder"),
        ("../../outside", "sub/deep"),
        ("../../../../../../../../../../../../../etc/passwd", "far_up"),
        ("sub/../../outside/secret", "down_and_up"),
        ("../served/plain", "out_and_in"),
        (served.at("plain").to_str().unwrap(), "absolute_inside"),
        ("absolute_file", "link_to_link"),
        ("link_to_link", "link_to_link_to_link"),
        ("relative_folder", "link_to_folder_link"),
        ("/", "to_system_root"),
        ("..", "to_parent"),
        ("loop", "loop"),
        ("loop_b", "loop_a"),
        ("loop_a", "loop_b"),
        ("/proc/self/root", "proc_root"),
        ("/proc/self/cwd", "proc_cwd"),
        ("/proc/self/environ", "proc_environ"),
        ("/dev/zero", "dev_zero"),
        ("/dev/stdin", "dev_stdin"),
        ("fifo", "link_to_fifo"),
        ("nowhere", "dangling"),
    ] {
        symlink(target, served.at(name)).unwrap();
    }
    rustix::fs::mknodat(CWD, served.at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let socket = UnixListener::bind(served.at("socket")).unwrap();
    fs::write(served.at(name_of(b"bad\xFFname")), "not addressable").unwrap();
    (served, socket)
}

/// Each path with the kind of the error that reading it gives.
fn hostile_paths(served: &Served) -> Vec<(String, ToolErrorKind)> {
    let outside = served.outside("secret").to_str().unwrap().to_owned();
    let fixed = [
        // Up and out, in every spelling.
        ("..", InvalidArgument),
        ("/..", InvalidArgument),
        ("../outside/secret", InvalidArgument),
        ("/../outside/secret", InvalidArgument),
        ("/sub/../../outside/secret", InvalidArgument),
        ("/sub/..", InvalidArgument),
        ("/sub/../plain", InvalidArgument),
        ("/./.././outside/secret", InvalidArgument),
        ("//..//outside//secret", InvalidArgument),
        ("sub/..//../outside/secret", InvalidArgument),
        ("/%2e%2e/outside/secret", NotFound),
        ("%2e%2e%2foutside%2fsecret", NotFound),
        ("/..%2foutside%2fsecret", NotFound),
        ("/%252e%252e/outside/secret", NotFound),
        ("/..\\outside\\secret", NotFound),
        ("\\..\\..\\outside", NotFound),
        ("/．．/outside/secret", NotFound),
        ("/‥/outside/secret", NotFound),
        ("/.../outside/secret", NotFound),
        ("/....//outside", NotFound),
        ("/sub./plain", NotFound),
        ("/plain.", NotFound),
        ("/plain ", NotFound),
        ("/ plain", NotFound),
        ("/PLAIN", NotFound),
        ("/plain::$DATA", NotFound),
        // Places of the machine, taken for places in the tree.
        ("/etc/passwd", NotFound),
        ("/proc/self/environ", NotFound),
        ("/proc/self/root/etc/passwd", NotFound),
        ("/dev/zero", NotFound),
        ("file:///etc/passwd", NotFound),
        ("~/secret", NotFound),
        ("$HOME/secret", NotFound),
        // NUL, in front, within and behind.
        ("/\0", InvalidArgument),
        ("/plain\0", InvalidArgument),
        ("/plain\0.md", InvalidArgument),
        ("\0/../outside/secret", InvalidArgument),
        // Files taken for folders.
        ("/plain/x", Conflict),
        ("/plain/x/y", Conflict),
        ("/sub/plain/x", Conflict),
        // Links that lead out, at the end and on the way.
        ("/absolute_file", Forbidden),
        ("/absolute_folder/secret", Forbidden),
        ("/absolute_folder/folder/secret", Forbidden),
        ("/relative_file", Forbidden),
        ("/relative_folder/secret", Forbidden),
        ("/relative_folder/none", Forbidden),
        ("/sub/deep/secret", Forbidden),
        ("/far_up", Forbidden),
        ("/down_and_up", Forbidden),
        ("/out_and_in", Forbidden),
        ("/absolute_inside", Forbidden),
        ("/link_to_link", Forbidden),
        ("/link_to_link_to_link", Forbidden),
        ("/link_to_folder_link/secret", Forbidden),
        ("/to_system_root/etc/passwd", Forbidden),
        ("/to_parent/outside/secret", Forbidden),
        ("/loop", Forbidden),
        ("/loop_a/x", Forbidden),
        // What is no file.
        ("/proc_root/etc/passwd", Forbidden),
        ("/proc_cwd/Cargo.toml", Forbidden),
        ("/proc_environ", Forbidden),
        ("/dev_zero", Forbidden),
        ("/dev_stdin", Forbidden),
        ("/fifo", Forbidden),
        ("/link_to_fifo", Forbidden),
        ("/socket", Forbidden),
        ("/dangling", NotFound),
        // A name that is not UTF-8 on disk has no path.
        ("/bad\u{FFFD}name", NotFound),
        ("/badÿname", NotFound),
    ];
    let made = [
        (outside.clone(), NotFound),
        (format!("/{outside}"), NotFound),
        (format!("/{}", "x".repeat(255)), NotFound),
        (format!("/{}", "x".repeat(256)), InvalidArgument),
        (format!("/{}", "é".repeat(128)), InvalidArgument),
        ("/x".repeat(2048), NotFound),
        ("/x".repeat(2049), InvalidArgument),
        (format!("/sub{}", "/.".repeat(5000)), InvalidArgument),
        (format!("/{}outside/secret", "../".repeat(100)), InvalidArgument),
    ];
    fixed.into_iter().map(|(path, kind)| (path.to_owned(), kind)).chain(made).collect()
}

#[test]
fn hostile_paths_are_refused() {
    let (served, _socket) = trapped();
    let rows = hostile_paths(&served);
    assert!(rows.len() >= 40);
    for (path, kind) in rows {
        let begin = Instant::now();
        let what = path.chars().take(80).collect::<String>();
        let arguments = json!({ "path": path });
        let error = served.try_read(&arguments).expect_err(&what);
        assert_eq!(error.kind(), kind, "{what}: {}", error.text());
        check_text(&served, &what, &error.text());
        match served.call(&full(), "get_file_info", &arguments).map(Page::new) {
            // A link or a pipe is told to be one, and nothing of what it leads to outside.
            Ok(info) => {
                let kind = info.structured["type"].as_str().unwrap();
                assert!(["symlink", "other"].contains(&kind), "{what}: {}", info.structured);
                let told = info.structured.get("leads_to");
                assert!(told.is_none_or(|told| told == "other" && what == "/link_to_fifo"), "{what}: {}", info.structured);
                check_text(&served, &what, &info.structured.to_string());
            }
            Err(error) => check_text(&served, &what, &error.text()),
        }
        if let Ok(path) = pressmark::path::TreePath::parse(&path) {
            let error = served.view(&full()).open_folder(&path).map(|_| ()).expect_err(&what);
            check_text(&served, &what, &error.to_string());
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "{what}: waited {:?}", begin.elapsed());
    }
}

/// Neither what lies outside nor where the tree lies on this machine. What the caller itself wrote may come back.
fn check_text(served: &Served, path: &str, text: &str) {
    assert!(!text.contains(SECRET), "{path}: {text}");
    let machine = served.temp.path().to_str().unwrap();
    assert!(!text.contains(machine) || path.contains(machine), "{path}: {text}");
}

#[test]
fn a_device_is_refused() {
    let (served, _socket) = trapped();
    // Only the administrator can make one: the links to /dev in the table stand for it otherwise.
    if rustix::fs::mknodat(CWD, served.at("device"), FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 5)).is_ok() {
        assert_eq!(served.try_read(&json!({ "path": "/device" })).unwrap_err().kind(), Forbidden);
        assert_eq!(served.info("/device")["type"], "other");
    }
}

#[test]
fn links_that_stay_inside_are_followed_for_a_caller_of_the_whole_tree() {
    let (served, _socket) = trapped();
    symlink("sub/plain", served.at("to_file")).unwrap();
    symlink("../sub", served.at("other/to_folder")).unwrap();
    symlink("other/to_folder", served.at("to_link")).unwrap();
    for path in ["/to_file", "/other/to_folder/plain", "/to_link/plain"] {
        assert_eq!(served.read(&json!({ "path": path })).text(), "inside", "{path}");
    }
}

#[test]
fn no_link_is_followed_for_a_narrowed_caller() {
    let (served, _socket) = trapped();
    symlink("../other/private", served.at("sub/to_file")).unwrap();
    symlink("../other", served.at("sub/to_folder")).unwrap();
    symlink("plain", served.at("sub/to_plain")).unwrap();
    symlink("sub", served.at("to_sub")).unwrap();
    let narrowed = caller("bob", &["files:/sub/**", "files:/to_sub/**"]);
    let read = |path: &str| served.call(&narrowed, "read_file", &json!({ "path": path }));
    assert_eq!(Page::new(read("/sub/plain").unwrap()).text(), "inside");
    for path in ["/sub/to_file", "/sub/to_folder/private", "/sub/to_plain", "/to_sub/plain", "/sub/deep/secret"] {
        let error = read(path).expect_err(path);
        assert_eq!(error.kind(), Forbidden, "{path}");
        assert!(error.text().contains("symbolic link"), "{path}: {}", error.text());
        cannot_be_operated_on(&served, &narrowed, path);
    }
    for path in ["/other/private", "/plain", "/"] {
        assert_eq!(read(path).expect_err(path).kind(), Forbidden, "{path}");
    }
}

/// The folder of what lies behind a link cannot be opened for writing either.
fn cannot_be_operated_on(served: &Served, caller: &Arc<Principal>, behind: &str) {
    let path = crate::support::path(&format!("{behind}/entry"));
    for permission in [Permission::Read, Permission::Write, Permission::Delete] {
        assert!(served.view(caller).open_parent(&path, permission).is_err(), "{path}");
    }
}

#[test]
fn names_of_every_kind_can_be_used() {
    let served = Served::new();
    for name in
        ["with space", "ünïcode €", "日本語", "quote\"d", "back\\slash", "line\nbreak", "-dash", "*?[]{}", "%2e%2e", "~", "."]
    {
        let name = if name == "." { "...".to_owned() } else { name.to_owned() };
        served.write(&format!("folder {name}/{name}"), &name);
        let page = served.read(&json!({ "path": format!("/folder {name}/{name}") }));
        assert_eq!(page.text(), name);
        assert!(!page.summary().contains('\n'));
    }
}
