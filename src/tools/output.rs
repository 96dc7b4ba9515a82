//! What a tool gives back.

use serde::Serialize;
use serde_json::value::RawValue;

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

/// One content block of a result (MCP, server/tools, "Tool Result").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text {
        /// The text itself.
        text: String,
    },
    /// An image.
    Image {
        /// The bytes, in base64 (RFC 4648, section 4).
        data: String,
        /// The media type, such as `image/png`.
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
}

impl Content {
    /// A block of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The length of the text or of the base64 data, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Image { data, .. } => data.len(),
        }
    }
}

/// A finished call, its types erased: what goes over the wire in every revision.
#[derive(Clone, Debug)]
pub struct ToolResult {
    /// What the model reads.
    pub content: Vec<Content>,
    /// What programs read; absent in errors.
    pub structured: Option<Box<RawValue>>,
    /// Did the tool fail?
    pub is_error: bool,
}
