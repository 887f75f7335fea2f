//! `Retry-After`: seconds, with a fraction as Graph sometimes writes them, or a date (RFC 9110 section 10.2.3, B5).

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The longest that is waited for, whatever the header says.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Reads the header's value; `now` in seconds since 1970. `None`: it cannot be read.
pub fn read(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().next()?.is_ascii_digit() {
        if !value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        let seconds: f64 = value.parse().ok()?;
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST));
    }
    let at = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    let left = at.unix_timestamp().saturating_sub(now);
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_fractions_and_dates_are_read() {
        let now = 784_111_777;
        for (value, millis) in [
            ("2", Some(2_000)),
            (" 2.128 ", Some(2_128)),
            ("0", Some(0)),
            ("86400", Some(3_600_000)),
            ("99999999999999999999", Some(3_600_000)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1e3", None),
            ("1.2.3", None),
            ("soon", None),
        ] {
            assert_eq!(read(value, now), millis.map(Duration::from_millis), "{value}");
        }
    }
}
