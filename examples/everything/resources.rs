//! Resources under one prefix: fixed ones, a family with a template, and one that changes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream;
use pressmark::call::{CallContext, Completing, Completion, Interrupted, Lane, ResourceContents, ToolError, ToolErrorKind};
use pressmark::resources::{Resource, ResourcePage, ResourceProvider, ResourceTemplate, ResourceWatch, ResourcesSpec};
use serde_json::json;

use crate::content::PNG;

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";
const TEMPLATE: &str = "test://template/{id}/data";

/// How long a version of the watched resource lasts.
const PERIOD: Duration = Duration::from_secs(3);

pub(crate) struct TestResources;

impl ResourceProvider for TestResources {
    const SPEC: ResourcesSpec = ResourcesSpec { prefix: "test://", scopes: &[], lane: Lane::Io, ttl_ms: 0 };

    fn templates(&self) -> Vec<ResourceTemplate> {
        vec![ResourceTemplate {
            uri_template: TEMPLATE.to_owned(),
            name: "template".to_owned(),
            title: Some("Resource template".to_owned()),
            description: Some("A resource for each id".to_owned()),
            mime_type: Some("application/json".to_owned()),
        }]
    }

    async fn list(&self, _: &CallContext, cursor: Option<&str>) -> Result<ResourcePage, Interrupted> {
        if cursor.is_some() {
            return Err(ToolError::new(ToolErrorKind::InvalidCursor, "there is only one page; start without a cursor").into());
        }
        let resource = |uri: &str, description: &str, mime_type: &str| Resource {
            uri: uri.to_owned(),
            name: uri.trim_start_matches("test://").to_owned(),
            description: Some(description.to_owned()),
            mime_type: Some(mime_type.to_owned()),
            ..Resource::default()
        };
        let resources = vec![
            resource(TEXT, "A text that never changes", "text/plain"),
            resource(BINARY, "An image that never changes", "image/png"),
            resource(WATCHED, "A text that changes every three seconds", "text/plain"),
        ];
        Ok(ResourcePage { resources, next_cursor: None })
    }

    async fn read(&self, _: &CallContext, uri: &str) -> Result<Vec<ResourceContents>, Interrupted> {
        let contents = match (uri, template_id(uri)) {
            (TEXT, _) => ResourceContents::text(uri, "text/plain", "This is the content of the static text resource."),
            (BINARY, _) => ResourceContents::blob(uri, "image/png", PNG),
            (WATCHED, _) => ResourceContents::text(uri, "text/plain", format!("Watched resource content {}", watched_version())),
            (_, Some(id)) => {
                let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
                ResourceContents::text(uri, "application/json", data.to_string())
            }
            _ => return Err(not_found(uri)),
        };
        Ok(vec![contents])
    }

    async fn complete(&self, _: &CallContext, template: &str, completing: &Completing) -> Result<Completion, Interrupted> {
        let known = if template == TEMPLATE { ["123", "124", "200"].as_slice() } else { &[] };
        Ok(Completion::of(known.iter().copied().filter(|id| id.starts_with(&completing.value))))
    }

    async fn watch(&self, _: &CallContext, uri: &str) -> Result<Option<ResourceWatch>, Interrupted> {
        match (uri, template_id(uri)) {
            (WATCHED, _) => {
                let changes = stream::unfold((), |()| async {
                    tokio::time::sleep(PERIOD).await;
                    Some((watched_version(), ()))
                });
                Ok(Some(ResourceWatch::new(watched_version(), changes)))
            }
            (TEXT | BINARY, _) | (_, Some(_)) => Ok(None),
            _ => Err(not_found(uri)),
        }
    }
}

fn template_id(uri: &str) -> Option<&str> {
    let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// The same on every replica, because it depends on the clock alone.
fn watched_version() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs() / PERIOD.as_secs()).to_string()
}

fn not_found(uri: &str) -> Interrupted {
    ToolError::new(ToolErrorKind::NotFound, format!("there is no resource {uri}")).into()
}
