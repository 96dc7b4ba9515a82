//! Tools whose arguments are declared in unusual ways.

use std::borrow::Cow;

use pressmark::call::CallContext;
use pressmark::tools::{Tool, ToolSpec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Answer, say, spec};

/// With a schema by hand, which is listed as it stands.
pub(crate) struct WholeVocabulary;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Person {
    name: Option<String>,
    address: Option<Address>,
    contact_method: Option<ContactMethod>,
    phone: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Address {
    street: Option<String>,
    city: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ContactMethod {
    Phone,
    Email,
}

impl JsonSchema for Person {
    fn schema_name() -> Cow<'static, str> {
        "Person".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
                },
            },
            "properties": {
                "name": { "type": "string" },
                "address": { "$ref": "#/$defs/address" },
                "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                "phone": { "type": "string" },
                "email": { "type": "string" },
            },
            "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
            "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
            "then": { "required": ["phone"] },
            "else": { "required": ["email"] },
            "additionalProperties": false,
        })
    }
}

impl Tool for WholeVocabulary {
    const SPEC: ToolSpec = ToolSpec {
        example: r#"{"name": "Ada", "email": "ada@example.com"}"#,
        ..spec("json_schema_2020_12_tool", "JSON Schema 2020-12", "Takes arguments with a schema of many keywords.")
    };
    type Args = Person;
    type Output = ();

    async fn call(&self, _: &CallContext, person: Person) -> Answer {
        say(format!("JSON Schema 2020-12 tool called with: {}", json!(person)))
    }
}

/// With arguments that clients repeat in headers, where balancers and proxies can see them.
pub(crate) struct InHeaders;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InHeadersArgs {
    /// Where to ask.
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
    /// How many answers to give.
    #[schemars(extend("x-mcp-header" = "Limit"))]
    limit: Option<u32>,
    /// Whether to hurry.
    #[schemars(extend("x-mcp-header" = "Urgent"))]
    urgent: Option<bool>,
}

impl Tool for InHeaders {
    const SPEC: ToolSpec = ToolSpec {
        example: r#"{"region": "us-west1"}"#,
        ..spec("test_header_parameters", "Arguments in headers", "Takes arguments that are repeated in HTTP headers.")
    };
    type Args = InHeadersArgs;
    type Output = ();

    async fn call(&self, _: &CallContext, InHeadersArgs { region, limit, urgent }: InHeadersArgs) -> Answer {
        say(format!("region {region}, limit {limit:?}, urgent {urgent:?}"))
    }
}
