//! The JSON-RPC 2.0 envelope.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::object::Object;
use super::{McpError, borrowed};

/// One message of a body. Parameters are read as `P`; as they came, unless the reader knows better.
#[derive(Debug)]
pub enum Message<'a, P = &'a RawValue> {
    /// Wants an answer.
    Request {
        /// What the answer is marked with.
        id: RequestId,
        /// What is asked.
        method: Cow<'a, str>,
        /// The parameters.
        params: Option<P>,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: Cow<'a, str>,
        /// The parameters.
        params: Option<P>,
    },
    /// The answer to a request of the server's.
    Response {
        /// Which request.
        id: RequestId,
        /// Its result, or the error in place of one.
        answer: Result<&'a RawValue, &'a RawValue>,
    },
}

/// The id of a request, as the JSON text that the answer repeats: a string or an integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// The id as JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The id as a JSON value.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// The id that stands in this piece of JSON; `None` when that is neither a string nor an integer.
    #[must_use]
    pub fn parse(raw: &RawValue) -> Option<Self> {
        is_string_or_integer(raw.get()).then(|| Self(raw.get().into()))
    }
}

/// Is this JSON text a string or an integer (ids and progress tokens must be one)? A string with half of a surrogate pair
/// in it is neither: many readers refuse it, and with it the whole answer that repeats it.
pub(super) fn is_string_or_integer(json: &str) -> bool {
    if json.starts_with('"') {
        serde_json::from_str::<Cow<'_, str>>(json).is_ok()
    } else {
        json.parse::<i64>().is_ok() || json.parse::<u64>().is_ok()
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(&raw).ok_or_else(|| D::Error::custom("an id is a string or an integer"))
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a, P: Deserialize<'de>"))]
struct Envelope<'a, P> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    // A null id is an error and an absent one a notification, so the two must not look the same.
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "borrowed::optional")]
    method: Option<Cow<'a, str>>,
    params: Option<P>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a, P: Deserialize<'a>> Message<'a, P> {
    /// Reads one message.
    ///
    /// # Errors
    /// `Parse` for what is not JSON, `InvalidRequest` for JSON that is no JSON-RPC 2.0 message; with the id, where one
    /// could be read.
    pub fn parse(text: &'a str) -> Result<Self, (Option<RequestId>, McpError)> {
        let Object(envelope): Object<Envelope<'a, P>> = serde_json::from_str(text).map_err(|error| (None, json_error(&error)))?;
        let id = envelope.id.and_then(RequestId::parse);
        let invalid = |id: Option<RequestId>, problem: &str| Err((id, McpError::InvalidRequest(problem.to_owned())));
        if envelope.jsonrpc != "2.0" {
            return invalid(id, "`jsonrpc` must be \"2.0\"");
        }
        if envelope.id.is_some() && id.is_none() {
            return invalid(None, "`id` must be a string or an integer");
        }
        let answer = match (envelope.result, envelope.error) {
            (Some(result), None) => Some(Ok(result)),
            (None, Some(error)) => Some(Err(error)),
            (None, None) => None,
            (Some(_), Some(_)) => return invalid(id, "an answer has either a `result` or an `error`"),
        };
        match (envelope.method, id, answer) {
            (Some(_), id, Some(_)) => invalid(id, "a message has either a `method` or a `result` or `error`"),
            (Some(method), Some(id), None) => Ok(Self::Request { id, method, params: envelope.params }),
            (Some(method), None, None) => Ok(Self::Notification { method, params: envelope.params }),
            (None, Some(id), Some(answer)) => Ok(Self::Response { id, answer }),
            (None, id, _) => invalid(id, "a message needs a `method`"),
        }
    }
}

/// Splits serde_json's errors: text that is not JSON at all, and JSON of the wrong form.
pub(super) fn json_error(error: &serde_json::Error) -> McpError {
    if error.is_data() {
        McpError::InvalidRequest(format!("not a JSON-RPC message: {error}"))
    } else {
        McpError::Parse(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> i32 {
        match Message::<&RawValue>::parse(text) {
            Ok(message) => panic!("{text} was taken for {message:?}"),
            Err((_, error)) => error.code(),
        }
    }

    #[test]
    fn what_is_no_message() {
        for text in ["", "{", "nul", "{\"jsonrpc\":\"2.0\",}"] {
            assert_eq!(code(text), -32700, "{text}");
        }
        for text in [
            "3",
            "\"x\"",
            "[]",
            r#"["2.0",1,"ping",{}]"#,
            r#"["2.0",1,"ping",null,null,null]"#,
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1e3,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":"\ud800","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
        ] {
            assert_eq!(code(text), -32600, "{text}");
        }
    }

    #[test]
    fn ids_are_repeated_as_they_came() {
        for id in ["-7", "0", "18446744073709551615", "\"a\\u0041\""] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            match Message::<&RawValue>::parse(&text) {
                Ok(Message::Request { id: read, .. }) => assert_eq!(read.as_json(), id),
                other => panic!("{other:?}"),
            }
        }
    }
}
