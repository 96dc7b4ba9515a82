//! Searching: which paths, which lines, in what order. No tool, no protocol.

mod file_search;
mod globs;
mod in_order;
mod pattern;
mod smallest;

pub use file_search::{FileOutcome, FileSearch, Found, LineKind, OutputLine, SearchLimits, SearchMode};
pub use globs::{GlobError, PathGlobs};
pub use in_order::in_order;
pub use pattern::{Case, Pattern, PatternError};
pub use smallest::Smallest;
