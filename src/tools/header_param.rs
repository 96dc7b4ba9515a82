//! Arguments that clients repeat in headers, so that balancers and proxies can go by them (2026-07-28, server/tools,
//! "x-mcp-header").

use std::collections::HashMap;

use serde_json::Value;

/// In the schema of an argument: the second part of the name of its header.
pub(super) const ANNOTATION: &str = "x-mcp-header";

/// An argument that clients repeat in a header. Declared with the argument:
/// `#[schemars(extend("x-mcp-header" = "Region"))]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderParam {
    /// What follows `Mcp-Param-` in the header's name.
    pub name: String,
    /// The argument's place: the names of the objects around it, then its own.
    pub path: Vec<String>,
}

impl HeaderParam {
    /// The argument's value in these arguments; `None` when it is null or not there.
    #[must_use]
    pub fn value<'a>(&self, arguments: &'a Value) -> Option<&'a Value> {
        self.path.iter().try_fold(arguments, |object, name| object.get(name)).filter(|value| !value.is_null())
    }
}

/// Of each tool that has some, by the tool's name.
pub type HeaderParams = HashMap<&'static str, Vec<HeaderParam>>;

/// All annotated arguments of a schema, or which annotation clients would refuse, and why.
pub(super) fn header_params(schema: &Value) -> Result<Vec<HeaderParam>, String> {
    let mut found = Vec::new();
    collect(schema, Some(&[]), &mut found)?;
    Ok(found)
}

/// `path` leads to this schema from the root by properties alone; `None` when something else is on the way.
fn collect(schema: &Value, path: Option<&[String]>, found: &mut Vec<HeaderParam>) -> Result<(), String> {
    let object = match schema {
        Value::Object(object) => object,
        Value::Array(schemas) => return schemas.iter().try_for_each(|schema| collect(schema, None, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Ok(()),
    };
    if let Some(name) = object.get(ANNOTATION) {
        found.push(read_annotation(name, schema, path, found)?);
    }
    for (keyword, inner) in object {
        match (keyword.as_str(), inner, path) {
            ("properties", Value::Object(properties), Some(path)) => {
                for (name, property) in properties {
                    let path: Vec<_> = path.iter().chain([name]).cloned().collect();
                    collect(property, Some(&path), found)?;
                }
            }
            // Not schemas, but values.
            ("default" | "const" | "enum" | "examples", ..) => {}
            (_, inner, _) => collect(inner, None, found)?,
        }
    }
    Ok(())
}

fn read_annotation(name: &Value, schema: &Value, path: Option<&[String]>, found: &[HeaderParam]) -> Result<HeaderParam, String> {
    let problem = |problem: &str| format!("{ANNOTATION} {name}: {problem}");
    let path =
        path.filter(|path| !path.is_empty()).ok_or_else(|| problem("only arguments and fields of arguments can have one"))?;
    let text = name.as_str().filter(|text| is_token(text)).ok_or_else(|| problem("not a token (RFC 9110, section 5.6.2)"))?;
    if !schema["type"].as_str().is_some_and(|kind| matches!(kind, "string" | "integer" | "boolean")) {
        return Err(problem("only strings, integers and booleans can have one"));
    }
    if found.iter().any(|param| param.name.eq_ignore_ascii_case(text)) {
        return Err(problem("another argument has the same"));
    }
    Ok(HeaderParam { name: text.to_owned(), path: path.to_vec() })
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_are_found_where_they_may_stand() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "place": {"type": "object", "properties": {"floor": {"type": "integer", "x-mcp-header": "Floor"}}},
            "x-mcp-header": {"type": "boolean", "default": {"x-mcp-header": "no annotation"}},
        }});
        let found = header_params(&schema).expect("two");
        let names: Vec<_> = found.iter().map(|param| (param.name.as_str(), param.path.join("."))).collect();
        assert_eq!(names, [("Floor", "place.floor".to_owned()), ("Region", "region".to_owned())]);
        let arguments = json!({"region": null, "place": {"floor": 0}});
        assert_eq!((found[0].value(&arguments), found[1].value(&arguments)), (Some(&json!(0)), None));
    }

    #[test]
    fn annotations_that_clients_refuse_are_mistakes() {
        let argument = |schema: Value| json!({"type": "object", "properties": {"a": schema}});
        let annotated = |name: &str| json!({"type": "string", "x-mcp-header": name});
        for wrong in [
            argument(annotated("")),
            argument(annotated("My Region")),
            argument(annotated("Région")),
            argument(annotated("a\nb")),
            argument(json!({"type": "string", "x-mcp-header": 5})),
            argument(json!({"type": "number", "x-mcp-header": "N"})),
            argument(json!({"type": "object", "x-mcp-header": "O"})),
            argument(json!({"type": ["string", "null"], "x-mcp-header": "S"})),
            argument(json!({"x-mcp-header": "Untyped"})),
            argument(json!({"type": "array", "items": annotated("Item")})),
            argument(json!({"anyOf": [annotated("Choice")]})),
            json!({"type": "object", "x-mcp-header": "Root"}),
            json!({"type": "object", "$defs": {"d": annotated("Definition")}}),
            json!({"type": "object", "if": {"properties": {"a": annotated("Condition")}}}),
            json!({"type": "object", "properties": {"a": annotated("Region"), "b": annotated("REGION")}}),
        ] {
            assert!(header_params(&wrong).is_err(), "{wrong}");
        }
    }
}
