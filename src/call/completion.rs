//! Suggestions for an argument that a person is typing.

use std::collections::BTreeMap;

use serde::Serialize;

/// How many values one answer may hold (MCP, server/utilities/completion, "Completion Results").
const MAX_VALUES: usize = 100;

/// Values that an argument may have, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// At most 100 values.
    pub values: Vec<String>,
    /// How many there are, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// Are there more than these?
    pub has_more: bool,
}

/// What is to be completed.
#[derive(Clone, Debug)]
pub struct Completing {
    /// The argument's name.
    pub argument: String,
    /// What has been typed of it.
    pub value: String,
    /// The arguments that are known already.
    pub known: BTreeMap<String, String>,
}

impl Completion {
    /// These values and no others; the first 100 of them are shown.
    pub fn of(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        let total = values.len();
        values.truncate(MAX_VALUES);
        Self { has_more: total > values.len(), values, total: Some(total) }
    }
}
