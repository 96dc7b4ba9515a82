//! Lists that stand still while the server runs: tools and prompts, each written once at the start in the forms that the
//! revisions have.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::McpError;
use crate::prompts::PromptDescription;
use crate::tools::ToolDescription;

/// All tools, or all prompts, in their order.
pub(super) struct Listed {
    items: Vec<ListItem>,
    page: usize,
}

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    pub(super) items: Vec<ListItem>,
    pub(super) next_cursor: Option<String>,
}

/// The description of a tool or a prompt.
#[derive(Clone, Debug)]
pub struct ListItem {
    /// Unique in its list.
    name: &'static str,
    full: Arc<RawValue>,
    /// As 2025-03-26 knows it.
    plain: Arc<RawValue>,
}

impl Listed {
    /// A list with pages of `page` items.
    pub(super) fn new(items: impl Iterator<Item = ListItem>, page: usize) -> Self {
        Self { items: items.collect(), page }
    }

    /// The page after the item that the cursor names, of the items that are visible to the caller.
    pub(super) fn page(&self, cursor: Option<&str>, visible: impl Fn(&str) -> bool) -> Result<Page, McpError> {
        let after = cursor.map(|cursor| self.position(cursor)).transpose()?;
        let rest = self.items.iter().skip(after.map_or(0, |at| at + 1)).filter(|item| visible(item.name));
        let mut items: Vec<ListItem> = rest.take(self.page + 1).cloned().collect();
        let more = items.len() > self.page;
        items.truncate(self.page);
        let next_cursor = items.last().filter(|_| more).map(|item| URL_SAFE_NO_PAD.encode(item.name));
        Ok(Page { items, next_cursor })
    }

    fn position(&self, cursor: &str) -> Result<usize, McpError> {
        URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            .and_then(|name| self.items.iter().position(|item| item.name.as_bytes() == name))
            .ok_or_else(|| McpError::InvalidParams("`cursor` is not one of this list's; start again without a cursor".to_owned()))
    }
}

impl ListItem {
    /// A tool; 2025-03-26 knows it without title and output schema.
    pub(super) fn tool(description: &ToolDescription) -> Self {
        let spec = &description.spec;
        let (read_only, destructive, idempotent) = spec.effect.hints();
        let mut tool = json!({
            "name": spec.name,
            "title": spec.title,
            "description": spec.description,
            "inputSchema": description.input_schema,
            "annotations": {
                "title": spec.title,
                "readOnlyHint": read_only,
                "destructiveHint": destructive,
                "idempotentHint": idempotent,
                "openWorldHint": false,
            },
        });
        if let Some(schema) = &description.output_schema {
            tool["outputSchema"] = schema.clone();
        }
        Self::new(spec.name, tool, &["title", "outputSchema"])
    }

    /// A prompt; 2025-03-26 knows it without title.
    pub(super) fn prompt(description: &PromptDescription) -> Self {
        let spec = &description.spec;
        let prompt = json!({
            "name": spec.name,
            "title": spec.title,
            "description": spec.description,
            "arguments": description.arguments,
        });
        Self::new(spec.name, prompt, &["title"])
    }

    /// `newer` are the keys that 2025-03-26 does not know.
    fn new(name: &'static str, mut description: Value, newer: &[&str]) -> Self {
        let full = raw(&description);
        if let Some(description) = description.as_object_mut() {
            description.retain(|key, _| !newer.contains(&key.as_str()));
        }
        Self { name, full, plain: raw(&description) }
    }

    /// The description as JSON; in the form of 2025-03-26 when `titled` is false.
    pub(super) fn json(&self, titled: bool) -> &RawValue {
        if titled { &self.full } else { &self.plain }
    }
}

fn raw(value: &Value) -> Arc<RawValue> {
    #[expect(clippy::expect_used, reason = "a JSON value is JSON")]
    Arc::from(serde_json::value::to_raw_value(value).expect("a JSON value can be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_to_the_list_that_the_caller_may_use() {
        let letter = |name| ListItem::new(name, json!({}), &[]);
        let listed = Listed::new(["a", "b", "c", "d", "e"].into_iter().map(letter), 2);
        let (mut names, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = listed.page(cursor.as_deref(), |name| name != "c").expect("a page");
            names.extend(page.items.iter().map(|letter| letter.name));
            pages += 1;
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((names.as_slice(), pages), (["a", "b", "d", "e"].as_slice(), 2));
        assert_eq!(listed.page(Some("eHh4"), |_| true).map(|_| ()).map_err(|error| error.code()), Err(-32602));
    }
}
