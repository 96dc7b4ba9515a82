//! The search for one page: a walk that gives files in order, threads that search them, a page that takes the results.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Query;
use super::page::{Position, SearchPage, SearchedFile};
use crate::call::{Progress, Reports, ToolError, ToolErrorKind};
use crate::files::{FileError, FileKind, Metadata, OpenFile, Place, Stop, Version, View, Walk, WalkFrom, WalkOptions, Walked};
use crate::path::TreePath;
use crate::search::{FileSearch, PathGlobs, Pattern, SearchLimits, SearchMode, in_order};
use crate::tools::counted;
use crate::tools::paging::Budget;

/// A page ends after this time even when it is not full: a tree of any size is searched to its end, page by page.
const PAGE_TIME: Duration = Duration::from_secs(20);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// How many files are searched before their turn.
const READ_AHEAD: usize = 128;

/// The search for one page.
pub(super) struct Search {
    pub(super) view: View,
    pub(super) query: Query,
    /// Where the page before ended.
    pub(super) from: Option<Position>,
    pub(super) budget: Budget,
    /// A longer line is shortened to about this many bytes.
    pub(super) line_bytes: usize,
    pub(super) threads: usize,
    pub(super) reports: Reports,
}

impl Search {
    /// The page, and how many files were searched for it.
    pub(super) fn run(self, stop: Stop<'_>) -> Result<(SearchPage, usize), ToolError> {
        let Query { pattern, literal, case, word, limit, .. } = &self.query;
        let pattern = Pattern { text: pattern, literal: *literal, case: *case, word: *word };
        let matcher = pattern.compile().map_err(|error| ToolError::invalid_argument("pattern", error))?;
        let mode = self.query.mode();
        let limits = SearchLimits { matches: *limit, bytes: self.budget.left(), line_bytes: self.line_bytes };
        // What is searched ahead of its turn must not hold up a page that is full: it may be a large file.
        let over = AtomicBool::new(false);
        let stop: Stop<'_> = &|| over.load(Ordering::Relaxed) || stop();
        let mut inputs = Inputs::new(&self.view, &self.query, self.from, stop)?;
        let worker = || {
            let mut search = FileSearch::new(matcher.clone(), mode, limits, stop);
            move |input: Input| input.search(&mut search, mode)
        };
        let mut page = SearchPage::new(mode, *limit, self.budget);
        let mut report = Report::new(self.reports);
        let mut changed = None;
        let mut add = |done: Done| {
            report.one_done();
            match done {
                Done::Searched(file) => page.add(file)?,
                Done::Gone => {}
                Done::Problem(problem) => page.problems.add(&problem),
                Done::Changed(path) => {
                    changed = Some(path);
                    return ControlFlow::Break(());
                }
            }
            if report.started.elapsed() < PAGE_TIME {
                return ControlFlow::Continue(());
            }
            page.end();
            ControlFlow::Break(())
        };
        let consume = |done: Done| {
            let goes_on = add(done);
            over.store(goes_on.is_break(), Ordering::Relaxed);
            goes_on
        };
        in_order(self.threads, READ_AHEAD, || inputs.next(), worker, consume);
        match changed {
            Some(path) => Err(ToolError::new(
                ToolErrorKind::Changed,
                format!("{path} has changed since the page before; start the search again without a cursor"),
            )),
            None if report.done == 0 => {
                self.view.must_be_there(&self.query.path)?;
                Ok((page, 0))
            }
            None => Ok((page, report.done)),
        }
    }
}

/// The files to search, in order.
struct Inputs<'a> {
    source: Source<'a>,
    filter: Filter,
    /// The file in which the page before ended: the first that is to be given.
    resume: Option<Resume>,
}

enum Source<'a> {
    Folder(Walk<'a>),
    File(Option<OpenFile>),
}

struct Resume {
    path: TreePath,
    shown: u64,
    version: Version,
}

impl<'a> Inputs<'a> {
    fn new(view: &View, query: &Query, from: Option<Position>, stop: Stop<'a>) -> Result<Self, ToolError> {
        let globs =
            |name, globs: &[String]| PathGlobs::new(globs, &query.path).map_err(|error| ToolError::invalid_argument(name, error));
        let filter = Filter { include: globs("include", &query.include)?, exclude: globs("exclude", &query.exclude)? };
        let source = match view.open_folder(&query.path) {
            Ok(folder) => {
                let options = WalkOptions {
                    hidden: query.include_hidden,
                    ignored: !query.respect_gitignore,
                    max_depth: usize::MAX,
                    expected: usize::MAX,
                };
                let place = |path| Place::of(path, &query.path);
                let walk = match &from {
                    None => Walk::new(view, folder, options, WalkFrom::Start, stop),
                    Some(Position::After(path)) => Walk::new(view, folder, options, WalkFrom::After(&place(path)), stop),
                    Some(Position::Inside { path, .. }) => Walk::new(view, folder, options, WalkFrom::At(&place(path)), stop),
                };
                Source::Folder(walk?)
            }
            Err(FileError::NotAFolder(_)) => {
                let file = view.open_file(&query.path)?;
                Source::File(Some(file).filter(|_| !matches!(from, Some(Position::After(_)))))
            }
            Err(error) => return Err(error.into()),
        };
        let resume = match from {
            Some(Position::Inside { path, shown, version }) => Some(Resume { path, shown, version }),
            _ => None,
        };
        Ok(Self { source, filter, resume })
    }

