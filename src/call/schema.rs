//! Schemas as readers outside of Rust know them: one plain type a value, constants as a list.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// The schema of a type (JSON Schema 2020-12), without references, without its Rust name, and without what only Rust knows.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    generate::<T>(SchemaSettings::draft2020_12())
}

/// The same for what is filled in: an optional value is one that may be left out. That it may also be null is not said,
/// because types like `["integer", "null"]` are beyond some of the services that run models.
pub(crate) fn input_schema_of<T: JsonSchema>() -> Value {
    generate::<T>(SchemaSettings::draft2020_12().with_transform(RecursiveTransform(drop_null)))
}

fn generate<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings
        .with(|settings| {
            settings.inline_subschemas = true;
            // 2020-12 is what schemas are in when they do not say (MCP, basic, "Schema Dialect"); a type may say it itself.
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(drop_number_format))
        .with_transform(RecursiveTransform(list_constants))
        .with_transform(RecursiveTransform(unwrap_description))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(object) = schema.as_object_mut() {
        // A title and a description stand beside the schema already: the tool's, or the question's.
        object.remove("title");
        object.remove("description");
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
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
    if let [Value::Object(only)] = choices.as_mut_slice() {
        let only = std::mem::take(only);
        object.remove("anyOf");
        // The value's own description says more than that of its type.
        merge(object, only);
    }
}

fn merge(object: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        object.entry(key).or_insert(value);
    }
}

/// A choice of constants becomes an `enum`: the value's own description says what they mean. Where each has a title, for
/// people who choose, they stay as they are.
fn list_constants(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let Some(Value::Array(choices)) = object.get("oneOf") else { return };
    let Some(constants) = choices.iter().map(constants_of).collect::<Option<Vec<_>>>() else { return };
    let constants = constants.concat();
    if !constants.iter().all(Value::is_string) {
        return;
    }
    object.insert("type".to_owned(), "string".into());
    let Some(Value::Array(choices)) = object.get_mut("oneOf") else { return };
    if choices.iter().all(|choice| choice.get("title").is_some()) {
        for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
            choice.retain(|key, _| matches!(key.as_str(), "const" | "title"));
        }
    } else {
        object.remove("oneOf");
        object.insert("enum".to_owned(), constants.into());
    }
}

/// A variant with a description is a choice of its own; those without are one choice together.
fn constants_of(choice: &Value) -> Option<Vec<Value>> {
    let one = choice.get("const").map(|constant| vec![constant.clone()]);
    one.or_else(|| choice.get("enum")?.as_array().cloned())
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
