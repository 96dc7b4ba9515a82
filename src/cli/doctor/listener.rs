//! How the server takes connections.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::process::private;
use super::report::Report;
use crate::config::Config;
use crate::http::{ListenAddress, TlsFiles, certificate_expiry};

/// After which nginx (`keepalive_timeout` of an upstream) and AWS' load balancers close connections that they do not use, unless
/// they are told otherwise.
const USUAL: Duration = Duration::from_secs(60);
/// Who has to renew a certificate by hand should begin.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// `balancer_idle`: how long the balancer keeps connections that it does not use, if that was said.
pub(super) fn examine(config: &Config, balancer_idle: Option<Duration>, report: &mut Report) {
    report.section("Listener");
    keep_alive(config.keep_alive, balancer_idle, report);
    if let Some(files) = &config.tls {
        tls(files, report);
    }
    if matches!(config.listen, ListenAddress::Unix(_)) && config.public_url.is_none() {
        report.wrong(
            format!("{} has no URL of its own", config.listen),
            "set --public-url to the URL under which the proxy in front of it is reached",
        );
    }
}

fn keep_alive(own: Duration, balancer: Option<Duration>, report: &mut Report) {
    let shown = humantime::format_duration(own);
    let theirs = balancer.unwrap_or(USUAL);
    let whose = match balancer {
        Some(idle) => format!("the balancer's {}", humantime::format_duration(idle)),
        None => "the 60s of nginx and AWS' load balancers, unless they were changed; --balancer-idle tells of others".to_owned(),
    };
    if own > theirs {
        report.right(format!("idle connections are kept for {shown}: longer than {whose}"));
    } else {
        report.wrong(
            format!("idle connections are kept for {shown}: not longer than {whose}; calls fail that meet the end of one (502)"),
            format!(
                "set --keep-alive to {} or more, or let the balancer close its idle connections earlier",
                humantime::format_duration(theirs + Duration::from_secs(15))
            ),
        );
    }
}

fn tls(files: &TlsFiles, report: &mut Report) {
    let shown = files.certificate.display();
    match certificate_expiry(files) {
        Err(problem) => report.wrong(
            format!("--tls-cert, --tls-key: {problem}"),
            "name a PEM file with the server's certificate first, and the PEM file of its key",
        ),
        Ok(None) => report.skipped(format!("when the certificate in {shown} expires: it cannot be read from it")),
        Ok(Some(expires)) => {
            let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(expires));
            let left = (UNIX_EPOCH + Duration::from_secs(expires)).duration_since(SystemTime::now());
            let fix = "renew it and replace both files: the server reads them again by itself";
            match left {
                Err(_) => report.wrong(format!("the certificate in {shown} has expired at {date}"), fix),
                Ok(left) if left < SOON => report.wrong(format!("the certificate in {shown} expires soon, at {date}"), fix),
                Ok(_) => report.right(format!("the certificate in {shown} is its key's, and good until {date}")),
            }
        }
    }
    private(&files.key, report);
}
