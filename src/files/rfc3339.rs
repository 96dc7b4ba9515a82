//! Times as callers see them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// A time in seconds as text, such as `2026-08-01T12:00:00Z`. Kept and copied without an allocation, and written without
/// the machinery of formatting: of a folder's hundred entries, each has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rfc3339([u8; 20]);

/// The time in seconds; `None` for one outside the years 1970 to 9999, which no file was changed in.
pub(crate) fn rfc3339(time: SystemTime) -> Option<String> {
    Rfc3339::of(time).map(|text| text.as_str().to_owned())
}

impl Rfc3339 {
    /// The same, as [`rfc3339`] gives it.
    pub(crate) fn of(time: SystemTime) -> Option<Self> {
        const YEAR_10000: u64 = 253_402_300_800;
        let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
        if seconds >= YEAR_10000 {
            return None;
        }
        let (year, month, day) = date(seconds / 86_400);
        let second = seconds % 86_400;
        let mut text = *b"0000-00-00T00:00:00Z";
        for (at, number) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, second / 3600),
            (14, second / 60 % 60),
            (17, second % 60),
        ] {
            text[at] += (number / 10) as u8;
            text[at + 1] += (number % 10) as u8;
        }
        Some(Self(text))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // Nothing but digits and signs.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Year, month and day of a day after 1970-01-01. Counts from a first of March: a leap day then ends its year, and the
/// months follow a pattern of 153 days in five.
fn date(day: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    const FIRST_OF_MARCH_0_TO_1970: u64 = 719_468;
    let day = day + FIRST_OF_MARCH_0_TO_1970;
    let in_cycle = day % DAYS_OF_400_YEARS;
    let year = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let in_month = in_year - (153 * month + 2) / 5;
    let is_next_year = month >= 10;
    let year = year + 400 * (day / DAYS_OF_400_YEARS) + u64::from(is_next_year);
    (year, if is_next_year { month - 9 } else { month + 3 }, in_month + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_day_is_written_as_humantime_writes_it() {
        for day in 0..253_402_300_800 / 86_400 {
            // Over the days, every second of one.
            let time = UNIX_EPOCH + Duration::from_secs(day * 86_400 + day % 86_400);
            assert_eq!(rfc3339(time), Some(humantime::format_rfc3339_seconds(time).to_string()));
        }
    }

    #[test]
    fn what_lies_outside_of_the_calendar_is_not_written() {
        let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        assert_eq!(rfc3339(UNIX_EPOCH).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(rfc3339(last + Duration::from_millis(999)).as_deref(), Some("9999-12-31T23:59:59Z"));
        assert_eq!(rfc3339(last + Duration::from_secs(1)), None);
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_nanos(1)), None);
    }
}
