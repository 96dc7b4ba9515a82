//! Do the `Mcp-Param-*` headers of a tool call say the same as its arguments (2026-07-28,
//! basic/transports/streamable-http, "Server Behavior for Custom Headers")?

use serde_json::Value;

use super::read_message::{MessageHeaders, decode_sentinel};
use crate::mcp::{Call, McpError};
use crate::tools::HeaderParam;

/// Integers that every client can hold exactly: those below 2^53.
const LARGEST_INTEGER: f64 = 9_007_199_254_740_991.0;

/// Compares each header with its argument.
///
/// # Errors
/// `HeaderMismatch` for the first that is missing, malformed, or says something else.
pub(super) fn agree(headers: &MessageHeaders<'_>, params: &[HeaderParam], call: &Call) -> Result<(), McpError> {
    let arguments = call.arguments_json().and_then(|arguments| serde_json::from_str(arguments).ok()).unwrap_or_default();
    params.iter().try_for_each(|param| agree_on_one(headers, param, &arguments))
}

fn agree_on_one(headers: &MessageHeaders<'_>, param: &HeaderParam, arguments: &Value) -> Result<(), McpError> {
    let name = format!("Mcp-Param-{}", param.name);
    let argument = param.path.join(".");
    let mismatch = |problem: &str| Err(McpError::HeaderMismatch(format!("{name} {problem}")));
    match (headers.one(&name)?, param.value(arguments)) {
        (None, None) => Ok(()),
        (None, Some(_)) => mismatch(&format!("is missing, and the call has the argument `{argument}`")),
        (Some(_), None) => mismatch(&format!("is there, and the call has no argument `{argument}`")),
        (Some(header), Some(value)) if says(&decode_sentinel(&name, header)?, value) => Ok(()),
        (Some(_), Some(_)) => mismatch(&format!("does not say what the argument `{argument}` says")),
    }
}

fn says(header: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => header == text,
        Value::Bool(value) => header == if *value { "true" } else { "false" },
        // As numbers, not as texts: 42.0 is 42 ("Server Validation").
        Value::Number(number) => {
            let plain = header.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'.');
            let said = header.parse::<f64>().ok().filter(|said| plain && said.abs() <= LARGEST_INTEGER);
            said.is_some() && said == number.as_f64()
        }
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_compared_by_their_type() {
        for (header, value) in [
            ("us-west1", json!("us-west1")),
            ("", json!("")),
            ("42", json!("42")),
            ("42", json!(42)),
            ("42.0", json!(42)),
            ("-7", json!(-7)),
            ("9007199254740991", json!(9_007_199_254_740_991_i64)),
            ("true", json!(true)),
            ("false", json!(false)),
        ] {
            assert!(says(header, &value), "{header:?} says {value}");
        }
        for (header, value) in [
            ("US-WEST1", json!("us-west1")),
            ("42.0", json!("42")),
            ("43", json!(42)),
            ("", json!(0)),
            ("+42", json!(42)),
            ("4.2e1", json!(42)),
            (" 42", json!(42)),
            ("NaN", json!(42)),
            ("9007199254740993", json!(9_007_199_254_740_992_i64)),
            ("9007199254740992", json!(9_007_199_254_740_992_i64)),
            ("True", json!(true)),
            ("1", json!(true)),
            ("[]", json!([])),
        ] {
            assert!(!says(header, &value), "{header:?} does not say {value}");
        }
    }
}
