//! Media types: what a file's content is called outside.

/// The media type of a file by its first bytes and its name. `is_text` is what
/// [`Encoding::detect`](super::Encoding::detect) found: the content is believed before the name.
#[must_use]
pub fn media_type(name: &str, head: &[u8], is_text: bool) -> &'static str {
    let by_name = mime_guess::from_path(name).first_raw();
    if is_text {
        // Names of source files are also those of video formats (`.ts`) and the like.
        return by_name.filter(|found| !is_never_text(found)).unwrap_or("text/plain");
    }
    of_content(head).or(by_name.filter(|found| !found.starts_with("text/"))).unwrap_or("application/octet-stream")
}

/// The media type that a file's name speaks for; `None` where it could be one of several.
#[must_use]
pub fn media_type_of_name(name: &str) -> Option<&'static str> {
    // A recording by its name, and far more often a program.
    let is_source = name.rsplit_once('.').is_some_and(|(_, end)| ["ts", "mts", "cts"].contains(&end));
    mime_guess::from_path(name).first_raw().filter(|_| !is_source)
}

/// The media type of a binary format that is known by its first bytes.
pub(super) fn of_content(head: &[u8]) -> Option<&'static str> {
    infer::get(head).filter(|found| found.matcher_type() != infer::MatcherType::Text).map(|found| found.mime_type())
}

fn is_never_text(media_type: &str) -> bool {
    let is_svg = media_type == "image/svg+xml";
    ["audio/", "video/", "image/", "font/"].iter().any(|kind| media_type.starts_with(kind)) && !is_svg
        || media_type == "application/octet-stream"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_believed_before_the_name() {
        assert_eq!(media_type("main.ts", b"let a", true), "text/plain");
        assert_eq!(media_type("a.svg", b"<svg/>", true), "image/svg+xml");
        assert_eq!(media_type("a.md", b"# a", true), "text/markdown");
        assert_eq!(media_type("a.txt", b"\x89PNG\r\n\x1A\n", false), "image/png");
        assert_eq!(media_type("a.txt", b"\0", false), "application/octet-stream");
    }
}
