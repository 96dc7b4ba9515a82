//! Where spans go, and which are kept: the setting of this program, then the standard variables of OpenTelemetry.

use std::env;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{Config, ShouldSample};
use url::Url;

/// Where traces are taken, below the URL of a collector (OTLP/HTTP, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";
/// How long an attempt may take unless something else is said (OpenTelemetry Protocol Exporter, "Configuration Options").
const TIMEOUT: Duration = Duration::from_secs(10);
const OPTION: &str = "--otlp-endpoint";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SERVICE_NAME: &str = "service.name";

/// What is needed to export spans.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    url: Url,
    option: &'static str,
}

/// Settings that cannot be used: one line, without the value, which may hold credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceSettingsError {
    /// It is not the URL of a collector.
    #[error("{option}: {problem}")]
    Url {
        /// The option or the variable.
        option: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// No exporter can be made with them.
    #[error("{option}: {problem}")]
    Unusable {
        /// The option or the variable.
        option: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl TraceSettings {
    /// The setting of this program, which beats the standard variables; of these, the one for traces beats the general one.
    /// `None` when none is there: then there are no traces.
    ///
    /// # Errors
    /// [`TraceSettingsError`] for a standard variable that cannot be used.
    pub fn find(endpoint: Option<&Url>) -> Result<Option<Self>, TraceSettingsError> {
        if let Some(endpoint) = endpoint {
            return Ok(Some(Self { url: below(endpoint), option: OPTION }));
        }
        if said("OTEL_SDK_DISABLED").is_some_and(|said| said.eq_ignore_ascii_case("true"))
            || said("OTEL_TRACES_EXPORTER").is_some_and(|said| said == "none")
        {
            return Ok(None);
        }
        let named = |option: &'static str| -> Result<Option<Url>, TraceSettingsError> {
            let Some(text) = said(option) else { return Ok(None) };
            collector_url(&text).map(Some).map_err(|problem| TraceSettingsError::Url { option, problem })
        };
        if let Some(url) = named(TRACES_ENDPOINT)? {
            return Ok(Some(Self { url, option: TRACES_ENDPOINT }));
        }
        Ok(named(ENDPOINT)?.map(|url| Self { url: below(&url), option: ENDPOINT }))
    }

    /// Where spans are sent.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The option or the variable that says so.
    #[must_use]
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// How long an attempt may take: `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT` or `OTEL_EXPORTER_OTLP_TIMEOUT`, in milliseconds.
    pub(super) fn timeout(&self) -> Duration {
        let said = said("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT").or_else(|| said("OTEL_EXPORTER_OTLP_TIMEOUT"));
        said.and_then(|said| said.parse().ok()).map_or(TIMEOUT, Duration::from_millis)
    }

    /// Which spans are kept: `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`; without, those whose callers keep theirs, and
    /// those without a caller.
    pub(super) fn sampler(&self) -> Box<dyn ShouldSample> {
        Config::default().sampler
    }

    /// What the spans come from: `OTEL_SERVICE_NAME`, then `OTEL_RESOURCE_ATTRIBUTES`, then what this program knows.
    pub(super) fn resource(&self) -> Resource {
        let known = [
            KeyValue::new(SERVICE_NAME, "pressmark"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            // Which replica it is; another one after each start (semantic conventions, "Service").
            KeyValue::new("service.instance.id", format!("{:032x}", rand::random::<u128>())),
        ];
        let said_of_all = Resource::builder_empty().with_attributes(known).with_detector(Box::new(EnvResourceDetector::new()));
        match said("OTEL_SERVICE_NAME") {
            Some(name) => said_of_all.with_attribute(KeyValue::new(SERVICE_NAME, name)).build(),
            None => said_of_all.build(),
        }
    }
}

/// Reads the URL of a collector.
///
/// # Errors
/// What is wrong, and what to do, without quoting it.
pub fn collector_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    let url = url.ok_or("not an http:// or https:// URL; for example http://collector:4318")?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("neither a user nor a query belongs in it; credentials go into OTEL_EXPORTER_OTLP_HEADERS");
    }
    Ok(url)
}

fn below(collector: &Url) -> Url {
    let mut url = collector.clone();
    let path = url.path().trim_end_matches('/');
    if !path.ends_with(PATH) {
        let path = format!("{path}{PATH}");
        url.set_path(&path);
    }
    url
}

/// A variable that is there and not empty: an empty one counts as none (OpenTelemetry, "Environment Variable Specification").
fn said(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_below_the_collector() {
        for (said, meant) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://example.com/otlp", "https://example.com/otlp/v1/traces"),
            ("https://example.com/otlp/v1/traces", "https://example.com/otlp/v1/traces"),
        ] {
            assert_eq!(below(&collector_url(said).expect(said)).as_str(), meant);
        }
        for wrong in ["", "collector:4318", "grpc://collector:4317", "http://", "http://user:secret@collector", "http://c/?k=v"] {
            let problem = collector_url(wrong).expect_err(wrong);
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
