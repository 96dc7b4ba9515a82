//! Times as the tools show them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in UTC to the second, as RFC 3339 has it; `None` for one that the format cannot hold, before 1970 or from the
/// year 10000 on.
pub(super) fn rfc3339(time: SystemTime) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < YEAR_10000).then(|| humantime::format_rfc3339_seconds(time).to_string())
}
