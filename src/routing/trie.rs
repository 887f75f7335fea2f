//! A digit trie packed into flat arrays: the longest key that a number begins with, without an allocation or a lock.
//!
//! A node looks at several symbols at once: its slots are an array that the symbols index directly. Each slot knows the
//! best rule that ends above it, so a search never walks back. Where few keys are left they lie side by side in a
//! sorted run of words, each its last symbols above and its value below: a search touches one slot, one run and there
//! one or two cache lines.
//!
//! ```text
//! node: skip "+", 5 symbols -> slot (child, best) -> run: skip "", first symbol -> words [symbols 40 | value 24]
//! ```

mod pack;
mod walk;

use super::symbols::{key_length, nibble, truncated};

/// How many values there may be: they have 24 bits.
pub(super) const MAX_VALUES: usize = 1 << VALUE_BITS;

const VALUE_BITS: u32 = 24;
const VALUE: u64 = (1 << VALUE_BITS) - 1;
const WIDE_VALUE: u128 = VALUE as u128;

/// How many symbols a word holds behind the first of its run; a wide one takes two words.
const WORD_SYMBOLS: usize = 10;

/// How many keys a run has at most: offsets in it are bytes.
const MAX_RUN: usize = u8::MAX as usize;

/// The same of a run with wide words: a node takes no more memory, and is faster.
const MAX_WIDE_RUN: usize = 8;

/// Up to how many words comparing all of them is faster than a bisection.
const FEW_WORDS: usize = 24;

/// How many symbols a node looks at, at most.
const MAX_STRIDE: usize = 5;

/// Of how many slots one must be used, for a node to look at more than one symbol.
const SPARSE: usize = 16;

/// How many symbols a node or a run steps over at once.
const MAX_SKIP: usize = 16;

/// A slot's child that is a run, not a node.
const RUN: u32 = 1 << 31;

/// Marks a rule that ends in a node, not in a run.
const SHORT: u32 = 1 << 31;

/// A key with a value; `origin` is carried along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<K> {
    pub key: K,
    pub value: u32,
    pub origin: u32,
}

/// The symbols of a rule, in 8 bytes where they fit.
pub(super) trait Key: Copy + Ord {
    fn whole(self) -> u128;
}

impl Key for u64 {
    fn whole(self) -> u128 {
        u128::from(self) << 64
    }
}

impl Key for u128 {
    fn whole(self) -> u128 {
        self
    }
}

/// The rule that a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// How many symbols the key has, an end among them.
    pub symbols: usize,
    pub value: u32,
    /// Which rule of the trie it is.
    pub spot: u32,
}

/// 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Node {
    skip: u64,
    base: u32,
    skip_symbols: u8,
    stride: u8,
}

/// 16 bytes, four to a line of the cache: that as many as possible stay in it decides how long a search takes.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where its words begin; the symbols that it steps over, if any, are the word before.
    base: u32,
    skip_symbols: u8,
    flags: u8,
    /// Where the keys whose first symbol, always a digit, is the index end, counted in keys.
    ends: [u8; 10],
}

/// Two words a key.
const WIDE: u8 = 1;
/// A key of the run is the beginning of another.
const NESTED: u8 = 2;

const _: () = assert!(size_of::<Run>() == 16 && size_of::<Node>() == 16);

/// A rule that ends within a node.
#[derive(Clone, Copy, Debug)]
struct Short {
    /// The value, and the length in symbols above it.
    value: u32,
    origin: u32,
}

/// Keys of up to [`super::prefixes::MAX_HEAD_SYMBOLS`] symbols with a value each.
#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    /// What the empty key leads to, as a slot of a node does.
    root: u32,
    root_best: u32,
    nodes: Box<[Node]>,
    /// By slot. Zero: none; a node's index plus one, or a run's with [`RUN`] set.
    children: Box<[u32]>,
    /// By slot: index in `short` plus one of the longest rule that ends above; zero: none.
    bests: Box<[u32]>,
    runs: Box<[Run]>,
    words: Box<[u64]>,
    /// By word.
    origins: Box<[u32]>,
    short: Box<[Short]>,
}

impl Trie {
    /// The longest key that the symbols begin with.
    pub(super) fn longest(&self, key: u128) -> Option<Match> {
        let mut rest = key;
        let mut depth = 0;
        let (mut child, mut slot) = (self.root, None);
        while child != 0 {
            if child & RUN != 0 {
                if let Some(found) = self.in_run(child & !RUN, rest, depth) {
                    return Some(found);
                }
                break;
            }
            let node = self.nodes.get(child as usize - 1)?;
            if differs(rest, node.skip, node.skip_symbols) {
                break;
            }
            rest <<= 4 * node.skip_symbols;
            let index = node.base as usize + (rest >> (128 - 4 * u32::from(node.stride))) as usize;
            rest <<= 4 * node.stride;
            depth += usize::from(node.skip_symbols + node.stride);
            slot = Some(index);
            child = *self.children.get(index)?;
        }
        // Looked at only now: it would be one more line of memory for a number that a run has.
        self.short_match(slot.map_or(self.root_best, |slot| self.best(slot)))
    }

    fn best(&self, slot: usize) -> u32 {
        self.bests.get(slot).copied().unwrap_or(0)
    }

