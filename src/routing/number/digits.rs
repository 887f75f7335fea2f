//! A short string of dialled symbols in eight bytes.

use std::fmt::{self, Write};
use std::num::NonZeroU64;

/// 1 to 16 symbols of `0`-`9`, `*` and `#`, four bits each, the first in the highest bits: they order like text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digits(NonZeroU64);

impl Digits {
    /// How many symbols there is room for.
    pub const MAX: usize = 16;

    /// Packs symbols; `None` when there are none, too many, or one that is no digit, `*` or `#`.
    pub fn new(symbols: &[u8]) -> Option<Self> {
        if symbols.len() > Self::MAX {
            return None;
        }
        let mut packed = 0;
        for (index, symbol) in symbols.iter().enumerate() {
            let value = match symbol {
                b'0'..=b'9' => symbol - b'0' + 1,
                b'*' => STAR,
                b'#' => HASH,
                _ => return None,
            };
            packed |= u64::from(value) << (60 - 4 * index);
        }
        NonZeroU64::new(packed).map(Self)
    }

    /// The number of symbols, 1 to 16.
    pub const fn len(self) -> usize {
        Self::MAX - self.0.trailing_zeros() as usize / 4
    }

    /// Always false: there is at least one symbol.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// The symbols as ASCII, from the left.
    pub fn bytes(self) -> impl DoubleEndedIterator<Item = u8> + ExactSizeIterator + Clone {
        let packed = self.0.get();
        (0..self.len()).map(move |index| match (packed >> (60 - 4 * index)) as u8 & 0xf {
            STAR => b'*',
            HASH => b'#',
            value => b'0' + value - 1,
        })
    }

    /// Whether there are digits only.
    pub fn is_decimal(self) -> bool {
        self.bytes().all(|symbol| symbol.is_ascii_digit())
    }

    /// The digits as a number; `None` with `*` or `#`.
    pub fn value(self) -> Option<u64> {
        self.bytes().try_fold(0, |value, symbol| symbol.is_ascii_digit().then(|| value * 10 + u64::from(symbol - b'0')))
    }
}

const STAR: u8 = 11;
const HASH: u8 = 12;

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().try_for_each(|symbol| f.write_char(char::from(symbol)))
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn foreign_symbols_and_wrong_lengths_are_refused() {
        for text in ["", "+4", "1a", "12345678901234567", "１"] {
            assert_eq!(Digits::new(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Digits::new(b"0402").unwrap().value(), Some(402));
        assert_eq!(Digits::new(b"*97#").unwrap().value(), None);
    }

    proptest! {
        #[test]
        fn symbols_come_back_and_order_like_text(a in "[0-9]{1,16}", b in "[0-9*#]{1,16}") {
            let (x, y) = (Digits::new(a.as_bytes()).unwrap(), Digits::new(b.as_bytes()).unwrap());
            prop_assert_eq!((x.to_string(), y.to_string()), (a.clone(), b.clone()));
            prop_assert_eq!((x.len(), y.len()), (a.len(), b.len()));
            prop_assert_eq!(x.value(), a.parse().ok());
            if !b.contains(['*', '#']) {
                prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            }
        }
    }
}
