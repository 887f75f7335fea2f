//! `open` of a route: days, hours and time zones.

use jiff::tz::TimeZone;

use super::log::Draft;
use super::nearest::did_you_mean;
use super::reader::{Complaint, Table, quoted};
use crate::routing::{EVERY_DAY, Window};

/// The time that ends a day, in minutes from midnight.
const MIDNIGHT: u16 = 24 * 60;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When a route is open; none: always.
pub(super) fn read(route: &mut Table<'_>) -> Vec<Window> {
    if route.is_empty_list("open") {
        let message = format!("{}: `open` is empty", route.title);
        let help = "leave it out: the route is always open then";
        route.log().add(Draft::error(route.place_of("open"), message).help(help));
    }
    let of = route.title.clone();
    let tables = route.tables("open", "route.open", |index| format!("window {} of {of}", index + 1));
    tables.into_iter().map(window).collect()
}

fn window(mut table: Table<'_>) -> Window {
    let from = table.parsed("from", |text| {
        minutes(text).filter(|minutes| *minutes < MIDNIGHT).ok_or_else(|| no_time(text, "23:59"))
    });
    let to = table.parsed("to", |text| minutes(text).ok_or_else(|| no_time(text, "24:00")));
    let window = Window {
        days: table.parsed("days", days).map_or(EVERY_DAY, |days| days.value),
        from: from.map_or(0, |from| from.value),
        to: to.map_or(MIDNIGHT, |to| to.value),
        zone: table.parsed("zone", zone).map_or(TimeZone::UTC, |zone| zone.value),
    };
    table.finish();
    window
}

fn no_time(text: &str, last: &str) -> Complaint {
    Complaint::new(format!("{} is no time of the day", quoted(text)))
        .help(format!("write hours and minutes, from \"00:00\" to \"{last}\""))
}

/// `08:00`, in minutes from midnight.
fn minutes(text: &str) -> Option<u16> {
    let two = |text: &str| -> Option<u16> {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    let (hours, minutes) = text.split_once(':')?;
    let minutes = two(minutes).filter(|minutes| *minutes < 60)?;
    Some(two(hours)? * 60 + minutes).filter(|all| *all <= MIDNIGHT)
}

/// `mon-fri`, `sat,sun`, `every`: a bit for each day, Monday the lowest.
fn days(text: &str) -> Result<u8, Complaint> {
    if text.trim() == "every" {
        return Ok(EVERY_DAY);
    }
    let mut all = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (self::day(first)?, self::day(last)?);
        loop {
            all |= 1 << day;
            if day == last {
                break;
            }
            day = (day + 1) % DAYS.len();
        }
    }
    Ok(all)
}

fn day(text: &str) -> Result<usize, Complaint> {
    let text = text.trim();
    DAYS.iter().position(|day| *day == text).ok_or_else(|| {
        let message = format!("{} is no day", quoted(text));
        let help = "write days as \"mon-fri\", \"sat,sun\" or \"every\"".to_owned();
        Complaint { message, help: Some(did_you_mean(text, DAYS).unwrap_or(help)) }
    })
}

fn zone(text: &str) -> Result<TimeZone, Complaint> {
    TimeZone::get(text).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let help = did_you_mean(text, known.iter().map(String::as_str));
        let other = "use a name of the IANA time zone database, such as \"Europe/London\"".to_owned();
        Complaint { message: format!("there is no time zone {}", quoted(text)), help: Some(help.unwrap_or(other)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_lists_and_stretches_of_the_week() {
        for (text, expected) in [
            ("every", 0b111_1111),
            ("mon-fri", 0b001_1111),
            ("sat,sun", 0b110_0000),
            ("sat-mon", 0b110_0001),
            ("mon, wed-thu", 0b000_1101),
            ("sun-sun", 0b100_0000),
        ] {
            assert_eq!(days(text), Ok(expected), "{text}");
        }
        for text in ["", "mon-", "weekday", "mon-fri-sun", "Mon", "every,mon"] {
            assert!(days(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_hours_and_minutes_of_two_digits() {
        for (text, expected) in [
            ("00:00", Some(0)),
            ("08:30", Some(510)),
            ("24:00", Some(1440)),
            ("24:01", None),
            ("8:00", None),
            ("08:60", None),
            ("+8:00", None),
            ("0800", None),
            ("08:00:00", None),
        ] {
            assert_eq!(minutes(text), expected, "{text}");
        }
    }

    #[test]
    fn zone_that_is_none_gets_a_guess() {
        assert!(zone("Europe/London").is_ok());
        let complaint = zone("Europe/Lodnon").unwrap_err();
        assert_eq!(complaint.help.as_deref(), Some("did you mean `Europe/London`?"));
    }
}
