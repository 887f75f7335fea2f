//! Times as operators give them.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

/// A time in milliseconds since 1970 UTC: a date (its midnight, UTC), a time of RFC 3339, or an age (`90s`, `30m`, `2h`,
/// `7d`) before `now`.
pub(super) fn moment(text: &str, now: u64) -> Option<u64> {
    let text = text.trim();
    age(text).map(|age| now.saturating_sub(age)).or_else(|| {
        let at = match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(at) => at,
            Err(_) => date(text)?.midnight().assume_utc(),
        };
        u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
    })
}

/// An age in milliseconds.
fn age(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let fits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| fits)?.checked_mul(seconds)?.checked_mul(1_000)
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = (year.len(), month.len(), day.len()) == (4, 2, 2) && parts.next().is_none();
    let month = Month::try_from(month.parse::<u8>().ok().filter(|_| fits)?).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_ages_are_read() {
        const NOW: u64 = 1_795_342_500_000;
        for (text, wanted) in [
            ("90s", Some(NOW - 90_000)),
            ("2h", Some(NOW - 7_200_000)),
            ("7d", Some(NOW - 604_800_000)),
            ("1w", Some(NOW - 604_800_000)),
            ("99999999999999999d", None),
            ("1970-01-02", Some(86_400_000)),
            ("1970-01-02T00:00:01Z", Some(86_401_000)),
            ("1970-01-02T01:00:01.5+01:00", Some(86_401_500)),
            ("1970-13-02", None),
            ("1970-1-2", None),
            ("1969-12-31", None),
            ("", None),
            ("h", None),
            ("+2h", None),
            ("2y", None),
            ("é", None),
        ] {
            assert_eq!(moment(text, NOW), wanted, "{text}");
        }
    }
}