    #[inline]
    fn in_run(&self, run: u32, rest: u128, depth: usize) -> Option<Match> {
        let run = self.runs.get(run as usize)?;
        if run.skip_symbols != 0 && differs(rest, self.skip_of(run), run.skip_symbols) {
            return None;
        }
        let rest = rest << (4 * run.skip_symbols);
        let first = usize::from(nibble(rest, 0)).checked_sub(1)?;
        let end = usize::from(*run.ends.get(first)?);
        let start = first.checked_sub(1).and_then(|before| run.ends.get(before)).map_or(0, |end| usize::from(*end));
        let depth = depth + usize::from(run.skip_symbols) + 1;
        let rest = rest << 4;
        let base = run.base as usize;
        if run.flags & WIDE != 0 {
            let words = self.words.get(base + 2 * start..base + 2 * end)?;
            let (index, symbols, value) = in_wide(words, rest, run.flags & NESTED != 0)?;
            return Some(Match { symbols: depth + symbols, value, spot: (base + 2 * (start + index)) as u32 });
        }
        let words = self.words.get(base + start..base + end)?;
        let (index, symbols, value) = in_words(words, (rest >> 64) as u64 | VALUE, run.flags & NESTED != 0)?;
        Some(Match { symbols: depth + symbols, value, spot: (base + start + index) as u32 })
    }

    fn skip_of(&self, run: &Run) -> u64 {
        match run.skip_symbols {
            0 => 0,
            _ => (run.base as usize).checked_sub(1).and_then(|at| self.words.get(at)).copied().unwrap_or(0),
        }
    }

    fn short_match(&self, best: u32) -> Option<Match> {
        let index = best.checked_sub(1)?;
        let short = self.short.get(index as usize)?;
        let symbols = (short.value >> VALUE_BITS) as usize;
        Some(Match { symbols, value: short.value & VALUE as u32, spot: index | SHORT })
    }

    /// The rule of exactly this key.
    pub(super) fn exact(&self, key: u128) -> Option<Match> {
        self.longest(key).filter(|found| found.symbols == key_length(key))
    }

    /// The origin that a rule was packed with.
    pub(super) fn origin(&self, spot: u32) -> Option<u32> {
        if spot & SHORT != 0 {
            return self.short.get((spot & !SHORT) as usize).map(|short| short.origin);
        }
        self.origins.get(spot as usize).copied()
    }

    /// How much memory it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.nodes)
            + size_of_val(&*self.children)
            + size_of_val(&*self.bests)
            + size_of_val(&*self.runs)
            + size_of_val(&*self.words)
            + size_of_val(&*self.origins)
            + size_of_val(&*self.short)
    }
}

/// Whether the symbols do not begin with those to be skipped.
#[inline]
fn differs(rest: u128, skip: u64, symbols: u8) -> bool {
    symbols != 0 && ((rest >> 64) as u64 ^ skip) >> (64 - 4 * u32::from(symbols)) != 0
}

/// The longest of the sorted words that the symbols of `probe` begin with: its index, length and value.
#[inline]
fn in_words(words: &[u64], mut probe: u64, nested: bool) -> Option<(usize, usize, u32)> {
    let mut below = words;
    loop {
        // Of few words all are compared: their lines of memory come at the same time, those of a bisection in turn.
        let count = match below.len() {
            0..=FEW_WORDS => below.iter().map(|word| usize::from(*word <= probe)).sum(),
            _ => below.partition_point(|word| *word <= probe),
        };
        let index = count.checked_sub(1)?;
        let word = *below.get(index)?;
        let symbols = word & !VALUE;
        let unequal = (symbols ^ probe) & !VALUE;
        // What lies behind the last symbol of the word does not count; nothing is the beginning of everything.
        if symbols == 0 || unequal >> (symbols.trailing_zeros() & !3) == 0 {
            let length = if symbols == 0 { 0 } else { 16 - symbols.trailing_zeros() as usize / 4 };
            return Some((index, length, (word & VALUE) as u32));
        }
        if !nested {
            return None;
        }
        // A shorter one can only have the symbols that both share.
        let shared = unequal.leading_zeros() / 4;
        probe = if shared == 0 { VALUE } else { probe & (u64::MAX << (64 - 4 * shared)) | VALUE };
        below = below.get(..index)?;
    }
}

/// [`in_words`] for words of 128 bits.
fn in_wide(words: &[u64], rest: u128, nested: bool) -> Option<(usize, usize, u32)> {
    let (pairs, _) = words.as_chunks::<2>();
    let whole = |pair: &[u64; 2]| u128::from(pair[0]) << 64 | u128::from(pair[1]);
    let mut probe = rest | WIDE_VALUE;
    let mut below = pairs;
    loop {
        let count = below.partition_point(|pair| whole(pair) <= probe);
        let index = count.checked_sub(1)?;
        let word = whole(below.get(index)?);
        let symbols = word & !WIDE_VALUE;
        let unequal = (symbols ^ probe) & !WIDE_VALUE;
        if symbols == 0 || unequal >> (symbols.trailing_zeros() & !3) == 0 {
            return Some((index, key_length(symbols), (word & WIDE_VALUE) as u32));
        }
        if !nested {
            return None;
        }
        let shared = unequal.leading_zeros() as usize / 4;
        probe = truncated(probe, shared) | WIDE_VALUE;
        below = below.get(..index)?;
    }
}

#[cfg(test)]
mod tests;
