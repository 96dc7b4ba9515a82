//! Mounts put together, and what a caller may do in them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pressmark::auth::{Permission, Principal};
use pressmark::files::{FileError, FileKind, MountSpec, Tree, TreeError, View};
use tempfile::TempDir;

use crate::support::{caller, full, path};

fn mount(name: Option<&str>, directory: &Path, writable: bool) -> MountSpec {
    MountSpec { name: name.map(str::to_owned), directory: directory.to_owned(), writable }
}

/// Folders `a`, `b` and `c`, each with a file that says where it is; `a` has a folder `b` too.
fn folders() -> TempDir {
    let temp = TempDir::new().unwrap();
    for name in ["a", "b", "c", "a/b"] {
        fs::create_dir(temp.path().join(name)).unwrap();
        fs::write(temp.path().join(name).join("where"), name).unwrap();
    }
    temp
}

fn read(view: &View, at: &str) -> Result<String, FileError> {
    view.open_file(&path(at)).map(|open| std::io::read_to_string(open.file).unwrap())
}

fn view(specs: Vec<MountSpec>, caller: &Arc<Principal>) -> View {
    View::new(Arc::new(Tree::open(specs).unwrap()), Arc::clone(caller))
}

#[test]
fn trees_that_cannot_be_put_together_say_why() {
    let temp = folders();
    let (a, file) = (temp.path().join("a"), temp.path().join("a/where"));
    let open = |specs| Tree::open(specs).unwrap_err();
    assert!(matches!(open(vec![]), TreeError::Empty));
    assert!(matches!(open(vec![mount(None, &temp.path().join("none"), true)]), TreeError::Missing(_)));
    assert!(matches!(open(vec![mount(None, &file, true)]), TreeError::NotAFolder(_)));
    assert!(matches!(open(vec![mount(None, &a, true), mount(None, &a, true)]), TreeError::Duplicate(_)));
    assert!(matches!(open(vec![mount(Some("x"), &a, true), mount(Some("x"), &a, true)]), TreeError::Duplicate(_)));
    for name in ["", "/", ".", "..", "a/b", "/a", "a/", "a\0", "a\nb", &"x".repeat(256)] {
        assert!(matches!(open(vec![mount(Some(name), &a, true)]), TreeError::BadName(_)), "{name:?}");
    }
}

#[test]
fn named_mounts_shadow_entries_of_the_root() {
    let temp = folders();
    let specs = vec![
        mount(None, &temp.path().join("a"), true),
        mount(Some("b"), &temp.path().join("b"), false),
        mount(Some("other name"), &temp.path().join("c"), true),
    ];
    let view = view(specs, &full());
    assert_eq!(read(&view, "/where").unwrap(), "a");
    assert_eq!(read(&view, "/b/where").unwrap(), "b");
    assert_eq!(read(&view, "/other name/where").unwrap(), "c");
    assert!(view.is_writable(&path("/new")) && !view.is_writable(&path("/b/new")) && !view.is_writable(&path("/b")));
}

#[test]
fn a_tree_of_names_has_a_root_that_holds_nothing_else() {
    let temp = folders();
    let specs = vec![mount(Some("b"), &temp.path().join("b"), true), mount(Some("c"), &temp.path().join("c"), true)];
    let view = view(specs, &full());
    assert!(view.open_folder(&path("/")).unwrap().dir().is_none());
    assert_eq!(view.metadata(&path("/")).unwrap().kind, FileKind::Folder);
    assert_eq!(view.metadata(&path("/b")).unwrap().kind, FileKind::Folder);
    assert!(matches!(view.metadata(&path("/where")), Err(FileError::NotFound(_))));
    assert!(matches!(view.open_folder(&path("/x/y")), Err(FileError::NotFound(_))));
    for at in ["/", "/b", "/new", "/new/deeper"] {
        assert!(matches!(view.open_parent(&path(at), Permission::Write), Err(FileError::ReadOnly { .. })), "{at}");
        assert!(matches!(view.create_parents(&path(at)), Err(FileError::ReadOnly { .. })), "{at}");
    }
    assert_eq!(view.open_parent(&path("/b/new"), Permission::Write).unwrap().name, "new");
}

#[test]
fn a_read_only_mount_cannot_be_changed() {
    let temp = folders();
    let view = view(vec![mount(None, &temp.path().join("a"), false)], &full());
    for permission in [Permission::Write, Permission::Delete] {
        assert!(matches!(view.open_parent(&path("/where"), permission), Err(FileError::ReadOnly { .. })));
    }
    assert!(view.open_parent(&path("/where"), Permission::Read).is_ok());
    assert!(matches!(view.create_parents(&path("/x/y")), Err(FileError::ReadOnly { .. })));
    assert!(!temp.path().join("a/x").exists());
}

