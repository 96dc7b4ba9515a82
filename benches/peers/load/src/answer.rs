//! An answer over HTTP/1.1, as far as a load generator needs to know it.

use std::borrow::Cow;

/// A whole answer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: Cow<'a, [u8]>,
}

impl<'a> Answer<'a> {
    /// The answer that `received` holds; `None` as long as something is missing.
    pub(crate) fn parse(received: &'a [u8]) -> Option<Self> {
        let head = find(received, b"\r\n\r\n")?;
        let (head, body) = (&received[..head], &received[head + 4..]);
        let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
        let body = match header(head, b"content-length") {
            Some(length) => {
                let length = std::str::from_utf8(length).ok()?.parse().ok()?;
                Cow::Borrowed(body.get(..length)?)
            }
            None if header(head, b"transfer-encoding").is_some() => Cow::Owned(whole(body)?),
            None => Cow::Borrowed(&[][..]),
        };
        Some(Self { status, body })
    }
}

fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let rest = line.get(name.len()..)?.strip_prefix(b":")?;
        line[..name.len()].eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
    })
}

/// A body that comes in chunks; `None` as long as the last is missing.
fn whole(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = find(chunks, b"\r\n")?;
        let length = std::str::from_utf8(&chunks[..line]).ok()?;
        let length = usize::from_str_radix(length.split(';').next()?.trim(), 16).ok()?;
        let chunk = chunks.get(line + 2..line + 4 + length)?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
        chunks = &chunks[line + 4 + length..];
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
