//! Keys that belong together and have to lie on one node of a cluster.

use percent_encoding::{AsciiSet, utf8_percent_encode};

/// In the name of a group these could end the part of the key that chooses the node, or be taken for that end.
const BRACES: &AsciiSet = &AsciiSet::EMPTY.add(b'{').add(b'}').add(b'%');

/// The key of the record of one member of a group: [`get`](super::SharedState::get) and
/// [`replace`](super::SharedState::replace) work on it, but do not count as a use of the member.
///
/// ```
/// # use pressmark::state::member_key;
/// assert_eq!(member_key("pressmark:sessions:alice", "42"), "pressmark:{sessions:alice}:42");
/// ```
#[must_use]
pub fn member_key(group: &str, member: &str) -> String {
    format!("{}:{member}", together(group))
}

/// The topic that tells of events in the log of one member of a group.
#[must_use]
pub fn log_topic(group: &str, member: &str) -> String {
    format!("{}/log:{member}", together(group))
}

/// The key for a group itself. Keys that start with it lie on the same node: a cluster looks at what is in the
/// braces alone. What comes before the first colon stays in front of them, for access lists that name a prefix.
pub(super) fn together(name: &str) -> String {
    let (prefix, colon, rest) = name.split_once(':').map_or(("", "", name), |(prefix, rest)| (prefix, ":", rest));
    format!("{}{colon}{{{}}}", utf8_percent_encode(prefix, BRACES), utf8_percent_encode(rest, BRACES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_gets_at_the_keys_of_another() {
        let names = ["a:b", "a:b}", "a:{b", "a:b}:c", "a:b%7D", "a", "{a", ":a", "a:", "a:b:c"];
        let keys: Vec<_> = names.iter().map(|name| together(name)).collect();
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{key}");
            assert_eq!((key.matches('{').count(), key.matches('}').count()), (1, 1), "{key}");
        }
        assert_ne!(member_key("a:b", "x}:y"), member_key("a:b}:x", "y"));
    }
}
