//! What a model can repair by calling differently.

use std::fmt;

/// A failure that the caller can act on. It becomes a result with `isError: true` whose text says what was wrong and
/// what to do next. It never carries secrets or paths of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolError {
    kind: ToolErrorKind,
    message: String,
}

/// The kind of a [`ToolError`]: the first word of its text, and its label in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToolErrorKind {
    /// The arguments are not what the tool takes.
    InvalidArgument,
    /// Nothing is there.
    NotFound,
    /// Something is there already.
    AlreadyExists,
    /// What is there is not what the caller expected: another version, a folder in place of a file.
    Conflict,
    /// The caller's scopes or the mount do not allow it.
    Forbidden,
    /// The cursor is unknown, expired or another caller's.
    InvalidCursor,
    /// What the cursor reads has changed since.
    Changed,
    /// Too large for this tool.
    TooLarge,
    /// Try again after a moment: a queue is full, or the shared state is away.
    Unavailable,
    /// The call took longer than it may.
    TimedOut,
    /// The disk or the network failed.
    Io,
}

impl ToolErrorKind {
    /// The kind as one `snake_case` word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::Forbidden => "forbidden",
            Self::InvalidCursor => "invalid_cursor",
            Self::Changed => "changed",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::Io => "io_error",
        }
    }
}

impl ToolError {
    /// An error of this kind. `message` is one or two sentences: what was wrong, and the next step.
    pub fn new(kind: ToolErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An argument that cannot be right, by its name.
    pub fn invalid_argument(name: &str, problem: impl fmt::Display) -> Self {
        Self::new(ToolErrorKind::InvalidArgument, format!("`{name}`: {problem}"))
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ToolErrorKind {
        self.kind
    }

    /// What was wrong, and the next step.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl std::error::Error for ToolError {}

impl From<crate::state::StateError> for ToolError {
    fn from(error: crate::state::StateError) -> Self {
        Self::new(ToolErrorKind::Unavailable, format!("{error}; repeat the call after a moment"))
    }
}

impl From<crate::state::CursorError> for ToolError {
    fn from(error: crate::state::CursorError) -> Self {
        match error {
            crate::state::CursorError::Invalid => Self::new(ToolErrorKind::InvalidCursor, error.to_string()),
            crate::state::CursorError::State(error) => error.into(),
        }
    }
}

impl From<crate::files::FileError> for ToolError {
    fn from(error: crate::files::FileError) -> Self {
        use crate::files::FileError;
        let (kind, next) = match &error {
            FileError::NotFound(_) => (ToolErrorKind::NotFound, "list_directory or find_files show what is there"),
            FileError::AlreadyExists(_) => (ToolErrorKind::AlreadyExists, "nothing was changed; choose another path"),
            FileError::FileExists { .. } => (
                ToolErrorKind::AlreadyExists,
                "nothing was changed; choose another path, or allow to replace it: by `if_match` with this version where the \
                 tool takes one for it, or by `overwrite: true`",
            ),
            FileError::NotAFolder(_) => (ToolErrorKind::Conflict, "use read_file for a file"),
            FileError::IsAFolder(_) => (ToolErrorKind::Conflict, "use list_directory to look into it"),
            FileError::NotRegular(_) => (ToolErrorKind::Forbidden, "only regular files and folders can be used"),
            FileError::LinkRefused(_) => (ToolErrorKind::Forbidden, "use the path that the link leads to, if it is in the tree"),
            FileError::ReadOnly { .. } => (ToolErrorKind::Forbidden, "choose a path on a writable mount"),
            FileError::Forbidden(_) => (ToolErrorKind::Forbidden, "stay within the folders that list_directory shows"),
            FileError::NotPermitted(_) => (ToolErrorKind::Forbidden, "ask the operator for access, or use another path"),
            FileError::NameTooLong(_) => (ToolErrorKind::InvalidArgument, "use a shorter name, at most 255 bytes"),
            FileError::VersionMismatch { .. } => {
                (ToolErrorKind::Conflict, "nothing was changed; read the file again and repeat the call with that version")
            }
            FileError::NotEmpty(_) => {
                (ToolErrorKind::Conflict, "nothing was changed; pass `recursive: true` to delete it with all its content")
            }
            FileError::TooLarge { .. } => (ToolErrorKind::TooLarge, "nothing was changed; split it into smaller files"),
            FileError::NoSpace { .. } => {
                (ToolErrorKind::Io, "nothing was changed; free space by deleting files, or tell the operator")
            }
            FileError::MountGone(_) => (ToolErrorKind::Unavailable, "tell the operator"),
            FileError::Busy(_) => (ToolErrorKind::Unavailable, "nothing was changed; repeat the call after a moment"),
            FileError::Changed(_) => (ToolErrorKind::Conflict, "nothing was changed; repeat the call"),
            FileError::Unsuitable { .. } => (ToolErrorKind::Conflict, "nothing was changed"),
            FileError::Cancelled => (ToolErrorKind::TimedOut, "repeat the call, with less to do at once"),
            FileError::Io { .. } => (ToolErrorKind::Io, "repeat the call; if it fails again, tell the operator"),
        };
        Self::new(kind, format!("{error}; {next}"))
    }
}
