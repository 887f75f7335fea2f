//! Prefixes as operators write them, read once into positions.
//!
//! - Digits, `+` and `*` stand for themselves, and so does `#` anywhere but at the end.
//! - `[00-19]` is one of the numbers of a range, both ends of the same width, leading zeros included.
//! - `[1,3,5-7]` is one digit of a set.
//! - `x` is any one digit.
//! - A `#` at the end: nothing may follow.
//! - `\` takes the next character as it is.
//! - What has a letter other than `x`, a dot or another such character is an identity, `user.host`: it is the whole user
//!   part or nothing, in any case of letters; an escaped letter or dot makes one as well.
//!
//! ## Which of two prefixes is more specific
//!
//! Compared digit by digit from the left, the first difference decides:
//!
//! 1. At each position a prefix allows a set of symbols, *given the symbols before it*: of `[4500-9999]` the first
//!    position allows six digits, the second five after a 4 and ten after any other. A smaller set wins; so a digit
//!    beats a range or a set, and these beat `x`, even where ten digits are allowed. Of different sets of the same size
//!    the one without the highest digit that they do not share wins.
//! 2. Where one has no further position the longer one wins; "nothing may follow" is a position.
//! 3. Of two that are alike all along, the one that stands for fewer numbers in all wins: `[050-999]` beats `[000-999]`
//!    for 999 too.
//! 4. What is alike in that as well is one prefix written twice.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use smallvec::SmallVec;
use thiserror::Error;

pub use super::symbols::MAX_PREFIX_SYMBOLS;
use super::symbols::{self, DIGITS, END, character};

/// How long an identity may be, in bytes.
pub const MAX_IDENTITY_BYTES: usize = 255;

/// How many symbols of a prefix go into the trie; what lies beyond is matched as a tail.
pub(super) const MAX_HEAD_SYMBOLS: usize = 24;

/// Why a prefix cannot be read or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrefixError {
    #[error("`{0}` cannot stand in a prefix")]
    Character(char),
    #[error("a range is written `[first-last]`, both of the same width, the first not above the last")]
    Range,
    #[error("a set is written `[1,3,5-7]`, of single digits")]
    Set,
    #[error("a backslash stands at the end")]
    Escape,
    #[error("an identity such as `user.host` has no ranges and {MAX_IDENTITY_BYTES} bytes at most")]
    Identity,
    #[error("a prefix has {MAX_PREFIX_SYMBOLS} symbols at most")]
    TooLong,
    #[error("there is no room for more prefixes: the limit is {0}")]
    Full(usize),
}

/// Two rules for the same prefix that lead to different places, as the `origin`s they were added with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conflict {
    pub kept: u32,
    pub dropped: u32,
}

/// One position of a [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Position {
    /// One symbol of a set, as a bit for each.
    Set(u16),
    /// Any digit.
    Any,
    /// A digit of a range's bounds; `first`: the range begins here.
    Range { first: bool, low: u8, high: u8 },
}

/// A prefix of numbers, in its only form: `[10-19]` is `1[0-9]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Pattern {
    pub positions: SmallVec<[Position; 24]>,
}

/// A prefix that was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Prefix {
    /// Symbols only.
    Literal(u128),
    Pattern(Pattern),
    /// In lower case.
    Identity(Box<str>),
}

/// Reads what most prefixes are, symbols only; `None` for anything else.
pub(super) fn literal(text: &[u8]) -> Option<u128> {
    if text.len() > MAX_HEAD_SYMBOLS || text.last() == Some(&b'#') {
        return None;
    }
    let mut key = 0;
    for (index, byte) in text.iter().enumerate() {
        key |= u128::from(symbols::symbol(*byte)?) << (124 - 4 * index);
    }
    Some(key)
}

impl Prefix {
    /// Reads a prefix; with `normalize` a leading `+` does not count.
    pub(super) fn read(text: &str, normalize: bool) -> Result<Self, PrefixError> {
        let text = if normalize { text.strip_prefix('+').unwrap_or(text) } else { text };
        if let Some(key) = literal(text.as_bytes()) {
            return Ok(Self::Literal(key));
        }
        if is_identity(text) {
            return identity(text);
        }
        let pattern = Pattern::read(text)?;
        Ok(pattern.as_literal().map_or(Self::Pattern(pattern), Self::Literal))
    }
}