    fn next(&mut self) -> Option<Input> {
        let found = self.next_file();
        let Some(resume) = self.resume.take() else {
            return found.map(|file| Input { file, resume: None });
        };
        match found {
            Some(file) if file.path() == Some(&resume.path) => Some(Input { file, resume: Some(resume) }),
            // It is gone, or no longer one of the files to search.
            _ => Some(Input { file: InputFile::Lost, resume: Some(resume) }),
        }
    }

    fn next_file(&mut self) -> Option<InputFile> {
        let walk = match &mut self.source {
            Source::Folder(walk) => walk,
            Source::File(file) => return file.take().map(InputFile::Open),
        };
        loop {
            let walked = match walk.next()? {
                Ok(walked) => walked,
                Err(problem) => return Some(InputFile::Unreadable(problem)),
            };
            let Some(path) = walked.path() else {
                return Some(InputFile::Unreadable(walked.unusable()));
            };
            match walked.kind() {
                FileKind::File if self.filter.takes(&path) => return Some(InputFile::Walked(walked, path)),
                FileKind::Folder if self.filter.passes_over(&path) => walk.skip_folder(),
                _ => {}
            }
        }
    }
}

/// Which files of the tree are searched.
struct Filter {
    include: PathGlobs,
    exclude: PathGlobs,
}

impl Filter {
    fn takes(&self, file: &TreePath) -> bool {
        (self.include.is_empty() || self.include.matches(file)) && !self.exclude.matches(file)
    }

    fn passes_over(&self, folder: &TreePath) -> bool {
        self.exclude.matches(folder) || !(self.include.is_empty() || self.include.may_match_below(folder))
    }
}

/// What a thread is to search.
struct Input {
    file: InputFile,
    /// When the page before ended in this file.
    resume: Option<Resume>,
}

enum InputFile {
    Walked(Walked, TreePath),
    Open(OpenFile),
    Unreadable(FileError),
    Lost,
}

/// What a thread has done.
enum Done {
    Searched(SearchedFile),
    /// Somebody removed the file before it could be opened.
    Gone,
    Problem(FileError),
    /// The file in which the page before ended is not what it was.
    Changed(TreePath),
}

impl InputFile {
    fn path(&self) -> Option<&TreePath> {
        match self {
            Self::Walked(_, path) => Some(path),
            Self::Open(file) => Some(&file.path),
            Self::Unreadable(_) | Self::Lost => None,
        }
    }

    fn open(self) -> Result<OpenFile, Option<FileError>> {
        match self {
            Self::Walked(walked, _) => walked.open().map_err(Some),
            Self::Open(file) => Ok(file),
            Self::Unreadable(problem) => Err(Some(problem)),
            Self::Lost => Err(None),
        }
    }
}

impl Input {
    fn search(self, search: &mut FileSearch<'_>, mode: SearchMode) -> Done {
        let OpenFile { path, file, .. } = match (self.file.open(), &self.resume) {
            (Ok(file), _) => file,
            (Err(_), Some(resume)) => return Done::Changed(resume.path.clone()),
            (Err(None | Some(FileError::NotFound(_))), None) => return Done::Gone,
            (Err(Some(problem)), None) => return Done::Problem(problem),
        };
        // Only a page of lines can end inside of a file.
        let version = match mode {
            SearchMode::Lines { .. } => Version::settled(|| Metadata::from_file(&file)).map(|(version, _)| Some(version)),
            SearchMode::Files | SearchMode::Count => Ok(None),
        };
        let version = match version {
            Ok(version) => version,
            Err(error) => return Done::Problem(FileError::from_io(&path, error)),
        };
        if self.resume.as_ref().is_some_and(|resume| version.as_ref() != Some(&resume.version)) {
            return Done::Changed(path);
        }
        let shown = self.resume.map_or(0, |resume| resume.shown);
        match search.search(file, shown) {
            Ok(found) => Done::Searched(SearchedFile { path, version, shown, found }),
            Err(error) => Done::Problem(FileError::from_io(&path, error)),
        }
    }
}

/// Tells the caller now and then how far the search has come.
struct Report {
    reports: Reports,
    started: Instant,
    last: Instant,
    done: usize,
}

impl Report {
    fn new(reports: Reports) -> Self {
        let now = Instant::now();
        Self { reports, started: now, last: now, done: 0 }
    }

    fn one_done(&mut self) {
        self.done += 1;
        if self.reports.want_progress() && self.last.elapsed() >= PROGRESS_INTERVAL {
            self.last = Instant::now();
            let message = Some(format!("{} searched", counted(self.done as u64, "file")));
            self.reports.progress(Progress { progress: self.done as f64, total: None, message });
        }
    }
}
