//! The headers in which proxies say whom they were asked by.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

/// No chain of proxies is longer.
const MAX_HOPS: usize = 32;
/// A longer line is not read, in bytes.
const MAX_LINE: usize = 4096;

/// Whom the last proxy was asked by, then the one before it, and so on; `None` is an entry that names no address. Nothing is
/// said about what stands beyond the first of these.
pub(super) type Hops = Vec<Option<IpAddr>>;

/// `X-Forwarded-For: client, proxy, …`, if there is one.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> Option<Hops> {
    let mut lines = headers.get_all(HeaderName::from_static("x-forwarded-for")).iter().peekable();
    lines.peek()?;
    // From the right, entry by entry: what is on the left, which clients make up, spoils nothing.
    let entries = lines.rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    Some(entries.take(MAX_HOPS).map(|entry| node(std::str::from_utf8(entry).ok()?.trim())).collect())
}

/// `Forwarded: for=client, for=proxy;proto=https, …` (RFC 7239, section 4), if there is one.
pub(super) fn forwarded(headers: &HeaderMap) -> Option<Hops> {
    let hops = |line: String| elements(&line).into_iter().map(|element| node(&for_of(element)?)).collect();
    let mut lines = headers.get_all(FORWARDED).iter().peekable();
    lines.peek()?;
    let short = |line: &HeaderValue| line.to_str().ok().filter(|line| line.len() <= MAX_LINE).map(str::to_owned);
    // From the right: what is on the left of too much is not looked at.
    let read = |line: &HeaderValue| short(line).map_or_else(|| vec![None], hops);
    Some(lines.rev().flat_map(|line| read(line).into_iter().rev()).take(MAX_HOPS).collect())
}

/// An address, which may have a port: `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]:4711`, `2001:db8::1`.
fn node(text: &str) -> Option<IpAddr> {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse().ok().filter(|_| whole).map(IpAddr::V6);
    }
    match text.split_once(':') {
        Some((address, port)) if is_port(port) && !address.is_empty() => address.parse().ok().map(IpAddr::V4),
        _ => text.parse().ok(),
    }
}

/// Splits at the commas outside of quotes. A quote that is never closed takes in all that follows.
fn elements(line: &str) -> Vec<&str> {
    let (mut elements, mut begin) = (Vec::new(), 0);
    for (at, _) in outside_quotes(line).filter(|(_, byte)| *byte == b',') {
        elements.push(&line[begin..at]);
        begin = at + 1;
    }
    elements.push(&line[begin..]);
    elements
}

/// The value of the one `for` of an element.
fn for_of(element: &str) -> Option<String> {
    let (mut found, mut begin) = (None, 0);
    let ends = outside_quotes(element).filter(|(_, byte)| *byte == b';').map(|(at, _)| at);
    for end in ends.chain([element.len()]) {
        let (name, value) = element[begin..end].trim().split_once('=')?;
        begin = end + 1;
        let value = unquoted(value)?;
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    found
}

/// A token, or what a quoted string says (RFC 9110, section 5.6.4).
fn unquoted(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else { return (!value.contains('"')).then(|| value.to_owned()) };
    let (mut text, mut chars) = (String::new(), quoted.chars());
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next()?),
            other => text.push(other),
        }
    }
}

/// The bytes that stand in no quoted string, with their places.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().enumerate().filter(move |(_, byte)| {
        let was_quoted = quoted;
        if escaped {
            escaped = false;
        } else if *byte == b'"' {
            quoted = !quoted;
        } else if *byte == b'\\' && quoted {
            escaped = true;
        }
        !was_quoted && !quoted
    })
}
