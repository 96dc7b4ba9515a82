//! Tools that tell the client something before they are done. What the client did not ask for is not sent.

use std::time::Duration;

use pressmark::call::{CallContext, LogLevel, NoArguments};
use pressmark::tools::{Tool, ToolSpec};
use tokio::time::sleep;

use crate::{Answer, say, spec};

const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct WithLogging;

impl Tool for WithLogging {
    const SPEC: ToolSpec = spec("test_tool_with_logging", "Logging", "Sends three log messages while it works.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        cx.log(LogLevel::Info, "Tool execution started");
        sleep(PAUSE).await;
        cx.log(LogLevel::Info, "Tool processing data");
        sleep(PAUSE).await;
        cx.log(LogLevel::Info, "Tool execution completed");
        say("Tool with logging executed successfully")
    }
}

pub(crate) struct WithProgress;

impl Tool for WithProgress {
    const SPEC: ToolSpec = spec("test_tool_with_progress", "Progress", "Reports three times how far it has come.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        for step in [0, 50, 100] {
            cx.progress(step.into(), Some(100.0), Some(format!("Completed step {step} of 100")));
            sleep(PAUSE).await;
        }
        say("Tool with progress executed successfully")
    }
}

pub(crate) struct LogsOnDemand;

impl Tool for LogsOnDemand {
    const SPEC: ToolSpec = spec("test_logging_tool", "Logging on demand", "Sends a log message to those who ask for them.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        cx.log(LogLevel::Info, "Somebody asked for log messages");
        say("Logging evaluated")
    }
}

pub(crate) struct Reconnects;

impl Tool for Reconnects {
    const SPEC: ToolSpec =
        spec("test_reconnection", "Reconnection", "Closes the connection while it works; the client comes back for the result.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        cx.close_stream(PAUSE);
        sleep(2 * PAUSE).await;
        say("The client was away, or its connection cannot be closed")
    }
}
