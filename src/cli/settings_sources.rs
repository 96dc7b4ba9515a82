//! Settings as the commands take them that run a server or look at what it needs.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{Config, ConfigError, Settings};

/// Options and environment, and the file that one of them names.
#[derive(Debug, Args)]
pub(super) struct SettingsSources {
    /// Configuration file (TOML) with these options under the same names
    #[arg(long, env = "PRESSMARK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

impl SettingsSources {
    /// The configuration that all of them mean together.
    pub(super) fn resolve(self) -> Result<Config, ConfigError> {
        let file = self.config.as_deref().map_or_else(|| Ok(Settings::default()), read_file)?;
        self.settings.or(file).resolve()
    }
}

/// Reads the settings in a configuration file.
///
/// # Errors
/// [`ConfigError`] when it cannot be read or understood.
pub(super) fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError(format!("--config {}: {error}", path.display())))?;
    Settings::from_toml(&text).map_err(|ConfigError(problem)| ConfigError(format!("--config {}, {problem}", path.display())))
}
