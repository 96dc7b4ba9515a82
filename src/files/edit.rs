//! Exact find-and-replace edits on a text: all of them apply, or none.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem::Finder;
use schemars::JsonSchema;
use serde::Deserialize;

use super::lock::Cancelled;
use super::nearest::nearest;

/// How many of several matches an error names by their lines.
const LINES_NAMED: usize = 10;
/// How many places one edit may replace: bounds its memory.
const MAX_PLACES: usize = 1_000_000;

/// One replacement.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The text to find, exactly as it stands in the file, with enough lines around it that it occurs only once.
    pub old_text: String,
    /// The text to put in its place; empty to remove it.
    pub new_text: String,
    /// Replace every occurrence. Without it `old_text` must occur exactly once.
    #[serde(default)]
    pub replace_all: bool,
}

/// A text with all its edits applied.
#[derive(Debug, PartialEq, Eq)]
pub struct Edited {
    /// The new text.
    pub text: String,
    /// How many occurrences were replaced, over all edits.
    pub replacements: usize,
}

/// Why the edits could not be applied. `edit` counts from 0, as in the argument. The text names the edit and shows what
/// the file has in its place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is nothing to look for.
    #[error("`edits[{edit}].old_text` is empty; to insert text, find the text next to the place and put both in `new_text`")]
    Empty {
        /// Which edit.
        edit: usize,
    },
    /// The edit would change nothing.
    #[error("`edits[{edit}]`: `old_text` and `new_text` are the same; leave this edit out")]
    Same {
        /// Which edit.
        edit: usize,
    },
    /// There are more places than one edit may replace.
    #[error(
        "`edits[{edit}]`: `old_text` occurs more than {MAX_PLACES} times, so nothing was changed; take in more text around it"
    )]
    TooMany {
        /// Which edit.
        edit: usize,
    },
    /// Nobody waits for the outcome any more.
    #[error("the call was cancelled and nothing was changed")]
    Cancelled,
    /// The text to find is not there.
    #[error("`edits[{edit}]`: `old_text` was not found, so nothing was changed. {hint}")]
    NotFound {
        /// Which edit.
        edit: usize,
        /// What the file has that comes nearest, or why it is not there.
        hint: String,
    },
    /// The text to find is there more than once.
    #[error(
        "`edits[{edit}]`: `old_text` occurs {count} times, at {}, so nothing was changed. \
         Add lines around it until it occurs once, or pass `replace_all: true`",
        LineList { lines, count: *count }
    )]
    Ambiguous {
        /// Which edit.
        edit: usize,
        /// How often it occurs.
        count: usize,
        /// The lines of the first occurrences, from 1.
        lines: Vec<usize>,
    },
    /// The text would grow beyond the limit.
    #[error("`edits[{edit}]` would make the file larger than {limit} bytes, so nothing was changed")]
    TooLarge {
        /// Which edit.
        edit: usize,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
}

/// Applies the edits in order, each to the outcome of those before it. The result has at most `limit` bytes.
///
/// Line endings: where every line of the text ends in CRLF, line feeds in an edit stand for CRLF. Where CRLF and LF are
/// mixed, an edit is taken as written, and only if that is not found, with CRLF for its line feeds.
///
/// # Errors
/// [`EditError`] names the first edit that cannot be applied.
pub fn apply_edits(original: &str, edits: &[Edit], limit: usize, cancelled: Cancelled) -> Result<Edited, EditError> {
    let endings = LineEndings::of(original);
    let mut text = original.to_owned();
    let mut replacements = 0;
    for (edit, wanted) in edits.iter().enumerate() {
        if cancelled() {
            return Err(EditError::Cancelled);
        }
        if wanted.old_text.is_empty() {
            return Err(EditError::Empty { edit });
        }
        let replacement = Replacement::new(wanted, endings, &text);
        if replacement.old == replacement.new {
            return Err(EditError::Same { edit });
        }
        let places = replacement.places(&text);
        match places[..] {
            [] => return Err(EditError::NotFound { edit, hint: missing_hint(original, &text, &replacement.old) }),
            [_] => {}
            _ if places.len() > MAX_PLACES => return Err(EditError::TooMany { edit }),
            _ if wanted.replace_all => {}
            _ => {
                let lines = line_numbers(&text, &places[..places.len().min(LINES_NAMED)]);
                return Err(EditError::Ambiguous { edit, count: places.len(), lines });
            }
        }
        replacements += places.len();
        text = replacement.apply(&text, &places, limit).ok_or(EditError::TooLarge { edit, limit })?;
    }
    Ok(Edited { text, replacements })
}

/// How the lines of a text end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEndings {
    Lf,
    CrLf,
    Mixed,
}

