//! Packing: sorted entries into nodes, and into runs where few are left.

use super::super::prefixes::MAX_HEAD_SYMBOLS;
use super::super::symbols::{KEY_SYMBOLS, key_length, nibble, truncated};
use super::{
    Entry, Key, MAX_RUN, MAX_SKIP, MAX_STRIDE, MAX_WIDE_RUN, NESTED, Node, RUN, Run, SHORT, SPARSE, Short, Trie,
    VALUE_BITS, WIDE, WORD_SYMBOLS,
};

impl Trie {
    /// Packs entries in ascending order of their keys, each key once, each value below [`MAX_VALUES`].
    ///
    /// `None` when they would outgrow 31-bit indices.
    pub(in crate::routing) fn pack<K: Key>(entries: &[Entry<K>]) -> Option<Self> {
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
        let all = self.entries;
        let entries = all.get(from..to)?;
        // The first symbol of a run is looked up, so each of its keys must have one more, which is a digit.
        let most = shared.min(key_length(first) - depth - 1).min(MAX_SKIP);
        let has_digits = |skip: &usize| entries.iter().all(|entry| nibble(entry.key.whole(), depth + skip) <= 10);
        if to - from <= MAX_RUN
            && let Some(skip) = (0..=most).rev().find(has_digits)
        {
            let longest = entries.iter().map(|entry| key_length(entry.key.whole())).max()?;
            let wide = longest - (depth + skip + 1) > WORD_SYMBOLS;
            if !wide || to - from <= MAX_WIDE_RUN {
                return self.run(from, to, depth, skip, wide);
            }
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
        let mut run = Run { base, skip_symbols: skip as u8, flags: if wide { WIDE } else { 0 }, ends: [0; 10] };
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
