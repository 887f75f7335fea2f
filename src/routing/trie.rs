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

use super::prefixes::MAX_HEAD_SYMBOLS;
use super::symbols::{KEY_SYMBOLS, key_length, nibble, truncated};

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

/// 20 bytes: that as many as possible stay in the cache decides how long a search takes.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where its words begin; the symbols that it steps over, if any, are the word before.
    base: u32,
    skip_symbols: u8,
    flags: u8,
    /// Where the keys whose first symbol is one more than the index end, counted in keys.
    ends: [u8; 14],
}

/// Two words a key.
const WIDE: u8 = 1;
/// A key of the run is the beginning of another.
const NESTED: u8 = 2;

/// A rule that ends within a node.
#[derive(Clone, Copy, Debug)]
struct Short {
    /// The value, and the length in symbols above it.
    value: u32,
    origin: u32,
}

/// Keys of up to [`MAX_HEAD_SYMBOLS`] symbols with a value each.
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
    /// Packs entries in ascending order of their keys, each key once, each value below [`MAX_VALUES`].
    ///
    /// `None` when they would outgrow 31-bit indices.
    pub(super) fn pack<K: Key>(entries: &[Entry<K>]) -> Option<Self> {
        if entries.len() >= SHORT as usize / 2 {
            return None;
        }
        let mut packer = Packer { entries, ..Packer::new(entries) };
        let (mut from, mut best) = (0, 0);
        if let Some(first) = entries.first().filter(|first| first.key.whole() == 0) {
            best = packer.short(first, 0);
            from = 1;
        }
        let child = packer.child(from, entries.len(), 0, best)?;
        Some(Self {
            root: child,
            root_best: best,
            nodes: packer.nodes.into(),
            children: packer.children.into(),
            bests: packer.bests.into(),
            runs: packer.runs.into(),
            words: packer.words.into(),
            origins: packer.origins.into(),
            short: packer.short.into(),
        })
    }

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

    /// Calls back with the key and the rule of each, in ascending order of keys.
    pub(super) fn for_each(&self, mut call: impl FnMut(u128, Match)) {
        if let Some(found) = self.short_match(self.root_best) {
            call(0, found);
        }
        self.below(self.root, 0, 0, &mut call);
    }

    fn below(&self, child: u32, above: u128, depth: usize, call: &mut dyn FnMut(u128, Match)) {
        if child == 0 {
            return;
        }
        if child & RUN != 0 {
            return self.run_below((child & !RUN) as usize, above, depth, call);
        }
        let Some(node) = self.nodes.get(child as usize - 1) else { return };
        let above = above | (u128::from(node.skip) << 64) >> (4 * depth);
        let depth = depth + usize::from(node.skip_symbols);
        let below = depth + usize::from(node.stride);
        for index in 0..1_usize << (4 * node.stride) {
            let slot = node.base as usize + index;
            let key = above | (index as u128) << (128 - 4 * below);
            // A rule that ends in this node is the best of many slots; the one whose symbols are its own stands for it.
            if let Some(found) = self.short_match(self.best(slot))
                && found.symbols == key_length(key)
                && (found.symbols > depth || (index == 0 && found.symbols == depth && node.skip_symbols > 0))
            {
                call(key, found);
            }
            self.below(self.children.get(slot).copied().unwrap_or(0), key, below, call);
        }
    }

    fn run_below(&self, run: usize, above: u128, depth: usize, call: &mut dyn FnMut(u128, Match)) {
        let Some(run) = self.runs.get(run) else { return };
        let above = above | (u128::from(self.skip_of(run)) << 64) >> (4 * depth);
        let depth = depth + usize::from(run.skip_symbols);
        let mut start = 0;
        for (symbol, end) in (1_u128..).zip(run.ends) {
            for index in start..end {
                let width = if run.flags & WIDE != 0 { 2 } else { 1 };
                let at = run.base as usize + usize::from(index) * width;
                let word = |at: usize| self.words.get(at).copied().unwrap_or_default();
                let packed = match width {
                    2 => u128::from(word(at)) << 64 | u128::from(word(at + 1)),
                    _ => u128::from(word(at) & !VALUE) << 64 | u128::from(word(at) & VALUE),
                };
                let key = above | symbol << (124 - 4 * depth) | (packed & !WIDE_VALUE) >> (4 * (depth + 1));
                let value = (packed & WIDE_VALUE) as u32;
                call(key, Match { symbols: key_length(key), value, spot: at as u32 });
            }
            start = end;
        }
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

struct Packer<'a, K> {
    entries: &'a [Entry<K>],
    nodes: Vec<Node>,
    children: Vec<u32>,
    bests: Vec<u32>,
    runs: Vec<Run>,
    words: Vec<u64>,
    origins: Vec<u32>,
    short: Vec<Short>,
}

