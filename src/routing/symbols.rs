//! The symbols of a number, `0-9 + * #`, and how a Request-URI's user part is read as one.

/// The symbol of a character, `0..13`; `None` for any other character.
pub(super) const fn symbol(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'+' => Some(10),
        b'*' => Some(11),
        b'#' => Some(12),
        _ => None,
    }
}

/// The character of a symbol, for people.
pub(super) const fn character(symbol: u8) -> char {
    match symbol {
        0..=9 => (b'0' + symbol) as char,
        10 => '+',
        11 => '*',
        _ => '#',
    }
}

/// The symbols of a user part up to the first character that is none.
///
/// Visual separators (RFC 3966 section 3) are skipped, parameters after `;` and a password after `:` end the number,
/// and an escaped character (`%23` for `#`, RFC 3261 section 19.1.2) counts as what it stands for.
#[derive(Clone, Debug)]
pub(super) struct Symbols<'a> {
    rest: &'a [u8],
}

impl<'a> Symbols<'a> {
    pub(super) const fn new(user: &'a [u8]) -> Self {
        Self { rest: user }
    }
}

impl Iterator for Symbols<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let (character, rest) = match self.rest {
                [b'%', high, low, rest @ ..] => (hex(*high)? << 4 | hex(*low)?, rest),
                [character, rest @ ..] => (*character, rest),
                [] => return None,
            };
            if matches!(character, b'-' | b'.' | b'(' | b')') {
                self.rest = rest;
                continue;
            }
            // What is no symbol stays in place: the iterator is at its end for good.
            let found = symbol(character)?;
            self.rest = rest;
            return Some(found);
        }
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(user: &str) -> String {
        Symbols::new(user.as_bytes()).map(character).collect()
    }

    #[test]
    fn number_is_read_as_people_write_it() {
        for (user, number) in [
            ("+441632760001", "+441632760001"),
            ("+44(1632)76-00.01", "+441632760001"),
            ("+15551234;phone-context=example.com", "+15551234"),
            ("*31%2315551234", "*31#15551234"),
            ("%2B44", "+44"),
            ("123:secret", "123"),
            ("12ab34", "12"),
            ("12%zz", "12"),
            ("12%2", "12"),
            ("anna", ""),
            ("", ""),
        ] {
            assert_eq!(read(user), number, "{user}");
        }
    }

    #[test]
    fn every_symbol_has_its_character() {
        for index in 0..13 {
            assert_eq!(symbol(character(index) as u8), Some(index));
        }
    }
}
