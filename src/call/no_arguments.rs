//! For what takes no arguments.

use schemars::JsonSchema;
use serde::Deserialize;

/// The arguments of a tool or prompt that takes none: an empty object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}
