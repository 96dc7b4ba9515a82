//! The whole server on an empty folder that cannot be written to, with what the specification's examples speak of: a tool,
//! a prompt and a resource.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use pressmark::app::{App, BoundApp};
use pressmark::call::{
    CallContext, Completing, Completion, Content, Elicitation, Interrupted, Lane, ResourceContents, ToolError, ToolErrorKind,
};
use pressmark::config::Settings;
use pressmark::prompts::{Prompt, PromptMessage, PromptOutput, PromptSpec};
use pressmark::resources::{ResourcePage, ResourceProvider, ResourcesSpec};
use pressmark::tools::{Effect, Tool, ToolOutput, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// A server that is asked without a connection.
pub struct Server {
    runtime: Runtime,
    app: BoundApp,
}

impl Server {
    /// The one of this process.
    pub fn get() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let app = runtime.block_on(start());
            Self { runtime, app }
        })
    }

    /// POSTs to the endpoint: the status, and the body unless it is a stream.
    pub fn post(&self, headers: &HeaderMap, body: &[u8]) -> (StatusCode, Option<Bytes>) {
        let mut request = Request::post("/mcp").body(axum::body::Body::from(Bytes::copy_from_slice(body))).expect("a request");
        *request.headers_mut() = headers.clone();
        self.runtime.block_on(async {
            let response = self.app.server().oneshot(request).await.unwrap_or_else(|never| match never {});
            let stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
            let status = response.status();
            if stream {
                return (status, None);
            }
            (status, Some(response.into_body().collect().await.expect("a body").to_bytes()))
        })
    }
}

async fn start() -> BoundApp {
    let folder = std::env::temp_dir().join("pressmark-fuzz");
    std::fs::create_dir_all(&folder).expect("a folder");
    let settings = Settings {
        path: Some(folder.to_str().expect("UTF-8").to_owned()),
        read_only: Some(true),
        listen: Some("127.0.0.1:0".parse().expect("an address")),
        no_auth: Some(true),
        ..Settings::default()
    };
    let app = App::new(settings.resolve().expect("a configuration")).await.expect("parts");
    app.with(GetWeather).with_prompt(CodeReview).with_resources(Project).bind().await.expect("a port")
}

/// Asks for the units when they are left out.
struct GetWeather;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WeatherArgs {
    /// Where.
    location: String,
    /// In which units.
    units: Option<Units>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Units {
    Metric,
    Imperial,
}

#[derive(Deserialize, JsonSchema)]
struct UnitsForm {
    /// In which units.
    units: Units,
}

#[derive(Serialize, JsonSchema)]
struct Weather {
    location: String,
    units: Units,
}

impl Tool for GetWeather {
    const SPEC: ToolSpec = ToolSpec {
        name: "get_weather",
        title: "Get weather",
        description: "Tells the weather of a place.",
        effect: Effect::ReadOnly,
        example: r#"{"location": "New York"}"#,
        ..ToolSpec::DEFAULT
    };
    type Args = WeatherArgs;
    type Output = Weather;

    async fn call(&self, cx: &CallContext, args: WeatherArgs) -> Result<ToolOutput<Weather>, Interrupted> {
        let units = match args.units {
            None if cx.client().has_forms() => {
                let answer = cx.elicit("units", &Elicitation::form_of::<UnitsForm>("In which units?"))?;
                answer.accepted::<UnitsForm>().map(|form| form.units)
            }
            given => given,
        };
        let text = format!("Rain in {}", args.location);
        Ok(ToolOutput::text(text, Weather { location: args.location, units: units.unwrap_or(Units::Metric) }))
    }
}

struct CodeReview;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReviewArgs {
    /// What to look at.
    code: String,
}

impl Prompt for CodeReview {
    const SPEC: PromptSpec =
        PromptSpec { name: "code_review", title: "Review code", description: "Asks for a review.", scopes: &[], lane: Lane::Io };
    type Args = ReviewArgs;

    async fn get(&self, _: &CallContext, args: ReviewArgs) -> Result<PromptOutput, Interrupted> {
        Ok(PromptOutput { description: None, messages: vec![PromptMessage::user(Content::text(args.code))] })
    }

    async fn complete(&self, _: &CallContext, completing: &Completing) -> Result<Completion, Interrupted> {
        Ok(Completion::of([completing.value.as_str()]))
    }
}

struct Project;

impl ResourceProvider for Project {
    const SPEC: ResourcesSpec = ResourcesSpec { prefix: "file:///project/", scopes: &[], lane: Lane::Io, ttl_ms: 0 };

    async fn list(&self, _: &CallContext, _: Option<&str>) -> Result<ResourcePage, Interrupted> {
        Ok(ResourcePage::default())
    }

    async fn read(&self, _: &CallContext, uri: &str) -> Result<Vec<ResourceContents>, Interrupted> {
        if uri.ends_with('/') {
            return Err(ToolError::new(ToolErrorKind::NotFound, "there is nothing").into());
        }
        Ok(vec![ResourceContents::text(uri, "text/plain", "fn main() {}")])
    }
}
