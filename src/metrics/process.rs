//! What Linux knows of this process, under the names that Prometheus' own libraries use.

use std::fmt;
use std::fs;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// The kernel counts processor time for user space in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub(super) struct ProcessCollector {
    started: SystemTime,
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self { started: SystemTime::now() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(seconds) = cpu_seconds() {
            let metric = encoder.encode_descriptor("process_cpu", "Processor time", Some(&Unit::Seconds), MetricType::Counter)?;
            ConstCounter::new(seconds).encode(metric)?;
        }
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let metric = encoder.encode_descriptor("process_start_time", "When it began", Some(&Unit::Seconds), MetricType::Gauge)?;
        ConstGauge::new(started).encode(metric)?;
        if let Some(kib) = status("VmRSS:") {
            let metric = encoder.encode_descriptor("process_resident_memory", "Memory", Some(&Unit::Bytes), MetricType::Gauge)?;
            ConstGauge::new(kib * 1024).encode(metric)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let metric = encoder.encode_descriptor("process_open_fds", "Open file descriptors", None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(open.count()).unwrap_or(i64::MAX)).encode(metric)?;
        }
        if let Some(limit) = limit_of_files() {
            let metric = encoder.encode_descriptor("process_max_fds", "As many may be open", None, MetricType::Gauge)?;
            ConstGauge::new(limit).encode(metric)?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may hold spaces; after it come the state and, as the 12th and 13th fields, the two times.
    let mut times = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    Some((times.next()?? + times.next()??) / TICKS_PER_SECOND)
}

fn status(name: &str) -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn limit_of_files() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}
