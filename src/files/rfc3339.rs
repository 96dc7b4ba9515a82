//! Times as callers see them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in seconds; `None` for one outside the years 1970 to 9999, which no file was changed in.
pub(crate) fn rfc3339(time: SystemTime) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < YEAR_10000).then(|| humantime::format_rfc3339_seconds(time).to_string())
}
