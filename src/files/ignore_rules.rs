//! What `.gitignore` and its like say about the entries of a folder, as ripgrep understands them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{Entries, Folder};

/// A longer file of rules is no file of rules; what is beyond is not read.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// A longer line matches no path, and could nest more deeply than a stack is high.
const MAX_LINE_BYTES: usize = 1000;

/// The rules that lie in one folder.
///
/// The order of precedence, and that `.gitignore` counts only inside a repository (a folder with `.git` or `.jj`), is
/// ripgrep's. Rules above a repository do not reach into it, and none reaches into a mount from outside. Rules of the
/// user or the machine are not read: they are not part of the tree.
#[derive(Debug)]
pub(super) struct IgnoreRules {
    /// From the highest precedence to the lowest: `.rgignore`, `.ignore`, `.gitignore`, `.git/info/exclude`.
    files: [Gitignore; 4],
    /// How many bytes of a path are the folder's own.
    offset: usize,
    in_repository: bool,
    repository_begins: bool,
    mount_begins: bool,
}

/// The first of the files that belongs to git alone.
const FIRST_OF_GIT: usize = 2;

/// What the rules say about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Silent,
    /// It is to be left out.
    Ignored,
    /// It is to be shown, even where it is hidden.
    Kept,
}

impl IgnoreRules {
    /// Reads the rules of a folder. `offset` is the length of its path, with the slash that ends it, in the paths that
    /// will be asked about; `above` are the rules of the folder that it lies in; `names` are all of its entries, where
    /// they are known.
    pub(super) fn read(folder: &Folder, offset: usize, above: Option<&Self>, names: Option<&Entries>) -> Self {
        let may_hold = |name: &str| names.is_none_or(|names| names.contains(name.as_bytes()));
        let holds = |name: &str| may_hold(name) && folder.holds(name);
        let read = |names: &[&str]| {
            let file = names.first().filter(|name| may_hold(name)).and_then(|_| folder.open_unchecked(names));
            file.map_or_else(Gitignore::empty, parse)
        };
        let mount_begins = folder.path() == folder.top();
        let repository_begins = holds(".git") || holds(".jj");
        let in_repository = repository_begins || (!mount_begins && above.is_some_and(|above| above.in_repository));
        let of_git = |names: &[&str]| if in_repository { read(names) } else { Gitignore::empty() };
        let files = [read(&[".rgignore"]), read(&[".ignore"]), of_git(&[".gitignore"]), of_git(&[".git", "info", "exclude"])];
        Self { files, offset, in_repository, repository_begins, mount_begins }
    }
}

/// What the rules of all folders on the way say about an entry. `rules` come from the innermost folder outwards; `path`
/// is the entry's, from where their offsets count.
pub(super) fn verdict<'a>(rules: impl Iterator<Item = &'a IgnoreRules>, path: &[u8], is_folder: bool) -> Verdict {
    // The innermost folder's word counts for each kind of file, and only then the kinds' order.
    let mut said = [None; 4];
    let mut inside_repository = true;
    for rules in rules {
        let below = Path::new(OsStr::from_bytes(&path[rules.offset..]));
        for (index, (file, said)) in rules.files.iter().zip(&mut said).enumerate() {
            if said.is_none() && !file.is_empty() && (index < FIRST_OF_GIT || inside_repository) {
                *said = match file.matched(below, is_folder) {
                    Match::None => None,
                    Match::Ignore(_) => Some(Verdict::Ignored),
                    Match::Whitelist(_) => Some(Verdict::Kept),
                };
            }
        }
        inside_repository &= !rules.repository_begins;
        if rules.mount_begins {
            break;
        }
    }
    said.into_iter().flatten().next().unwrap_or(Verdict::Silent)
}

fn parse(file: impl Read) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    let mut lines = BufReader::new(file.take(MAX_FILE_BYTES));
    let mut line = String::new();
    let mut first = true;
    // Like ripgrep, stops at a line that is not UTF-8, and passes over a line that is no rule.
    while {
        line.clear();
        lines.read_line(&mut line).is_ok_and(|length| length > 0)
    } {
        let rule = line.trim_end_matches(['\n', '\r']);
        let rule = if std::mem::take(&mut first) { rule.trim_start_matches('\u{feff}') } else { rule };
        if rule.len() <= MAX_LINE_BYTES {
            let _ = builder.add_line(None, rule);
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
