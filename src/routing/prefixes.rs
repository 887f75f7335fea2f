//! Prefixes on their way into a trie: reading, ranges, order, and two rules for one prefix.

use thiserror::Error;

use super::symbols;
use super::trie::Trie;

/// How many symbols a prefix may have.
pub const MAX_PREFIX_SYMBOLS: usize = 64;

/// Why a prefix cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrefixError {
    #[error("`{0}` cannot stand in a prefix")]
    Character(char),
    #[error("a range is written `[first-last]`, both of the same width, the first not above the last")]
    Range,
    #[error("a prefix holds one range at most")]
    SecondRange,
    #[error("a prefix has {MAX_PREFIX_SYMBOLS} symbols at most")]
    TooLong,
    #[error("there is no room for more prefixes: the limit is {0}")]
    Full(usize),
}

/// Two rules for the same prefix that lead to different places, as the `origin`s they were added with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub kept: u32,
    pub dropped: u32,
}

/// A growing set of prefixes; [`Prefixes::pack`] makes the trie.
#[derive(Clone, Debug)]
pub(super) struct Prefixes {
    /// The symbols of all prefixes, one after the other.
    symbols: Vec<u8>,
    entries: Vec<Entry>,
    /// How many prefixes are taken, those of expanded ranges counted singly.
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    length: u8,
    /// Came out of a range: a literal prefix of the same length beats it.
    ranged: bool,
    value: u32,
    origin: u32,
}

impl Prefixes {
    pub(super) const fn new(limit: usize) -> Self {
        Self { symbols: Vec::new(), entries: Vec::new(), limit }
    }

    /// How many prefixes there are, ranges expanded.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a prefix such as `+44163276` or `551136184[4000-9999]`.
    pub(super) fn add(&mut self, prefix: &str, value: u32, origin: u32) -> Result<(), PrefixError> {
        let Some((head, rest)) = prefix.split_once('[') else {
            let start = self.symbols.len();
            return self.literal(prefix).and_then(|()| self.close(start, false, value, origin));
        };
        let (range, tail) = rest.split_once(']').ok_or(PrefixError::Range)?;
        if tail.contains(['[', ']']) {
            return Err(PrefixError::SecondRange);
        }
        let (first, last) = range.split_once('-').ok_or(PrefixError::Range)?;
        let width = first.len();
        if width != last.len() || !is_number(first) || !is_number(last) || width > 9 {
            return Err(PrefixError::Range);
        }
        let bound = |text: &str| text.parse::<u32>().map_err(|_| PrefixError::Range);
        let (first, last) = (bound(first)?, bound(last)?);
        if first > last {
            return Err(PrefixError::Range);
        }
        let count = (last - first) as usize + 1;
        if self.entries.len().saturating_add(count) > self.limit {
            return Err(PrefixError::Full(self.limit));
        }
        for number in first..=last {
            let start = self.symbols.len();
            self.literal(head)
                .and_then(|()| self.literal(&format!("{number:0width$}")))
                .and_then(|()| self.literal(tail))
                .and_then(|()| self.close(start, true, value, origin))
                .inspect_err(|_| self.symbols.truncate(start))?;
        }
        Ok(())
    }

    fn literal(&mut self, text: &str) -> Result<(), PrefixError> {
        for character in text.chars() {
            let symbol = u8::try_from(character).ok().and_then(symbols::symbol);
            self.symbols.push(symbol.ok_or(PrefixError::Character(character))?);
        }
        Ok(())
    }

    fn close(&mut self, start: usize, ranged: bool, value: u32, origin: u32) -> Result<(), PrefixError> {
        let length = self.symbols.len() - start;
        if length > MAX_PREFIX_SYMBOLS {
            return Err(PrefixError::TooLong);
        }
        if self.entries.len() >= self.limit {
            return Err(PrefixError::Full(self.limit));
        }
        // The trie has one node for each symbol at most, besides its root: so its indices fit as well.
        let start = match (u32::try_from(start), u32::try_from(self.symbols.len() + 1)) {
            (Ok(start), Ok(_)) => start,
            _ => return Err(PrefixError::Full(self.entries.len())),
        };
        // `length` is at most MAX_PREFIX_SYMBOLS, which fits.
        self.entries.push(Entry { start, length: length as u8, ranged, value, origin });
        Ok(())
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        self.symbols.get(start..start + usize::from(entry.length)).unwrap_or_default()
    }

    /// Packs the trie. A literal beats a range; of two equals that do not lead to the `same` place the first stays, and
    /// the pair is reported once.
    pub(super) fn pack(mut self, same: impl Fn(u32, u32) -> bool) -> (Trie, Vec<Conflict>) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| {
            self.key(a).cmp(self.key(b)).then(a.ranged.cmp(&b.ranged)).then(a.origin.cmp(&b.origin))
        });
        let mut conflicts: Vec<Conflict> = Vec::new();
        let mut sorted: Vec<(&[u8], u32)> = Vec::with_capacity(entries.len());
        let mut kept: Option<Entry> = None;
        for entry in &entries {
            let key = self.key(entry);
            match kept {
                Some(winner) if self.key(&winner) == key => {
                    let conflict = Conflict { kept: winner.origin, dropped: entry.origin };
                    let differs = winner.ranged == entry.ranged && !same(winner.value, entry.value);
                    // Two ranges that overlap meet once for each number.
                    if differs && conflicts.last() != Some(&conflict) {
                        conflicts.push(conflict);
                    }
                }
                _ => {
                    sorted.push((key, entry.value));
                    kept = Some(*entry);
                }
            }
        }
        // `close` let no more symbols in than the trie can index, so packing does not fail.
        (Trie::pack(&sorted).unwrap_or_default(), conflicts)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
