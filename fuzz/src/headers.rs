//! A POST to the endpoint, through the whole router: what is answered with a result said the same in headers and body.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::server::Server;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const MODERN: &str = "2026-07-28";
const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// `input` is a request without its first line: headers, one a line, an empty line, the body. Headers that every request
/// has may be left out.
pub fn check(input: &[u8]) {
    let (headers, body) = split(input);
    let (status, answer) = Server::get().post(&headers, body);
    assert!(!status.is_server_error(), "{status}");
    let Some(answer) = answer else { return };
    if !answer.is_empty() {
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        check_answer(&headers, body, &answer);
    }
}

fn check_answer(headers: &HeaderMap, body: &[u8], answer: &Value) {
    // Nesting beyond a limit and numbers beyond any range are read by nobody; there is nothing to compare with then.
    let Ok(seen) = serde_json::from_slice::<Value>(body) else { return };
    if let Value::Array(answers) = answer {
        let messages = seen.as_array().expect("several answers to one message");
        let results = answers.iter().filter(|answer| answer.get("result").is_some()).count();
        assert!(answers.len() <= messages.len() && results <= messages.iter().filter(|message| message.is_object()).count());
        assert_eq!(one(headers, "mcp-protocol-version").unwrap_or("2025-03-26"), "2025-03-26", "only this one has batches");
        return;
    }
    if let Some(id) = answer.get("id") {
        assert_eq!(Some(id), seen.get("id"));
    }
    if answer.get("result").is_none() {
        assert!(answer["error"].is_string() || answer["error"]["code"].is_i64(), "neither a result nor an error: {answer}");
        return;
    }
    let (method, params) = (seen["method"].as_str().expect("a method"), &seen["params"]);
    match params["_meta"][VERSION].as_str() {
        Some(version) => {
            assert_eq!(version, MODERN);
            assert!(params["_meta"]["io.modelcontextprotocol/clientCapabilities"].is_object());
            assert_eq!(one(headers, "mcp-protocol-version"), Some(version));
            assert_eq!(one(headers, "mcp-method"), Some(method));
            let named = match method {
                "tools/call" | "prompts/get" => &params["name"],
                "resources/read" => &params["uri"],
                _ => return,
            };
            assert_eq!(one(headers, "mcp-name").map(decode).as_deref(), named.as_str());
            assert!(named.is_string());
        }
        None if method == "initialize" => assert!(LEGACY.contains(&answer["result"]["protocolVersion"].as_str().expect("one"))),
        None => assert!(LEGACY.contains(&one(headers, "mcp-protocol-version").unwrap_or("2025-03-26"))),
    }
}

/// The value of a header that stands there once.
fn one<'h>(headers: &'h HeaderMap, name: &'static str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    assert!(values.next().is_none(), "{name} stands there twice, and the request was answered");
    Some(value.to_str().expect("a request whose header is not ASCII was answered"))
}

/// The value that a header stands for: base64 of it, between marks, or the value itself.
fn decode(value: &str) -> String {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return value.to_owned();
    };
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{value:?} is no base64, and the request was answered"),
    };
    let bits: Vec<bool> = encoded
        .trim_end_matches('=')
        .bytes()
        .map(digit)
        .flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1 == 1))
        .collect();
    let bytes = bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect();
    String::from_utf8(bytes).expect("a request whose name is not UTF-8 was answered")
}

fn split(input: &[u8]) -> (HeaderMap, &[u8]) {
    let (mut headers, mut rest) = (HeaderMap::new(), input);
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = end.map_or((rest, &[][..]), |end| (&rest[..end], &rest[end + 1..]));
        rest = after;
        let line = line.trim_ascii();
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line.get(colon + 1..).unwrap_or_default().trim_ascii());
        // Of what is no header the server never hears.
        if let (Ok(name), Ok(value)) = (name, value) {
            let _ = headers.try_append(name, value);
        }
    }
    for (name, value) in [(CONTENT_TYPE, "application/json"), (ACCEPT, "application/json, text/event-stream")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    (headers, rest)
}
