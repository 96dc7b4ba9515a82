//! Lists that stand still while the server runs: tools and prompts, each written once at the start in the forms that the
//! revisions have.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use serde_json::value::RawValue;

use super::McpError;
use crate::prompts::PromptDescription;
use crate::tools::ToolDescription;

/// An item of a list.
pub(super) trait Item: Clone {
    /// Its unique name.
    fn name(&self) -> &'static str;
}

/// All items, in their order.
pub(super) struct Listed<T> {
    items: Vec<T>,
    page: usize,
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<String>,
}

impl<T: Item> Listed<T> {
    /// A list with pages of `page` items.
    pub(super) fn new(items: impl Iterator<Item = T>, page: usize) -> Self {
        Self { items: items.collect(), page }
    }

    /// The page after the item that the cursor names, of the items that are visible to the caller.
    pub(super) fn page(&self, cursor: Option<&str>, visible: impl Fn(&str) -> bool) -> Result<Page<T>, McpError> {
        let after = cursor.map(|cursor| self.position(cursor)).transpose()?;
        let rest = self.items.iter().skip(after.map_or(0, |at| at + 1)).filter(|item| visible(item.name()));
        let mut items: Vec<T> = rest.take(self.page + 1).cloned().collect();
        let more = items.len() > self.page;
        items.truncate(self.page);
        let next_cursor = items.last().filter(|_| more).map(|item| URL_SAFE_NO_PAD.encode(item.name()));
        Ok(Page { items, next_cursor })
    }

    fn position(&self, cursor: &str) -> Result<usize, McpError> {
        URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            .and_then(|name| self.items.iter().position(|item| item.name().as_bytes() == name))
            .ok_or_else(|| McpError::InvalidParams("`cursor` is not one of this list's; start again without a cursor".to_owned()))
    }
}

/// A tool's description.
#[derive(Clone, Debug)]
pub struct ListedTool {
    name: &'static str,
    full: Arc<RawValue>,
    /// As 2025-03-26 knows tools: without title and output schema.
    plain: Arc<RawValue>,
}

impl ListedTool {
    pub(super) fn new(description: &ToolDescription) -> Self {
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
        let full = raw(&tool);
        if let Some(tool) = tool.as_object_mut() {
            tool.remove("title");
            tool.remove("outputSchema");
        }
        Self { name: spec.name, full, plain: raw(&tool) }
    }

    /// The description as JSON; without title and output schema when `titled` is false.
    pub(super) fn json(&self, titled: bool) -> &RawValue {
        if titled { &self.full } else { &self.plain }
    }
}

impl Item for ListedTool {
    fn name(&self) -> &'static str {
        self.name
    }
}

/// A prompt's description.
#[derive(Clone, Debug)]
pub struct ListedPrompt {
    name: &'static str,
    full: Arc<RawValue>,
    /// As 2025-03-26 knows prompts: without title.
    plain: Arc<RawValue>,
}

impl ListedPrompt {
    pub(super) fn new(description: &PromptDescription) -> Self {
        let spec = &description.spec;
        let mut prompt = json!({
            "name": spec.name,
            "title": spec.title,
            "description": spec.description,
            "arguments": description.arguments,
        });
        let full = raw(&prompt);
        if let Some(prompt) = prompt.as_object_mut() {
            prompt.remove("title");
        }
        Self { name: spec.name, full, plain: raw(&prompt) }
    }

    /// The description as JSON; without title when `titled` is false.
    pub(super) fn json(&self, titled: bool) -> &RawValue {
        if titled { &self.full } else { &self.plain }
    }
}

impl Item for ListedPrompt {
    fn name(&self) -> &'static str {
        self.name
    }
}

fn raw(value: &serde_json::Value) -> Arc<RawValue> {
    #[expect(clippy::expect_used, reason = "a JSON value is JSON")]
    Arc::from(serde_json::value::to_raw_value(value).expect("a JSON value can be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Letter(&'static str);

    impl Item for Letter {
        fn name(&self) -> &'static str {
            self.0
        }
    }

    #[test]
    fn pages_join_to_the_list_that_the_caller_may_use() {
        let listed = Listed::new(["a", "b", "c", "d", "e"].into_iter().map(Letter), 2);
        let (mut names, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = listed.page(cursor.as_deref(), |name| name != "c").expect("a page");
            names.extend(page.items.iter().map(|letter| letter.0));
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
