//! The JSON-RPC envelope and the parameters: what was read is what any other reader of JSON sees.

use bytes::Bytes;
use pressmark::mcp::{Message, Method, Named, Params, ProtocolVersion, RequestId, write_error};
use serde_json::Value;
use serde_json::value::RawValue;

/// `input` is one message.
pub fn check(input: &[u8]) {
    let body = Bytes::copy_from_slice(input);
    let Ok(text) = std::str::from_utf8(&body) else { return };
    // Nesting beyond a limit and numbers beyond any range are read by nobody; there is nothing to compare with then.
    let seen = serde_json::from_str::<Value>(text).ok();
    match Message::parse(text) {
        Ok(Message::Request { id, method, params }) => check_request(&body, text, seen.as_ref(), &id, &method, params),
        Ok(Message::Notification { method, .. }) => {
            let Some(seen) = seen else { return };
            assert!(seen["method"] == *method && seen.get("id").is_none(), "{text}");
        }
        Ok(Message::Response { .. }) => {
            let Some(seen) = seen else { return };
            assert!(seen.get("method").is_none_or(Value::is_null) && seen.get("id").is_some(), "{text}");
            assert!(seen.get("result").is_some() != seen.get("error").is_some(), "{text}");
        }
        Err((id, error)) => {
            assert!([-32700, -32600].contains(&error.code()), "{text}: {error}");
            assert!(error.code() != -32700 || seen.is_none(), "{text} is JSON: {error}");
            check_answer(text, id.as_ref(), &write_error(id.as_ref(), &error));
        }
    }
}

fn check_request(body: &Bytes, text: &str, seen: Option<&Value>, id: &RequestId, method: &str, params: Option<&RawValue>) {
    if let Some(seen) = seen {
        assert!(seen["jsonrpc"] == "2.0" && seen["method"] == method, "{text}");
        assert!(seen.get("result").is_none() && seen.get("error").is_none(), "{text}");
        assert_eq!(seen["id"], serde_json::from_str::<Value>(id.as_json()).expect("an id is JSON"), "{text}");
    }
    let members = params.map_or_else(String::new, |params| format!(r#","params":{}"#, params.get()));
    let again = format!(r#"{{"jsonrpc":"2.0","id":{},"method":{}{members}}}"#, id.as_json(), Value::from(method));
    let Ok(Message::Request { id: id_again, method: method_again, params: params_again }) = Message::parse(&again) else {
        panic!("{text} was read, and written again as {again} is not");
    };
    assert_eq!((&id_again, &*method_again, params_again.map(RawValue::get)), (id, method, params.map(RawValue::get)), "{text}");

    let seen = params.and_then(|params| serde_json::from_str::<Value>(params.get()).ok());
    match Params::parse(params) {
        Ok(read) => check_params(text, seen.as_ref(), &read),
        Err(error) => {
            assert_eq!(error.code(), -32602, "{text}");
            check_answer(text, Some(id), &write_error(Some(id), &error));
            return;
        }
    }
    for version in ProtocolVersion::ALL {
        let mut read = Params::parse(params).expect("read before");
        match read.method(method, version, body) {
            Ok(found) => check_method(text, method, version, &found, seen.as_ref()),
            Err(error) => {
                assert!([-32601, -32602].contains(&error.code()), "{text}: {error}");
                check_answer(text, Some(id), &write_error(Some(id), &error));
            }
        }
    }
}

fn check_params(text: &str, seen: Option<&Value>, read: &Params<'_>) {
    let Some(seen) = seen else { return };
    assert!(seen.is_object(), "{text}");
    for (name, value) in
        [("name", &read.name), ("uri", &read.uri), ("cursor", &read.cursor), ("protocolVersion", &read.protocol_version)]
    {
        assert_eq!(seen.get(name).and_then(Value::as_str), value.as_deref(), "{text}: {name}");
    }
    let Some(meta) = &read.meta else {
        assert!(seen.get("_meta").is_none_or(Value::is_null), "{text}");
        return;
    };
    let version = seen["_meta"].get("io.modelcontextprotocol/protocolVersion").and_then(Value::as_str);
    assert_eq!(version, meta.protocol_version.as_deref(), "{text}");
    if let Some(token) = meta.progress_token {
        let token = serde_json::from_str::<Value>(token.get()).expect("a token is JSON");
        assert!(token.is_string() || token.as_f64().is_some_and(|number| number.fract() == 0.0), "{text}: {token}");
    }
}

fn check_method(text: &str, name: &str, version: ProtocolVersion, found: &Method<Named>, params: Option<&Value>) {
    let of_the_other_era: &[&str] = if version.is_modern() {
        &["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"]
    } else {
        &["server/discover", "subscriptions/listen"]
    };
    assert!(!of_the_other_era.contains(&name), "{text}: {name} in {version}");
    let Some(params) = params else { return };
    match found {
        Method::CallTool(call) | Method::GetPrompt(call) => {
            assert!(["tools/call", "prompts/get"].contains(&name) && params["name"] == *call.name, "{text}");
            let arguments = call.arguments_json().map(|arguments| serde_json::from_str(arguments).expect("JSON in JSON"));
            assert_eq!(params.get("arguments").filter(|arguments| !arguments.is_null()), arguments.as_ref(), "{text}");
        }
        Method::ReadResource(uri) => assert!(name == "resources/read" && params["uri"] == **uri, "{text}"),
        _ => {}
    }
}

/// An answer is JSON in any case, and repeats the id.
fn check_answer(text: &str, id: Option<&RequestId>, answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_else(|error| panic!("the answer to {text} is no JSON: {error}"));
    let id = id.map_or(Value::Null, |id| serde_json::from_str(id.as_json()).expect("an id is JSON"));
    assert_eq!(answer.get("id").unwrap_or(&Value::Null), &id, "{text}");
    assert!(answer["error"]["code"].is_i64() && answer["error"]["message"].is_string(), "{text}");
}
