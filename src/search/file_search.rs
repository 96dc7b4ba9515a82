//! Searching one file.

use std::io::{self, Read};

use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use grep_searcher::{
    BinaryDetection, MmapChoice, Searcher, SearcherBuilder, Sink, SinkContext, SinkContextKind, SinkFinish, SinkMatch,
};

use crate::files::Stop;

/// A line longer than this is not searched: it would have to be held whole.
const MAX_LINE_BYTES: usize = 2 << 20;

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchMode {
    /// Whether anything matches.
    Files,
    /// How many lines match.
    Count,
    /// The lines that match, with so many lines before and after each.
    Lines {
        /// Lines before a match.
        before: usize,
        /// Lines after a match.
        after: usize,
    },
}

/// How much of a file's output is worth collecting: more would not fit where it goes.
#[derive(Clone, Copy, Debug)]
pub struct SearchLimits {
    /// Matching lines.
    pub matches: usize,
    /// Bytes of text.
    pub bytes: usize,
    /// A longer line is shortened to about this many bytes.
    pub line_bytes: usize,
}

/// Searches one file after another: what one thread works with.
pub struct FileSearch<'a> {
    matcher: RegexMatcher,
    searcher: Searcher,
    mode: SearchMode,
    limits: SearchLimits,
    stop: Stop<'a>,
}

/// What was found in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many lines match; 1 for "some" where nobody asked how many.
    pub matches: u64,
    /// The lines that were asked for.
    pub lines: Vec<OutputLine>,
    /// Is there more output after these lines?
    pub more: bool,
}

/// One piece of a file's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputLine {
    /// A line of the file.
    Line {
        /// From 1.
        number: u64,
        /// Without its end; with marks in place of what is not UTF-8, and shortened when it is very long.
        text: String,
        /// Why it is shown.
        kind: LineKind,
    },
    /// Between the lines before and after it are others that are not shown.
    Gap,
    /// The file holds a NUL at this offset: what follows was not searched.
    Binary(
        /// In bytes, of the text as decoded.
        u64,
    ),
}

/// Why a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// It matches.
    Match,
    /// It comes before one that matches.
    Before,
    /// It comes after one that matches.
    After,
}

/// What came of searching a file.
pub type FileOutcome = io::Result<Found>;

impl<'a> FileSearch<'a> {
    /// A search as ripgrep makes it in a folder: encodings by byte order mark, binary files up to their first NUL.
    #[must_use]
    pub fn new(matcher: RegexMatcher, mode: SearchMode, limits: SearchLimits, stop: Stop<'a>) -> Self {
        let (before, after) = match mode {
            SearchMode::Lines { before, after } => (before, after),
            SearchMode::Files | SearchMode::Count => (0, 0),
        };
        let searcher = SearcherBuilder::new()
            .line_number(matches!(mode, SearchMode::Lines { .. }))
            .before_context(before)
            .after_context(after)
            .binary_detection(BinaryDetection::quit(0))
            .bom_sniffing(true)
            .memory_map(MmapChoice::never())
            .heap_limit(Some(MAX_LINE_BYTES))
            .build();
        Self { matcher, searcher, mode, limits, stop }
    }

    /// Searches a file. The first `skip` pieces of its output are passed over.
    ///
    /// # Errors
    /// When the file cannot be read, has a line that is too long, or the answer is no longer wanted.
    pub fn search(&mut self, file: impl Read, skip: u64) -> FileOutcome {
        let mut collector = Collector {
            matcher: &self.matcher,
            mode: self.mode,
            limits: self.limits,
            skip,
            bytes: 0,
            shown: 0,
            found: Found::default(),
        };
        let reading = Reading { file, stop: self.stop };
        match self.searcher.search_reader(&self.matcher, reading, &mut collector) {
            Ok(()) => Ok(collector.found),
            Err(error) if error.to_string().contains("allocation limit") => {
                Err(io::Error::other(format!("it has a line longer than {} MiB, which cannot be searched", MAX_LINE_BYTES >> 20)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads until the answer is no longer wanted.
struct Reading<'a, R> {
    file: R,
    stop: Stop<'a>,
}

impl<R: Read> Read for Reading<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.stop)() {
            return Err(io::Error::other("the search was cancelled"));
        }
        self.file.read(buffer)
    }
}

struct Collector<'m> {
    matcher: &'m RegexMatcher,
    mode: SearchMode,
    limits: SearchLimits,
    skip: u64,
    bytes: usize,
    /// How many matching lines have been collected.
    shown: usize,
    found: Found,
}

impl Collector<'_> {
    /// Adds a piece of output, unless it is one to pass over. `false` when nothing more is wanted.
    fn add(&mut self, line: impl FnOnce() -> OutputLine) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return true;
        }
        if self.bytes >= self.limits.bytes || self.shown > self.limits.matches {
            self.found.more = true;
            return false;
        }
        let line = line();
        if let OutputLine::Line { text, kind, .. } = &line {
            self.bytes += text.len();
            self.shown += usize::from(*kind == LineKind::Match);
        }
        self.bytes += 1;
        self.found.lines.push(line);
        true
    }
}

