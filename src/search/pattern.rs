//! What is searched for: a regular expression or a plain text.

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use serde::{Deserialize, Serialize};

/// A longer pattern is a mistake.
const MAX_PATTERN_BYTES: usize = 4096;
/// A compiled expression larger than this is too slow to be tried at every byte: the time of a search is bounded by its
/// product with the text.
const MAX_COMPILED_BYTES: usize = 10 << 20;
/// What one thread may spend on making an expression fast.
const MAX_CACHE_BYTES: usize = 16 << 20;
/// How deeply groups may nest.
const MAX_NESTING: u32 = 100;

/// A pattern and how it is meant.
#[derive(Clone, Copy, Debug)]
pub struct Pattern<'a> {
    /// A regular expression, or plain text.
    pub text: &'a str,
    /// Is it plain text?
    pub literal: bool,
    /// Upper and lower case.
    pub case: Case,
    /// Only whole words?
    pub word: bool,
}

/// How upper and lower case are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Case {
    /// They differ.
    #[default]
    Sensitive,
    /// They are the same.
    Insensitive,
    /// They are the same when the pattern is all in lower case.
    Smart,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty: it would match every line.
    #[error("the pattern is empty; to read a whole file use read_file, to list files use find_files")]
    Empty,
    /// It is too long.
    #[error("the pattern is longer than {MAX_PATTERN_BYTES} bytes; search for a part of it")]
    TooLong,
    /// It holds a line break: lines are searched one by one.
    #[error("the pattern holds a line break, but lines are searched one by one; search for one of its lines, with context")]
    LineBreak,
    /// It is no regular expression, or one that is too large.
    #[error("{0}\npass `literal: true` to search for the text as it is")]
    Syntax(String),
}

impl Pattern<'_> {
    /// Compiles the pattern, as ripgrep does for a search line by line.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn compile(&self) -> Result<RegexMatcher, PatternError> {
        if self.text.is_empty() {
            return Err(PatternError::Empty);
        }
        if self.text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        if self.text.contains('\n') {
            return Err(PatternError::LineBreak);
        }
        RegexMatcherBuilder::new()
            .multi_line(true)
            .unicode(true)
            .octal(false)
            .fixed_strings(self.literal)
            .case_insensitive(self.case == Case::Insensitive)
            .case_smart(self.case == Case::Smart)
            .word(self.word)
            .line_terminator(Some(b'\n'))
            .ban_byte(Some(b'\0'))
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_CACHE_BYTES)
            .nest_limit(MAX_NESTING)
            .build(self.text)
            .map_err(|error| PatternError::Syntax(self.problem(&error.to_string())))
    }

    /// What the compiler says of the expression that it was given, which is this one with something around it: of its
    /// several lines, the one that says what is wrong.
    fn problem(&self, error: &str) -> String {
        let problem = error.lines().rev().find_map(|line| line.strip_prefix("error: "));
        format!("`{}` is no regular expression: {}", self.text, problem.unwrap_or(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str, literal: bool) -> Result<(), PatternError> {
        Pattern { text, literal, case: Case::Sensitive, word: false }.compile().map(|_| ())
    }

    #[test]
    fn errors_explain() {
        let Err(PatternError::Syntax(text)) = compile("a(b", false) else { panic!("not an expression") };
        assert!(text.contains("unclosed group"), "{text}");
        assert_eq!(compile("a(b", true), Ok(()));
        assert_eq!(compile("", false), Err(PatternError::Empty));
        assert_eq!(compile("a\nb", true), Err(PatternError::LineBreak));
        assert!(compile(r"a\nb", false).is_err());
        assert!(compile(r"((\w{1,100}){1,100}){1,100}", false).is_err());
        assert!(compile(&"(".repeat(2000), false).is_err());
        assert_eq!(compile(&"a".repeat(4097), false), Err(PatternError::TooLong));
    }
}
