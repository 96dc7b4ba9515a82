//! The place in a text that comes nearest to lines that are not in it.

use std::fmt;

/// Lines of the wanted text that are compared.
const MAX_LINES: usize = 64;
/// The start of a line that is compared, in bytes: longer lines are data, not prose or code.
const MAX_LINE_BYTES: usize = 2000;
/// Lines shown.
const SHOWN_LINES: usize = 12;
/// Characters shown of a line.
const SHOWN_CHARS: usize = 160;
/// Lines shown before the first that differs.
const LINES_BEFORE: usize = 3;
/// The part of the wanted text that a place must have to be worth showing.
const LEAST_LIKENESS: f64 = 1.0 / 3.0;
/// Three-character sequences are told apart by a hash of this many bits.
const HASH_BITS: u32 = 16;

/// A place that resembles the wanted text. Displays as numbered lines and, where it can be said, what differs.
#[derive(Debug)]
pub(super) struct Nearest {
    first: usize,
    last: usize,
    shown: Vec<(usize, String)>,
    difference: Difference,
}

#[derive(Debug)]
enum Difference {
    WhitespaceOnly,
    Line { number: usize, wanted: String },
    Unknown,
}

/// Finds the lines of `text` that share the most three-character sequences with `wanted`, white space and the case of
/// ASCII letters aside; `None` when nothing is alike. Takes time in proportion to the text, however alike its lines are.
pub(super) fn nearest(text: &str, wanted: &str) -> Option<Nearest> {
    let wanted: Vec<&str> = wanted.lines().skip_while(|line| line.trim().is_empty()).take(MAX_LINES).collect();
    let wanted = &wanted[..wanted.iter().rposition(|line| !line.trim().is_empty())? + 1];
    let first = best_window(text, wanted)?;
    let found: Vec<&str> = text.lines().skip(first).take(wanted.len()).collect();
    Some(describe(first, &found, wanted))
}

/// The index of the first line of the best window, which is as many lines long as the wanted text.
fn best_window(text: &str, wanted: &[&str]) -> Option<usize> {
    let mut likeness = Likeness::to(wanted);
    if likeness.distinct == 0 {
        return None;
    }
    let mut leaving = text.lines().peekable();
    let (mut best, mut best_score) = (None, (0, 0));
    for (index, line) in text.lines().enumerate() {
        likeness.enter(line);
        if index >= wanted.len()
            && let Some(line) = leaving.next()
        {
            likeness.leave(line);
        }
        // The wanted text starts with something, and so does a window worth showing.
        if leaving.peek().is_none_or(|line| line.trim().is_empty()) {
            continue;
        }
        // Of windows that share as much, the one with the least beside it; of those, the first.
        let score = (likeness.shared, usize::MAX - likeness.length);
        if score > best_score {
            best_score = score;
            best = Some((index + 1).saturating_sub(wanted.len()));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of at most 2^16")]
    let enough = best_score.0 as f64 >= LEAST_LIKENESS * likeness.distinct as f64;
    best.filter(|_| enough)
}

/// How much of the wanted text is in a window that moves over the lines of another text.
struct Likeness {
    /// For each sequence of the wanted text, how often it is in the window; `None` for those that are not wanted.
    counts: Vec<Option<u32>>,
    /// How many different sequences are wanted.
    distinct: usize,
    /// How many of them are in the window.
    shared: usize,
    /// Sequences in the window.
    length: usize,
}

impl Likeness {
    fn to(wanted: &[&str]) -> Self {
        let mut counts = vec![None; 1 << HASH_BITS];
        for line in wanted {
            sequences(line, |sequence| counts[sequence] = Some(0));
        }
        let distinct = counts.iter().flatten().count();
        Self { counts, distinct, shared: 0, length: 0 }
    }

    fn enter(&mut self, line: &str) {
        sequences(line, |sequence| {
            self.length += 1;
            if let Some(count) = &mut self.counts[sequence] {
                self.shared += usize::from(*count == 0);
                *count += 1;
            }
        });
    }

    fn leave(&mut self, line: &str) {
        sequences(line, |sequence| {
            self.length -= 1;
            if let Some(count) = &mut self.counts[sequence] {
                *count -= 1;
                self.shared -= usize::from(*count == 0);
            }
        });
    }
}

/// Hands over a hash of every three bytes in a row that are not white space.
fn sequences(line: &str, mut each: impl FnMut(usize)) {
    let bytes = &line.as_bytes()[..line.len().min(MAX_LINE_BYTES)];
    let (mut window, mut length) = (0_u32, 0);
    for byte in bytes.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        window = (window << 8 | u32::from(byte.to_ascii_lowercase())) & 0x00ff_ffff;
        length += 1;
        if length >= 3 {
            each((window.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize);
        }
    }
}

fn describe(first: usize, found: &[&str], wanted: &[&str]) -> Nearest {
    let bare = |line: &str| line.split_whitespace().collect::<String>();
    let alike = |index: usize| found.get(index).is_some_and(|line| bare(line).contains(&bare(wanted[index])));
    let (difference, from) = match (0..wanted.len()).find(|&index| !alike(index)) {
        None => (Difference::WhitespaceOnly, 0),
        Some(index) if index > 0 && index < found.len() => {
            (Difference::Line { number: first + index + 1, wanted: clip(wanted[index]) }, index.saturating_sub(LINES_BEFORE))
        }
        Some(_) => (Difference::Unknown, 0),
    };
    let shown =
        found.iter().enumerate().skip(from).take(SHOWN_LINES).map(|(index, line)| (first + index + 1, clip(line))).collect();
    Nearest { first: first + 1, last: first + found.len(), shown, difference }
}

fn clip(line: &str) -> String {
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "The nearest is line {}:", self.first)?,
            false => write!(f, "The nearest is lines {} to {}:", self.first, self.last)?,
        }
        for (number, line) in &self.shown {
            write!(f, "\n{number}| {line}")?;
        }
        match &self.difference {
            Difference::WhitespaceOnly => write!(f, "\nThe difference is only in spaces, tabs or line endings."),
            Difference::Line { number, wanted } => {
                write!(f, "\nThe first difference is in line {number}; `old_text` has: {wanted}")
            }
            Difference::Unknown => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_block_that_was_meant() {
        let mut text = String::from("use std::io;\n\n");
        for n in 0..500 {
            text.push_str(&format!("fn item_{n}() {{\n    call({n});\n}}\n\n"));
        }
        let place = nearest(&text, "fn item_321() {\n    call(n);\n}").expect("something is alike").to_string();
        let line = 3 + 321 * 4;
        assert!(place.contains(&format!("{line}| fn item_321() {{")), "{place}");
        assert!(place.contains(&format!("first difference is in line {}", line + 1)), "{place}");
    }

    #[test]
    fn says_when_only_whitespace_differs() {
        let place = nearest("if x {\n\treturn 1;\n}\n", "if x {\n    return 1;\n}").expect("alike").to_string();
        assert!(place.contains("only in spaces"), "{place}");
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let line = "lorem ipsum dolor ".repeat(10_000);
        let text = format!("{line}\n").repeat(20);
        let place = nearest(&text, &format!("{line}x\n").repeat(1000)).expect("alike").to_string();
        assert!(place.len() < (SHOWN_LINES + 2) * (SHOWN_CHARS + 100), "{} bytes", place.len());
    }

    #[test]
    fn nothing_alike_or_nothing_wanted_gives_nothing() {
        assert!(nearest("alpha\nbeta\n", "gamma delta").is_none());
        assert!(nearest("alpha\n", "\n \n").is_none());
        assert!(nearest("", "alpha").is_none());
    }
}
