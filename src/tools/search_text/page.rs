//! One page of search results: what is shown of each file, and where the next page begins.

use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::Version;
use crate::path::TreePath;
use crate::search::{Found, LineKind, OutputLine, SearchMode};
use crate::tools::paging::{Budget, Problems, item_bytes, one_line, text_bytes};

/// A page of search results.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchResults {
    /// The files with matches, in order of their paths.
    pub files: Vec<FileMatches>,
    /// Pass this as `cursor` to get the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What was found in a file.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct FileMatches {
    /// The full path, as the other tools take it.
    pub path: TreePath,
    /// How many lines match: in mode `count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Lines that match, and lines around them: in mode `lines`. A file at the end of one page may go on in the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<MatchedLine>,
    /// Where the file's first NUL is, in bytes: it is a binary file, and was searched up to there only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_offset: Option<u64>,
}

/// A line that was found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct MatchedLine {
    /// From 1, as read_file counts.
    pub line_number: u64,
    /// The line. Of a very long one the part around the first match, with `[… N bytes]` for what is left out.
    pub text: String,
    /// Does the line itself not match, but lies near one that does?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_context: bool,
}

/// Where a page ends and the next one begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Position {
    /// With what comes after this file.
    After(TreePath),
    /// Inside of a file.
    Inside {
        path: TreePath,
        /// How many pieces of the file's output are on earlier pages.
        shown: u64,
        /// Of the file when those were made.
        version: Version,
    },
}

/// A file that was searched.
pub(super) struct SearchedFile {
    pub(super) path: TreePath,
    /// Known where lines are shown.
    pub(super) version: Option<Version>,
    /// How many pieces of its output are on earlier pages.
    pub(super) shown: u64,
    pub(super) found: Found,
}

/// A page in the making.
pub(super) struct SearchPage {
    pub(super) files: Vec<FileMatches>,
    pub(super) text: String,
    pub(super) problems: Problems,
    /// Where the next page begins, once this one is full.
    pub(super) next: Option<Position>,
    mode: SearchMode,
    limit: usize,
    results: usize,
    budget: Budget,
    /// The last file that was dealt with.
    last: Option<TreePath>,
}

impl SearchPage {
    /// An empty page. `limit` counts matching lines in mode `lines`, and files otherwise.
    pub(super) fn new(mode: SearchMode, limit: usize, budget: Budget) -> Self {
        let (files, text, problems) = (Vec::new(), String::new(), Problems::default());
        Self { files, text, problems, next: None, mode, limit, results: 0, budget, last: None }
    }

    /// Adds what was found in the next file. Breaks when the page is full.
    pub(super) fn add(&mut self, file: SearchedFile) -> ControlFlow<()> {
        if file.found.matches == 0 {
            self.last = Some(file.path);
            return ControlFlow::Continue(());
        }
        match self.mode {
            SearchMode::Files => self.add_file(file, None),
            SearchMode::Count => {
                let count = file.found.matches;
                self.add_file(file, Some(count))
            }
            SearchMode::Lines { .. } => self.add_lines(file),
        }
    }

    /// Ends the page here, before it is full.
    pub(super) fn end(&mut self) {
        self.next = self.last.take().map(Position::After);
    }

    fn add_file(&mut self, file: SearchedFile, count: Option<u64>) -> ControlFlow<()> {
        let mut line = one_line(file.path.as_str()).into_owned();
        if let Some(count) = count {
            line.push_str(&format!(":{count}"));
        }
        let matches = FileMatches { path: file.path.clone(), count, lines: Vec::new(), binary_offset: None };
        if self.results < self.limit && self.budget.take(text_bytes(&line) + "\\n".len() + item_bytes(&matches)) {
            self.results += 1;
            self.add_text(&line);
            self.files.push(matches);
        } else if self.files.is_empty() {
            self.left_out();
        } else {
            self.end();
            return ControlFlow::Break(());
        }
        self.last = Some(file.path);
        ControlFlow::Continue(())
    }

    fn add_lines(&mut self, file: SearchedFile) -> ControlFlow<()> {
        let SearchedFile { path, version, mut shown, found } = file;
        let before = shown;
        let mut heading = Some(path.clone());
        for piece in found.lines {
            // What comes after the last match belongs to it; anything else belongs to the next.
            let is_after = matches!(&piece, OutputLine::Line { kind: LineKind::After, .. });
            let fits = (self.results < self.limit || is_after) && self.add_piece(&mut heading, piece);
            if !fits && !self.files.is_empty() {
                match version {
                    Some(version) if shown > before || before > 0 => self.next = Some(Position::Inside { path, shown, version }),
                    _ => self.end(),
                }
                return ControlFlow::Break(());
            }
            if !fits {
                self.left_out();
            }
            shown += 1;
        }
        if let (true, Some(version)) = (found.more, version) {
            self.next = Some(Position::Inside { path, shown, version });
            return ControlFlow::Break(());
        }
        self.last = Some(path);
        ControlFlow::Continue(())
    }

    /// Adds a piece of a file's output; with the file's heading, if that is still to come. `false` if it does not fit.
    fn add_piece(&mut self, heading: &mut Option<TreePath>, piece: OutputLine) -> bool {
        let (line, structured) = match piece {
            OutputLine::Line { number, text, kind } => {
                let is_context = kind != LineKind::Match;
                let line = format!("{number}{}{text}", if is_context { '-' } else { ':' });
                (line, Piece::Line(MatchedLine { line_number: number, text, is_context }))
            }
            OutputLine::Gap => ("--".to_owned(), Piece::Gap),
            OutputLine::Binary(offset) => {
                (format!("[a binary file: searched up to its first NUL, at byte {offset}, only]"), Piece::Binary(offset))
            }
        };
        let mut bytes = text_bytes(&line) + "\\n".len();
        bytes += match &structured {
            Piece::Line(line) => item_bytes(line),
            Piece::Gap => 0,
            Piece::Binary(_) => r#","binary_offset":18446744073709551615"#.len(),
        };
        if let Some(path) = &*heading {
            let frame = r#"{"path":,"lines":[]},\n\n"#.len();
            bytes += frame + text_bytes(&one_line(path.as_str())) + item_bytes(path);
        }
        if !self.budget.take(bytes) {
            return false;
        }
        if let Some(path) = heading.take() {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.add_text(&one_line(path.as_str()));
            self.files.push(FileMatches { path, count: None, lines: Vec::new(), binary_offset: None });
        }
        self.add_text(&line);
        if let Some(file) = self.files.last_mut() {
            match structured {
                Piece::Line(line) => {
                    self.results += usize::from(!line.is_context);
                    file.lines.push(line);
                }
                Piece::Gap => {}
                Piece::Binary(offset) => file.binary_offset = Some(offset),
            }
        }
        true
    }

    /// What does not fit into a page of its own would stop the search for good.
    fn left_out(&mut self) {
        self.problems.add_text(|| "a result that is too large to be shown".to_owned());
    }

    fn add_text(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }
}

/// A piece of a file's output, for programs.
enum Piece {
    Line(MatchedLine),
    Gap,
    Binary(u64),
}
