//! The schemas of a tool.

use schemars::JsonSchema;
use serde_json::Value;

use crate::call::{input_schema_of, schema_of};

/// The schema of a tool's arguments (JSON Schema 2020-12).
pub(super) fn input_schema<T: JsonSchema>() -> Value {
    with_type(input_schema_of::<T>())
}

/// The schema of a tool's structured output (JSON Schema 2020-12); `None` for `()`, which is no output.
pub(super) fn output_schema<T: JsonSchema>() -> Option<Value> {
    Some(with_type(schema_of::<T>())).filter(|schema| schema["type"] != "null")
}

/// A tool without arguments still takes an object (MCP, server/tools, "Tool").
fn with_type(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.entry("type").or_insert_with(|| "object".into());
    }
    schema
}