impl<'a, K: Key> Packer<'a, K> {
    fn new(entries: &'a [Entry<K>]) -> Self {
        Self {
            entries,
            nodes: Vec::new(),
            children: Vec::new(),
            bests: Vec::new(),
            runs: Vec::new(),
            // Room for all at once: growing would need twice the memory for a moment.
            words: Vec::with_capacity(entries.len()),
            origins: Vec::with_capacity(entries.len()),
            short: Vec::new(),
        }
    }

    fn key(&self, index: usize) -> u128 {
        self.entries.get(index).map_or(0, |entry| entry.key.whole())
    }

    fn short(&mut self, entry: &Entry<K>, symbols: usize) -> u32 {
        self.short.push(Short { value: entry.value | (symbols as u32) << VALUE_BITS, origin: entry.origin });
        self.short.len() as u32
    }

    /// Packs the entries of an interval, which share `depth` symbols and have more than that each.
    fn child(&mut self, from: usize, to: usize, depth: usize, best: u32) -> Option<u32> {
        if from == to {
            return Some(0);
        }
        let (first, last) = (self.key(from), self.key(to - 1));
        let shared = ((first ^ last).leading_zeros() as usize / 4).min(key_length(first)) - depth;
        // The first symbol of a run is looked up, so each of its keys must have one more.
        let skip = shared.min(key_length(first) - depth - 1).min(MAX_SKIP);
        let longest = self.entries.get(from..to)?.iter().map(|entry| key_length(entry.key.whole())).max()?;
        let wide = longest - (depth + skip + 1) > WORD_SYMBOLS;
        if to - from <= if wide { MAX_WIDE_RUN } else { MAX_RUN } {
            return self.run(from, to, depth, skip, wide);
        }
        self.node(from, to, depth, shared.min(MAX_SKIP), best)
    }

    fn run(&mut self, from: usize, to: usize, depth: usize, skip: usize, wide: bool) -> Option<u32> {
        let id = u32::try_from(self.runs.len()).ok().filter(|id| id & RUN == 0)?;
        if skip > 0 {
            self.words.push(skipped(self.key(from), depth, skip));
            self.origins.push(0);
        }
        let base = u32::try_from(self.words.len()).ok().filter(|base| base & SHORT == 0)?;
        let behind = depth + skip + 1;
        let entries = self.entries.get(from..to)?;
        let mut run = Run { base, skip_symbols: skip as u8, flags: if wide { WIDE } else { 0 }, ends: [0; 14] };
        for (count, entry) in (1..=u8::MAX).zip(entries) {
            let key = entry.key.whole();
            let rest = key << (4 * behind);
            if wide {
                let packed = rest | u128::from(entry.value);
                self.words.extend([(packed >> 64) as u64, packed as u64]);
                self.origins.push(entry.origin);
            } else {
                self.words.push((rest >> 64) as u64 | u64::from(entry.value));
            }
            self.origins.push(entry.origin);
            let symbol = usize::from(nibble(key, behind - 1));
            for end in run.ends.iter_mut().skip(symbol - 1) {
                *end = count;
            }
        }
        let nested = |pair: &[Entry<K>]| match pair {
            [short, long] => truncated(long.key.whole(), key_length(short.key.whole())) == short.key.whole(),
            _ => false,
        };
        if entries.windows(2).any(nested) {
            run.flags |= NESTED;
        }
        self.runs.push(run);
        Some(id | RUN)
    }

    fn node(&mut self, from: usize, to: usize, depth: usize, skip: usize, inherited: u32) -> Option<u32> {
        let above = depth + skip;
        let stride = self.stride(from, to, above);
        let below = above + stride;
        let base = self.children.len();
        let id = self.nodes.len();
        self.nodes.push(Node {
            skip: skipped(self.key(from), depth, skip),
            base: u32::try_from(base).ok()?,
            skip_symbols: skip as u8,
            stride: stride as u8,
        });
        self.children.resize(base + (1 << (4 * stride)), 0);
        self.bests.resize(base + (1 << (4 * stride)), inherited);
        let mut at = from;
        while at < to {
            let entry = *self.entries.get(at)?;
            let key = entry.key.whole();
            let index = slot_index(key, above, stride);
            let length = key_length(key);
            if length <= below {
                let best = self.short(&entry, length);
                let first = base + index;
                self.bests.get_mut(first..first + (1 << (4 * (below - length))))?.fill(best);
                at += 1;
                continue;
            }
            let end = at
                + self
                    .entries
                    .get(at..to)?
                    .partition_point(|entry| slot_index(entry.key.whole(), above, stride) == index);
            let best = *self.bests.get(base + index)?;
            let child = self.child(at, end, below, best)?;
            *self.children.get_mut(base + index)? = child;
            at = end;
        }
        u32::try_from(id + 1).ok().filter(|child| child & RUN == 0)
    }