impl LineEndings {
    fn of(text: &str) -> Self {
        let (mut lf, mut crlf) = (false, false);
        for at in memchr::memchr_iter(b'\n', text.as_bytes()) {
            match at.checked_sub(1).map(|before| text.as_bytes()[before]) {
                Some(b'\r') => crlf = true,
                _ => lf = true,
            }
            if lf && crlf {
                return Self::Mixed;
            }
        }
        if crlf { Self::CrLf } else { Self::Lf }
    }
}

/// What to find and what to put there, in the line endings of the text.
struct Replacement<'a> {
    old: Cow<'a, str>,
    new: Cow<'a, str>,
    all: bool,
}

impl<'a> Replacement<'a> {
    fn new(edit: &'a Edit, endings: LineEndings, text: &str) -> Self {
        let as_crlf = match endings {
            LineEndings::Lf => false,
            LineEndings::CrLf => true,
            LineEndings::Mixed => edit.old_text.contains('\n') && !contains(text, &edit.old_text),
        };
        let in_endings = |text: &'a str| if as_crlf { with_crlf(text) } else { Cow::Borrowed(text) };
        Self { old: in_endings(&edit.old_text), new: in_endings(&edit.new_text), all: edit.replace_all }
    }

    /// Where it occurs. When one occurrence is asked for, overlapping ones count too: either could be meant.
    fn places(&self, text: &str) -> Vec<usize> {
        let finder = Finder::new(self.old.as_bytes());
        let mut places: Vec<usize> = finder.find_iter(text.as_bytes()).take(MAX_PLACES + 1).collect();
        if let ([only], false) = (&places[..], self.all)
            && let Some(next) = finder.find(&text.as_bytes()[only + 1..])
        {
            places.push(only + 1 + next);
        }
        places
    }

    /// The text with every place replaced, or `None` when it would exceed the limit.
    fn apply(&self, text: &str, places: &[usize], limit: usize) -> Option<String> {
        let growth = places.len().checked_mul(self.new.len())?;
        let bytes = (text.len() - places.len() * self.old.len()).checked_add(growth)?;
        if bytes > limit {
            return None;
        }
        let mut out = String::with_capacity(bytes);
        let mut done = 0;
        for &place in places {
            out.push_str(&text[done..place]);
            out.push_str(&self.new);
            done = place + self.old.len();
        }
        out.push_str(&text[done..]);
        Some(out)
    }
}

fn contains(text: &str, part: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some()
}

/// The text with CRLF for every line feed that has no carriage return before it.
fn with_crlf(text: &str) -> Cow<'_, str> {
    if LineEndings::of(text) == LineEndings::CrLf || !text.contains('\n') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut before = '\0';
    for c in text.chars() {
        if c == '\n' && before != '\r' {
            out.push('\r');
        }
        out.push(c);
        before = c;
    }
    Cow::Owned(out)
}

/// The numbers, from 1, of the lines in which these ascending places lie.
fn line_numbers(text: &str, places: &[usize]) -> Vec<usize> {
    let (mut line, mut counted) = (1, 0);
    places
        .iter()
        .map(|&place| {
            line += memchr::memchr_iter(b'\n', &text.as_bytes()[counted..place]).count();
            counted = place;
            line
        })
        .collect()
}

fn missing_hint(original: &str, text: &str, old: &str) -> String {
    if contains(original, old) {
        return "It was in the file before an earlier edit of this call changed that place; edits apply in order, each to \
                the outcome of those before it"
            .to_owned();
    }
    match nearest(text, old) {
        Some(place) => format!("{place}\nCopy `old_text` exactly from the file, without line numbers, and repeat the call"),
        None => "Nothing in the file resembles it; read the file again with read_file, or find the right file with \
                 search_text"
            .to_owned(),
    }
}

/// "line 3", "lines 3, 8 and 9", "lines 3, 8, 9 and 40 more".
struct LineList<'a> {
    lines: &'a [usize],
    count: usize,
}

