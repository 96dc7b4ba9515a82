//! What tells operators how the server does: metrics, the audit log, traces.

use std::fs::OpenOptions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use rustix::fs::{Access, access};

use super::collector;
use super::front::PATIENCE;
use super::report::Report;
use crate::config::Config;
use crate::http::ListenAddress;
use crate::traces::TraceSettings;

/// The names of Pressmark's metrics begin like this, and the first of them comes at once.
const METRIC: &str = "pressmark_";
const MAX_METRICS: usize = 64 * 1024;

/// Says nothing of what is not set.
pub(super) async fn examine(config: &Config, report: &mut Report) {
    let traces = TraceSettings::find(config.otlp_endpoint.as_ref());
    if config.metrics_listen.is_none() && config.audit_log.is_none() && matches!(traces, Ok(None)) {
        return;
    }
    report.section("Telemetry");
    if let Some(address) = config.metrics_listen {
        metrics(address, &config.listen, report).await;
    }
    if let Some(file) = &config.audit_log {
        audit_log(file, report);
    }
    match &traces {
        Ok(Some(settings)) => collector::examine(settings, report).await,
        Ok(None) => {}
        Err(error) => report.wrong(error, "give the URL of the collector's port for OTLP over HTTP, or unset it"),
    }
}

/// Is the address free, or that of the server which runs?
async fn metrics(address: SocketAddr, listen: &ListenAddress, report: &mut Report) {
    if *listen == ListenAddress::Tcp(address) && address.port() != 0 {
        let found = format!("--metrics-listen {address}: the address is that of --listen, too");
        return report.wrong(found, "choose another port for the metrics");
    }
    match TcpListener::bind(address) {
        Ok(_) => report.right(format!("metrics can be served at {address}")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let url = format!("{}/metrics", ListenAddress::Tcp(address).from_this_machine().url(false));
            if has_metrics(&url).await.unwrap_or(false) {
                return report.right(format!("the server that runs serves its metrics at {url}"));
            }
            let found = format!("--metrics-listen {address}: the address is taken, and not by metrics of Pressmark");
            report.wrong(found, "stop what listens there, or choose another port");
        }
        Err(error) => {
            let fix = match error.kind() {
                io::ErrorKind::AddrNotAvailable => "use an address that this machine has, or 0.0.0.0 for all of them",
                io::ErrorKind::PermissionDenied => "use a port from 1024 on, which needs no privilege",
                _ => "choose another address",
            };
            report.wrong(format!("--metrics-listen {address}: {error}"), fix);
        }
    }
}

async fn has_metrics(url: &str) -> reqwest::Result<bool> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).no_proxy().build()?;
    let mut answer = client.get(url).send().await?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_METRICS {
            break;
        }
    }
    Ok(answer.status().is_success() && String::from_utf8_lossy(&text).contains(METRIC))
}

fn audit_log(file: &Path, report: &mut Report) {
    let (shown, user) = (file.display(), rustix::process::geteuid().as_raw());
    match try_appending(file) {
        Ok(found) => report.right(format!("--audit-log {shown}: {found}")),
        Err(error) => {
            let fix = match error.kind() {
                io::ErrorKind::NotFound => "make the folder, or mount the volume".to_owned(),
                io::ErrorKind::PermissionDenied => format!("let uid {user}, who would run the server, write there"),
                io::ErrorKind::InvalidInput => "name a file".to_owned(),
                _ => "choose a file that this server may write, in a folder that is there".to_owned(),
            };
            report.wrong(format!("--audit-log {shown}: {error}"), fix);
        }
    }
}

/// Makes no file: a server may start at this moment, and it would be taken from that.
fn try_appending(file: &Path) -> io::Result<&'static str> {
    let kind = match file.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let whole = std::path::absolute(file)?;
            access(whole.parent().unwrap_or(&whole), Access::WRITE_OK | Access::EXEC_OK)?;
            return Ok("can be made");
        }
        metadata => metadata?.file_type(),
    };
    // As the server does: to open a pipe is to wait for its reader.
    if !kind.is_file() && !kind.is_char_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a device"));
    }
    OpenOptions::new().append(true).open(file)?;
    Ok("lines can be appended")
}
