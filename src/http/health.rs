//! Probes: `/healthz` says that the process is alive, `/readyz` whether it can do its work.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::record::{self, Outcome};
use super::respond::json;
use crate::auth::Authenticator;
use crate::files::Tree;
use crate::state::SharedState;

/// What must work for the server to be of use.
#[derive(Clone)]
pub struct Readiness {
    /// The shared state.
    pub state: Arc<dyn SharedState>,
    /// The mounts.
    pub tree: Arc<Tree>,
    /// Who checks credentials: without keys nobody gets in.
    pub authenticator: Arc<Authenticator>,
}

/// How long a probe waits for what it asks.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /healthz`: 200 while the process answers at all; it depends on nothing else, or a failing Redis would get every
/// replica killed.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, br#"{"status":"ok"}"#.to_vec())
}

/// `GET /readyz`: 200, or 503 with what is missing.
pub(super) async fn readyz(State(readiness): State<Readiness>) -> Response {
    let state = match tokio::time::timeout(PROBE_TIMEOUT, readiness.state.check()).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("shared state does not answer".to_owned()),
    };
    let tree = Arc::clone(&readiness.tree);
    let mounts = tokio::task::spawn_blocking(move || tree.check().map_err(|error| error.to_string()));
    let mounts = match tokio::time::timeout(PROBE_TIMEOUT, mounts).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) | Err(_) => Err("the mounts do not answer".to_owned()),
    };
    let keys = if readiness.authenticator.is_ready() {
        Ok(())
    } else {
        Err("the keys of the token issuer have not been loaded".to_owned())
    };
    let problems: Vec<String> = [state, mounts, keys].into_iter().filter_map(Result::err).collect();
    if problems.is_empty() {
        return json(StatusCode::OK, br#"{"status":"ready"}"#.to_vec());
    }
    record::note(Outcome::refused("not_ready"));
    let body = serde_json::json!({ "status": "not ready", "reasons": problems });
    json(StatusCode::SERVICE_UNAVAILABLE, body.to_string().into_bytes())
}
