//! Forms: the restricted schemas that clients can show, and whether an answer fits one.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of a plain struct, without what forms do not know.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.retain(|key, _| matches!(key.as_str(), "type" | "properties" | "required"));
    }
    schema
}

/// Does the content have every required field, and each field that the form knows the form's type? Fields that the form
/// does not know are nobody's business.
pub(super) fn fits(schema: &Value, content: &Map<String, Value>) -> bool {
    let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let complete = required.iter().filter_map(Value::as_str).all(|name| content.contains_key(name));
    let properties = schema.get("properties").and_then(Value::as_object);
    complete
        && content
            .iter()
            .all(|(name, value)| properties.and_then(|known| known.get(name)).is_none_or(|field| field_fits(field, value)))
}

fn field_fits(field: &Value, value: &Value) -> bool {
    let number = |name: &str| field.get(name).and_then(Value::as_f64);
    let length = |name: &str| field.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    match (field.get("type").and_then(Value::as_str), value) {
        (Some("string"), Value::String(text)) => {
            let chars = text.chars().count();
            length("minLength").is_none_or(|least| chars >= least)
                && length("maxLength").is_none_or(|most| chars <= most)
                && choices(field).is_none_or(|choices| choices.contains(&value))
        }
        (Some("integer"), Value::Number(n)) if n.as_f64().is_none_or(|n| n.fract() != 0.0) => false,
        (Some("number" | "integer"), Value::Number(n)) => {
            let n = n.as_f64().unwrap_or(f64::NAN);
            number("minimum").is_none_or(|least| n >= least) && number("maximum").is_none_or(|most| n <= most)
        }
        (Some("boolean"), Value::Bool(_)) => true,
        (Some("array"), Value::Array(chosen)) => {
            let known = field.get("items").and_then(choices);
            length("minItems").is_none_or(|least| chosen.len() >= least)
                && length("maxItems").is_none_or(|most| chosen.len() <= most)
                && chosen.iter().all(|value| known.as_ref().is_none_or(|known| known.contains(&value)))
        }
        _ => false,
    }
}

/// What may be chosen: plain values, or values with titles.
fn choices(field: &Value) -> Option<Vec<&Value>> {
    if let Some(values) = field.get("enum").and_then(Value::as_array) {
        return Some(values.iter().collect());
    }
    let titled = field.get("oneOf").or_else(|| field.get("anyOf"))?.as_array()?;
    Some(titled.iter().filter_map(|choice| choice.get("const")).collect())
}
