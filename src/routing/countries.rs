//! Countries: calling codes, dialling prefixes, lengths of numbers and emergency numbers, as data of this project.
//!
//! Lengths are those of numbers in everyday use; they tell a number with its calling code from one without, and never
//! refuse a number that says `+`. Left out on purpose: lengths of local numbers, which some special services share
//! (Brazil 9, China 8 digits), and Argentina's `15`, which stands for a `9` elsewhere in the number when dialled at home.

mod table;

use self::table::{COUNTRIES, WORLDWIDE};

/// How one dials in a country.
#[derive(Debug, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1 alpha-2; `XK`, `AC` and `TA` as they are commonly used, `001` for codes of no country.
    pub iso: &'static str,
    /// In English.
    pub name: &'static str,
    /// ITU-T E.164 country code, without `+`.
    pub calling_code: &'static str,
    international: &'static str,
    national: &'static str,
    /// Bit n: national numbers may have n digits.
    lengths: u16,
    emergency: &'static str,
}

impl Country {
    /// The country of an ISO code, in either case.
    pub fn find(iso: &str) -> Option<&'static Self> {
        COUNTRIES.iter().find(|country| country.iso.eq_ignore_ascii_case(iso))
    }

    /// All countries.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        COUNTRIES.iter()
    }

    /// The countries whose calling code the digits begin with, the largest first; empty when there is none.
    ///
    /// No calling code is the beginning of another (ITU-T E.164).
    pub fn of_number(digits: &[u8]) -> &'static [Self] {
        for length in 1..=MAX_CALLING_CODE {
            let Some(code) = digits.get(..length) else { break };
            for table in [COUNTRIES, WORLDWIDE] {
                let from = table.partition_point(|country| country.calling_code.as_bytes() < code);
                let to = table.partition_point(|country| country.calling_code.as_bytes() <= code);
                if let Some(found @ [_, ..]) = table.get(from..to) {
                    return found;
                }
            }
        }
        &[]
    }

    /// What is dialled in front of a foreign number; `x` stands for any digit. The usual prefix first.
    pub fn international_prefixes(&self) -> impl Iterator<Item = &'static str> {
        words(self.international)
    }

    /// What is dialled in front of a national number; `x` stands for any digit. The usual prefix first.
    pub fn national_prefixes(&self) -> impl Iterator<Item = &'static str> {
        words(self.national)
    }

    /// Whether national numbers are usually dialled as they are, even where there is a prefix.
    pub fn dials_bare(&self) -> bool {
        self.national.starts_with('-')
    }

    /// Numbers that call for help.
    pub fn emergency_numbers(&self) -> impl Iterator<Item = &'static str> {
        words(self.emergency)
    }

    /// Whether national numbers, without the national prefix, may have so many digits.
    pub const fn has_length(&self, digits: usize) -> bool {
        digits < 16 && self.lengths >> digits & 1 == 1
    }

    /// The length of the shortest national numbers.
    pub const fn shortest(&self) -> usize {
        self.lengths.trailing_zeros() as usize
    }
}

const MAX_CALLING_CODE: usize = 3;

fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split(' ').filter(|word| !word.is_empty() && *word != "-")
}

/// A line of the table.
const fn row(
    iso: &'static str,
    name: &'static str,
    calling_code: &'static str,
    international: &'static str,
    national: &'static str,
    lengths: &str,
    emergency: &'static str,
) -> Country {
    Country { iso, name, calling_code, international, national, lengths: bits(lengths), emergency }
}

/// `7 9-11` as bits; faults of the table end the build.
const fn bits(mut lengths: &str) -> u16 {
    let mut bits = 0;
    let (mut from, mut number, mut range) = (0, 0, false);
    while let Some((byte, rest)) = lengths.as_bytes().split_first() {
        match byte {
            b'0'..=b'9' => number = number * 10 + (*byte - b'0') as u32,
            b'-' => (from, number, range) = (number, 0, true),
            b' ' => {
                bits |= span(if range { from } else { number }, number);
                (number, range) = (0, false);
            }
            _ => panic!("a length has digits"),
        }
        lengths = match core::str::from_utf8(rest) {
            Ok(rest) => rest,
            Err(_) => panic!("lengths are ASCII"),
        };
    }
    bits | span(if range { from } else { number }, number)
}

const fn span(from: u32, to: u32) -> u16 {
    assert!(from >= 1 && from <= to && to <= 15, "a length is from 1 to 15");
    let mut bits = 0;
    let mut length = from;
    while length <= to {
        bits |= 1 << length;
        length += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_codes_are_prefix_free() {
        for table in [COUNTRIES, WORLDWIDE] {
            assert!(table.is_sorted_by_key(|country| country.calling_code));
        }
        let codes: Vec<&str> = COUNTRIES.iter().chain(WORLDWIDE).map(|country| country.calling_code).collect();
        for code in &codes {
            assert!(
                code.len() <= MAX_CALLING_CODE && !code.starts_with('0') && code.bytes().all(|b| b.is_ascii_digit())
            );
            assert!(!codes.iter().any(|other| other != code && other.starts_with(code)), "{code}");
        }
        for (index, country) in COUNTRIES.iter().enumerate() {
            assert!(COUNTRIES[index + 1..].iter().all(|other| other.iso != country.iso), "{}", country.iso);
            assert!(country.international_prefixes().next().is_some(), "{}", country.iso);
        }
    }

    #[test]
    fn country_is_found_by_its_code_and_by_numbers() {
        assert_eq!(Country::find("gb").map(|country| country.calling_code), Some("44"));
        assert_eq!(Country::find("ZZ"), None);
        let isos = |digits: &str| Country::of_number(digits.as_bytes()).iter().map(|c| c.iso).collect::<Vec<_>>();
        assert_eq!(isos("441632768402"), ["GB", "GG", "IM", "JE"]);
        assert_eq!(isos("33123456789"), ["FR"]);
        assert_eq!(isos("12065550100").first(), Some(&"US"));
        assert_eq!(isos("80012345678"), ["001"]);
        for none in ["", "0", "2", "999", "210123"] {
            assert_eq!(isos(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn lengths_are_read_from_ranges_and_single_numbers() {
        assert_eq!(bits("7 9-11"), 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11);
        assert_eq!(bits("4-5 12"), 1 << 4 | 1 << 5 | 1 << 12);
        let gb = Country::find("GB").unwrap();
        let lengths: Vec<usize> = (0..20).filter(|length| gb.has_length(*length)).collect();
        assert_eq!((lengths, gb.shortest()), (vec![7, 9, 10], 7));
    }
}
