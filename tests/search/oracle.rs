//! What the answers must be: computed in one run with ripgrep's crates over the machine's own paths, sharing no code with
//! the server.

use std::io;
use std::path::Path;

use grep_regex::RegexMatcherBuilder;
use grep_searcher::{BinaryDetection, MmapChoice, SearcherBuilder, Sink, SinkContext, SinkFinish, SinkMatch};
use ignore::{DirEntry, WalkBuilder};

#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) case_insensitive: bool,
    pub(crate) smart_case: bool,
    pub(crate) word: bool,
    pub(crate) literal: bool,
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) hidden: bool,
    pub(crate) no_ignore: bool,
}

/// All entries below `start`, as paths in the tree of `root`, in ripgrep's order.
pub(crate) fn walk(root: &Path, start: &str, hidden: bool, no_ignore: bool) -> Vec<(String, DirEntry)> {
    let start = root.join(start.trim_start_matches('/'));
    let mut builder = WalkBuilder::new(&start);
    builder.standard_filters(!no_ignore).git_global(false).hidden(!hidden).sort_by_file_name(|a, b| a.cmp(b));
    if !no_ignore {
        builder.add_custom_ignore_filename(".rgignore");
    }
    builder.filter_entry(|entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.depth() == 0 || !(is_folder && [".git", ".hg", ".svn", ".jj"].iter().any(|vcs| entry.file_name() == *vcs))
    });
    let entries = builder.build().map(|entry| entry.expect("readable")).filter(|entry| entry.depth() > 0);
    entries.map(|entry| (format!("/{}", entry.path().strip_prefix(root).expect("below").display()), entry)).collect()
}

pub(crate) fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_file())
}

/// The paths of all files below `start`.
pub(crate) fn files(root: &Path, start: &str, hidden: bool, no_ignore: bool) -> Vec<String> {
    walk(root, start, hidden, no_ignore).into_iter().filter(|(_, entry)| is_file(entry)).map(|(path, _)| path).collect()
}

/// A file and its output, a piece a line.
pub(crate) type FileLines = (String, Vec<String>);

/// Each file that matches, with its output as ripgrep prints it.
pub(crate) fn lines(root: &Path, start: &str, pattern: &str, options: &Options, takes: impl Fn(&str) -> bool) -> Vec<FileLines> {
    let matcher = RegexMatcherBuilder::new()
        .multi_line(true)
        .case_insensitive(options.case_insensitive)
        .case_smart(options.smart_case)
        .word(options.word)
        .fixed_strings(options.literal)
        .line_terminator(Some(b'\n'))
        .build(pattern)
        .expect("a pattern");
    let mut searcher = SearcherBuilder::new()
        .before_context(options.before)
        .after_context(options.after)
        .binary_detection(BinaryDetection::quit(0))
        .memory_map(MmapChoice::never())
        .build();
    let mut found = Vec::new();
    for path in files(root, start, options.hidden, options.no_ignore).into_iter().filter(|path| takes(path)) {
        let mut output = Output::default();
        searcher.search_path(&matcher, root.join(&path[1..]), &mut output).expect("readable");
        if output.matches > 0 {
            found.push((path, output.lines));
        }
    }
    found
}

/// How many lines match in each file; a binary file counts as none.
pub(crate) fn counts(found: &[FileLines]) -> Vec<(String, u64)> {
    let text = found.iter().filter(|(_, lines)| !lines.last().is_some_and(|line| line.starts_with('[')));
    text.map(|(path, lines)| (path.clone(), lines.iter().filter(|line| is_match(line)).count() as u64)).collect()
}

fn is_match(line: &str) -> bool {
    line.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(':')
}

#[derive(Default)]
struct Output {
    lines: Vec<String>,
    matches: usize,
}

impl Sink for &mut Output {
    type Error = io::Error;

    fn matched(&mut self, _: &grep_searcher::Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        self.matches += 1;
        self.lines.push(format!("{}:{}", found.line_number().expect("numbered"), text(found.bytes())));
        Ok(true)
    }

    fn context(&mut self, _: &grep_searcher::Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        self.lines.push(format!("{}-{}", context.line_number().expect("numbered"), text(context.bytes())));
        Ok(true)
    }

    fn context_break(&mut self, _: &grep_searcher::Searcher) -> io::Result<bool> {
        self.lines.push("--".to_owned());
        Ok(true)
    }

    fn finish(&mut self, _: &grep_searcher::Searcher, finish: &SinkFinish) -> io::Result<()> {
        if let Some(offset) = finish.binary_byte_offset().filter(|_| self.matches > 0) {
            self.lines.push(format!("[a binary file: searched up to its first NUL, at byte {offset}, only]"));
        }
        Ok(())
    }
}

fn text(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    text.strip_suffix('\r').unwrap_or(text).to_owned()
}
