//! A tool of your own beside those on files: `cargo run --example minimal`, then connect a client to the URL it prints.

use pressmark::app::App;
use pressmark::call::{CallContext, Interrupted, Lane, ToolError};
use pressmark::config::Settings;
use pressmark::tools::{Effect, Tool, ToolOutput, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

struct Greet;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Whom to greet.
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    letters: usize,
}

impl Tool for Greet {
    const SPEC: ToolSpec = ToolSpec {
        name: "greet",
        title: "Greet",
        description: "Greets somebody by name.",
        scopes: &[],
        effect: Effect::ReadOnly,
        lane: Lane::Io,
        example: r#"{"name": "Ada"}"#,
        ..ToolSpec::DEFAULT
    };
    type Args = Args;
    type Output = Output;

    async fn call(&self, _: &CallContext, args: Args) -> Result<ToolOutput<Output>, Interrupted> {
        if args.name.is_empty() {
            return Err(ToolError::invalid_argument("name", "must not be empty, for example \"Ada\"").into());
        }
        Ok(ToolOutput::text(format!("Hello, {}!", args.name), Output { letters: args.name.chars().count() }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Everything that `pressmark serve` takes from the environment or a file can be set here.
    let settings = Settings { path: Some(".".to_owned()), listen: Some("127.0.0.1:0".parse()?), ..Settings::default() };
    let app = App::new(settings.resolve()?).await?.with(Greet).bind().await?;
    println!("{}", app.banner());
    app.serve(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await;
    Ok(())
}
