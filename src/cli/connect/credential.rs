//! How a client proves who it is.

use std::path::PathBuf;

use crate::cli::token;
use crate::config::ConfigError;

/// What a client sends in its `Authorization` header, and how it comes to know it.
pub(super) enum Credential {
    /// It asks the server's issuer for a token, or needs none.
    Own,
    /// This variable of the environment holds the token.
    Variable(String),
    /// This is the token.
    Token(String),
}

impl Credential {
    /// From what the command line says.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that holds no token.
    pub(super) fn read(variable: Option<String>, file: Option<PathBuf>) -> Result<Self, ConfigError> {
        match (variable, file) {
            (Some(variable), _) => Ok(Self::Variable(variable)),
            (None, Some(file)) => {
                let failed = |problem| ConfigError(format!("--api-key-file {}: {problem}", file.display()));
                token::from_file(&file).map(Self::Token).map_err(failed)
            }
            (None, None) => Ok(Self::Own),
        }
    }

    /// The token itself, for a client that cannot read variables; `None` where it needs none.
    ///
    /// # Errors
    /// [`ConfigError`] when the variable holds no token.
    pub(super) fn value(&self) -> Result<Option<String>, ConfigError> {
        match self {
            Self::Own => Ok(None),
            Self::Token(token) => Ok(Some(token.clone())),
            Self::Variable(variable) => token::from_variable(variable).map(Some).map_err(|problem| {
                let why = "this client reads no variables, so its value is needed now";
                ConfigError(format!("--token-env {variable}: {problem}; {why}"))
            }),
        }
    }
}
