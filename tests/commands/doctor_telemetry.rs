//! What `pressmark doctor` says of the places that metrics, audit lines and traces go to.

use std::path::Path;

use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::doctor::Report;
use super::support::process::free_port;
use super::support::server::Pressmark;
use super::{folder, text};

#[test]
fn metrics_are_told_from_what_else_has_their_address() {
    let folder = folder();
    let report = |more: &[&str]| Report::of(&[&[text(folder.path())], more].concat());
    let address = format!("127.0.0.1:{}", free_port());
    report(&["--metrics-listen", &address]).is_right(&format!("metrics can be served at {address}"));
    let server = Pressmark::start(&[text(folder.path()), "--metrics-listen", &address]);
    let served = format!("the server that runs serves its metrics at http://{address}/metrics");
    report(&["--metrics-listen", &address]).is_right(&served);
    report(&["--metrics-listen", &address.replace("127.0.0.1", "0.0.0.0")]).is_right(&served);
    let calls = format!("127.0.0.1:{}", server.port());
    report(&["--metrics-listen", &calls]).only_wrong("the address is taken, and not by metrics", "choose another port");
    report(&["--metrics-listen", "192.0.2.1:9090"]).only_wrong("--metrics-listen 192.0.2.1:9090: ", "that this machine has");
    let free = format!("127.0.0.1:{}", free_port());
    report(&["--listen", &free, "--metrics-listen", &free]).only_wrong("that of --listen, too", "another port");
}

#[test]
fn an_audit_log_is_left_as_it_is() {
    let (folder, logs) = (folder(), tempfile::tempdir().expect("a folder"));
    let report = |file: &Path| Report::of(&[text(folder.path()), "--audit-log", text(file)]);
    let file = logs.path().join("audit.log");
    report(&file).is_right(&format!("--audit-log {}: can be made", file.display()));
    assert!(!file.exists(), "it is the server that makes it");
    std::fs::write(&file, "{}\n").expect("a file");
    report(&file).is_right(&format!("--audit-log {}: lines can be appended", file.display()));
    assert_eq!(std::fs::read_to_string(&file).expect("text"), "{}\n");
    report(logs.path()).only_wrong("it is neither a file nor a device", "name a file");
    report(&logs.path().join("missing/audit.log")).only_wrong("No such file", "make the folder");
    report(&file.join("audit.log")).only_wrong("Not a directory", "in a folder that is there");
}

/// A collector that wants a token, on a thread of its own, so that tests may wait for a command. It answers until they end.
fn collector() -> String {
    async fn take(headers: HeaderMap, spans: Bytes) -> StatusCode {
        let says = |name: &str, value: &str| headers.get(name).is_some_and(|said| said == value);
        if !says("content-type", "application/x-protobuf") {
            return StatusCode::UNSUPPORTED_MEDIA_TYPE;
        }
        if !says("authorization", "Bearer hunter2") {
            return StatusCode::UNAUTHORIZED;
        }
        if spans.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST }
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener for Tokio");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, axum::Router::new().route("/v1/traces", post(take))).await.expect("serves");
        });
    });
    url
}

#[test]
fn a_collector_is_asked_to_take_nothing() {
    let (folder, url) = (folder(), collector());
    let report = |more: &[&str], environment: &[(&str, &str)]| {
        let report = Report::in_environment(&[&[text(folder.path())], more].concat(), environment);
        assert!(!report.said.stdout.contains("hunter2"), "{}", report.said.stdout);
        report
    };
    let key = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2");
    let taken = format!("the collector at {url} takes traces");
    report(&["--otlp-endpoint", &url], &[key]).is_right(&taken);
    report(&[], &[key, ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())]).is_right(&taken);
    report(&["--otlp-endpoint", &url], &[]).only_wrong("answers 401", "OTEL_EXPORTER_OTLP_HEADERS");
    let elsewhere = format!("{url}/elsewhere");
    report(&["--otlp-endpoint", &elsewhere], &[key]).only_wrong("answers 404", "4318");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    report(&[], &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", nobody.as_str())])
        .only_wrong("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: http://127.0.0.1:", "see that the collector runs");
    report(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")])
        .only_wrong("OTEL_EXPORTER_OTLP_ENDPOINT: not an http:// or https:// URL", "OTLP over HTTP");
    for without in [report(&[], &[]), report(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")])] {
        assert!(!without.said.stdout.contains("Telemetry"), "{}", without.said.stdout);
    }
}