impl Sink for Collector<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        self.found.matches += 1;
        match self.mode {
            SearchMode::Files => Ok(false),
            SearchMode::Count => Ok(true),
            SearchMode::Lines { .. } => {
                let (matcher, limit) = (self.matcher, self.limits.line_bytes);
                Ok(self.add(|| {
                    let bytes = without_end(found.bytes());
                    let text = shortened(bytes, limit, || matcher.find(bytes).ok().flatten().map_or(0, |at| at.start()));
                    OutputLine::Line { number: found.line_number().unwrap_or(0), text, kind: LineKind::Match }
                }))
            }
        }
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        let limit = self.limits.line_bytes;
        let kind = if *context.kind() == SinkContextKind::Before { LineKind::Before } else { LineKind::After };
        Ok(self.add(|| {
            let text = shortened(without_end(context.bytes()), limit, || 0);
            OutputLine::Line { number: context.line_number().unwrap_or(0), text, kind }
        }))
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        Ok(self.add(|| OutputLine::Gap))
    }

    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> io::Result<()> {
        if let Some(offset) = finish.binary_byte_offset().filter(|_| self.found.matches > 0 && !self.found.more) {
            match self.mode {
                SearchMode::Lines { .. } => {
                    self.add(|| OutputLine::Binary(offset));
                }
                // Like ripgrep: a binary file is not listed for what comes before its NUL.
                SearchMode::Files | SearchMode::Count => self.found.matches = 0,
            }
        }
        Ok(())
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The line as text, of a long one a part that begins a little before `interesting`.
fn shortened(line: &[u8], limit: usize, interesting: impl FnOnce() -> usize) -> String {
    if line.len() <= limit {
        return String::from_utf8_lossy(line).into_owned();
    }
    let lead = limit / 4;
    let from = interesting().saturating_sub(lead).min(line.len() - limit);
    let from = character_start(line, from);
    let to = character_start(line, from + limit);
    let mut text = String::new();
    if from > 0 {
        text.push_str(&format!("[… {from} bytes] "));
    }
    text.push_str(&String::from_utf8_lossy(&line[from..to]));
    if to < line.len() {
        text.push_str(&format!(" [… {} bytes]", line.len() - to));
    }
    text
}

/// The nearest position at or before `at` that is not inside a character.
fn character_start(line: &[u8], at: usize) -> usize {
    let at = at.min(line.len());
    let is_inside = |at: usize| line.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    (at.saturating_sub(3)..=at).rev().find(|&at| !is_inside(at)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Case, Pattern};

    fn search(pattern: &str, text: &[u8], mode: SearchMode, limits: SearchLimits, skip: u64) -> FileOutcome {
        let matcher = Pattern { text: pattern, literal: false, case: Case::Sensitive, word: false }.compile().expect("a pattern");
        FileSearch::new(matcher, mode, limits, &|| false).search(text, skip)
    }

    const LIMITS: SearchLimits = SearchLimits { matches: 100, bytes: 10_000, line_bytes: 40 };

    #[test]
    fn long_lines_are_shortened_around_the_match() {
        let line = format!("{}needle{}", "ä".repeat(200), "ö".repeat(200));
        let found = search("needle", line.as_bytes(), SearchMode::Lines { before: 0, after: 0 }, LIMITS, 0).expect("readable");
        let [OutputLine::Line { text, .. }] = &found.lines[..] else { panic!("{found:?}") };
        assert_eq!(text, "[… 390 bytes] äääääneedleöööööööööööö [… 376 bytes]");
        let found = search("ä", line.as_bytes(), SearchMode::Lines { before: 0, after: 0 }, LIMITS, 0).expect("readable");
        let [OutputLine::Line { text, .. }] = &found.lines[..] else { panic!("{found:?}") };
        assert!(text.starts_with("ää") && text.ends_with(" bytes]"), "{text}");
    }

    #[test]
    fn output_goes_on_where_it_stopped() {
        let text: String = (1..=40).map(|n| if n % 5 == 0 { "hit\n".to_owned() } else { format!("{n}\n") }).collect();
        let mode = SearchMode::Lines { before: 1, after: 1 };
        let whole = search("hit", text.as_bytes(), mode, LIMITS, 0).expect("readable");
        assert!(!whole.more && whole.lines.contains(&OutputLine::Gap));
        let limits = SearchLimits { matches: 2, ..LIMITS };
        let (mut lines, mut more) = (Vec::new(), true);
        while more {
            let part = search("hit", text.as_bytes(), mode, limits, lines.len() as u64).expect("readable");
            more = part.more;
            lines.extend(part.lines);
        }
        assert_eq!(lines, whole.lines);
    }

    #[test]
    fn a_line_that_cannot_be_held_is_an_error_and_cancelling_ends_the_search() {
        let error = search("a", &vec![b'x'; MAX_LINE_BYTES + 1], SearchMode::Count, LIMITS, 0).expect_err("too long");
        assert!(error.to_string().contains("2 MiB"), "{error}");
        let matcher = Pattern { text: "a", literal: true, case: Case::Sensitive, word: false }.compile().expect("a pattern");
        assert!(FileSearch::new(matcher, SearchMode::Count, LIMITS, &|| true).search(io::repeat(b'\n'), 0).is_err());
    }
}
