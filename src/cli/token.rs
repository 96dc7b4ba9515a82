//! Tokens and API keys that a command is given: by a file or by a variable, never on the command line, which others can see.

use std::path::Path;

/// Reads the token in a file.
///
/// # Errors
/// What is wrong with the file, without its name and without quoting it.
pub(super) fn from_file(file: &Path) -> Result<String, String> {
    only(&std::fs::read_to_string(file).map_err(|error| error.to_string())?)
}

/// Reads the token in a variable of the environment.
///
/// # Errors
/// What is wrong with the variable, without its name and without quoting it.
pub(super) fn from_variable(name: &str) -> Result<String, String> {
    only(&std::env::var(name).map_err(|_| "the variable is not set".to_owned())?)
}

/// Checks that a text can be the name of a variable.
///
/// # Errors
/// What a name is. The text is not quoted: it could be the token itself.
pub(super) fn variable_name(text: &str) -> Result<String, String> {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(text.to_owned());
    }
    Err("give the name of a variable, such as PRESSMARK_TOKEN, and not its value".to_owned())
}

/// One token, without the line end that files have.
fn only(text: &str) -> Result<String, String> {
    let token = text.trim();
    if token.is_empty() {
        return Err("it is empty".to_owned());
    }
    if token.len() > 16 * 1024 || token.contains(|c: char| !c.is_ascii_graphic() || matches!(c, ',' | '"' | '\\')) {
        return Err("it holds something else than one token".to_owned());
    }
    Ok(token.to_owned())
}
