//! Times of the week at which a route is open.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Days of the week, and minutes of the day in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Monday is the lowest bit.
    pub days: u8,
    /// The first minute, counted from midnight.
    pub from: u16,
    /// The first minute after it; not above `from` means: on the next day. 1440 is midnight.
    pub to: u16,
    pub zone: TimeZone,
}

/// Every day of the week.
pub const EVERY_DAY: u8 = 0b111_1111;

const MINUTES_OF_DAY: u16 = 24 * 60;

impl Window {
    /// Whether it is open at a time, in seconds since 1970 UTC. A time that no calendar has is in no window.
    pub fn is_open(&self, now: u64) -> bool {
        let Some(at) = i64::try_from(now).ok().and_then(|now| Timestamp::from_second(now).ok()) else { return false };
        let local = self.zone.to_datetime(at);
        let today = local.weekday().to_monday_zero_offset();
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let minute = minute.unsigned_abs();
        let on = |day: i8| self.days & 1 << day.rem_euclid(7) != 0;
        if self.from < self.to {
            return on(today) && (self.from..self.to.min(MINUTES_OF_DAY)).contains(&minute);
        }
        on(today) && minute >= self.from || on(today - 1) && minute < self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_second().unsigned_abs()
    }

    #[test]
    fn window_follows_the_clock_of_its_zone() {
        let london = TimeZone::get("Europe/London").unwrap();
        let office = Window { days: 0b1_1111, from: 8 * 60, to: 18 * 60, zone: london.clone() };
        let night = Window { days: 1 << 4, from: 22 * 60, to: 6 * 60, zone: london };
        let always = Window { days: EVERY_DAY, from: 0, to: 1440, zone: TimeZone::UTC };
        for (time, is_office, is_night) in [
            ("2026-11-20T08:00:00Z", true, false), // Friday, winter
            ("2026-11-20T07:59:59Z", false, false),
            ("2026-11-20T18:00:00Z", false, false),
            ("2026-07-03T07:00:00Z", true, false), // Friday, summer: eight in London
            ("2026-07-03T17:00:00Z", false, false),
            ("2026-11-21T12:00:00Z", false, false), // Saturday
            ("2026-11-20T22:00:00Z", false, true),
            ("2026-11-21T05:59:59Z", false, true),
            ("2026-11-21T06:00:00Z", false, false),
            ("2026-11-20T05:00:00Z", false, false), // the night after Thursday
        ] {
            assert_eq!(office.is_open(at(time)), is_office, "{time}");
            assert_eq!(night.is_open(at(time)), is_night, "{time}");
            assert!(always.is_open(at(time)), "{time}");
        }
        assert!(!always.is_open(u64::MAX));
    }
}
