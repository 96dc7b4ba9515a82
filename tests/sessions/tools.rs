//! Tools and resources made for these tests.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::unfold;
use pressmark::call::{
    CallContext, ElicitAction, Elicitation, Interrupted, Lane, LogLevel, ResourceContents, Sampling, ToolError, ToolErrorKind,
};
use pressmark::changes::Notifier;
use pressmark::resources::{ResourcePage, ResourceProvider, ResourceWatch, ResourcesSpec};
use pressmark::tools::{Effect, Tool, ToolOutput, ToolSpec};
use serde_json::json;
use tokio::sync::Notify;
use url::Url;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

const fn spec(name: &'static str, effect: Effect) -> ToolSpec {
    ToolSpec { name, title: name, description: "For a test.", effect, ..ToolSpec::DEFAULT }
}

/// What is shared by the replicas of a test and the test itself.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    pub(crate) open: Arc<Notify>,
    /// Has the user done on the page what they should?
    pub(crate) connected: Arc<AtomicBool>,
    /// How many runs have begun.
    pub(crate) begun: Arc<AtomicUsize>,
    /// How many were dropped before their end.
    pub(crate) dropped: Arc<AtomicUsize>,
    /// The version of the watched resource.
    pub(crate) version: Arc<Mutex<u32>>,
    /// The notifier of the first replica.
    pub(crate) notifier: Arc<Mutex<Option<Notifier>>>,
}

/// Asks the user, the model and the client at once, then reports what they said.
pub(crate) struct AsksAll;

impl Tool for AsksAll {
    const SPEC: ToolSpec = spec("asks_all", Effect::ReadOnly);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
        let user = cx.elicit("user/name", &Elicitation::form("Your name?", schema));
        let model = cx.sample("model", &Sampling::ask("A word?", 10));
        let roots = cx.roots("roots");
        let (user, model, roots) = (user?, model?, roots?);
        cx.log(LogLevel::Info, "all answers are there");
        let name = user.content.get("name").and_then(|name| name.as_str()).unwrap_or("nobody");
        let text = format!("{name} / {} / {}", model.text().unwrap_or_default(), roots.len());
        Ok(ToolOutput::text(text, ()))
    }
}

/// Asks one thing after another; counts how many were accepted.
pub(crate) struct AsksOften;

impl Tool for AsksOften {
    const SPEC: ToolSpec = spec("asks_often", Effect::Destructive { idempotent: false });
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        let mut accepted = 0;
        for step in 0..3 {
            let schema = json!({"type": "object", "properties": {}});
            let answer = cx.elicit(&format!("step {step}"), &Elicitation::form(format!("Step {step}?"), schema))?;
            cx.progress(f64::from(step), None, None);
            accepted += u32::from(answer.action == ElicitAction::Accept);
        }
        Ok(ToolOutput::text(format!("{accepted} accepted"), ()))
    }
}

/// Sends the user to a page, again and again until all is done there.
pub(crate) struct Connects(pub(crate) Gate);

impl Tool for Connects {
    const SPEC: ToolSpec = spec("connects", Effect::ReadOnly);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        let page: Url = "https://example.com/connect?step=1".parse().expect("a URL");
        for visit in 0.. {
            let answer = cx.elicit(&format!("visit {visit}"), &Elicitation::url("Connect your account", page.clone()))?;
            match answer.action {
                ElicitAction::Accept if self.0.connected.load(Ordering::SeqCst) => {
                    return Ok(ToolOutput::text(format!("connected, with {} fields", answer.content.len()), ()));
                }
                ElicitAction::Accept => {}
                ElicitAction::Decline => return Err(refused("the user does not want to connect the account")),
                ElicitAction::Cancel => return Err(refused("the user has not decided yet")),
            }
        }
        unreachable!("it asks for ever")
    }
}

fn refused(problem: &str) -> Interrupted {
    ToolError::new(ToolErrorKind::Forbidden, problem).into()
}

/// Logs at every level, waits for the gate, logs again.
pub(crate) struct Reports(pub(crate) Gate);

impl Tool for Reports {
    const SPEC: ToolSpec = spec("reports", Effect::ReadOnly);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        for (level, text) in [(LogLevel::Debug, "debug"), (LogLevel::Info, "info"), (LogLevel::Error, "error")] {
            cx.log(level, text);
        }
        self.0.open.notified().await;
        cx.log(LogLevel::Error, "late");
        Ok(ToolOutput::text("done", ()))
    }
}

/// Closes its stream, and works on.
pub(crate) struct Reconnects;

impl Tool for Reconnects {
    const SPEC: ToolSpec = spec("reconnects", Effect::ReadOnly);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        cx.close_stream(Duration::from_millis(321));
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(ToolOutput::text("reconnected", ()))
    }
}

/// Reports that it has begun and waits for the gate; may be run twice or not.
pub(crate) struct Waits<const REPEATABLE: bool>(pub(crate) Gate);

impl<const REPEATABLE: bool> Tool for Waits<REPEATABLE> {
    const SPEC: ToolSpec = spec(
        if REPEATABLE { "waits" } else { "waits_once" },
        if REPEATABLE { Effect::ReadOnly } else { Effect::Additive { idempotent: false } },
    );
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        struct CountDrop(Option<Arc<AtomicUsize>>);
        impl Drop for CountDrop {
            fn drop(&mut self) {
                if let Some(count) = &self.0 {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        let mut dropped = CountDrop(Some(Arc::clone(&self.0.dropped)));
        let run = self.0.begun.fetch_add(1, Ordering::SeqCst) + 1;
        cx.log(LogLevel::Notice, format!("run {run}"));
        self.0.open.notified().await;
        dropped.0 = None;
        Ok(ToolOutput::text(format!("done by run {run}"), ()))
    }
}

/// Resources `test://watched/…`, all of one version; `test://still/…` cannot be watched.
pub(crate) struct Watched {
    pub(crate) gate: Gate,
}

impl Gate {
    /// The watched resources change, on all replicas.
    pub(crate) fn change(&self) {
        *self.version.lock().expect("not poisoned") += 1;
    }

    pub(crate) fn notifier(&self) -> Notifier {
        self.notifier.lock().expect("not poisoned").clone().expect("a replica runs")
    }
}

impl ResourceProvider for Watched {
    const SPEC: ResourcesSpec = ResourcesSpec { prefix: "test://", scopes: &[], lane: Lane::Io, ttl_ms: 0 };

    async fn list(&self, _: &CallContext, _: Option<&str>) -> Result<ResourcePage, Interrupted> {
        Ok(ResourcePage::default())
    }

    async fn read(&self, _: &CallContext, uri: &str) -> Result<Vec<ResourceContents>, Interrupted> {
        Err(ToolError::new(ToolErrorKind::NotFound, format!("{uri} is not there")).into())
    }

    async fn watch(&self, _: &CallContext, uri: &str) -> Result<Option<ResourceWatch>, Interrupted> {
        if uri.starts_with("test://still") {
            return Ok(None);
        }
        if !uri.starts_with("test://watched") {
            return Err(ToolError::new(ToolErrorKind::NotFound, format!("{uri} is not there")).into());
        }
        let version = Arc::clone(&self.gate.version);
        let now = move || *version.lock().expect("not poisoned");
        let first = now();
        let changes = unfold((first, now), async |(last, now)| {
            while now() == last {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let version = now();
            Some((version.to_string(), (version, now)))
        });
        Ok(Some(ResourceWatch::new(first.to_string(), changes)))
    }
}