/// A prefix in its one form: two texts mean the same numbers exactly when their forms are equal.
///
/// With `normalize` a leading `+` does not count.
pub fn one_form(text: &str, normalize: bool) -> Result<Cow<'_, str>, PrefixError> {
    let plain = if normalize { text.strip_prefix('+').unwrap_or(text) } else { text };
    if literal(plain.as_bytes()).is_some() && !plain.contains('#') {
        return Ok(Cow::Borrowed(plain));
    }
    Prefix::read(plain, false).map(|prefix| Cow::Owned(prefix.to_string()))
}

/// Whether a text has what only an identity has.
fn is_identity(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let found = match character {
            '\\' => {
                characters.next().is_some_and(|escaped| u8::try_from(escaped).ok().and_then(symbols::symbol).is_none())
            }
            'x' | 'X' => false,
            '.' | '_' | '@' | '-' => !inside_brackets(text, characters.as_str()),
            other => other.is_alphabetic(),
        };
        if found {
            return true;
        }
    }
    false
}

/// Whether the part of a text before `rest` has a bracket that is still open.
fn inside_brackets(text: &str, rest: &str) -> bool {
    let before = text.len() - rest.len();
    let before = text.get(..before).unwrap_or_default();
    before.rfind('[') > before.rfind(']')
}

fn identity(text: &str) -> Result<Prefix, PrefixError> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next().ok_or(PrefixError::Escape)?),
            '[' | ']' => return Err(PrefixError::Identity),
            other if other.is_whitespace() || other.is_control() => return Err(PrefixError::Character(other)),
            other => plain.push(other),
        }
    }
    if plain.len() > MAX_IDENTITY_BYTES {
        return Err(PrefixError::Identity);
    }
    plain.make_ascii_lowercase();
    Ok(Prefix::Identity(plain.into()))
}

impl Pattern {
    fn read(text: &str) -> Result<Self, PrefixError> {
        let mut pattern = Self::default();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => pattern.push(dialled(characters.next().ok_or(PrefixError::Escape)?)?)?,
                'x' | 'X' => pattern.push(Position::Any)?,
                '#' if characters.as_str().is_empty() => pattern.push(Position::Set(1 << END))?,
                '[' => {
                    let (inside, tail) = characters.as_str().split_once(']').ok_or(PrefixError::Range)?;
                    pattern.brackets(inside)?;
                    characters = tail.chars();
                }
                other => pattern.push(dialled(other)?)?,
            }
        }
        Ok(pattern)
    }

    fn push(&mut self, position: Position) -> Result<(), PrefixError> {
        let symbols = self.positions.len() + usize::from(position != Position::Set(1 << END));
        if symbols > MAX_PREFIX_SYMBOLS {
            return Err(PrefixError::TooLong);
        }
        self.positions.push(position);
        Ok(())
    }

    fn brackets(&mut self, inside: &str) -> Result<(), PrefixError> {
        match inside.split_once('-') {
            Some((low, high)) if !(inside.contains(',') || (low.len() == 1 && high.len() == 1)) => {
                self.range(low, high)
            }
            None if !inside.contains(',') && inside.len() != 1 => Err(PrefixError::Range),
            _ => {
                let set = set(inside)?;
                self.push(Position::Set(set))
            }
        }
    }

    /// Adds a range in its only form: what both ends begin with are digits, and what runs from 0 to 9 are sets.
    fn range(&mut self, low: &str, high: &str) -> Result<(), PrefixError> {
        if low.is_empty() || low.len() != high.len() || low > high || !is_number(low) || !is_number(high) {
            return Err(PrefixError::Range);
        }
        let digit = |byte: u8| byte - b'0';
        let pairs: SmallVec<[(u8, u8); 24]> = low.bytes().map(digit).zip(high.bytes().map(digit)).collect();
        let full = pairs.iter().rev().take_while(|pair| **pair == (0, 9)).count();
        let (bounded, full) = pairs.split_at(pairs.len() - full);
        let same = bounded.iter().take_while(|(low, high)| low == high).count();
        let (same, bounded) = bounded.split_at(same);
        for (digit, _) in same {
            self.push(Position::Set(span(*digit, *digit)))?;
        }
        match bounded {
            [(low, high)] => self.push(Position::Set(span(*low, *high)))?,
            _ => {
                for (index, (low, high)) in bounded.iter().enumerate() {
                    self.push(Position::Range { first: index == 0, low: *low, high: *high })?;
                }
            }
        }
        full.iter().try_for_each(|_| self.push(Position::Set(DIGITS)))
    }

    /// The symbols at the beginning that leave no choice, as many as the trie takes.
    pub(super) fn head(&self) -> (u128, usize) {
        let mut key = 0;
        let mut length = 0;
        for position in self.positions.iter().take(MAX_HEAD_SYMBOLS) {
            let Position::Set(set) = position else { break };
            if set.count_ones() != 1 {
                break;
            }
            key |= u128::from(set.trailing_zeros()) << (124 - 4 * length);
            length += 1;
        }
        (key, length)
    }

    fn as_literal(&self) -> Option<u128> {
        let (key, length) = self.head();
        (length == self.positions.len()).then_some(key)
    }

    /// How many numbers of its length it stands for.
    pub(super) fn size(&self) -> u128 {
        let mut size = 1_u128;
        let mut bounds: Option<(u128, u128)> = None;
        for position in &self.positions {
            match position {
                Position::Range { first, low, high } => {
                    let (lower, upper) = bounds.filter(|_| !first).unwrap_or_else(|| {
                        close(&mut size, bounds);
                        (0, 0)
                    });
                    let next = |bound: u128, digit: u8| bound.saturating_mul(10).saturating_add(u128::from(digit));
                    bounds = Some((next(lower, *low), next(upper, *high)));
                }
                other => {
                    close(&mut size, bounds.take());
                    let count = if let Position::Set(set) = other { set.count_ones() } else { 10 };
                    size = size.saturating_mul(u128::from(count));
                }
            }
        }
        close(&mut size, bounds);
        size
    }
}

