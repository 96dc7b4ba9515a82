//! The server with tools that no release has: what a tool can do to it, seen at the HTTP boundary.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use pressmark::auth::Scope;
use pressmark::call::{
    CallContext, Completing, Completion, Interrupted, Lane, LogLevel, ResourceContents, ToolError, ToolErrorKind,
};
use pressmark::config::Settings;
use pressmark::prompts::{Prompt, PromptOutput, PromptSpec};
use pressmark::resources::{Resource, ResourcePage, ResourceProvider, ResourceTemplate, ResourcesSpec};
use pressmark::tools::{Effect, Tool, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use support::client::McpClient;
use support::in_process::{Server, TOKEN};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const fn spec(name: &'static str, lane: Lane) -> ToolSpec {
    ToolSpec { name, title: name, description: "For a test.", scopes: &[], effect: Effect::ReadOnly, lane, ..ToolSpec::DEFAULT }
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

struct Panics;

impl Tool for Panics {
    const SPEC: ToolSpec = spec("panics", Lane::Cpu);
    type Args = Nothing;
    type Output = Nothing;

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<Nothing>, Interrupted> {
        Ok(cx.run(|_| panic!("a secret of the tool")).await?)
    }
}

#[tokio::test]
async fn a_panic_harms_one_request_only() {
    let server = Server::start(Settings::default(), |app| app.with(Panics)).await;
    let client = server.client();
    for _ in 0..20 {
        let reply = client.call_tool("panics", json!({})).await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (500, -32603), "{}", reply.text);
        assert!(!reply.text.contains("secret"), "{}", reply.text);
    }
    let reply = client.call_tool("search_text", json!({"pattern": "hello"})).await;
    assert!(!reply.is_tool_error(), "no place in the lane was lost: {}", reply.text);
    server.stop().await;
}

/// Reports 1, 2, 2, 1, 3 and is done when told.
struct Reports(Arc<Notify>);

impl Tool for Reports {
    const SPEC: ToolSpec = spec("reports", Lane::Io);
    type Args = Nothing;
    type Output = Nothing;

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<Nothing>, Interrupted> {
        for progress in [1.0, 2.0, 2.0, 1.0, 3.0] {
            cx.progress(progress, Some(3.0), Some(format!("step {progress}")));
        }
        if cx.reports().want_progress() {
            self.0.notified().await;
        }
        Ok(ToolOutput::text("done", Nothing {}))
    }
}

#[tokio::test]
async fn progress_is_streamed_when_asked_for() {
    let go = Arc::new(Notify::new());
    let server = Server::start(Settings::default(), |app| app.with(Reports(Arc::clone(&go)))).await;
    for modern in [true, false] {
        let client = if modern { server.client() } else { McpClient::legacy(&server.url, Some(TOKEN), "2025-11-25").await };
        for token in [json!("p-1"), json!(7)] {
            let params = json!({"name": "reports", "arguments": {}, "_meta": {"progressToken": token}});
            let mut stream = client.open("tools/call", params).await;
            assert_eq!(stream.headers()[CONTENT_TYPE], "text/event-stream");
            assert_eq!(stream.headers()["x-accel-buffering"], "no");
            for step in [1.0, 2.0, 3.0] {
                let report = stream.next().await.expect("reports come before the result");
                assert_eq!((&report["method"], report.get("id")), (&json!("notifications/progress"), None));
                let expected = json!({"progressToken": token, "progress": step, "total": 3.0, "message": format!("step {step}")});
                assert_eq!(report["params"], expected, "progress only grows");
            }
            go.notify_one();
            let last = stream.next().await.expect("a result");
            assert_eq!(last["result"]["content"][0]["text"], "done");
            assert!(stream.next().await.is_none(), "the result ends the stream");
        }
        let silent = client.call_tool("reports", json!({})).await;
        assert_eq!(silent.headers[CONTENT_TYPE], "application/json", "nobody asked for reports");
        let quick = json!({"name": "list_directory", "arguments": {"path": "/"}, "_meta": {"progressToken": 5}});
        let quick = client.request("tools/call", quick).await;
        assert_eq!(quick.headers[CONTENT_TYPE], "application/json", "no report, no stream");
    }
    server.stop().await;
}

/// Logs at three levels.
struct Logs;

impl Tool for Logs {
    const SPEC: ToolSpec = spec("logs", Lane::Io);
    type Args = Nothing;
    type Output = Nothing;

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<Nothing>, Interrupted> {
        for (level, text) in [(LogLevel::Debug, "debug"), (LogLevel::Warning, "warning"), (LogLevel::Error, "error")] {
            cx.log(level, text);
        }
        Ok(ToolOutput::text("done", Nothing {}))
    }
}

#[tokio::test]
async fn log_messages_are_streamed_to_the_request_that_asks_for_them() {
    let server = Server::start(Settings::default(), |app| app.with(Logs)).await;
    let client = server.client();
    let mut listening = client.open("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).await;
    let first = listening.next().await.expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    let call = async |level: Value| {
        let params = json!({"name": "logs", "arguments": {}, "_meta": {"io.modelcontextprotocol/logLevel": level}});
        client.request("tools/call", params).await
    };

    let reply = call(json!("warning")).await;
    let (last, told) = reply.messages.split_last().expect("messages");
    let expected = ["warning", "error"]
        .map(|level| json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": level}}));
    assert_eq!(told, expected, "none below the level");
    assert_eq!(last["result"]["content"][0]["text"], "done");
    assert_eq!(call(json!("emergency")).await.messages.len(), 1);
    let silent = client.call_tool("logs", json!({})).await;
    assert_eq!((silent.messages.len(), silent.content(0)), (1, "done"), "nobody asked for messages");
    for wrong in [json!("loud"), json!("WARNING"), json!(4)] {
        let reply = call(wrong.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (400, -32602), "{wrong}: {}", reply.text);
    }
    let elsewhere = tokio::time::timeout(Duration::from_millis(300), listening.next()).await;
    assert!(elsewhere.is_err(), "on another stream: {elsewhere:?}");
    drop(listening);
    server.stop().await;
}

/// Asks which folders the client works in.
struct AsksRoots;

impl Tool for AsksRoots {
    const SPEC: ToolSpec = spec("asks_roots", Lane::Io);
    type Args = Nothing;
    type Output = Nothing;

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<Nothing>, Interrupted> {
        let roots = cx.roots("roots")?;
        Ok(ToolOutput::text(roots.len().to_string(), Nothing {}))
    }
}

#[tokio::test]
async fn roots_are_asked_for_where_they_are_declared() {
    let server = Server::start(Settings::default(), |app| app.with(AsksRoots)).await;
    let refused = server.client().declaring(json!({"sampling": {}})).call_tool("asks_roots", json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.error_code()), (400, -32021), "{}", refused.text);
    assert_eq!(refused.error()["data"], json!({"requiredCapabilities": {"roots": {}}}));
    let asked = server.client().declaring(json!({"roots": {}})).call_tool("asks_roots", json!({})).await;
    assert_eq!(asked.result()["inputRequests"], json!({"roots": {"method": "roots/list", "params": {}}}));
    server.stop().await;
}

/// Can do nothing at the moment.
struct Broken;

fn broken() -> Interrupted {
    ToolError::new(ToolErrorKind::Io, "the disk is away").into()
}

impl Prompt for Broken {
    const SPEC: PromptSpec =
        PromptSpec { name: "broken", title: "Broken", description: "For a test.", scopes: &[], lane: Lane::Io };
    type Args = Nothing;

    async fn get(&self, _: &CallContext, _: Nothing) -> Result<PromptOutput, Interrupted> {
        Err(broken())
    }

    async fn complete(&self, _: &CallContext, _: &Completing) -> Result<Completion, Interrupted> {
        Err(broken())
    }
}

impl ResourceProvider for Broken {
    const SPEC: ResourcesSpec = ResourcesSpec { prefix: "broken://", scopes: &[], lane: Lane::Io, ttl_ms: 0 };

    async fn list(&self, _: &CallContext, _: Option<&str>) -> Result<ResourcePage, Interrupted> {
        Ok(ResourcePage::default())
    }

    async fn read(&self, _: &CallContext, _: &str) -> Result<Vec<ResourceContents>, Interrupted> {
        Err(broken())
    }
}

#[tokio::test]
async fn what_fails_in_the_server_is_an_internal_error() {
    let server = Server::start(Settings::default(), |app| app.with_prompt(Broken).with_resources(Broken)).await;
    let client = server.client();
    for (method, params) in [
        ("resources/read", json!({"uri": "broken://x"})),
        ("prompts/get", json!({"name": "broken", "arguments": {}})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "broken"}, "argument": {"name": "any", "value": ""}}),
        ),
    ] {
        let reply = client.request(method, params).await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (200, -32603), "{method}: {}", reply.text);
        assert_eq!(reply.error()["message"], "the disk is away", "{method}");
    }
    server.stop().await;
}