    /// As many symbols as leave few slots empty.
    fn stride(&self, from: usize, to: usize, above: usize) -> usize {
        let count = to - from;
        let entries = self.entries.get(from..to).unwrap_or_default();
        (2..=MAX_STRIDE.min(MAX_HEAD_SYMBOLS.saturating_sub(above)))
            .rev()
            .filter(|stride| 1 << (4 * stride) <= count / 4)
            .find(|stride| {
                let mut used = 0;
                let mut before = usize::MAX;
                for entry in entries {
                    let index = slot_index(entry.key.whole(), above, *stride);
                    used += usize::from(index != before);
                    before = index;
                }
                used * SPARSE >= 1 << (4 * stride)
            })
            .unwrap_or(1)
    }
}

fn slot_index(key: u128, above: usize, stride: usize) -> usize {
    ((key << (4 * above)) >> (128 - 4 * stride)) as usize
}

/// The symbols from `depth` on, as many as are skipped, at the top of a word.
fn skipped(key: u128, depth: usize, symbols: usize) -> u64 {
    (truncated(key << (4 * depth), symbols) >> 64) as u64
}

const _: () = assert!(MAX_HEAD_SYMBOLS + MAX_STRIDE < KEY_SYMBOLS);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::symbols::symbol;
    use super::*;

    fn key(text: &str) -> u128 {
        let shifted = |(index, byte)| u128::from(symbol(byte).unwrap()) << (124 - 4 * index);
        text.bytes().enumerate().map(shifted).sum()
    }

    fn packed(keys: &BTreeMap<String, u32>) -> Trie {
        let mut entries: Vec<Entry<u128>> =
            keys.iter().map(|(text, value)| Entry { key: key(text), value: *value, origin: value + 7 }).collect();
        entries.sort_unstable_by_key(|entry| entry.key);
        Trie::pack(&entries).unwrap()
    }

    fn check(keys: &BTreeMap<String, u32>, numbers: impl Iterator<Item = String>) {
        let trie = packed(keys);
        for number in numbers {
            let expected = (0..=number.len()).rev().find_map(|end| Some((end, *keys.get(&number[..end])?)));
            let found = trie.longest(key(&number));
            assert_eq!(found.map(|found| (found.symbols, found.value)), expected, "{number}");
            if let Some(found) = found {
                assert_eq!(trie.origin(found.spot), Some(found.value + 7));
            }
        }
        let mut all = Vec::new();
        trie.for_each(|key, found| {
            assert_eq!(trie.exact(key), Some(found));
            all.push((key, found.value));
        });
        let mut expected: Vec<_> = keys.iter().map(|(text, value)| (key(text), *value)).collect();
        expected.sort_unstable();
        assert_eq!(all, expected);
    }

    #[test]
    fn dense_sparse_long_and_nested_keys_are_found() {
        let mut keys = BTreeMap::new();
        let mut add = |text: String| {
            let value = keys.len() as u32;
            keys.entry(text).or_insert(value);
        };
        for number in 0..20_000_u32 {
            add(format!("+4416{number:05}"));
            if number % 7 == 0 {
                add(format!("+4416{number:05}{:014}", u64::from(number) * 123_456_789));
            }
            if number % 100 == 0 {
                add(format!("+4416{:03}", number / 100));
                add(format!("{:0>24}", number));
            }
        }
        for short in ["", "+", "+4", "+44", "+441", "*", "#", "00000000", "0"] {
            add(short.to_owned());
        }
        let numbers = (0..30_000_u32).flat_map(|number| {
            [format!("+4416{number:05}"), format!("+4416{number:07}"), format!("{number:023}"), number.to_string()]
        });
        let own: Vec<String> = keys.keys().cloned().collect();
        check(&keys, numbers.chain(own).filter(|number| number.len() <= 24));
    }

    proptest! {
        #[test]
        fn longest_key_is_found(
            keys in prop::collection::btree_map("[+*0-2]{0,6}[0-3]{0,4}|[01]{12,24}", 0_u32..1 << 24, 0..700),
            numbers in prop::collection::vec("[+*0-2]{0,6}[0-3]{0,8}|[01]{12,24}", 100),
        ) {
            check(&keys, numbers.into_iter());
        }
    }
}
