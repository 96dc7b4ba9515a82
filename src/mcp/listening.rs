//! `subscriptions/listen`: a stream of what has changed (2026-07-28, basic/patterns/subscriptions).

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll, select_all};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::request::Filter;
use super::{Authorized, Features, McpError, RequestId, Task, Tasks};
use crate::auth::Principal;
use crate::call::{Caller, Round};
use crate::changes::ListVersions;

const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// What a caller listens to. Nothing of it is kept anywhere else: when the connection breaks, the client listens anew.
pub struct Listening {
    principal: Arc<Principal>,
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: Vec<String>,
    tasks: Vec<String>,
    lists: watch::Receiver<ListVersions>,
    told: ListVersions,
    sources: SelectAll<BoxStream<'static, Changed>>,
}

/// Something that a caller is told of.
enum Changed {
    Tools,
    Prompts,
    Resources,
    Resource(String),
    Task(Task),
}

impl Listening {
    /// Listens from now on. Resources that cannot be watched, those that were named before in another spelling, and tasks
    /// that are unknown are left out of what is agreed to. Of
    /// a task the caller is first told how it is now: what happened to it before this is not lost.
    ///
    /// # Errors
    /// `MissingCapability` for tasks of a client that does not take part in their extension; `Unavailable` when the shared
    /// state is away and tasks are to be followed.
    pub(super) async fn start(
        features: &Features,
        tasks: &Tasks,
        caller: Caller,
        filter: Filter<Authorized>,
    ) -> Result<Self, McpError> {
        let followed = tasks.follow(&caller, filter.tasks).await?;
        let Filter { tools, prompts, resources, updates, .. } = filter;
        let mut sources: Vec<BoxStream<'static, Changed>> = Vec::new();
        let mut tasks = Vec::new();
        for (id, task) in followed {
            tasks.push(id);
            sources.push(task.map(Changed::Task).boxed());
        }
        let (mut uris, mut watched) = (Vec::new(), HashSet::new());
        for resource in updates {
            let uri = resource.uri().to_owned();
            if let Round::Done(Ok(Some(watch))) = resource.watch(caller.clone()).await
                && watched.insert(watch.canonical(&uri).to_owned())
            {
                uris.push(uri.clone());
                sources.push(watch.map(move |_version| Changed::Resource(uri.clone())).boxed());
            }
        }
        if resources {
            let lists = features.resources.watch_list(&caller).await;
            sources.extend(lists.into_iter().map(|list| list.map(|()| Changed::Resources).boxed()));
        }
        let lists = features.notifier.lists();
        let told = *lists.borrow();
        let principal = caller.principal;
        Ok(Self { principal, tools, prompts, resources, uris, tasks, lists, told, sources: select_all(sources) })
    }

    /// Who listens.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The first message: what was agreed to.
    #[must_use]
    pub fn acknowledgement(&self, id: &RequestId) -> Vec<u8> {
        let mut agreed = serde_json::Map::new();
        for (name, wanted) in
            [("toolsListChanged", self.tools), ("promptsListChanged", self.prompts), ("resourcesListChanged", self.resources)]
        {
            if wanted {
                agreed.insert(name.to_owned(), true.into());
            }
        }
        if !self.uris.is_empty() {
            agreed.insert("resourceSubscriptions".to_owned(), json!(self.uris));
        }
        if !self.tasks.is_empty() {
            agreed.insert("taskIds".to_owned(), json!(self.tasks));
        }
        notification("notifications/subscriptions/acknowledged", id, json!({ "notifications": agreed }))
    }

    /// Waits for the next change and gives the message that tells of it. Can be cancelled without losing one.
    pub async fn next(&mut self, id: &RequestId) -> Vec<u8> {
        let (method, params) = match self.changed().await {
            Changed::Tools => ("notifications/tools/list_changed", json!({})),
            Changed::Prompts => ("notifications/prompts/list_changed", json!({})),
            Changed::Resources => ("notifications/resources/list_changed", json!({})),
            Changed::Task(task) => ("notifications/tasks", json!(task.view())),
            Changed::Resource(uri) => ("notifications/resources/updated", json!({ "uri": uri })),
        };
        notification(method, id, params)
    }

    /// The last message, when it is the server that ends the stream ("Graceful Closure").
    #[must_use]
    pub fn end(id: &RequestId) -> Vec<u8> {
        let result = json!({ "resultType": "complete", "_meta": { SUBSCRIPTION_ID: id.to_value() } });
        json!({ "jsonrpc": "2.0", "id": id.to_value(), "result": result }).to_string().into_bytes()
    }

    async fn changed(&mut self) -> Changed {
        loop {
            if let Some(changed) = self.list_to_tell() {
                return changed;
            }
            tokio::select! {
                Some(changed) = self.sources.next() => return changed,
                changed = self.lists.changed() => {
                    if changed.is_err() {
                        // The server goes away, and the stream with it.
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }

    /// A list that has changed since the caller was last told of it.
    fn list_to_tell(&mut self) -> Option<Changed> {
        let now = *self.lists.borrow_and_update();
        let told = &mut self.told;
        for (wanted, now, told, changed) in [
            (self.tools, now.tools, &mut told.tools, Changed::Tools),
            (self.prompts, now.prompts, &mut told.prompts, Changed::Prompts),
            (self.resources, now.resources, &mut told.resources, Changed::Resources),
        ] {
            if *told != now {
                *told = now;
                if wanted {
                    return Some(changed);
                }
            }
        }
        None
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("uris", &self.uris.len()).finish_non_exhaustive()
    }
}

fn notification(method: &str, id: &RequestId, mut params: Value) -> Vec<u8> {
    params["_meta"] = json!({ SUBSCRIPTION_ID: id.to_value() });
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string().into_bytes()
}
