//! Content blocks: what models read in results and prompts.

use serde::Serialize;

pub use crate::json_text::Text;

/// One content block (MCP, server/tools, "Tool Result").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text {
        /// The text itself.
        text: Text,
    },
    /// An image.
    Image {
        /// The bytes, in base64 (RFC 4648, section 4).
        data: String,
        /// The media type, such as `image/png`.
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    /// A sound.
    Audio {
        /// The bytes, in base64 (RFC 4648, section 4).
        data: String,
        /// The media type, such as `audio/wav`.
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    /// A resource by its URI, to be read when it is wanted. Not in revision 2025-03-26.
    ResourceLink {
        /// Where it is.
        uri: String,
        /// Its name.
        name: String,
        /// The media type, where known.
        #[serde(rename = "mimeType", skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
    },
    /// A resource with its content.
    Resource {
        /// The content.
        resource: ResourceContents,
    },
}

/// The content of a resource: text, or bytes in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResourceContents {
    /// Which resource this is the content of.
    pub uri: String,
    /// The media type, where known.
    #[serde(rename = "mimeType", skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The content as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The content as bytes in base64 (RFC 4648, section 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

impl ResourceContents {
    /// Text of this media type.
    pub fn text(uri: impl Into<String>, mime_type: impl Into<String>, text: impl Into<String>) -> Self {
        Self { uri: uri.into(), mime_type: Some(mime_type.into()), text: Some(text.into()), blob: None }
    }

    /// Bytes of this media type, in base64 already.
    pub fn blob(uri: impl Into<String>, mime_type: impl Into<String>, base64: impl Into<String>) -> Self {
        Self { uri: uri.into(), mime_type: Some(mime_type.into()), text: None, blob: Some(base64.into()) }
    }

    /// The length of the content, in bytes of text or base64.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.as_deref().map_or(0, str::len) + self.blob.as_deref().map_or(0, str::len)
    }

    /// Is there no content?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Content {
    /// A block of text.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The same for revisions that know no links to resources: a link becomes a text that names it.
    #[must_use]
    pub fn without_link(&self) -> Self {
        match self {
            Self::ResourceLink { uri, name, .. } => Self::text(format!("The resource {uri} ({name})")),
            content => content.clone(),
        }
    }

    /// The length of the text, as JSON where that is known, or of the base64 data; in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Image { data, .. } | Self::Audio { data, .. } => data.len(),
            Self::ResourceLink { uri, name, .. } => uri.len() + name.len(),
            Self::Resource { resource } => resource.uri.len() + resource.len(),
        }
    }
}