/// A family of `count` resources, `PREFIX1`, `PREFIX2` and so on, two to a page.
trait Family: Send + Sync + 'static {
    const PREFIX: &'static str;
    const COUNT: usize;
    const SCOPES: &'static [Scope] = &[];
}

struct Notes;
struct OldNotes;
struct Nothings;
struct Hidden;
struct LastHidden;

impl Family for Notes {
    const PREFIX: &'static str = "notes://";
    const COUNT: usize = 5;
}

impl Family for Hidden {
    const PREFIX: &'static str = "hidden://";
    const COUNT: usize = 3;
    const SCOPES: &'static [Scope] = &[Scope::Named("nobody-has-it")];
}

impl Family for Nothings {
    const PREFIX: &'static str = "nothing://";
    const COUNT: usize = 0;
}

impl Family for OldNotes {
    const PREFIX: &'static str = "notes://old/";
    const COUNT: usize = 2;
}

impl Family for LastHidden {
    const PREFIX: &'static str = "last://";
    const COUNT: usize = 1;
    const SCOPES: &'static [Scope] = &[Scope::Named("nobody-has-it")];
}

struct FamilyOf<F>(F);

impl<F: Family> ResourceProvider for FamilyOf<F> {
    const SPEC: ResourcesSpec = ResourcesSpec { prefix: F::PREFIX, scopes: F::SCOPES, lane: Lane::Io, ttl_ms: 0 };

