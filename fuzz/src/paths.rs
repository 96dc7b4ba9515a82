//! Paths and their URIs as callers write them: whatever is accepted stays in the tree and has one spelling.

use pressmark::path::{PathError, TreePath};
use pressmark::resources::FileUri;

/// `input` is the path, or its URI.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(uri) = text.parse::<FileUri>() {
        check_accepted(uri.path().as_str(), uri.path());
    }
    let as_json = serde_json::from_value::<TreePath>(serde_json::Value::from(text));
    match TreePath::parse(text) {
        Ok(path) => {
            assert_eq!(as_json.expect("the same in JSON"), path);
            check_accepted(text, &path);
        }
        Err(error) => {
            assert!(as_json.is_err(), "refused as text and accepted in JSON: {text:?}");
            match error {
                PathError::ParentComponent => assert!(text.split('/').any(|name| name == ".."), "{text:?}"),
                PathError::Nul => assert!(text.contains('\0'), "{text:?}"),
                PathError::TooLong => assert!(text.len() > 255, "{text:?}"),
            }
        }
    }
}

fn check_accepted(text: &str, path: &TreePath) {
    let uri = FileUri::new(path.clone());
    assert!(uri.to_string().bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}: {uri}");
    assert_eq!(uri.to_string().parse().as_ref(), Ok(&uri), "{text:?}: a URI reads back as itself");
    let spelt = path.as_str();
    assert_eq!(TreePath::parse(spelt).as_ref(), Ok(path), "{text:?}: a path reads back as itself");
    assert!(spelt.starts_with('/') && !spelt.contains('\0') && spelt.len() <= 4096, "{text:?}");
    assert_eq!(path.is_root(), spelt == "/", "{text:?}");
    let names: Vec<_> = path.components().collect();
    assert!(names.iter().all(|name| !["", ".", ".."].contains(name) && !name.contains('/') && name.len() <= 255), "{text:?}");
    let written: Vec<_> = text.split('/').filter(|name| !["", "."].contains(name)).collect();
    assert_eq!(names, written, "{text:?}: no name is lost, added or changed");
    assert_eq!(format!("/{}", names.join("/")), spelt, "{text:?}");
    assert_eq!(path.relative(), &spelt[1..], "{text:?}");
    assert_eq!(names.iter().fold(TreePath::root(), |folder, name| folder.join(name)), *path, "{text:?}");

    let mut below = path.clone();
    for name in names.iter().rev() {
        assert!(path.is_within(&below), "{text:?}");
        assert_eq!(below.file_name(), Some(*name), "{text:?}");
        let parent = below.parent().expect("a path with a name has a parent");
        assert!(!parent.is_within(&below), "{text:?}: a folder does not lie in what it holds");
        below = parent;
    }
    assert_eq!((below.parent(), below), (None, TreePath::root()), "{text:?}");
}
