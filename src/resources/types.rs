//! Resources as the protocol shows them: the fields are the specification's, in its spelling.

use serde::Serialize;

/// A file or folder, for a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Names it for good, as long as it is not moved.
    pub uri: String,
    /// The last name of its path; `/` for the root.
    pub name: String,
    /// For people: its whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `inode/directory` for a folder; of a file, as far as its name tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// In bytes, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Hints for the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    /// RFC 3339.
    pub last_modified: String,
}

/// A page of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePage {
    /// In the order of the walk: each folder before what is in it, names by their bytes.
    pub resources: Vec<Resource>,
    /// For the next page, on any replica; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// How to make the URI of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTemplate {
    /// RFC 6570.
    pub uri_template: &'static str,
    /// For programs.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// For models.
    pub description: &'static str,
}

/// What is in a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceContents {
    /// Of the resource, in its canonical form.
    pub uri: String,
    /// Of the resource.
    pub mime_type: String,
    /// Text or bytes.
    #[serde(flatten)]
    pub content: Content,
}

/// Text or bytes: `text` or `blob`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// The text of a file without its byte order mark, or a folder's listing.
    Text(String),
    /// In base64.
    Blob(String),
}

/// Values for an argument that somebody is typing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// In the order of their bytes, at most 100.
    pub values: Vec<String>,
    /// How many there are, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// Are there more than these?
    pub has_more: bool,
}

impl Completion {
    /// There is nothing to propose.
    #[must_use]
    pub fn none() -> Self {
        Self { values: Vec::new(), total: Some(0), has_more: false }
    }
}
