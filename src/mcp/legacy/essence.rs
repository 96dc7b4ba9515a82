//! A request without what nobody needs to run it again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The parameters that say what is asked.
const PARAMS: [&str; 6] = ["name", "uri", "arguments", "ref", "argument", "context"];

#[derive(Deserialize, Serialize)]
struct Message<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

#[derive(Deserialize, Serialize)]
struct Meta<'a> {
    #[serde(rename = "progressToken", borrow, skip_serializing_if = "Option::is_none")]
    progress_token: Option<&'a RawValue>,
}

/// The message with its id, its method, what is asked and the progress token; `None` for what is no request.
pub(super) fn essence(message: &[u8]) -> Option<String> {
    let mut message: Message<'_> = serde_json::from_slice(message).ok()?;
    let meta = message.params.remove("_meta");
    message.params.retain(|name, _| PARAMS.contains(&&**name));
    let meta = meta.and_then(|meta| serde_json::from_str::<Meta<'_>>(meta.get()).ok());
    let meta = meta.and_then(|meta| serde_json::value::to_raw_value(&meta).ok());
    if let Some(meta) = &meta {
        message.params.insert("_meta".into(), meta);
    }
    serde_json::to_string(&message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_stays_as_it_was_written() {
        let asked = r#"{"jsonrpc":"2.0","id":"\u0031","method":"tools/call","params":{"_meta":{"progressToken":7},"arguments":{"a":1e999},"name":"t"}}"#;
        let with_more =
            asked.replace(r#""progressToken":7"#, r#""progressToken":7,"x":[1]"#).replace(r#""name""#, r#""more":{},"name""#);
        assert_eq!(essence(with_more.as_bytes()).as_deref(), Some(asked));
        assert_eq!(essence(b"[]"), None);
    }
}
