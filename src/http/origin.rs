//! Which web pages may call: the defence against DNS rebinding (2026-07-28, basic/transports/streamable-http,
//! "Security & Endpoint").

use http::HeaderValue;
use url::Url;

use crate::auth::is_loopback;

/// The origins whose pages may call this server.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Vec<String>,
    loopback: bool,
}

impl Origins {
    /// Exactly the origins of these URLs; with `loopback`, also any page that this machine serves to itself.
    #[must_use]
    pub fn new<'a>(urls: impl IntoIterator<Item = &'a Url>, loopback: bool) -> Self {
        Self { allowed: urls.into_iter().map(|url| url.origin().ascii_serialization()).collect(), loopback }
    }

    /// May a page of this origin call? The opaque origin `null` never may.
    #[must_use]
    pub fn allow(&self, origin: &HeaderValue) -> bool {
        let Some(url) = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()) else { return false };
        if !matches!(url.scheme(), "http" | "https") || !url.origin().is_tuple() {
            return false;
        }
        self.allowed.contains(&url.origin().ascii_serialization()) || (self.loopback && is_loopback(&url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_origins_match() {
        let public = Url::parse("https://mcp.example.com").expect("a URL");
        let origins = Origins::new([&public], true);
        let allowed = |origin: &str| origins.allow(&HeaderValue::from_str(origin).expect("a header value"));
        for origin in ["https://mcp.example.com", "http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]"] {
            assert!(allowed(origin), "{origin}");
        }
        for origin in [
            "https://mcp.example.com.evil.test",
            "http://mcp.example.com",
            "http://localhost.evil.test",
            "http://127.0.0.1.evil.test",
            "null",
            "",
            "localhost",
            "ftp://localhost",
            "file:///x",
        ] {
            assert!(!allowed(origin), "{origin}");
        }
        assert!(!Origins::new([&public], false).allow(&HeaderValue::from_static("http://localhost:3000")));
    }
}
