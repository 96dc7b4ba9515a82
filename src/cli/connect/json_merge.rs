//! One more member in a JSON text that belongs to somebody else: every byte around it stays as it is.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// What is wrong with a text that cannot be changed safely.
const NOT_PLAIN: &str = "it is not plain JSON (comments and trailing commas would be lost); add the entry by hand, as it is \
printed without --write";

/// `text` with `entry` as the member `name` of the object that is the member `object` of the whole; both objects are made when
/// they are missing. `None` when the same is there already. An empty text is an empty object.
///
/// # Errors
/// Why the text cannot be changed without harm.
pub(super) fn set(text: &str, object: &str, name: &str, entry: &str) -> Result<Option<String>, String> {
    let text = or_empty(text);
    let whole = Span::of(text)?;
    let members = whole.members(text)?;
    let Some((_, inner)) = members.iter().find(|(key, _)| key == object) else {
        let inner = format!("{{\n  {}: {}\n}}", quoted(name), indented(entry, "  "));
        return Ok(Some(whole.with_member(text, &members, object, &inner)));
    };
    let there = inner.members(text).map_err(|_| format!("{} is no object there", quoted(object)))?;
    match there.iter().find(|(key, _)| key == name) {
        Some((_, found)) if means_the_same(found.text(text), entry) => Ok(None),
        Some((_, found)) => Ok(Some(found.replaced(text, &indented(entry, found.indentation(text))))),
        None => Ok(Some(inner.with_member(text, &there, name, entry))),
    }
}

/// `text` with `entry` in the list that is the member `list` of the whole, in place of the element with the same `id`.
/// `None` when the same is there already.
///
/// # Errors
/// Why the text cannot be changed without harm.
pub(super) fn put_in_list(text: &str, list: &str, entry: &str) -> Result<Option<String>, String> {
    let text = or_empty(text);
    let whole = Span::of(text)?;
    let members = whole.members(text)?;
    let Some((_, inner)) = members.iter().find(|(key, _)| key == list) else {
        return Ok(Some(whole.with_member(text, &members, list, &format!("[\n  {}\n]", indented(entry, "  ")))));
    };
    let there = inner.elements(text).map_err(|_| format!("{} is no list there", quoted(list)))?;
    let id = |text: &str| serde_json::from_str::<Value>(text).ok().map(|value| value["id"].clone());
    match there.iter().find(|found| id(found.text(text)) == id(entry)) {
        Some(found) if means_the_same(found.text(text), entry) => Ok(None),
        Some(found) => Ok(Some(found.replaced(text, &indented(entry, found.indentation(text))))),
        None => Ok(Some(inner.with_last(text, there.last(), entry))),
    }
}

/// A value in the text.
#[derive(Clone, Debug)]
struct Span(Range<usize>);

impl Span {
    /// The whole text.
    fn of(text: &str) -> Result<Self, String> {
        let value: &RawValue = serde_json::from_str(text).map_err(|_| NOT_PLAIN.to_owned())?;
        Ok(Self::at(text, value))
    }

    fn at(text: &str, value: &RawValue) -> Self {
        let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
        Self(start..start + value.get().len())
    }

    fn text<'a>(&self, text: &'a str) -> &'a str {
        &text[self.0.clone()]
    }

    fn members(&self, text: &str) -> Result<Vec<(String, Self)>, String> {
        let mut json = serde_json::Deserializer::from_str(self.text(text));
        let members = json.deserialize_map(Members).map_err(|_| "it is no JSON object".to_owned())?;
        Ok(members.into_iter().map(|(key, value)| (key, Self::at(text, value))).collect())
    }

    fn elements(&self, text: &str) -> Result<Vec<Self>, String> {
        let mut json = serde_json::Deserializer::from_str(self.text(text));
        let elements = json.deserialize_seq(Elements).map_err(|_| "it is no JSON list".to_owned())?;
        Ok(elements.into_iter().map(|value| Self::at(text, value)).collect())
    }

    /// The whole text with something else in place of this value.
    fn replaced(&self, text: &str, value: &str) -> String {
        format!("{}{value}{}", &text[..self.0.start], &text[self.0.end..])
    }

    /// The whole text with one more member at the end of this object, whose members are these.
    fn with_member(&self, text: &str, members: &[(String, Self)], name: &str, value: &str) -> String {
        self.with_last(text, members.last().map(|(_, last)| last), &format!("{}: {value}", quoted(name)))
    }

    /// The whole text with one more element at the end of this list or object, whose last one is `last`.
    fn with_last(&self, text: &str, last: Option<&Self>, element: &str) -> String {
        let outer = self.indentation(text);
        let Some(last) = last else {
            let (open, close) = if self.text(text).starts_with('[') { ('[', ']') } else { ('{', '}') };
            let indent = format!("{outer}  ");
            return self.replaced(text, &format!("{open}\n{indent}{}\n{outer}{close}", indented(element, &indent)));
        };
        let indent = if text[self.0.start..last.0.start].contains('\n') { last.indentation(text) } else { outer };
        let gap = if text[last.0.end..self.0.end].contains('\n') { String::new() } else { format!("\n{outer}") };
        let element = indented(element, indent);
        format!("{},\n{indent}{element}{gap}{}", &text[..last.0.end], &text[last.0.end..])
    }

    /// The white space before the line on which this value begins.
    fn indentation<'a>(&self, text: &'a str) -> &'a str {
        let line = text[..self.0.start].rfind('\n').map_or(0, |end| end + 1);
        let end = text[line..].find(|c| !matches!(c, ' ' | '\t')).unwrap_or(0);
        &text[line..line + end]
    }
}

