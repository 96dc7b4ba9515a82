//! Events: what a log holds, how a client names one, and what it is sent.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use crate::mcp::RequestId;
use crate::state::EventId;

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A message for the client.
    Message(Bytes),
    /// The last one: the response.
    Last(Bytes),
    /// The end of a stream without a response.
    End,
    /// The connection closes here, and the client comes back after this long.
    Close(Duration),
    /// Nothing for the client: what it may be told has changed, or the call goes on.
    Wake,
    /// From here on the stream is sent to this connection, and to no other.
    Owner,
}

/// Hexadecimal digits that stand for a call in its session.
const CALL_CHARS: usize = 16;
/// Hexadecimal digits that tell one use of a request id from another.
const USE_CHARS: usize = 8;

/// Which stream of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamName {
    /// What belongs to no call.
    Get,
    /// A call's: the call, and which use of its request id.
    Call {
        call: CallName,
        /// A client that uses a request id again, once the call is over, gets another stream.
        nonce: u32,
    },
}

/// What stands for a call in its session: a hash of the request id, so that it can be computed anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallName(u64);

/// An event as a client names it, in `Last-Event-ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventName {
    pub(super) stream: StreamName,
    pub(super) event: EventId,
}

/// A text is not an [`EventName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an event of this server's")]
pub struct NotAnEventName;

/// What is sent to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A message.
    Message {
        /// The event's id.
        id: EventName,
        /// The whole JSON-RPC message.
        message: Bytes,
    },
    /// Nothing more on this connection: the client comes back after `retry`, naming this event.
    Close {
        /// The event's id.
        id: EventName,
        /// How long the client waits.
        retry: Duration,
    },
    /// A sign of life.
    Idle,
}

impl EventName {
    /// Is it an event of a call's stream?
    #[must_use]
    pub fn belongs_to_call(&self) -> bool {
        matches!(self.stream, StreamName::Call { .. })
    }
}

impl Event {
    /// As an entry of a log.
    pub(super) fn encode(&self, stream: &StreamName) -> Bytes {
        [&stream.mark()[..], &self.encode_unmarked()].concat().into()
    }

    /// `None` for an event of another stream, or what a newer version of the program may have written.
    pub(super) fn decode(bytes: &Bytes, stream: &StreamName) -> Option<Self> {
        let mark = stream.mark();
        bytes.starts_with(&mark).then(|| Self::decode_unmarked(&bytes.slice(mark.len()..)))?
    }

    fn encode_unmarked(&self) -> Bytes {
        let (tag, payload): (u8, &[u8]) = match self {
            Self::Message(message) => (b'm', message),
            Self::Last(message) => (b'l', message),
            Self::End => (b'e', b""),
            Self::Wake => (b'w', b""),
            Self::Close(retry) => return format!("c{}", retry.as_millis()).into(),
            Self::Owner => (b'o', b""),
        };
        let mut bytes = Vec::with_capacity(payload.len() + 1);
        bytes.push(tag);
        bytes.extend_from_slice(payload);
        bytes.into()
    }

    fn decode_unmarked(bytes: &Bytes) -> Option<Self> {
        let payload = bytes.get(1..).map(|_| bytes.slice(1..))?;
        let number = || std::str::from_utf8(&payload).ok()?.parse().ok();
        Some(match bytes[0] {
            b'm' => Self::Message(payload),
            b'l' => Self::Last(payload),
            b'e' => Self::End,
            b'w' => Self::Wake,
            b'c' => Self::Close(Duration::from_millis(number()?)),
            b'o' => Self::Owner,
            _ => return None,
        })
    }
}

impl StreamName {
    /// Begins each event: the streams of a request id that is used again are in one log.
    fn mark(&self) -> [u8; 4] {
        match self {
            Self::Get => [0; 4],
            Self::Call { nonce, .. } => nonce.to_be_bytes(),
        }
    }
}

impl CallName {
    /// Two spellings of the same id are the same call.
    pub(super) fn of(id: &RequestId) -> Self {
        let hash = blake3::hash(id.to_value().to_string().as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0CALL_CHARS$x}", self.0)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get => f.write_str("get"),
            Self::Call { call, nonce } => write!(f, "{call}{nonce:0USE_CHARS$x}"),
        }
    }
}

impl FromStr for StreamName {
    type Err = NotAnEventName;

    fn from_str(text: &str) -> Result<Self, NotAnEventName> {
        if text == "get" {
            return Ok(Self::Get);
        }
        let (call, nonce) = text.split_at_checked(CALL_CHARS).ok_or(NotAnEventName)?;
        let call = CallName(u64::from_str_radix(call, 16).map_err(|_| NotAnEventName)?);
        let name = Self::Call { call, nonce: u32::from_str_radix(nonce, 16).map_err(|_| NotAnEventName)? };
        // `+` and capitals are read as digits, too: a name has one form.
        if name.to_string() == text { Ok(name) } else { Err(NotAnEventName) }
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.stream, self.event)
    }
}

impl FromStr for EventName {
    type Err = NotAnEventName;

    fn from_str(text: &str) -> Result<Self, NotAnEventName> {
        let (stream, event) = text.split_once('_').ok_or(NotAnEventName)?;
        Ok(Self { stream: stream.parse()?, event: event.parse().map_err(|_| NotAnEventName)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_one_name() {
        let call = StreamName::Call { call: CallName(0x0102), nonce: 7 };
        for stream in [StreamName::Get, call] {
            let name = EventName { stream, event: EventId { ms: 1_700_000_000_000, seq: 3 } };
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for wrong in [
            "",
            "get",
            "_",
            "get_",
            "get_1",
            "post_1-1",
            "GET_1-1",
            "000000000000010200000007",
            "0000000000000102+0000007_1-1",
            "000000000000010200000007_01-1",
            "00000000000001020000000A_1-1",
            "00000000000001020000007_1-1",
            "0000000000000é0200000007_1-1",
        ] {
            assert_eq!(wrong.parse::<EventName>(), Err(NotAnEventName), "{wrong}");
        }
    }

    #[test]
    fn an_entry_reads_back() {
        let message = Bytes::from_static(b"{}");
        for event in [
            Event::Message(message.clone()),
            Event::Last(message),
            Event::End,
            Event::Close(Duration::from_millis(250)),
            Event::Wake,
            Event::Owner,
        ] {
            let (stream, other) =
                (StreamName::Call { call: CallName(1), nonce: 7 }, StreamName::Call { call: CallName(1), nonce: 8 });
            let entry = event.encode(&stream);
            assert_eq!((Event::decode(&entry, &stream), Event::decode(&entry, &other)), (Some(event), None));
        }
        for wrong in ["", "\0", "\0\0\0\0", "\0\0\0\0x", "\0\0\0\0c", "\0\0\0\0c-1"] {
            assert_eq!(Event::decode(&Bytes::from(wrong), &StreamName::Get), None, "{wrong}");
        }
    }
}
