//! Tools whose calls may outlive their requests: as tasks, for clients that know of them. They change nothing, so that
//! another replica can begin again with the call of one that died.

use std::time::Duration;

use pressmark::call::{CallContext, Elicitation, Interrupted, NoArguments, ToolError, ToolErrorKind};
use pressmark::tools::{TaskSupport, Tool, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::sleep;

use crate::rounds::{Name, ask_name};
use crate::{Answer, say, spec};

/// What tools here have in common.
const fn task(name: &'static str, title: &'static str, description: &'static str) -> ToolSpec {
    ToolSpec { task: TaskSupport::Offered, ..spec(name, title, description) }
}

/// Beside them, one whose calls never become tasks.
pub(crate) struct Greet;

impl Tool for Greet {
    const SPEC: ToolSpec =
        ToolSpec { example: r#"{"name": "Ada"}"#, ..spec("greet", "Greet", "Greets somebody by name, at once.") };
    type Args = Name;
    type Output = ();

    async fn call(&self, _: &CallContext, Name { name }: Name) -> Answer {
        say(format!("Hello, {name}!"))
    }
}

pub(crate) struct SlowCompute;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlowComputeArgs {
    /// How long it takes, in seconds.
    #[schemars(range(max = 300))]
    seconds: u16,
    /// What the result is called.
    label: Option<String>,
}

impl Tool for SlowCompute {
    const SPEC: ToolSpec = ToolSpec {
        example: r#"{"seconds": 2, "label": "answer"}"#,
        ..task("slow_compute", "Compute slowly", "Takes as long as it is told to.")
    };
    type Args = SlowComputeArgs;
    type Output = ();

    async fn call(&self, cx: &CallContext, SlowComputeArgs { seconds, label }: SlowComputeArgs) -> Answer {
        if seconds > 300 {
            return Err(ToolError::invalid_argument("seconds", "at most 300").into());
        }
        for second in 0..seconds {
            cx.progress(second.into(), Some(seconds.into()), Some(format!("{second} of {seconds} seconds")));
            sleep(Duration::from_secs(1)).await;
        }
        say(format!("{}: computed for {seconds} seconds", label.as_deref().unwrap_or("result")))
    }
}

/// Cannot be called but as a task.
pub(crate) struct FailingJob;

impl Tool for FailingJob {
    const SPEC: ToolSpec = ToolSpec {
        task: TaskSupport::Required,
        ..spec("failing_job", "Failing job", "Fails after a second, in a way that the model is told of.")
    };
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        sleep(Duration::from_secs(1)).await;
        Err(ToolError::new(ToolErrorKind::Io, "the job failed, as it always does; there is no use in repeating it").into())
    }
}

/// With a mistake in its code, which costs its own call and nothing else.
pub(crate) struct PanickingJob;

impl Tool for PanickingJob {
    const SPEC: ToolSpec = task("protocol_error_job", "Panicking job", "Fails because of a mistake in its code.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        panic!("a mistake in the tool's code")
    }
}

#[derive(Deserialize, JsonSchema)]
struct Deletion {
    confirm: bool,
}

fn ask_deletion(of: &str) -> Elicitation {
    Elicitation::form_of::<Deletion>(format!("Delete {of}?"))
}

/// Asks while it runs as a task: the task waits for the answer, and the client gives it with `tasks/update`.
pub(crate) struct ConfirmDelete;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmDeleteArgs {
    /// What to delete; nothing is.
    filename: String,
}

impl Tool for ConfirmDelete {
    const SPEC: ToolSpec = ToolSpec {
        example: r#"{"filename": "old.txt"}"#,
        ..task("confirm_delete", "Confirm deletion", "Asks the user before it does as if it deleted a file.")
    };
    type Args = ConfirmDeleteArgs;
    type Output = ();

    async fn call(&self, cx: &CallContext, ConfirmDeleteArgs { filename }: ConfirmDeleteArgs) -> Answer {
        match cx.elicit("confirm", &ask_deletion(&filename))?.accepted() {
            Some(Deletion { confirm: true }) => say(format!("{filename} would be gone now")),
            Some(Deletion { confirm: false }) | None => say(format!("{filename} stays")),
        }
    }
}

pub(crate) struct ConfirmTwice;

impl Tool for ConfirmTwice {
    const SPEC: ToolSpec = task("multi_input", "Confirm twice", "Asks the user two things at once.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        let (first, second) = (cx.elicit("first", &ask_deletion("the first")), cx.elicit("second", &ask_deletion("the second")));
        let confirmed =
            [first?, second?].iter().filter_map(|answer| answer.accepted()).filter(|Deletion { confirm }| *confirm).count();
        say(format!("{confirmed} of 2 confirmed"))
    }
}

/// Asks before it becomes a task, while its caller still waits, and goes on with the answer afterwards.
pub(crate) struct AskThenWork;

impl Tool for AskThenWork {
    const SPEC: ToolSpec = ToolSpec {
        task: TaskSupport::Required,
        ..spec("test_tool_with_task", "Ask, then work", "Asks for a name, then works on as a task.")
    };
    type Args = NoArguments;
    type Output = ();

    async fn before_task(&self, cx: &CallContext, _: &NoArguments) -> Result<(), Interrupted> {
        cx.elicit("user_name", &ask_name()).map(|_| ())
    }

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        let name = cx.elicit("user_name", &ask_name())?.accepted();
        sleep(Duration::from_millis(500)).await;
        say(format!("Worked for {}", name.map_or_else(|| "nobody".to_owned(), |Name { name }| name)))
    }
}