/// Multiplies by the numbers of a range that has come to its end.
fn close(size: &mut u128, bounds: Option<(u128, u128)>) {
    if let Some((low, high)) = bounds {
        *size = size.saturating_mul((high - low).saturating_add(1));
    }
}

/// How far a number has got in a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct State {
    pub index: u8,
    /// So far the number is the range's lower, and upper, bound.
    low: bool,
    high: bool,
}

/// The symbols that a position allows, as a bit for each; the highest bit says that it is `x`.
pub(super) type Allowed = u16;

/// The bit of `x` in [`Allowed`].
pub(super) const WILDCARD: u16 = 1 << 15;

/// The order of [`Allowed`]: the more specific is lower.
pub(super) const fn rank(allowed: Allowed) -> (u32, u16) {
    (if allowed & WILDCARD == 0 { allowed.count_ones() } else { 16 }, allowed)
}

impl State {
    pub(super) const fn at(index: usize) -> Self {
        // A pattern has MAX_PREFIX_SYMBOLS positions and an end, which fits.
        Self { index: index as u8, low: false, high: false }
    }

    /// What the pattern allows here; `None`: it is over.
    pub(super) fn allowed(self, pattern: &Pattern) -> Option<Allowed> {
        Some(match *pattern.positions.get(usize::from(self.index))? {
            Position::Set(set) => set,
            Position::Any => DIGITS | WILDCARD,
            Position::Range { first, low, high } => {
                span(if first || self.low { low } else { 0 }, if first || self.high { high } else { 9 })
            }
        })
    }

    /// Where a symbol that is allowed leads.
    pub(super) fn next(self, pattern: &Pattern, symbol: u8) -> Self {
        let mut next = Self::at(usize::from(self.index) + 1);
        if let Some(Position::Range { first, low, high }) = pattern.positions.get(usize::from(self.index))
            && matches!(pattern.positions.get(usize::from(next.index)), Some(Position::Range { first: false, .. }))
        {
            next.low = (*first || self.low) && symbol == low + 1;
            next.high = (*first || self.high) && symbol == high + 1;
        }
        next
    }
}

fn dialled(character: char) -> Result<Position, PrefixError> {
    let symbol = u8::try_from(character).ok().and_then(symbols::symbol);
    symbol.map(|symbol| Position::Set(1 << symbol)).ok_or(PrefixError::Character(character))
}

fn set(inside: &str) -> Result<u16, PrefixError> {
    let mut set = 0;
    for part in inside.split(',') {
        let (low, high) = match part.trim().as_bytes() {
            [digit] => (*digit, *digit),
            [low, b'-', high] => (*low, *high),
            _ => return Err(PrefixError::Set),
        };
        if !low.is_ascii_digit() || !high.is_ascii_digit() {
            return Err(PrefixError::Set);
        }
        if low > high {
            return Err(PrefixError::Range);
        }
        set |= span(low - b'0', high - b'0');
    }
    Ok(set)
}