/// The members of an object, in order, as they are written.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

/// The elements of a list, as they are written.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(elements)
    }
}

fn or_empty(text: &str) -> &str {
    if text.trim().is_empty() { "{}\n" } else { text }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A pretty-printed value whose lines after the first begin with `indent`.
fn indented(value: &str, indent: &str) -> String {
    value.replace('\n', &format!("\n{indent}"))
}

fn means_the_same(one: &str, other: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text).ok();
    value(one).is_some_and(|one| Some(one) == value(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "{\n  \"url\": \"u\"\n}";

    #[test]
    fn what_is_around_stays_byte_for_byte() {
        for (text, expected) in [
            ("", "{\n  \"s\": {\n    \"n\": {\n      \"url\": \"u\"\n    }\n  }\n}\n"),
            ("{ }", "{\n  \"s\": {\n    \"n\": {\n      \"url\": \"u\"\n    }\n  }\n}"),
            (
                "{\n\t\"b\": 1.0000000000000000001,\n\t\"a\": [ ]\n}\n",
                "{\n\t\"b\": 1.0000000000000000001,\n\t\"a\": [ ],\n\t\"s\": {\n\t  \"n\": {\n\t    \"url\": \"u\"\n\t  }\n\t}\n}\n",
            ),
            ("{\"a\":{},\"s\":{}}", "{\"a\":{},\"s\":{\n  \"n\": {\n    \"url\": \"u\"\n  }\n}}"),
            (
                "{\n  \"s\": {\n    \"m\": {\"x\": \"}\"}\n  },\n  \"z\": 1\n}",
                "{\n  \"s\": {\n    \"m\": {\"x\": \"}\"},\n    \"n\": {\n      \"url\": \"u\"\n    }\n  },\n  \"z\": 1\n}",
            ),
            (
                "{\n  \"s\": {\n    \"n\": {\"old\": true},\n    \"m\": 1\n  }\n}",
                "{\n  \"s\": {\n    \"n\": {\n      \"url\": \"u\"\n    },\n    \"m\": 1\n  }\n}",
            ),
        ] {
            let changed = set(text, "s", "n", ENTRY).expect(text).expect("a change");
            assert_eq!(changed, expected);
            assert_eq!(set(&changed, "s", "n", ENTRY), Ok(None), "a second time changes nothing");
        }
    }

    #[test]
    fn lists_get_one_more() {
        let input = "{\n  \"id\": \"x\",\n  \"v\": 2\n}";
        for (text, expected) in [
            ("{}", "{\n  \"inputs\": [\n    {\n      \"id\": \"x\",\n      \"v\": 2\n    }\n  ]\n}"),
            ("{\"inputs\": []}", "{\"inputs\": [\n  {\n    \"id\": \"x\",\n    \"v\": 2\n  }\n]}"),
            ("{\"inputs\": [{\"id\": \"x\"}]}", "{\"inputs\": [{\n  \"id\": \"x\",\n  \"v\": 2\n}]}"),
            (
                "{\"inputs\": [\n  {\"id\": \"y\"}\n]}",
                "{\"inputs\": [\n  {\"id\": \"y\"},\n  {\n    \"id\": \"x\",\n    \"v\": 2\n  }\n]}",
            ),
        ] {
            let changed = put_in_list(text, "inputs", input).expect(text).expect("a change");
            assert_eq!(changed, expected);
            assert_eq!(put_in_list(&changed, "inputs", input), Ok(None), "a second time changes nothing");
        }
    }

    #[test]
    fn what_is_not_plain_json_is_refused() {
        for text in [
            "// mine\n{}",
            "{\"s\": {},}",
            "{\"s\": {\"a\": 1 /* x */}}",
            "[]",
            "{\"s\": []}",
            "{\"s\": 1}",
            "{} {}",
            "\u{feff}{}",
        ] {
            assert!(set(text, "s", "n", ENTRY).is_err(), "{text}");
        }
        assert!(put_in_list("{\"inputs\": {}}", "inputs", "{}").is_err());
    }
}
