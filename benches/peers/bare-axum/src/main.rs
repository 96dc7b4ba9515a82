//! axum and serde_json without MCP: what a good author would write for the three calls, with no check of the protocol.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use workload::{Cursors, Entry, Options, PageOutput, ReadFileArgs, lines, list_directory, read_file};

#[derive(Deserialize)]
struct Request {
    id: Value,
    params: Call,
}

#[derive(Deserialize)]
#[serde(tag = "name", content = "arguments", rename_all = "snake_case")]
enum Call {
    Greet { name: String },
    ReadFile(ReadFileArgs),
    ListDirectory { path: String },
}

#[derive(Serialize)]
struct Answer {
    jsonrpc: &'static str,
    id: Value,
    result: CallResult,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallResult {
    result_type: &'static str,
    #[serde(rename = "_meta")]
    meta: Meta,
    content: Vec<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Structured>,
    is_error: bool,
}

#[derive(Serialize)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/serverInfo")]
    server_info: ServerInfo,
}

#[derive(Serialize)]
struct ServerInfo {
    name: &'static str,
    title: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Content {
    r#type: &'static str,
    text: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Structured {
    Page(PageOutput),
    Listing { entries: Vec<Entry> },
}

struct Server {
    root: PathBuf,
    cursors: Cursors,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::from_args();
    let server = Arc::new(Server { cursors: Cursors(options.connect_redis().await), root: options.root });
    let router = Router::new().route("/mcp", post(answer)).with_state(server);
    axum::serve(TcpListener::bind(options.listen).await?, router).await
}

/// Not axum's `Json`, which keeps account of where in the message it is, for the sake of its errors.
async fn answer(
    State(server): State<Arc<Server>>,
    body: Bytes,
) -> Result<([(HeaderName, &'static str); 1], Vec<u8>), StatusCode> {
    let Request { id, params } = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let (texts, structured_content) = server.call(params).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let result = CallResult {
        result_type: "complete",
        meta: Meta { server_info: ServerInfo { name: "bare-axum", title: "Bare axum", version: "0.0.0" } },
        content: texts.into_iter().map(|text| Content { r#type: "text", text }).collect(),
        structured_content,
        is_error: false,
    };
    let answer = serde_json::to_vec(&Answer { jsonrpc: "2.0", id, result }).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_TYPE, "application/json")], answer))
}

impl Server {
    async fn call(&self, call: Call) -> io::Result<(Vec<String>, Option<Structured>)> {
        Ok(match call {
            Call::Greet { name } => (vec![format!("Hello, {name}!")], None),
            Call::ReadFile(args) => {
                let (text, output) = read_file(&self.root, &self.cursors, args).await?;
                (vec![text, output.summary()], Some(Structured::Page(output)))
            }
            Call::ListDirectory { path } => {
                let entries = list_directory(&self.root, path).await?;
                (vec![lines(&entries)], Some(Structured::Listing { entries }))
            }
        })
    }
}
