//! Bad arguments name the argument, what is wrong with it, and an example of right.

use pressmark::call::ToolErrorKind;
use serde_json::json;

use crate::support::{Served, full};

#[test]
fn bad_arguments_say_what_is_wrong() {
    let served = Served::new();
    served.write("file", "text\n".repeat(10));
    let cursor = served.read(&json!({ "path": "/file", "limit": 1 })).next_cursor().unwrap().to_owned();
    let rows = [
        (json!({}), "`path`", "/docs/guide.md"),
        (json!({ "path": "/file", "offset": 0 }), "`offset`", "{\"offset\": 1}"),
        (json!({ "path": "/file", "offset": -1 }), "`offset`", "-1"),
        (json!({ "path": "/file", "offset": 1.5 }), "`offset`", "1.5"),
        (json!({ "path": "/file", "offset": "1" }), "`offset`", "string"),
        (json!({ "path": "/file", "limit": 0 }), "`limit`", "{\"limit\": 200}"),
        (json!({ "path": "/file", "byte_limit": 3 }), "`byte_limit`", "at least 4"),
        (json!({ "path": "/file", "offset": 1, "byte_offset": 1 }), "`byte_offset`", "cannot be combined"),
        (json!({ "path": "/file", "limit": 1, "byte_limit": 8 }), "`byte_limit`", "cannot be combined"),
        (json!({ "path": "/file", "as": "base64", "offset": 1 }), "`offset`", "byte_offset"),
        (json!({ "path": "/file", "as": "base64", "limit": 1 }), "`limit`", "byte_offset"),
        (json!({ "path": "/file", "as": "hex" }), "`as`", "base64"),
        (json!({ "path": "/file", "lines": 3 }), "`lines`", "unknown field"),
        (json!({ "path": 3 }), "`path`", "integer"),
        (json!({ "path": "/../x" }), "`path`", "`..` is not allowed"),
        (json!({ "cursor": cursor, "limit": 5 }), "`limit`", "alone"),
        (json!({ "cursor": cursor, "offset": 5 }), "`offset`", "alone"),
        (json!({ "cursor": cursor, "as": "base64" }), "`as`", "alone"),
        (json!({ "cursor": cursor, "path": "/other" }), "`path`", "/file"),
    ];
    for (arguments, names, says) in rows {
        let error = served.try_read(&arguments).unwrap_err();
        assert_eq!(error.kind(), ToolErrorKind::InvalidArgument, "{arguments}");
        assert!(error.text().contains(names) && error.text().contains(says), "{arguments}: {}", error.text());
    }
    assert!(served.try_read(&json!({ "cursor": cursor, "path": "/file", "limit": null })).is_ok(), "null is absent");
}

#[test]
fn arguments_that_are_no_object_are_refused() {
    let served = Served::new();
    for arguments in ["[]", "3", "null", "\"/file\"", r#"{"path": "/a", "path": "/b"}"#, r#"{"path": "\ud800"}"#] {
        let error = served.call_raw(&full(), "read_file", arguments).unwrap_err();
        assert_eq!(error.kind(), ToolErrorKind::InvalidArgument, "{arguments}: {}", error.text());
    }
}
