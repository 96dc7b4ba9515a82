//! Where the words of a question stand in files: a quick look, not a search to the end.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::call::ToolError;
use crate::files::{FileError, FileKind, OpenFile, Stop, View, Walk, WalkFrom, WalkOptions};
use crate::path::TreePath;
use crate::search::{Case, FileSearch, LineKind, OutputLine, Pattern, SearchLimits, SearchMode, Smallest};
use crate::tools::{json_len, one_line};

/// Words of a question that are looked for, the longest.
const MAX_WORDS: usize = 8;
const MIN_WORD_CHARS: usize = 3;
const MAX_WORD_CHARS: usize = 60;
/// Files that are shown, those with the most words.
const MAX_FILES: usize = 10;
/// Lines that are shown of one file.
const MAX_LINES: usize = 3;
/// A larger tree is looked through in part: the model searches on.
const MAX_TIME: Duration = Duration::from_secs(2);
const LIMITS: SearchLimits = SearchLimits { matches: 100, bytes: 20_000, line_bytes: 240 };

/// English words that stand in every text.
const COMMON: [&str; 36] = [
    "about", "and", "any", "are", "been", "but", "can", "could", "did", "does", "for", "from", "had", "has", "have", "how",
    "into", "its", "not", "our", "should", "that", "the", "their", "there", "this", "was", "were", "what", "when", "where",
    "which", "who", "why", "with", "you",
];

/// The words worth looking for, in lower case, the longest first.
pub(super) fn words_of(question: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in question.split(|c: char| !c.is_alphanumeric() && c != '_') {
        let word = word.to_lowercase();
        let length = word.chars().count();
        let is_telling = (MIN_WORD_CHARS..=MAX_WORD_CHARS).contains(&length) && !COMMON.contains(&word.as_str());
        if is_telling && !words.contains(&word) {
            words.push(word);
        }
    }
    words.sort_by_key(|word| Reverse(word.chars().count()));
    words.truncate(MAX_WORDS);
    words
}

/// The files in which most of the words stand.
#[derive(Default)]
pub(super) struct FirstHits {
    files: Vec<FileHits>,
    /// Was everything looked at?
    whole: bool,
}

struct FileHits {
    path: TreePath,
    lines: Vec<(u64, String)>,
}

impl FirstHits {
    /// Looks through a file, or a folder and all below it.
    ///
    /// # Errors
    /// `NotFound` and the like when the path itself cannot be looked at.
    pub(super) fn find(view: &View, path: &TreePath, words: &[String], stop: Stop) -> Result<Self, ToolError> {
        let single = match view.open_folder(path) {
            Ok(_) => None,
            Err(FileError::NotAFolder(_)) => Some(view.open_file(path)?),
            Err(error) => return Err(error.into()),
        };
        if words.is_empty() {
            return Ok(Self::default());
        }
        let pattern = Pattern { text: &words.join("|"), literal: false, case: Case::Insensitive, word: false };
        let matcher = pattern.compile().map_err(|error| ToolError::invalid_argument("question", error))?;
        let deadline = Instant::now() + MAX_TIME;
        let enough = || stop() || Instant::now() > deadline;
        let mut search = FileSearch::new(matcher, SearchMode::Lines { before: 0, after: 0 }, LIMITS, &enough);
        let mut best = Best::new(words);
        match single {
            Some(file) => best.add(file, &mut search),
            None => {
                let options = WalkOptions { hidden: false, ignored: false, max_depth: usize::MAX, expected: usize::MAX };
                for walked in Walk::new(view, view.open_folder(path)?, options, WalkFrom::Start, &enough)?.flatten() {
                    if walked.kind() == FileKind::File
                        && walked.path().is_some()
                        && let Ok(file) = walked.open()
                    {
                        best.add(file, &mut search);
                    }
                }
            }
        }
        if stop() {
            return Err(FileError::Cancelled.into());
        }
        Ok(Self { files: best.files.into_sorted().map(|(_, file)| file).collect(), whole: !enough() })
    }

    /// The hits as text within so many bytes of JSON; `None` when there are none.
    pub(super) fn shown(&self, words: &[String], max_bytes: usize) -> Option<String> {
        let mut text = format!(
            "What a first search for {} has found{}. Below the path of each file, a line is written `12:text`.\n",
            words.join(", "),
            if self.whole { "" } else { " before its time was up" }
        );
        let mut bytes = json_len(&text);
        let mut is_empty = true;
        for FileHits { path, lines } in &self.files {
            let mut block = format!("\n{}\n", one_line(path.as_str()));
            for (number, line) in lines {
                block.push_str(&format!("{number}:{line}\n"));
            }
            bytes += json_len(&block);
            if bytes > max_bytes {
                break;
            }
            is_empty = false;
            text.push_str(&block);
        }
        (!is_empty).then_some(text)
    }
}

/// Keeps the files with the most words.
struct Best<'a> {
    words: &'a [String],
    files: Smallest<(Reverse<usize>, usize), FileHits>,
    seen: usize,
}

impl<'a> Best<'a> {
    fn new(words: &'a [String]) -> Self {
        Self { words, files: Smallest::new(MAX_FILES), seen: 0 }
    }

    fn add(&mut self, OpenFile { path, file, .. }: OpenFile, search: &mut FileSearch<'_>) {
        // What cannot be searched (it is binary, or was cut off by the deadline) is left to the model's own search.
        let Ok(found) = search.search(file, 0) else { return };
        let mut lines: Vec<(Vec<bool>, u64, String)> = found.lines.into_iter().filter_map(|line| self.line(line)).collect();
        if lines.is_empty() {
            return;
        }
        let count = |words: &[bool]| words.iter().filter(|word| **word).count();
        let in_file = (0..self.words.len()).filter(|&at| lines.iter().any(|(words, ..)| words[at])).count();
        lines.sort_by_key(|(words, number, _)| (Reverse(count(words)), *number));
        lines.truncate(MAX_LINES);
        lines.sort_by_key(|(_, number, _)| *number);
        self.seen += 1;
        let lines = lines.into_iter().map(|(_, number, text)| (number, text)).collect();
        self.files.push((Reverse(in_file), self.seen), FileHits { path, lines });
    }

    /// A line with a match, and which of the words stand in it.
    fn line(&self, line: OutputLine) -> Option<(Vec<bool>, u64, String)> {
        let OutputLine::Line { number, text, kind: LineKind::Match } = line else { return None };
        let lower = text.to_lowercase();
        Some((self.words.iter().map(|word| lower.contains(word.as_str())).collect(), number, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_words_are_taken_the_longest_first() {
        assert_eq!(words_of("What does `max_result_bytes` limit, and where is the limit?"), ["max_result_bytes", "limit"]);
        assert_eq!(words_of("Wie groß darf ein ÄRGER sein?"), ["ärger", "groß", "darf", "sein", "wie", "ein"]);
        assert_eq!(words_of(".*(a|b)+ is it? $^"), [] as [&str; 0]);
        assert_eq!(words_of(&(0..100).map(|n| format!("word{n} ")).collect::<String>()).len(), MAX_WORDS);
        assert_eq!(words_of(&"x".repeat(1000)), [] as [&str; 0]);
    }
}