    fn templates(&self) -> Vec<ResourceTemplate> {
        let uri_template = format!("{}{{number}}", F::PREFIX);
        vec![ResourceTemplate { uri_template, name: F::PREFIX.to_owned(), title: None, description: None, mime_type: None }]
    }

    async fn list(&self, _: &CallContext, cursor: Option<&str>) -> Result<ResourcePage, Interrupted> {
        let after = cursor.map_or(Some(0), |cursor| cursor.strip_prefix(F::PREFIX)?.parse::<usize>().ok());
        let after = after.ok_or_else(|| ToolError::new(ToolErrorKind::InvalidCursor, "not a cursor of this family"))?;
        let resource = |number| Resource {
            uri: format!("{}{number}", F::PREFIX),
            name: format!("{number}"),
            title: None,
            description: None,
            mime_type: None,
            size: None,
            annotations: None,
        };
        let end = F::COUNT.min(after + 2);
        let next_cursor = (end < F::COUNT).then(|| format!("{}{end}", F::PREFIX));
        Ok(ResourcePage { resources: (after + 1..=end).map(resource).collect(), next_cursor })
    }

    async fn read(&self, _: &CallContext, uri: &str) -> Result<Vec<ResourceContents>, Interrupted> {
        let number = uri.get(F::PREFIX.len()..).and_then(|number| number.parse::<usize>().ok());
        match number.filter(|number| (1..=F::COUNT).contains(number)) {
            Some(number) => Ok(vec![ResourceContents::text(uri, "text/plain", format!("{number} of {}", F::PREFIX))]),
            None => Err(ToolError::new(ToolErrorKind::NotFound, format!("{uri} is not there")).into()),
        }
    }

    async fn complete(&self, _: &CallContext, template: &str, _: &Completing) -> Result<Completion, Interrupted> {
        Ok(Completion::of([format!("{} completes {template}", F::PREFIX)]))
    }
}

/// A server with more families of resources than the files: some are empty, some not for this caller.
async fn families() -> Server {
    Server::start(Settings::default(), |app| {
        app.with_resources(FamilyOf(Notes))
            .with_resources(FamilyOf(Hidden))
            .with_resources(FamilyOf(Nothings))
            .with_resources(FamilyOf(OldNotes))
            .with_resources(FamilyOf(LastHidden))
    })
    .await
}