/// The digits from one to another, as symbols.
const fn span(low: u8, high: u8) -> u16 {
    ((1_u16 << (high + 2)) - 1) & !((1_u16 << (low + 1)) - 1)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A prefix as it can be read again.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(key) => {
                for index in 0..symbols::key_length(*key) {
                    symbol_text(f, symbols::nibble(*key, index))?;
                }
                Ok(())
            }
            Self::Pattern(pattern) => pattern.fmt(f),
            Self::Identity(text) => {
                let plain = is_identity(text) && !text.contains(['\\', '[', ']']);
                for character in text.chars() {
                    // A lone `x` would be a digit, were no other letter there.
                    if !plain || character.is_whitespace() || character.is_control() {
                        f.write_char('\\')?;
                    }
                    f.write_char(character)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut positions = self.positions.iter().peekable();
        while let Some(position) = positions.next() {
            match *position {
                Position::Any => f.write_char('x')?,
                Position::Set(set) if set.count_ones() == 1 => symbol_text(f, set.trailing_zeros() as u8)?,
                Position::Set(set) => set_text(f, set)?,
                Position::Range { low, high, .. } => {
                    let (mut lower, mut upper) = (low.to_string(), high.to_string());
                    while let Some(Position::Range { first: false, low, high }) = positions.peek() {
                        lower.push_str(&low.to_string());
                        upper.push_str(&high.to_string());
                        positions.next();
                    }
                    write!(f, "[{lower}-{upper}]")?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a symbol as it stands in a prefix.
pub(super) fn symbol_text(f: &mut impl fmt::Write, symbol: u8) -> fmt::Result {
    match symbol {
        END => f.write_char('#'),
        13 => f.write_str("\\#"),
        other => f.write_char(character(other)),
    }
}

fn set_text(f: &mut fmt::Formatter<'_>, set: u16) -> fmt::Result {
    let mut separator = '[';
    let mut digit = 0;
    while digit < 10 {
        let has = |digit: u16| digit < 10 && set >> (digit + 1) & 1 == 1;
        let mut last = digit;
        while has(digit) && has(last + 1) {
            last += 1;
        }
        if has(digit) {
            f.write_char(separator)?;
            separator = ',';
            match last - digit {
                0 => write!(f, "{digit}")?,
                _ => write!(f, "{digit}-{last}")?,
            }
        }
        digit = last + 1;
    }
    f.write_char(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Prefix::read(text, false).unwrap().to_string()
    }

    #[test]
    fn prefix_has_one_form() {
        for (text, expected) in [
            ("+4416", "+4416"),
            ("\\+44", "+44"),
            ("#31", "\\#31"),
            ("*31\\#", "*31\\#"),
            ("911#", "911#"),
            ("[5]5", "55"),
            ("55[00-19]", "55[0-1][0-9]"),
            ("+1[10-19]7", "+11[0-9]7"),
            ("[4500-9999]", "[45-99][0-9][0-9]"),
            ("[1205-1387]", "1[205-387]"),
            ("[1,3, 5-7]x", "[1,3,5-7]x"),
            ("402.PBX1.example", "402.pbx1.example"),
            ("402\\.10\\.0\\.0\\.5", "402.10.0.0.5"),
            ("\\x\\x", "\\x\\x"),
            ("Anna", "anna"),
            ("x-lite", "x-lite"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
            assert_eq!(shown(expected), expected, "again");
        }
        assert_eq!(Prefix::read("+44", true), Prefix::read("44", false));
    }

    #[test]
    fn form_does_not_depend_on_how_it_is_written() {
        for (text, form) in [("+44", "+44"), ("#31", "\\#31"), ("[5]5", "55"), ("PBX.x", "pbx.x"), ("911#", "911#")] {
            assert_eq!(one_form(text, false).as_deref(), Ok(form), "{text}");
        }
        assert_eq!(one_form("+44[5]", true).as_deref(), Ok("445"));
        assert!(one_form("4[", false).is_err());
    }

    #[test]
    fn size_counts_the_numbers() {
        let size = |text: &str| match Prefix::read(text, false).unwrap() {
            Prefix::Pattern(pattern) => pattern.size(),
            other => panic!("{other:?}"),
        };
        assert_eq!(size("5[4000-9999]"), 6000);
        assert_eq!(size("[045-187][1,3]x"), 143 * 20);
        assert_eq!(size("[12-34][56-78]"), 23 * 23);
    }
}
