//! Schemas as models read them: short, flat, and without what only Rust knows.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// The schema of a tool's arguments (JSON Schema 2020-12). An optional argument is one that may be left out: that it may
/// also be null is not said, because types like `["integer", "null"]` are beyond some of the services that run models.
pub(super) fn input_schema<T: JsonSchema>() -> Value {
    generate::<T>(SchemaSettings::draft2020_12().with_transform(RecursiveTransform(drop_null)))
}

/// The schema of a tool's structured output (JSON Schema 2020-12); `None` for `()`, which is no output.
pub(super) fn output_schema<T: JsonSchema>() -> Option<Value> {
    Some(generate::<T>(SchemaSettings::draft2020_12())).filter(|schema| schema["type"] != "null")
}

fn generate<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(drop_number_format))
        .with_transform(RecursiveTransform(list_constants))
        .with_transform(RecursiveTransform(unwrap_description))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(object) = schema.as_object_mut() {
        // The tool has a title and a description of its own, and 2020-12 is what schemas are in when they do not say
        // (MCP, basic, "Schema Dialect").
        for key in ["title", "description", "$schema"] {
            object.remove(key);
        }
        // A tool without arguments still takes an object (MCP, server/tools, "Tool").
        object.entry("type").or_insert_with(|| "object".into());
    }
    schema
}

/// `{"type": ["integer", "null"]}` and `{"anyOf": [S, {"type": "null"}]}` become what they are besides null.
fn drop_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            object.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
    if let [Value::Object(only)] = choices.as_mut_slice() {
        let only = std::mem::take(only);
        object.remove("anyOf");
        // The argument's own description says more than that of its type.
        merge(object, only);
    }
}

fn merge(object: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        object.entry(key).or_insert(value);
    }
}

/// A choice of constants becomes an `enum`: the argument's own description says what they mean.
fn list_constants(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let Some(Value::Array(choices)) = object.get("oneOf") else { return };
    let Some(constants) = choices.iter().map(|choice| choice.get("const").cloned()).collect::<Option<Vec<_>>>() else { return };
    if constants.iter().all(Value::is_string) {
        object.remove("oneOf");
        object.insert("type".to_owned(), "string".into());
        object.insert("enum".to_owned(), constants.into());
    }
}

/// Formats of numbers, such as `uint64`, are no part of JSON Schema, and clients that check schemas warn of each.
fn drop_number_format(schema: &mut Schema) {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    if ["int", "uint", "float", "double"].iter().any(|number| format.starts_with(number)) {
        schema.remove("format");
    }
}

/// Line breaks in a description are those of the source.
fn unwrap_description(schema: &mut Schema) {
    let unwrapped = schema.get("description").and_then(Value::as_str).map(|text| text.replace('\n', " "));
    if let Some(text) = unwrapped {
        schema.insert("description".to_owned(), text.into());
    }
}