#[tokio::test]
async fn resources_of_several_providers_are_one_list() {
    let server = families().await;
    let old = |revision| McpClient::legacy(&server.url, Some(TOKEN), revision);
    for client in [server.client(), old("2025-11-25").await, old("2025-03-26").await] {
        let (mut pages, mut params) = (Vec::new(), json!({}));
        loop {
            let reply = client.request("resources/list", params).await;
            let uris = reply.result()["resources"].as_array().expect("resources").iter();
            pages.push(uris.map(|resource| resource["uri"].as_str().expect("a URI").to_owned()).collect::<Vec<_>>());
            match reply.result().get("nextCursor") {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => break,
            }
            assert!(pages.len() < 20, "it does not end");
        }
        let files = vec!["file:///", "file:///hello.txt"];
        let notes = [vec!["notes://1", "notes://2"], vec!["notes://3", "notes://4"], vec!["notes://5"]];
        let expected = [vec![files], notes.to_vec(), vec![vec!["notes://old/1", "notes://old/2"]]].concat();
        assert_eq!(pages, expected, "no page is empty, and nothing follows the last");
    }
    let client = server.client();
    for forged in ["", "x", "1", "-1.", "1.x", "9.", "1.notes://", "1.notes://old/1", "99999999999999999999."] {
        let reply = client.request("resources/list", json!({"cursor": forged})).await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (200, -32602), "{forged:?}: {}", reply.text);
    }
    // A cursor of resources that the caller may not see leads to what comes after them.
    for hidden in ["2.", "2.hidden://2"] {
        let reply = client.request("resources/list", json!({"cursor": hidden})).await;
        assert_eq!(reply.result()["resources"][0]["uri"], "notes://old/1", "{hidden:?}");
    }
    let reply = client.request("resources/list", json!({"cursor": "5.last://0"})).await;
    assert_eq!((&reply.result()["resources"], reply.result().get("nextCursor")), (&json!([]), None));
    server.stop().await;
}

#[tokio::test]
async fn each_resource_is_its_providers() {
    let server = families().await;
    let client = server.client();
    for (uri, text) in [
        ("notes://3", "3 of notes://"),
        ("notes://old/2", "2 of notes://old/"),
        ("NOTES://3", "3 of notes://"),
        ("file:///hello.txt", "hello\n"),
    ] {
        let reply = client.request("resources/read", json!({"uri": uri})).await;
        let contents = &reply.result()["contents"][0];
        assert_eq!((&contents["uri"], &contents["text"]), (&json!(uri), &json!(text)));
    }
    for uri in ["notes://6", "notes://old/3", "notes:/3", "nothing://1", "other://1", "1"] {
        let reply = client.request("resources/read", json!({"uri": uri})).await;
        assert_eq!((reply.error_code(), &reply.error()["data"]["uri"]), (-32602, &json!(uri)), "{}", reply.text);
    }
    let reply = client.request("resources/read", json!({"uri": "hidden://1"})).await;
    assert_eq!(reply.status, 403, "{}", reply.text);

    let reply = client.request("resources/templates/list", json!({})).await;
    let templates = reply.result()["resourceTemplates"].as_array().expect("templates").iter();
    let templates: Vec<_> = templates.map(|template| template["uriTemplate"].as_str().expect("a template")).collect();
    assert_eq!(templates, ["file:///{+path}", "notes://{number}", "nothing://{number}", "notes://old/{number}"]);
    let complete = async |template: &str| {
        let reference = json!({"type": "ref/resource", "uri": template});
        let argument = json!({"name": "number", "value": ""});
        client.request("completion/complete", json!({"ref": reference, "argument": argument})).await
    };
    for (template, provider) in [("notes://{number}", "notes://"), ("notes://old/{number}", "notes://old/")] {
        let reply = complete(template).await;
        assert_eq!(reply.result()["completion"]["values"], json!([format!("{provider} completes {template}")]));
    }
    assert_eq!(complete("hidden://{number}").await.status, 403);
    server.stop().await;
}

/// Works until nobody waits for it any more.
struct Endless {
    started: Arc<Notify>,
    ended: Arc<AtomicUsize>,
}

impl Tool for Endless {
    const SPEC: ToolSpec = spec("endless", Lane::Cpu);
    type Args = Nothing;
    type Output = Nothing;

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<Nothing>, Interrupted> {
        let (started, ended) = (Arc::clone(&self.started), Arc::clone(&self.ended));
        cx.run(move |cancelled| {
            started.notify_one();
            while !cancelled.is_set() {
                std::thread::sleep(Duration::from_millis(5));
            }
            ended.fetch_add(1, Ordering::SeqCst);
            Ok(ToolOutput::text("", Nothing {}))
        })
        .await
        .map_err(Interrupted::from)
    }
}

fn endless() -> (Endless, Arc<Notify>, Arc<AtomicUsize>) {
    let (started, ended) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    (Endless { started: Arc::clone(&started), ended: Arc::clone(&ended) }, started, ended)
}

