//! Numbers of things, in words.

/// `1 byte`, `2 bytes`: the number and the noun, in the plural where there is not just one.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
