//! rmcp, the official Rust SDK, under axum: stateless, answers as JSON, no authentication.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, ErrorData, ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use workload::{Cursors, Options, ReadFileArgs, lines, list_directory, read_file};

#[derive(Deserialize, JsonSchema)]
struct GreetArgs {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct ListDirectoryArgs {
    path: String,
}

struct Server {
    root: PathBuf,
    cursors: Cursors,
    /// Made once: without it the macro would make it anew for each call.
    tool_router: ToolRouter<Self>,
}

#[tool_router]
impl Server {
    #[tool(description = "Greets somebody by name, at once.")]
    async fn greet(&self, Parameters(args): Parameters<GreetArgs>) -> String {
        format!("Hello, {}!", args.name)
    }

    #[tool(description = "Reads a file, page by page.")]
    async fn read_file(&self, Parameters(args): Parameters<ReadFileArgs>) -> Result<CallToolResult, ErrorData> {
        let (text, output) = read_file(&self.root, &self.cursors, args).await.map_err(failed)?;
        result([text, output.summary()], &output)
    }

    #[tool(description = "Lists what is in a folder.")]
    async fn list_directory(&self, Parameters(args): Parameters<ListDirectoryArgs>) -> Result<CallToolResult, ErrorData> {
        let entries = list_directory(&self.root, args.path).await.map_err(failed)?;
        result([lines(&entries)], &json!({ "entries": entries }))
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::from_args();
    let cursors = Cursors(options.connect_redis().await);
    let server = Arc::new(Server { root: options.root, cursors, tool_router: Server::tool_router() });
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let service = StreamableHttpService::new(move || Ok(Arc::clone(&server)), Arc::new(NeverSessionManager::default()), config);
    let router = Router::new().nest_service("/mcp", service);
    axum::serve(TcpListener::bind(options.listen).await?, router).await
}

fn result<const N: usize>(texts: [String; N], structured: &impl Serialize) -> Result<CallToolResult, ErrorData> {
    let mut result = CallToolResult::success(texts.map(ContentBlock::text).into());
    result.structured_content = Some(serde_json::to_value(structured).map_err(failed)?);
    Ok(result)
}

fn failed(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