async fn wait_for(count: &AtomicUsize, wanted: usize) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while count.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("the work goes on although nobody waits for it"));
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_work() {
    let (tool, started, ended) = endless();
    let server = Server::start(Settings::default(), |app| app.with(tool)).await;
    let client = server.client();
    let call = tokio::spawn(async move { client.try_request("tools/call", json!({"name": "endless", "arguments": {}})).await });
    started.notified().await;
    call.abort();
    wait_for(&ended, 1).await;
    server.stop().await;
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let (tool, _, ended) = endless();
    let settings = Settings { request_timeout: Some("300ms".to_owned()), ..Settings::default() };
    let server = Server::start(settings, |app| app.with(tool)).await;
    let reply = server.client().call_tool("endless", json!({})).await;
    assert!(reply.is_tool_error() && reply.content(0).starts_with("timed_out: endless took longer than 300ms"), "{}", reply.text);
    wait_for(&ended, 1).await;
    server.stop().await;
}

/// Cheap calls go on while the CPU lane is full, and what finds its queue full is told so at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_says_so_and_holds_nothing_else_up() {
    let (tool, _, _) = endless();
    let server = Server::start(Settings::default(), |app| app.with(tool)).await;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let calls: Vec<_> = (0..cores * 33 + 1)
        .map(|_| {
            let client = server.client();
            tokio::spawn(async move { client.try_request("tools/call", json!({"name": "endless", "arguments": {}})).await })
        })
        .collect();
    let busy = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            // One call more than there is room for: whichever comes last is turned away.
            if let Some(done) = calls.iter().position(JoinHandle::is_finished) {
                return done;
            }
            let cheap = server.client().call_tool("read_file", json!({"path": "/hello.txt"})).await;
            assert_eq!(cheap.content(0), "hello\n");
        }
    });
    let busy = busy.await.expect("one call is turned away");
    let (mut turned_away, mut others) = (None, Vec::new());
    for (index, call) in calls.into_iter().enumerate() {
        if index == busy { turned_away = Some(call) } else { others.push(call) }
    }
    let reply = turned_away.expect("just found").await.expect("no panic").expect("an answer");
    assert!(reply.is_tool_error() && reply.content(0).starts_with("unavailable:"), "{}", reply.text);
    assert!(reply.content(0).contains("1 s"), "it says when to come back: {}", reply.text);
    for call in &others {
        call.abort();
    }
    drop(others);
    server.stop().await;
}

/// The same in the lane for disks and networks.
struct EndlessIo(Endless);

impl Tool for EndlessIo {
    const SPEC: ToolSpec = spec("endless_io", Lane::Io);
    type Args = Nothing;
    type Output = Nothing;

    async fn call(&self, cx: &CallContext, args: Nothing) -> Result<ToolOutput<Nothing>, Interrupted> {
        self.0.call(cx, args).await
    }
}

/// However many calls hold the I/O lane, there are threads left for the probes.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_told_while_the_io_lane_is_full() {
    let (tool, _, _) = endless();
    let server = Server::start(Settings::default(), |app| app.with(EndlessIo(tool))).await;
    let calls: Vec<_> = (0..600)
        .map(|_| {
            let client = server.client();
            tokio::spawn(async move { client.try_request("tools/call", json!({"name": "endless_io", "arguments": {}})).await })
        })
        .collect();
    // Until every call has arrived: none is answered, so there is nothing to wait for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(calls.iter().all(|call| !call.is_finished()), "the lane and its queue have room for all of them");
    let ready = reqwest::get(format!("{}/readyz", server.url)).await.expect("an answer");
    assert_eq!(ready.status(), 200, "{}", ready.text().await.unwrap_or_default());
    for call in &calls {
        call.abort();
    }
    server.stop().await;
}

/// Gives more than any budget.
struct Boundless;

impl Tool for Boundless {
    const SPEC: ToolSpec = spec("boundless", Lane::Io);
    type Args = Nothing;
    type Output = Nothing;

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<Nothing>, Interrupted> {
        Ok(ToolOutput::text("x".repeat(cx.max_result_bytes() + 1), Nothing {}))
    }
}

#[tokio::test]
async fn no_tool_exceeds_the_budget() {
    let server =
        Server::start(Settings { max_result_bytes: Some(5_000), ..Settings::default() }, |app| app.with(Boundless)).await;
    let reply = server.client().call_tool("boundless", json!({})).await;
    assert!(reply.is_tool_error() && reply.content(0).starts_with("too_large:"), "{}", reply.text);
    server.stop().await;
}
