//! What a tool gives back.

use serde_json::value::RawValue;

use crate::call::{Content, ToolErrorKind};

/// A tool's output: content blocks for the model, and the same or more in a form for programs.
#[derive(Clone, Debug)]
pub struct ToolOutput<T> {
    /// What the model reads.
    pub content: Vec<Content>,
    /// What programs read.
    pub structured: T,
}

impl<T> ToolOutput<T> {
    /// One block of text beside the structured form.
    pub fn text(text: impl Into<String>, structured: T) -> Self {
        Self { content: vec![Content::text(text)], structured }
    }
}

impl ToolOutput<()> {
    /// Content blocks alone, for a tool that only speaks to the model.
    pub fn blocks(content: impl Into<Vec<Content>>) -> Self {
        Self { content: content.into(), structured: () }
    }
}

/// A finished call, its types erased: what goes over the wire in every revision.
#[derive(Clone, Debug)]
pub struct ToolResult {
    /// What the model reads.
    pub content: Vec<Content>,
    /// What programs read; absent in errors.
    pub structured: Option<Box<RawValue>>,
    /// How the tool failed, if it did.
    pub error: Option<ToolErrorKind>,
}
