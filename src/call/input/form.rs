//! Forms: the restricted schemas that clients can show, and whether an answer fits one.

use schemars::JsonSchema;
use serde_json::{Map, Value};

use crate::call::input_schema_of;

/// The schema of a plain struct, without what forms do not know.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = input_schema_of::<T>();
    if let Some(object) = schema.as_object_mut() {
        object.retain(|key, _| matches!(key.as_str(), "type" | "properties" | "required"));
    }
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
    for items in fields.filter_map(|field| field.get_mut("items")?.as_object_mut()) {
        // Choices with titles, where several may be chosen, are `anyOf` and say no type.
        if let Some(titled) = items.remove("oneOf") {
            items.remove("type");
            items.insert("anyOf".to_owned(), titled);
        }
    }
    schema
}

/// Does the content have every required field, and each field that the form knows the form's type? Fields that the form
/// does not know are nobody's business, and null is how some clients leave a field out.
pub(super) fn fits(schema: &Value, content: &Map<String, Value>) -> bool {
    let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let given = |name: &str| content.get(name).is_some_and(|value| !value.is_null());
    let complete = required.iter().filter_map(Value::as_str).all(given);
    let properties = schema.get("properties").and_then(Value::as_object);
    complete
        && content
            .iter()
            .filter(|(_, value)| !value.is_null())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Order {
        /// Who orders,
        /// by name
        #[schemars(length(min = 1, max = 20))]
        name: String,
        #[schemars(range(min = 1, max = 9))]
        number: u8,
        discount: Option<f32>,
        gift: bool,
        #[schemars(extend("default" = "small"))]
        size: Option<Size>,
        color: Color,
        #[schemars(length(max = 2))]
        extras: Option<Vec<Size>>,
        ribbons: Vec<Color>,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Size {
        /// Described for Rust, which puts it after those that are not.
        Small,
        Large,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Color {
        #[schemars(rename = "#FF0000", title = "Red")]
        Red,
        #[schemars(rename = "#00FF00", title = "Green")]
        Green,
    }

    #[test]
    fn a_struct_becomes_what_forms_know() {
        let titled = json!([{"const": "#FF0000", "title": "Red"}, {"const": "#00FF00", "title": "Green"}]);
        let expected = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "Who orders, by name", "minLength": 1, "maxLength": 20},
                "number": {"type": "integer", "minimum": 1, "maximum": 9},
                "discount": {"type": "number"},
                "gift": {"type": "boolean"},
                "size": {"type": "string", "enum": ["large", "small"], "default": "small"},
                "color": {"type": "string", "oneOf": titled},
                "extras": {"type": "array", "maxItems": 2, "items": {"type": "string", "enum": ["large", "small"]}},
                "ribbons": {"type": "array", "items": {"anyOf": titled}},
            },
            "required": ["name", "number", "gift", "color", "ribbons"],
        });
        assert_eq!(schema_of::<Order>(), expected);
    }

    #[test]
    fn answers_fit_or_do_not() {
        let schema = schema_of::<Order>();
        let right = json!({"name": "Ada", "number": 2, "gift": true, "color": "#FF0000", "ribbons": ["#00FF00"]});
        let with = |name: &str, value: Value| {
            let mut content = right.as_object().expect("an object").clone();
            content.insert(name.to_owned(), value);
            fits(&schema, &content)
        };
        for (name, value) in [
            ("name", json!("Å".repeat(20))),
            ("number", json!(9.0)),
            ("discount", json!(0.5)),
            ("discount", json!(null)),
            ("size", json!("large")),
            ("extras", json!(["small", "large"])),
            ("ribbons", json!([])),
            ("unknown", json!({"of": "nobody's business"})),
        ] {
            assert!(with(name, value.clone()), "{name}: {value}");
        }
        for (name, value) in [
            ("name", json!("")),
            ("name", json!("a".repeat(21))),
            ("name", json!(null)),
            ("name", json!(5)),
            ("number", json!(0)),
            ("number", json!(10)),
            ("number", json!(1.5)),
            ("number", json!("2")),
            ("discount", json!("0.5")),
            ("gift", json!("true")),
            ("size", json!("medium")),
            ("color", json!("Red")),
            ("extras", json!(["small", "small", "small"])),
            ("extras", json!("small")),
            ("ribbons", json!(["#0000FF"])),
        ] {
            assert!(!with(name, value.clone()), "{name}: {value}");
        }
        assert!(!fits(&schema, &Map::new()), "required fields are missing");
    }
}
