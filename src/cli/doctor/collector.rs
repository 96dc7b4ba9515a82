//! The collector of traces.

use std::env;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use url::Url;

use super::certificate;
use super::front::{PATIENCE, cause};
use super::report::Report;
use crate::auth::is_loopback;
use crate::traces::TraceSettings;

/// What holds credentials for the collector; the first one that is there counts.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

/// Sends it no spans, which it takes as it would take some (OTLP/HTTP: an empty request succeeds).
pub(super) async fn examine(settings: &TraceSettings, report: &mut Report) {
    // Some have a token in the path of their URL.
    let (option, place) = (settings.option(), settings.url().origin().ascii_serialization());
    let status = match export_nothing(settings.url()).await {
        Ok(status) => status,
        Err(error) => {
            let reason = cause(&error);
            let (found, fix) = certificate::refused(&reason).unwrap_or((reason, SEE_COLLECTOR));
            return report.wrong(format!("{option}: {place}: {found}"), fix);
        }
    };
    if status.is_success() {
        return report.right(format!("the collector at {place} takes traces"));
    }
    let fix = match status.as_u16() {
        400 => "see the collector's log; one that speaks TLS wants https:// in its URL",
        401 | 403 => "give credentials that it accepts in OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Bearer%20TOKEN",
        _ => SEE_COLLECTOR,
    };
    report.wrong(format!("{option}: {place} answers {status}"), fix);
}

async fn export_nothing(url: &Url) -> reqwest::Result<StatusCode> {
    let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
    if is_loopback(url) {
        client = client.no_proxy();
    }
    let request = client.build()?.post(url.clone()).header(CONTENT_TYPE, "application/x-protobuf").headers(headers());
    Ok(request.body("").send().await?.status())
}

/// The headers that the variables name, as the exporter reads them: `NAME=VALUE,…`, percent-encoded.
fn headers() -> HeaderMap {
    let said = HEADERS.iter().find_map(|name| env::var(name).ok()).unwrap_or_default();
    let header = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(&*value).ok()?))
    };
    said.split(',').filter_map(header).collect()
}

const SEE_COLLECTOR: &str = "see that the collector runs, can be reached from here, and takes OTLP over HTTP there: on port 4318 \
as a rule, where 4317 is that of gRPC";
