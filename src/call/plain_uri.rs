//! URIs, as logs tell them.

const MAX_CHARS: usize = 1_000;

/// A URI without what may be secret in it: user, query, fragment. Cut to a length that a log can bear.
pub(crate) fn plain_uri(uri: &str) -> Box<str> {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    let plain = match uri.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
        }
        None => uri.to_owned(),
    };
    plain.chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_told_without_secrets() {
        for (uri, told) in [
            ("file:///docs/a%20b.txt", "file:///docs/a%20b.txt"),
            ("https://user:secret@example.com/a@b?token=secret#secret", "https://example.com/a@b"),
            ("https://a@b:secret@example.com", "https://example.com"),
            ("memo:text?secret", "memo:text"),
            ("", ""),
        ] {
            assert_eq!(&*plain_uri(uri), told);
        }
        assert_eq!(plain_uri(&"é".repeat(2_000)).chars().count(), 1_000);
    }
}
