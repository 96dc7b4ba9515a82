//! What changed between two texts, as a unified diff of bounded size.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use crate::json_text::json_prefix;
use crate::path::TreePath;

/// After this long the rest of the difference is found more coarsely.
const TIME_FOR_MINIMAL: Duration = Duration::from_millis(500);
/// Unchanged lines shown around a change.
const CONTEXT_LINES: usize = 3;

/// A unified diff, perhaps cut short.
#[derive(Debug, PartialEq, Eq)]
pub struct Diff {
    /// The diff, with file headers; empty when the texts are the same.
    pub text: String,
    /// Lines added, of the whole change.
    pub added: usize,
    /// Lines removed, of the whole change.
    pub removed: usize,
    /// Was the diff too long to be shown whole?
    pub truncated: bool,
}

/// The diff between two texts of the file at `path`. `max_json_bytes` bounds the diff's text as a JSON string.
#[must_use]
pub fn unified_diff(path: &TreePath, old: &str, new: &str, max_json_bytes: usize) -> Diff {
    let diff = TextDiff::configure().timeout(TIME_FOR_MINIMAL).diff_lines(old, new);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
    let mut unified = diff.unified_diff();
    unified.context_radius(CONTEXT_LINES).header(&format!("a{path}"), &format!("b{path}"));
    let mut text = unified.to_string();
    let whole = text.len();
    text.truncate(json_prefix(&text, max_json_bytes));
    Diff { truncated: text.len() < whole, text, added, removed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &str, new: &str, max: usize) -> Diff {
        unified_diff(&TreePath::parse("/d/f.txt").expect("valid"), old, new, max)
    }

    #[test]
    fn shows_headers_context_and_counts() {
        let shown = diff("1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\nfive\n6\n7\n", 10_000);
        assert_eq!(shown.text, "--- a/d/f.txt\n+++ b/d/f.txt\n@@ -2,5 +2,6 @@\n 2\n 3\n 4\n-5\n+five\n 6\n+7\n");
        assert_eq!((shown.added, shown.removed, shown.truncated), (2, 1, false));
        assert_eq!(diff("same\n", "same\n", 100).text, "");
    }

    #[test]
    fn never_exceeds_its_budget() {
        let (old, new) = ("\u{1}ö\"\n".repeat(1000), "\u{1}ä\"\n".repeat(1000));
        for max in [0, 1, 100, 5000] {
            let shown = diff(&old, &new, max);
            assert!(serde_json::to_string(&shown.text).expect("plain text").len() <= max + 2, "{max}");
            assert!(shown.truncated && shown.added == 1000, "{max}");
        }
    }
}
