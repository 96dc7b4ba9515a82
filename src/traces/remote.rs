//! Spans of callers, as they are propagated (W3C Trace Context).

use std::fmt;

/// A `tracestate` that is longer is dropped (W3C Trace Context, "tracestate Limits": at least 512 characters are kept).
const MAX_STATE: usize = 512;

/// Names one span: the trace that it belongs to, and which it is in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanIds {
    pub(super) trace: u128,
    pub(super) span: u64,
}

impl SpanIds {
    /// 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(self) -> impl fmt::Display + fmt::Debug {
        Hex(self.trace, 32)
    }

    /// 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(self) -> impl fmt::Display + fmt::Debug {
        Hex(u128::from(self.span), 16)
    }
}

#[derive(Debug)]
struct Hex(u128, usize);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0digits$x}", self.0, digits = self.1)
    }
}

/// A span that a caller has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSpan {
    pub(super) ids: SpanIds,
    /// Does the caller keep its spans of this trace?
    pub(super) is_sampled: bool,
    /// What tracing systems tell each other beside.
    pub(super) state: Option<Box<str>>,
}

impl RemoteSpan {
    /// Reads `traceparent`, and `tracestate` where there is one. `None` for what is malformed: the trace begins anew then
    /// (W3C Trace Context, "traceparent Header" and "Versioning of traceparent").
    #[must_use]
    pub fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        let (version, rest) = field(parent, 2)?;
        let (trace, rest) = field(rest?, 32)?;
        let (span, rest) = field(rest?, 16)?;
        let (flags, rest) = field(rest?, 2)?;
        // Later versions may add fields; this one has none.
        if version == 0xff || (version == 0 && rest.is_some()) || trace == 0 || span == 0 {
            return None;
        }
        let ids = SpanIds { trace, span: u64::try_from(span).ok()? };
        let state = state.filter(|state| !state.is_empty() && state.len() <= MAX_STATE);
        Some(Self { ids, is_sampled: flags & 1 == 1, state: state.map(Into::into) })
    }

    /// Its ids.
    #[must_use]
    pub fn ids(&self) -> SpanIds {
        self.ids
    }
}

/// The number that begins a text, in so many lower-case hexadecimal digits, and what follows behind a hyphen.
fn field(text: &str, digits: usize) -> Option<(u128, Option<&str>)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let rest = if rest.is_empty() { None } else { Some(rest.strip_prefix('-')?) };
    let is_lower_hex = number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    Some((u128::from_str_radix(number, 16).ok().filter(|_| is_lower_hex)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_span_is_read_as_it_was_written() {
        let span = RemoteSpan::read(PARENT, Some("a=1,b=2")).expect("a span");
        let ids = span.ids();
        assert_eq!(
            (ids.trace_id().to_string(), ids.span_id().to_string()),
            (PARENT[3..35].to_owned(), PARENT[36..52].to_owned())
        );
        assert!(span.is_sampled && span.state.as_deref() == Some("a=1,b=2"));
        let small = RemoteSpan::read("00-00000000000000000000000000000001-0000000000000002-02", None).expect("a span");
        assert_eq!(small.ids().trace_id().to_string(), "00000000000000000000000000000001");
        assert!(!small.is_sampled);
        assert!(RemoteSpan::read(&PARENT.replacen("00", "cc", 1), None).is_some(), "a later version");
        assert!(RemoteSpan::read(&format!("cc{}-more", &PARENT[2..]), None).is_some(), "a later version has more");
        assert_eq!(RemoteSpan::read(PARENT, Some(&"a".repeat(513))).expect("a span").state, None);
    }

    #[test]
    fn what_is_malformed_is_no_span() {
        for wrong in [
            "",
            "00",
            "00-",
            "no trace context",
            &PARENT[..54],
            &format!("{PARENT}-"),
            &format!("{PARENT}-00"),
            &format!("{PARENT}0"),
            &format!(" {PARENT}"),
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.replacen("00", "+0", 1),
            &PARENT.replace('-', "_"),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
            &PARENT.replace("b7ad6b7169203331", "b7ad6b716920333é"),
            &format!("cc{}more", &PARENT[2..]),
        ] {
            assert_eq!(RemoteSpan::read(wrong, None), None, "{wrong}");
        }
    }
}
