//! What a client can do for the server.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Extensions of one client that are kept.
const MAX_EXTENSIONS: usize = 32;
/// Of an extension that is kept.
const MAX_EXTENSION_NAME_BYTES: usize = 128;

/// The client's capabilities, as it declares them with each request (2026-07-28) or in its handshake. A capability that is
/// not declared must not be used (2026-07-28, basic, "Capabilities").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ClientCapabilities {
    /// The user can be asked.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "read_object")]
    pub elicitation: Option<ElicitationCapability>,
    /// The client's model can be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Map<String, Value>>,
    /// The client tells which folders it works in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roots: Option<Map<String, Value>>,
    /// Extensions by name, with their settings.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extensions: Map<String, Value>,
}

/// In which ways the user can be asked. One that declares neither has forms (2025-11-25, client/elicitation,
/// "Capabilities").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ElicitationCapability {
    /// By a form that the client shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Map<String, Value>>,
    /// By a page that the user is sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Map<String, Value>>,
}

impl ClientCapabilities {
    /// Of a client that can be asked everything.
    pub(crate) fn all() -> Self {
        let object = || Some(Map::new());
        let elicitation = ElicitationCapability { form: object(), url: object() };
        Self { elicitation: Some(elicitation), sampling: object(), roots: object(), extensions: Map::new() }
    }

    /// The same without settings, for keeping: no capability has any that are looked at later. Of extensions, the names
    /// that anybody would give them.
    pub(crate) fn without_settings(&self) -> Self {
        let bare = |capability: &Option<Map<String, Value>>| capability.as_ref().map(|_| Map::new());
        let elicitation = self.elicitation.as_ref();
        let elicitation = elicitation.map(|way| ElicitationCapability { form: bare(&way.form), url: bare(&way.url) });
        let names = self.extensions.keys().filter(|name| name.len() <= MAX_EXTENSION_NAME_BYTES).take(MAX_EXTENSIONS);
        let extensions = names.map(|name| (name.clone(), Value::Object(Map::new()))).collect();
        Self { elicitation, sampling: bare(&self.sampling), roots: bare(&self.roots), extensions }
    }

    /// Can the client show a form?
    #[must_use]
    pub fn has_forms(&self) -> bool {
        self.elicitation.as_ref().is_some_and(|elicitation| elicitation.form.is_some() || elicitation.url.is_none())
    }

    /// Can the client send the user to a page?
    #[must_use]
    pub fn has_urls(&self) -> bool {
        self.elicitation.as_ref().is_some_and(|elicitation| elicitation.url.is_some())
    }

    /// Does the client take part in the extension of this name?
    #[must_use]
    pub fn has_extension(&self, name: &str) -> bool {
        self.extensions.contains_key(name)
    }
}

/// Reads from an object only: serde would take an array as well, with the fields in their order.
fn read_object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let object = Option::<Map<String, Value>>::deserialize(deserializer)?;
    object.map(|object| serde_json::from_value(Value::Object(object)).map_err(D::Error::custom)).transpose()
}
