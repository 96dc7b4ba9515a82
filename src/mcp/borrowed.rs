//! Text that is not copied unless it has to be unescaped.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// For a field that may be absent or null: `#[serde(borrow, default, deserialize_with = "borrowed::optional")]`. Serde alone
/// borrows a `Cow`, but copies one in an `Option`: four of 32 allocations of a small call.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(Option::<Text<'de>>::deserialize(deserializer)?.map(|Text(text)| text))
}
