//! Tools whose calls become tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pressmark::app::App;
use pressmark::auth::{Permission, Scope};
use pressmark::call::{CallContext, Elicitation, Interrupted, Lane, ToolError};
use pressmark::tools::{Effect, TaskSupport, Tool, ToolOutput, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the tools of one test, on all its replicas, have done.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    pub(crate) started: Arc<AtomicUsize>,
    pub(crate) finished: Arc<AtomicUsize>,
    pub(crate) stopped: Arc<AtomicUsize>,
}

impl Counts {
    pub(crate) fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    pub(crate) fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }

    pub(crate) fn stopped(&self) -> usize {
        self.stopped.load(Ordering::SeqCst)
    }
}

/// All of them.
pub(crate) fn with_tools(counts: &Counts) -> impl FnOnce(App) -> App + Send + 'static {
    let (slow, append, blocks) = (counts.clone(), counts.clone(), counts.clone());
    move |app| {
        app.with(Slow(slow))
            .with(Append(append))
            .with(Blocks(blocks))
            .with(Confirm)
            .with(Both)
            .with(AskFirst)
            .with(Fails)
            .with(Panics)
            .with(Greet)
    }
}

const fn spec(name: &'static str, effect: Effect, task: TaskSupport) -> ToolSpec {
    ToolSpec { name, title: name, description: "For a test.", effect, lane: Lane::Io, task, ..ToolSpec::DEFAULT }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    milliseconds: u64,
    #[serde(default)]
    #[expect(dead_code, reason = "only its length counts")]
    note: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Waited {
    milliseconds: u64,
}

async fn wait(counts: &Counts, cx: &CallContext, args: &Wait) -> ToolOutput<Waited> {
    counts.started.fetch_add(1, Ordering::SeqCst);
    for step in 1..=args.milliseconds.div_ceil(50) {
        cx.progress(step as f64, None, Some(format!("step {step}")));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    counts.finished.fetch_add(1, Ordering::SeqCst);
    ToolOutput::text(format!("waited {} ms", args.milliseconds), Waited { milliseconds: args.milliseconds })
}

/// Takes its time, and changes nothing.
struct Slow(Counts);

impl Tool for Slow {
    const SPEC: ToolSpec = spec("slow", Effect::ReadOnly, TaskSupport::Offered);
    type Args = Wait;
    type Output = Waited;

    async fn call(&self, cx: &CallContext, args: Wait) -> Result<ToolOutput<Waited>, Interrupted> {
        Ok(wait(&self.0, cx, &args).await)
    }
}

/// Takes its time, and must not be done twice.
struct Append(Counts);

impl Tool for Append {
    const SPEC: ToolSpec = ToolSpec {
        scopes: &[Scope::Files(Permission::Write)],
        ..spec("append", Effect::Additive { idempotent: false }, TaskSupport::Offered)
    };
    type Args = Wait;
    type Output = Waited;

    async fn call(&self, cx: &CallContext, args: Wait) -> Result<ToolOutput<Waited>, Interrupted> {
        Ok(wait(&self.0, cx, &args).await)
    }
}

/// Keeps a thread busy until nobody waits for it any more.
struct Blocks(Counts);

impl Tool for Blocks {
    const SPEC: ToolSpec = spec("blocks", Effect::ReadOnly, TaskSupport::Offered);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        let counts = self.0.clone();
        cx.run(move |cancelled| {
            counts.started.fetch_add(1, Ordering::SeqCst);
            while !cancelled.is_set() {
                std::thread::sleep(Duration::from_millis(5));
            }
            counts.stopped.fetch_add(1, Ordering::SeqCst);
            Ok(ToolOutput::text("", ()))
        })
        .await
        .map_err(Interrupted::from)
    }
}

#[derive(Deserialize, JsonSchema)]
struct Yes {
    yes: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// Asks while it runs.
struct Confirm;

impl Tool for Confirm {
    const SPEC: ToolSpec = spec("confirm", Effect::Destructive { idempotent: false }, TaskSupport::Offered);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        let answer = cx.elicit("sure", &Elicitation::form_of::<Yes>("Are you sure?"))?;
        let sure = answer.accepted::<Yes>().is_some_and(|answer| answer.yes);
        Ok(ToolOutput::text(if sure { "done" } else { "left alone" }, ()))
    }
}

/// Asks two things at once while it runs.
struct Both;

impl Tool for Both {
    const SPEC: ToolSpec = spec("both", Effect::ReadOnly, TaskSupport::Offered);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        let first = cx.elicit("first", &Elicitation::form_of::<Name>("Your first name?"));
        let last = cx.elicit("last", &Elicitation::form_of::<Name>("Your last name?"));
        let name = |answer: pressmark::call::ElicitResult| answer.accepted::<Name>().map_or_else(String::new, |name| name.name);
        Ok(ToolOutput::text(format!("{} {}", name(first?), name(last?)), ()))
    }
}

/// Asks before it becomes a task, and always becomes one.
struct AskFirst;

impl Tool for AskFirst {
    const SPEC: ToolSpec = spec("ask_first", Effect::ReadOnly, TaskSupport::Required);
    type Args = Nothing;
    type Output = ();

    async fn before_task(&self, cx: &CallContext, _: &Nothing) -> Result<(), Interrupted> {
        cx.elicit("name", &Elicitation::form_of::<Name>("Your name?"))?;
        Ok(())
    }

    async fn call(&self, cx: &CallContext, args: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        self.before_task(cx, &args).await?;
        let answer = cx.elicit("name", &Elicitation::form_of::<Name>("Your name?"))?;
        let name = answer.accepted::<Name>().map_or_else(|| "nobody".to_owned(), |answer| answer.name);
        Ok(ToolOutput::text(format!("Hello, {name}!"), ()))
    }
}

/// Fails as tools do.
struct Fails;

impl Tool for Fails {
    const SPEC: ToolSpec = spec("fails", Effect::ReadOnly, TaskSupport::Offered);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, _: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        Err(ToolError::invalid_argument("nothing", "is never right").into())
    }
}

/// Fails as programs do.
struct Panics;

impl Tool for Panics {
    const SPEC: ToolSpec = spec("panics", Effect::ReadOnly, TaskSupport::Offered);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, _: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        panic!("a secret of the tool")
    }
}

/// Knows nothing of tasks.
struct Greet;

impl Tool for Greet {
    const SPEC: ToolSpec = spec("greet", Effect::ReadOnly, TaskSupport::Never);
    type Args = Nothing;
    type Output = ();

    async fn call(&self, _: &CallContext, _: Nothing) -> Result<ToolOutput<()>, Interrupted> {
        Ok(ToolOutput::text("Hello!", ()))
    }
}