impl fmt::Display for LineList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named: Vec<String> = self.lines.iter().map(usize::to_string).collect();
        named.dedup();
        let last = match self.count.saturating_sub(self.lines.len()) {
            0 => named.pop(),
            more => Some(format!("{more} more")),
        };
        match (named.is_empty(), last) {
            (_, None) => Ok(()),
            (true, Some(last)) => write!(f, "line {last}"),
            (false, Some(last)) => write!(f, "lines {} and {last}", named.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn edit(old: &str, new: &str) -> Edit {
        Edit { old_text: old.to_owned(), new_text: new.to_owned(), replace_all: false }
    }

    fn all(old: &str, new: &str) -> Edit {
        Edit { replace_all: true, ..edit(old, new) }
    }

    fn applied(text: &str, edits: &[Edit]) -> String {
        apply_edits(text, edits, LIMIT, &|| false).expect("the edits apply").text
    }

    fn refused(text: &str, edits: &[Edit]) -> EditError {
        apply_edits(text, edits, LIMIT, &|| false).expect_err("the edits do not apply")
    }

    #[test]
    fn edits_apply_in_order() {
        assert_eq!(applied("one two", &[edit("one", "three"), edit("three two", "four")]), "four");
        let edited = apply_edits("a-a-a", &[all("a", "bb")], LIMIT, &|| false).expect("applies");
        assert_eq!((edited.text.as_str(), edited.replacements), ("bb-bb-bb", 3));
        assert_eq!(applied("keep drop", &[edit(" drop", "")]), "keep");
        assert_eq!(applied("größer 日本", &[edit("ß", "ss"), edit("日", "二")]), "grösser 二本");
    }

    #[test]
    fn a_match_must_be_the_only_one() {
        let error = refused("x\ny\nx\n", &[edit("x", "z")]);
        assert_eq!(error, EditError::Ambiguous { edit: 0, count: 2, lines: vec![1, 3] });
        assert!(error.to_string().contains("occurs 2 times, at lines 1 and 3"), "{error}");
        // Overlapping places are two places.
        assert_eq!(refused("aaa", &[edit("aa", "b")]), EditError::Ambiguous { edit: 0, count: 2, lines: vec![1, 1] });
        assert_eq!(applied("aaa", &[all("aa", "b")]), "ba");
        let many = refused(&"x\n".repeat(50), &[edit("x", "z")]).to_string();
        assert!(many.contains("50 times") && many.contains("10 and 40 more"), "{many}");
    }

    #[test]
    fn a_missing_match_names_the_edit_and_shows_the_nearest_lines() {
        let text = "fn main() {\n    let total = 1;\n    print(total);\n}\n";
        let error = refused(text, &[edit("main", "start"), edit("let totl = 1;", "x")]).to_string();
        assert!(error.contains("`edits[1]`") && error.contains("2| ") && error.contains("let total = 1;"), "{error}");
        let error = refused(text, &[edit("main", "start"), edit("fn main() {", "x")]).to_string();
        assert!(error.contains("earlier edit"), "{error}");
        let error = refused(text, &[edit("completely unrelated words", "x")]).to_string();
        assert!(error.contains("Nothing in the file resembles it"), "{error}");
    }

    #[test]
    fn useless_edits_are_refused() {
        assert_eq!(refused("a", &[edit("", "b")]), EditError::Empty { edit: 0 });
        assert_eq!(refused("a", &[edit("a", "a")]), EditError::Same { edit: 0 });
        assert_eq!(refused("a\r\nb\r\n", &[edit("a\r\n", "a\n")]), EditError::Same { edit: 0 });
    }

    #[test]
    fn growth_is_bounded_before_it_happens() {
        let text = "a".repeat(100_000);
        let error = refused(&text, &[all("a", &"b".repeat(100_000))]);
        assert_eq!(error, EditError::TooLarge { edit: 0, limit: LIMIT });
    }

    #[test]
    fn line_feeds_stand_for_the_line_endings_of_the_file() {
        assert_eq!(applied("a\r\nb\r\nc\r\n", &[edit("a\nb", "x\ny\nz")]), "x\r\ny\r\nz\r\nc\r\n");
        assert_eq!(applied("a\r\nb\r\n", &[edit("a\r\nb", "x\r\ny")]), "x\r\ny\r\n");
        assert_eq!(applied("a\r\nb\r\n", &[edit("b", "b\nc")]), "a\r\nb\r\nc\r\n");
        // Mixed: as written where that is found, else with CRLF.
        assert_eq!(applied("a\r\nb\nc\n", &[edit("b\nc", "x\ny")]), "a\r\nx\ny\n");
        assert_eq!(applied("a\r\nb\nc\n", &[edit("a\nb", "x\ny")]), "x\r\ny\nc\n");
        // A file with line feeds takes what it is given, so that line endings can be changed on purpose.
        assert_eq!(applied("a\nb\n", &[all("\n", "\r\n")]), "a\r\nb\r\n");
    }

    #[test]
    fn work_is_bounded_and_can_be_cancelled() {
        let text = "a".repeat(MAX_PLACES + 1);
        assert_eq!(apply_edits(&text, &[all("a", "b")], LIMIT, &|| true), Err(EditError::Cancelled));
        assert_eq!(apply_edits(&text, &[all("a", "b")], text.len(), &|| false), Err(EditError::TooMany { edit: 0 }));
        assert!(apply_edits(&text[1..], &[all("a", "b")], text.len(), &|| false).is_ok());
    }
}
