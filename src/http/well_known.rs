//! What this server says of itself to clients that look for a way in (OAuth 2.0 Protected Resource Metadata, RFC 9728).

use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::auth::{Permission, Scope};

/// Where the metadata is: at the root, and with the endpoint's path appended (RFC 9728, section 3.1).
pub const PROTECTED_RESOURCE_PATHS: [&str; 2] =
    ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"];

/// This server as an OAuth 2.1 protected resource.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    public_url: String,
    issuer: Option<String>,
}

impl ProtectedResource {
    /// `public_url` is the server's address as clients know it, without the endpoint's `/mcp`. `issuer` is the
    /// authorization server, where there is one.
    #[must_use]
    pub fn new(public_url: &str, issuer: Option<&str>) -> Self {
        Self { public_url: public_url.trim_end_matches('/').to_owned(), issuer: issuer.map(str::to_owned) }
    }

    /// The canonical URI of the MCP endpoint: the `resource` of token requests, and the default audience of tokens.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("{}/mcp", self.public_url)
    }

    /// Where the metadata is; `None` without an authorization server, because then there is none.
    #[must_use]
    pub fn metadata_url(&self) -> Option<String> {
        self.issuer.as_ref().map(|_| format!("{}{}", self.public_url, PROTECTED_RESOURCE_PATHS[1]))
    }

    /// The handler of [`PROTECTED_RESOURCE_PATHS`]: the document, or 404 without an authorization server. Web pages of
    /// any origin may read it: it is public, and a client in a browser needs it.
    pub fn handler<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let document = self.document();
        let answer = move || {
            let document = document.clone();
            async move { respond(document) }
        };
        get(answer).options(async || preflight())
    }

    fn document(&self) -> Option<Bytes> {
        let issuer = self.issuer.as_ref()?;
        let scopes = [Permission::Read, Permission::Write, Permission::Delete].map(|one| Scope::Files(one).to_string());
        let document = json!({
            "resource": self.resource(),
            "authorization_servers": [issuer],
            "scopes_supported": ["files", scopes[0], scopes[1], scopes[2]],
            "bearer_methods_supported": ["header"],
            "resource_name": "Pressmark",
        });
        Some(document.to_string().into())
    }
}

fn respond(document: Option<Bytes>) -> Response<axum::body::Body> {
    let status = if document.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let body = document.unwrap_or_else(|| r#"{"error":"this server has no authorization server"}"#.into());
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Browsers ask first, because MCP clients send the protocol version with the request.
fn preflight() -> Response<axum::body::Body> {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("mcp-protocol-version"));
    response
}