#[test]
fn errors_name_what_is_in_the_way() {
    let temp = folders();
    let specs = || vec![mount(None, temp.path(), true)];
    for caller in [full(), caller("bob", &["files:/a/**"])] {
        let view = view(specs(), &caller);
        let not_a_folder = view.open_file(&path("/a/where/x/y")).unwrap_err();
        assert!(matches!(not_a_folder, FileError::NotAFolder(at) if at == path("/a/where")));
        assert!(matches!(view.open_folder(&path("/a/where")).unwrap_err(), FileError::NotAFolder(at) if at == path("/a/where")));
        assert!(matches!(view.open_file(&path("/a/b")).unwrap_err(), FileError::IsAFolder(_)));
        let missing = view.open_parent(&path("/a/none/x"), Permission::Write).unwrap_err();
        assert!(matches!(missing, FileError::NotFound(at) if at.is_within(&path("/a/none"))));
    }
}

#[test]
fn missing_folders_are_made_where_the_caller_may_write() {
    let temp = folders();
    let view = |scopes: &[&str]| view(vec![mount(None, temp.path(), true)], &caller("bob", scopes));
    let writer = view(&["files:write:/a/**"]);
    writer.create_parents(&path("/a/x/y/z/file")).unwrap();
    writer.create_parents(&path("/a/x/y/z/file")).unwrap();
    assert!(temp.path().join("a/x/y/z").is_dir() && !temp.path().join("a/x/y/z/file").exists());
    assert!(matches!(writer.create_parents(&path("/b/x/y")), Err(FileError::Forbidden(_))));
    let one_file = view(&["files:write:/b/new/file"]);
    assert!(matches!(one_file.create_parents(&path("/b/new/file")), Err(FileError::Forbidden(at)) if at == path("/b/new")));
    assert!(!temp.path().join("b/new").exists());
    assert!(matches!(writer.create_parents(&path("/a/where/x/y")), Err(FileError::NotAFolder(_))));
    std::os::unix::fs::symlink("../b", temp.path().join("a/link")).unwrap();
    assert!(matches!(writer.create_parents(&path("/a/link/x/y")), Err(FileError::LinkRefused(_))));
    assert!(!temp.path().join("b/x").exists());
    assert!(writer.create_parents(&path(&format!("/a{}", "/d".repeat(99)))).is_ok(), "deep");
    assert!(matches!(writer.create_parents(&path(&format!("/a{}", "/e".repeat(100)))), Err(FileError::Unsuitable { .. })));
    assert!(!temp.path().join("a/e").exists(), "nothing of what is too deep");
}

#[test]
fn a_narrowed_caller_sees_its_part_and_the_way_to_it() {
    let temp = folders();
    let view = view(vec![mount(None, temp.path(), true)], &caller("bob", &["files:read:/a/b/**", "files:read:/c/where"]));
    assert_eq!(read(&view, "/a/b/where").unwrap(), "a/b");
    assert_eq!(read(&view, "/c/where").unwrap(), "c");
    assert!(view.open_folder(&path("/")).is_ok() && view.open_folder(&path("/a")).is_ok());
    assert!(view.metadata(&path("/a")).is_ok());
    for forbidden in ["/a/where", "/b/where", "/c/other", "/a/none", "/none"] {
        assert!(matches!(read(&view, forbidden), Err(FileError::Forbidden(_))), "{forbidden}");
        assert!(matches!(view.metadata(&path(forbidden)), Err(FileError::Forbidden(_))), "{forbidden}");
        assert!(matches!(view.open_parent(&path(forbidden), Permission::Read), Err(FileError::Forbidden(_))), "{forbidden}");
        assert!(matches!(view.open_folder(&path(forbidden)), Err(FileError::Forbidden(_))), "{forbidden}");
    }
    assert!(matches!(view.open_parent(&path("/a/b/where"), Permission::Write), Err(FileError::Forbidden(_))));
    assert!(matches!(view.open_parent(&path("/a/b/where"), Permission::Delete), Err(FileError::Forbidden(_))));
}

#[test]
fn a_lost_mount_is_noticed() {
    let temp = folders();
    let tree = Tree::open(vec![mount(Some("b"), &temp.path().join("b"), true)]).unwrap();
    tree.check().unwrap();
    fs::rename(temp.path().join("b"), temp.path().join("moved")).unwrap();
    let lost = tree.check().unwrap_err();
    assert!(matches!(&lost, TreeError::Lost { path: at, .. } if *at == path("/b")));
    assert!(!lost.to_string().contains(temp.path().to_str().unwrap()), "{lost}");
    fs::create_dir(temp.path().join("b")).unwrap();
    assert!(matches!(tree.check(), Err(TreeError::Lost { .. })), "another folder in its place");
}
