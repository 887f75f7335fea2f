//! The symbols of a number, `0-9 + * #`, how a Request-URI's user part is read as one, and how symbols are packed.
//!
//! In keys a symbol is a nibble: 1 to 10 the digits, then `+`, `*`, `#`, and [`END`] where the number is over. Zero is
//! nothing, so that a prefix sorts right before all that begins with it.

/// How many symbols of a number are looked at.
pub const MAX_PREFIX_SYMBOLS: usize = 64;

/// How many symbols a `u128` holds.
pub(super) const KEY_SYMBOLS: usize = 32;

/// Stands behind the last symbol of a number that nothing follows.
pub(super) const END: u8 = 14;

/// The digits as a set of symbols.
pub(super) const DIGITS: u16 = 0b111_1111_1110;

/// The nibble of a character; `None` for one that cannot be dialled.
pub(super) const fn symbol(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0' + 1),
        b'+' => Some(11),
        b'*' => Some(12),
        b'#' => Some(13),
        _ => None,
    }
}

/// The character of a nibble, for people.
pub(super) const fn character(symbol: u8) -> char {
    match symbol {
        1..=10 => (b'0' + symbol - 1) as char,
        11 => '+',
        12 => '*',
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

/// A user part read as a number: its first [`MAX_PREFIX_SYMBOLS`] symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dialled {
    /// The first [`KEY_SYMBOLS`] symbols, the first of them highest; with [`END`] when it fits.
    pub head: u128,
    tail: u128,
    /// Without [`END`].
    pub length: usize,
    /// Nothing follows the symbols.
    pub whole: bool,
    /// A leading `+` that was taken off.
    pub stripped: usize,
}

impl Dialled {
    /// Reads a user part; with `normalize` a leading `+` does not count.
    pub(super) fn read(user: &[u8], normalize: bool) -> Self {
        let (mut read, mut rest) = (Self::default(), user);
        if normalize && let [b'+', after @ ..] = rest {
            rest = after;
            read.stripped = 1;
        }
        if let [b'+', after @ ..] = rest {
            read.push(11);
            rest = after;
        }
        // Most numbers are plain digits: eight at a time, of which the head has room for three lots.
        while read.length <= KEY_SYMBOLS - 8
            && let Some((eight, after)) = rest.split_first_chunk()
            && let Some(packed) = eight_digits(u64::from_be_bytes(*eight))
        {
            read.head |= u128::from(packed) << (128 - 32 - 4 * read.length);
            read.length += 8;
            rest = after;
        }
        // The last few, with those before them, are eight digits again.
        if rest.len() < 8
            && read.length + rest.len() <= KEY_SYMBOLS
            && let Some(packed) = user.last_chunk().and_then(|eight| eight_digits(u64::from_be_bytes(*eight)))
        {
            let left = 4 * rest.len();
            let packed = u128::from(packed & ((1_u64 << left) - 1) as u32);
            read.head |= packed.checked_shl((128 - 4 * read.length - left) as u32).unwrap_or(0);
            read.length += rest.len();
            rest = &[];
        }
        while let [digit @ b'0'..=b'9', after @ ..] = rest
            && read.length < KEY_SYMBOLS
        {
            read.head |= u128::from(digit - b'0' + 1) << (124 - 4 * read.length);
            read.length += 1;
            rest = after;
        }
        if !rest.is_empty() {
            let mut symbols = Symbols::new(rest);
            while read.length < MAX_PREFIX_SYMBOLS
                && let Some(symbol) = symbols.next()
            {
                if normalize && read.length == 0 && read.stripped == 0 && symbol == 11 {
                    read.stripped = 1;
                    continue;
                }
                read.push(symbol);
            }
            rest = symbols.rest;
        }
        read.whole = matches!(rest, [] | [b';' | b':', ..]);
        if read.whole && read.length < KEY_SYMBOLS {
            read.head |= u128::from(END) << (124 - 4 * read.length);
        }
        read
    }

    fn push(&mut self, symbol: u8) {
        if self.length < KEY_SYMBOLS {
            self.head |= u128::from(symbol) << (124 - 4 * self.length);
        } else if self.length < MAX_PREFIX_SYMBOLS {
            self.tail |= u128::from(symbol) << (124 - 4 * (self.length - KEY_SYMBOLS));
        }
        self.length += 1;
    }

    /// The nibble at an index: [`END`] behind the last symbol of a whole number, zero for what is not known.
    pub(super) const fn symbol(&self, index: usize) -> u8 {
        if index == self.length {
            return if self.whole { END } else { 0 };
        }
        if index < KEY_SYMBOLS {
            nibble(self.head, index)
        } else if index < MAX_PREFIX_SYMBOLS {
            nibble(self.tail, index - KEY_SYMBOLS)
        } else {
            0
        }
    }
}

/// Eight characters as eight nibbles; `None` when one of them is no digit.
const fn eight_digits(text: u64) -> Option<u32> {
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    // With six added, what lies above the digit nine leaves its row.
    if text & HIGH != ZEROS || text.wrapping_add(0x0606_0606_0606_0606) & HIGH != ZEROS {
        return None;
    }
    let mut packed = (text & !HIGH) + 0x0101_0101_0101_0101;
    packed = (packed | packed >> 4) & 0x00FF_00FF_00FF_00FF;
    packed = (packed | packed >> 8) & 0x0000_FFFF_0000_FFFF;
    Some((packed | packed >> 16) as u32)
}

/// The nibble at an index of a key, which is below [`KEY_SYMBOLS`].
pub(super) const fn nibble(key: u128, index: usize) -> u8 {
    (key >> (124 - 4 * index)) as u8 & 15
}

/// How many symbols a key has, [`END`] among them.
pub(super) const fn key_length(key: u128) -> usize {
    KEY_SYMBOLS - key.trailing_zeros() as usize / 4
}

/// The first symbols of a key.
pub(super) const fn truncated(key: u128, symbols: usize) -> u128 {
    match symbols {
        0 => 0,
        KEY_SYMBOLS.. => key,
        _ => key & (u128::MAX << (128 - 4 * symbols)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            let dialled = Dialled::read(user.as_bytes(), false);
            let whole = !matches!(user, "12ab34" | "12%zz" | "12%2" | "anna");
            assert_eq!((dialled.length, dialled.whole), (number.len(), whole), "{user}");
            assert_eq!(Dialled::read(user.as_bytes(), true).length, number.trim_start_matches('+').len(), "{user}");
        }
    }

    #[test]
    fn every_symbol_has_its_character() {
        for index in 1..14 {
            assert_eq!(symbol(character(index) as u8), Some(index));
        }
    }

    proptest! {
        #[test]
        fn packed_symbols_are_those_of_the_text(user in "[+]?[0-9*#.;a]{0,80}") {
            let dialled = Dialled::read(user.as_bytes(), false);
            let mut symbols = Symbols::new(user.as_bytes());
            let expected: Vec<u8> = symbols.by_ref().take(MAX_PREFIX_SYMBOLS).collect();
            prop_assert_eq!(dialled.length, expected.len());
            for (index, symbol) in expected.iter().enumerate() {
                prop_assert_eq!(dialled.symbol(index), *symbol);
            }
            let rest = symbols.rest;
            prop_assert_eq!(dialled.whole, rest.is_empty() || rest[0] == b';');
            prop_assert_eq!(dialled.symbol(expected.len()), if dialled.whole { END } else { 0 });
            let length = expected.len().min(KEY_SYMBOLS) + usize::from(dialled.whole && expected.len() < KEY_SYMBOLS);
            prop_assert_eq!(key_length(dialled.head), length);
        }
    }
}
