//! A stream of events, as a client holds one.

use std::time::{Duration, Instant};

use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Response;
use serde_json::json;
use tokio::time::timeout;

use super::front::{PATIENCE, cause};
use super::report::Report;
use crate::mcp::ProtocolVersion;

/// An event that takes longer was held back on the way.
const LATE: Duration = Duration::from_secs(1);
/// When the server gives a sign of life on a silent stream, and a little more.
const SIGN_OF_LIFE: Duration = Duration::from_secs(17);

/// What to open, and how long to watch it.
pub(super) struct Stream<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) url: String,
    pub(super) token: Option<&'a str>,
    pub(super) idle: Duration,
}

impl Stream<'_> {
    /// Opens `subscriptions/listen`: its first event comes at once, unless it is held back.
    pub(super) async fn examine(&self, report: &mut Report) {
        let begun = Instant::now();
        let mut answer = match timeout(PATIENCE, self.open()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(problem)) => {
                return report.wrong(format!("a stream of events cannot be opened: {}", cause(&problem)), SEE_BALANCER);
            }
            Err(_) => return report.wrong("a stream of events does not begin: the answer is held back", UNBUFFERED),
        };
        let status = answer.status().as_u16();
        if status != 200 {
            let fix = match status {
                401 => "use a token or key that is good on this server, see --token-file",
                403 => "use a token whose scopes permit something, such as files:read",
                _ => SEE_BALANCER,
            };
            return report.wrong(format!("a stream of events is answered {status}"), fix);
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return report.wrong("a stream of events is answered with something else", SEE_BALANCER);
        }
        match timeout(PATIENCE, answer.chunk()).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return report.wrong("a stream of events ends before its first event", SEE_BALANCER),
            Ok(Err(error)) => return report.wrong(format!("a stream of events breaks off: {}", cause(&error)), SEE_BALANCER),
            Err(_) => {
                let found = format!(
                    "a stream's first event is held back for more than {} s: it is buffered on the way",
                    PATIENCE.as_secs()
                );
                return report.wrong(found, UNBUFFERED);
            }
        }
        let took = begun.elapsed();
        let found = format!("a stream's first event arrives after {} ms", took.as_millis());
        if took > LATE {
            return report.wrong(found, UNBUFFERED);
        }
        report.right(found);
        self.watch(&mut answer, report).await;
    }

    async fn open(&self) -> reqwest::Result<Response> {
        let revision = ProtocolVersion::V2026_07_28.as_str();
        let method = "subscriptions/listen";
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": method,
            "params": {
                "notifications": { "toolsListChanged": true },
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": revision,
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/clientInfo": { "name": "pressmark-doctor", "version": env!("CARGO_PKG_VERSION") },
                },
            },
        });
        let mut request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", revision)
            .header("mcp-method", method);
        if let Some(token) = self.token {
            request = request.bearer_auth(token);
        }
        request.body(message.to_string()).send().await
    }

    /// Nothing happens: does the stream stay open, and do signs of life come through?
    async fn watch(&self, answer: &mut Response, report: &mut Report) {
        let begun = Instant::now();
        let mut signs = 0;
        while let Some(left) = self.idle.checked_sub(begun.elapsed()) {
            match timeout(left, answer.chunk()).await {
                Err(_) => break,
                Ok(Ok(Some(_))) => signs += 1,
                Ok(Ok(None) | Err(_)) => {
                    return report.wrong(
                        format!("a silent stream is cut off after {} s", begun.elapsed().as_secs()),
                        "raise the balancer's idle timeout to 60 s or more (proxy_read_timeout, timeout server, idle timeout); a silent stream carries a comment every 15 s",
                    );
                }
            }
        }
        let seconds = self.idle.as_secs();
        if self.idle < SIGN_OF_LIFE {
            report.right(format!("a silent stream stays open for {seconds} s"));
            report.skipped("whether later events come through at once: --idle 20s or more shows it");
        } else if signs == 0 {
            report.wrong(format!("no sign of life comes through on a stream that is silent for {seconds} s"), UNBUFFERED);
        } else {
            report.right(format!("a silent stream stays open for {seconds} s, and signs of life come through"));
        }
    }
}

const UNBUFFERED: &str = "switch response buffering and compression off for /mcp: proxy_buffering off, proxy_http_version 1.1 and gzip off in nginx, \
option http-no-delay in HAProxy, flush_interval -1 in Caddy";
const SEE_BALANCER: &str = "see the logs of the server and of the balancer for this call";
