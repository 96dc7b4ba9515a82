//! The spans that a collector gets, and that one that is away is nobody's trouble.

use std::time::{Duration, Instant};

use http::HeaderValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};

use super::collector::{Collector, attribute};
use super::support::client::{LEGACY, MODERN, McpClient};
use super::support::process::{free_port, wait_until};
use super::support::server::{Pressmark, run_pressmark, run_pressmark_with_environment};
use super::{TOKEN, folder, path};

const LIMIT: Duration = Duration::from_secs(20);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn parent() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

fn start(folder: &tempfile::TempDir, collector: &str, environment: &[(&str, &str)]) -> Pressmark {
    let arguments = [path(folder), "--dev-token", TOKEN, "--log-format", "json", "--otlp-endpoint", collector];
    Pressmark::start_with_environment(&arguments, environment)
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of(span: &Span, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| attribute(&span.attributes, name)).collect()
}

fn status(span: &Span) -> i32 {
    span.status.as_ref().map_or(0, |status| status.code)
}

fn lines(server: &Pressmark) -> Vec<Value> {
    server.stderr().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_of_its_caller() {
    let (folder, collector) = (folder(), Collector::start().await);
    let server = start(&folder, &collector.url, &[]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let meta = json!({"traceparent": parent(), "tracestate": "vendor=value"});
    let call = |path: &str| json!({"name": "read_file", "arguments": {"path": path}, "_meta": meta});
    let before = std::time::SystemTime::now();
    client.request("tools/call", call("/hello.txt")).await;
    let span = collector.span("tools/call read_file").await;
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), SPAN.to_owned()));
    assert_eq!((span.kind, span.trace_state.as_str(), status(&span)), (SpanKind::Server as i32, "vendor=value", 0));
    let wanted = ["mcp.method.name", "gen_ai.operation.name", "gen_ai.tool.name", "mcp.protocol.version", "jsonrpc.request.id"];
    assert_eq!(of(&span, &wanted), ["tools/call", "execute_tool", "read_file", MODERN, "1"]);
    let wanted = ["network.transport", "network.protocol.name", "network.protocol.version", "error.type", "mcp.session.id"];
    assert_eq!(of(&span, &wanted), ["tcp", "http", "1.1", "-", "-"]);
    assert_eq!(of(&span, &["client.address"]), ["127.0.0.1"]);
    let begun = before.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    assert!(u128::from(span.start_time_unix_nano) + 1_000_000 >= begun && span.end_time_unix_nano >= span.start_time_unix_nano);
    let logged =
        |message: &str| lines(&server).into_iter().find(|line| line["message"] == message && line["tool"] == "read_file");
    wait_until(LIMIT, "the call is logged", || logged("request").is_some() && logged("audit").is_some());
    for line in [logged("request"), logged("audit")].into_iter().flatten() {
        assert_eq!((&line["trace_id"], &line["span_id"]), (&json!(TRACE), &json!(hex(&span.span_id))), "{line}");
    }
    assert_eq!(attribute(&collector.resource(), "service.name"), "pressmark");
    assert_eq!(attribute(&collector.resource(), "service.version"), env!("CARGO_PKG_VERSION"));
    let (exported_to, headers) = &collector.exports()[0];
    assert_eq!(
        (exported_to.as_str(), &headers["content-type"]),
        ("/v1/traces", &HeaderValue::from_static("application/x-protobuf"))
    );

    client.request("tools/call", call("/content-of-nothing")).await;
    wait_until(LIMIT, "there are two", || collector.spans().len() == 2);
    let failed = collector.span("tools/call read_file").await;
    assert_eq!(of(&failed, &["error.type", "pressmark.error", "rpc.response.status_code"]), ["tool_error", "not_found", "-"]);
    assert_eq!(status(&failed), StatusCode::Error as i32);
    let all = format!("{:?}", collector.spans());
    for secret in [TOKEN, "hello\\n", "content-of-nothing"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_errors_are_those_of_the_conventions() {
    let (folder, collector) = (folder(), Collector::start().await);
    let server = start(&folder, &collector.url, &[]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    client.call_tool("made_up", json!({})).await;
    let unknown = collector.span("tools/call").await;
    assert_eq!(of(&unknown, &["gen_ai.tool.name", "error.type", "rpc.response.status_code"]), ["made_up", "-32602", "-32602"]);
    assert!(unknown.parent_span_id.is_empty() && unknown.trace_id.iter().any(|byte| *byte != 0), "a trace of its own");
    client.request("resources/read", json!({"uri": "file:///hello.txt"})).await;
    let read = collector.span("resources/read").await;
    assert_eq!(of(&read, &["mcp.resource.uri", "gen_ai.operation.name"]), ["file:///hello.txt", "-"]);
    client.request("prompts/get", json!({"name": "review_changes", "arguments": {"since": "1 hour"}})).await;
    let prompt = collector.span("prompts/get review_changes").await;
    assert_eq!(of(&prompt, &["gen_ai.prompt.name"]), ["review_changes"]);
    client.request("tools/list", json!({})).await;
    collector.span("tools/list").await;
    let mut stream = client.open("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).await;
    stream.next().await.expect("the acknowledgement");
    drop(stream);
    let stream = collector.span("subscriptions/listen").await;
    assert_eq!((of(&stream, &["error.type"]), status(&stream)), (vec!["-".to_owned()], 0), "a client may leave");

    let legacy = McpClient::legacy(&server.url(), Some(TOKEN), LEGACY).await;
    legacy.call_tool("list_directory", json!({})).await;
    let listed = collector.span("tools/call list_directory").await;
    assert_eq!(of(&listed, &["mcp.session.id", "mcp.protocol.version"]), [legacy.session().expect("a session"), LEGACY]);
    collector.span("initialize").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_batch_is_a_span() {
    let (folder, collector) = (folder(), Collector::start().await);
    let server = start(&folder, &collector.url, &[]);
    let client = McpClient::legacy(&server.url(), Some(TOKEN), "2025-03-26").await;
    let message = |id: &str, tool: &str, parent: &str| {
        let params = json!({"name": tool, "arguments": {"path": "/"}, "_meta": {"traceparent": parent}});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    };
    let batch = json!([message("one", "list_directory", &parent()), message("two", "read_file", "00-nonsense")]);
    client.post(&client.headers(&json!({})), batch.to_string()).await;
    let one = collector.span("tools/call list_directory").await;
    assert_eq!((hex(&one.trace_id), hex(&one.parent_span_id)), (TRACE.to_owned(), SPAN.to_owned()));
    assert_eq!(of(&one, &["jsonrpc.request.id", "error.type"]), ["one", "-"]);
    let two = collector.span("tools/call read_file").await;
    assert_eq!(of(&two, &["jsonrpc.request.id", "error.type"]), ["two", "tool_error"]);
    assert!(two.parent_span_id.is_empty() && two.trace_id != one.trace_id, "what is malformed is no parent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parent_is_the_messages_and_then_that_of_the_headers() {
    let (folder, collector) = (folder(), Collector::start().await);
    let server = start(&folder, &collector.url, &[]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let http = "00-11111111111111111111111111111111-2222222222222222-01";
    let send = async |method: &str, params: Value, parents: &[&str]| {
        let message = client.message(method, params);
        let mut headers = client.headers(&message);
        for parent in parents {
            headers.append("traceparent", HeaderValue::from_str(parent).expect("a header"));
        }
        client.post(&headers, message.to_string()).await;
    };
    send("tools/list", json!({"_meta": {"traceparent": parent()}}), &[http]).await;
    let both = collector.span("tools/list").await;
    assert_eq!((hex(&both.trace_id), hex(&both.parent_span_id)), (TRACE.to_owned(), SPAN.to_owned()));
    let linked: Vec<_> = both.links.iter().map(|link| hex(&link.span_id)).collect();
    assert_eq!(linked, ["2222222222222222"], "the transport's span is linked");
    send("prompts/list", json!({"_meta": {"traceparent": "00-broken"}}), &[http]).await;
    let header = collector.span("prompts/list").await;
    assert_eq!(hex(&header.parent_span_id), "2222222222222222");
    assert!(header.links.is_empty());
    send("resources/list", json!({}), &[http, http]).await;
    let twice = collector.span("resources/list").await;
    assert!(twice.parent_span_id.is_empty(), "two parents are none");
    // The caller keeps nothing of this trace, and so does the server.
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    send("server/discover", json!({"_meta": {"traceparent": unsampled}}), &[]).await;
    send("resources/templates/list", json!({}), &[]).await;
    collector.span("resources/templates/list").await;
    assert!(collector.spans().iter().all(|span| span.name != "server/discover"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_sent_at_the_end() {
    let (folder, collector) = (folder(), Collector::start().await);
    for (workers, all) in [("1", 20), ("2", 40)] {
        let environment = [("PRESSMARK_WORKERS", workers), ("OTEL_SERVICE_NAME", workers)];
        let mut server = start(&folder, &collector.url, &environment);
        let client = McpClient::modern(&server.url(), Some(TOKEN));
        for _ in 0..20 {
            client.request("tools/list", json!({})).await;
        }
        server.terminate();
        assert!(server.wait(LIMIT).success(), "{}", server.stderr());
        assert_eq!(collector.spans().len(), all, "with {workers} workers");
        assert_eq!(attribute(&collector.resource(), "service.name"), workers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_variables_say_where_and_how() {
    let (folder, collector) = (folder(), Collector::start().await);
    let general = format!("{}/otlp/", collector.url);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", general.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collectors-secret,x-tenant=a"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=files,deployment.environment.name=test"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("RUST_LOG", "trace"),
    ];
    let arguments = [path(&folder), "--dev-token", TOKEN];
    let server = Pressmark::start_with_environment(&arguments, &environment);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    client.request("tools/list", json!({"_meta": {"traceparent": format!("00-{TRACE}-{SPAN}-00")}})).await;
    collector.span("tools/list").await;
    let (exported_to, headers) = &collector.exports()[0];
    assert_eq!(exported_to, "/otlp/v1/traces");
    assert_eq!(
        (&headers["authorization"], &headers["x-tenant"]),
        (&"Bearer collectors-secret".parse().expect("a header"), &"a".parse().expect("a header"))
    );
    let resource = collector.resource();
    assert_eq!(
        (attribute(&resource, "service.name"), attribute(&resource, "deployment.environment.name")),
        ("files".to_owned(), "test".to_owned())
    );
    assert!(!server.stderr().contains("collectors-secret"), "{}", server.stderr());

    // The variable for traces is taken as it is, and beats the general one; the option beats both.
    let (other, option) = (Collector::start().await, Collector::start().await);
    let traces = format!("{}/mine", other.url);
    let both = [("OTEL_EXPORTER_OTLP_ENDPOINT", general.as_str()), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces.as_str())];
    let server = Pressmark::start_with_environment(&arguments, &both);
    McpClient::modern(&server.url(), Some(TOKEN)).request("ping", json!({})).await;
    McpClient::modern(&server.url(), Some(TOKEN)).request("prompts/list", json!({})).await;
    other.span("prompts/list").await;
    assert_eq!(other.exports()[0].0, "/mine");
    let server = start(&folder, &option.url, &both);
    McpClient::modern(&server.url(), Some(TOKEN)).request("resources/list", json!({})).await;
    option.span("resources/list").await;
    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_no_trouble() {
    let folder = folder();
    // One refuses connections, one takes them and never answers, one wants nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refusing = Collector::start().await;
    refusing.refuse();
    let silent_url = format!("http://{}", silent.local_addr().expect("an address"));
    for url in [format!("http://127.0.0.1:{}", free_port()), silent_url, refusing.url.clone()] {
        let metrics = format!("127.0.0.1:{}", free_port());
        let environment = [("PRESSMARK_METRICS_LISTEN", metrics.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")];
        let mut server = start(&folder, &url, &environment);
        let client = McpClient::modern(&server.url(), Some(TOKEN));
        let dropped = async || {
            let text = reqwest::get(format!("http://{metrics}/metrics")).await.expect("an answer").text().await.expect("text");
            let series = "pressmark_spans_total{outcome=\"dropped\"} ";
            text.lines().find_map(|line| line.strip_prefix(series)).expect("a series").parse::<f64>().expect("a number")
        };
        let end = Instant::now() + LIMIT;
        loop {
            let reply = client.call_tool("read_file", json!({"path": "/hello.txt"})).await;
            assert_eq!(reply.content(0), "hello\n");
            if dropped().await > 0.0 {
                break;
            }
            assert!(Instant::now() < end, "no span was given up: {}", server.stderr());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.terminate();
        assert!(server.wait(LIMIT).success(), "{}", server.stderr());
        let told = |line: &Value| line["message"] == "the collector does not take spans";
        let complaints: Vec<_> = lines(&server).into_iter().filter(told).collect();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0]["problem"].is_string() && complaints[0]["level"] == "WARN", "{complaints:?}");
        assert!(url.starts_with(complaints[0]["collector"].as_str().expect("a place")), "{complaints:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_logs_carry_the_callers_ids() {
    let folder = folder();
    let server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--log-format", "json"]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let call = |name: &str, parent: &str| json!({"name": name, "arguments": {}, "_meta": {"traceparent": parent}});
    client.request("tools/call", call("list_directory", &parent())).await;
    client.request("tools/call", call("find_files", "00-broken")).await;
    let logged = |message: &str, tool: &str| {
        let found = || lines(&server).into_iter().find(|line| line["message"] == message && line["tool"] == tool);
        wait_until(LIMIT, "a call is logged", || found().is_some());
        found().expect("just seen")
    };
    for message in ["request", "audit"] {
        let line = logged(message, "list_directory");
        assert_eq!((&line["trace_id"], &line["span_id"]), (&json!(TRACE), &json!(SPAN)), "{line}");
        assert_eq!(logged(message, "find_files").get("trace_id"), None, "what is malformed is none");
    }
}

#[test]
fn a_collector_that_cannot_be_is_a_mistake_of_the_settings() {
    let folder = folder();
    let said = |output: std::process::Output| (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"));
    let arguments = ["serve", path(&folder), "--listen", "127.0.0.1:0"];
    for wrong in ["collector:4317", "grpc://collector:4317", "http://user:secret@collector:4318", "http://c:4318/?key=secret"] {
        for (option, (code, said)) in [
            ("--otlp-endpoint: ", said(run_pressmark(&[&arguments[..], &["--otlp-endpoint", wrong]].concat()))),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT: ",
                said(run_pressmark_with_environment(&arguments, &[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)])),
            ),
        ] {
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(option) && !said.contains("secret") && said.trim_end().lines().count() == 1, "{said}");
        }
    }
}
