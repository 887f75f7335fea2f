//! Walking through the keys of a trie: all of them, or those that go on from a beginning.

use std::ops::ControlFlow;

use super::super::symbols::{key_length, nibble, truncated};
use super::{Match, RUN, Trie, VALUE, WIDE, WIDE_VALUE, differs};

/// What a walk is limited to: keys that begin with these symbols.
#[derive(Clone, Copy)]
struct Beginning {
    key: u128,
    symbols: usize,
}

impl Beginning {
    /// How many of the symbols from `depth` on it fixes, `most` at most.
    fn fixed(self, depth: usize, most: usize) -> usize {
        self.symbols.saturating_sub(depth).min(most)
    }
}

impl Trie {
    /// Calls back with the key and the rule of each, in ascending order of keys.
    pub(in crate::routing) fn for_each(&self, mut call: impl FnMut(u128, Match)) {
        let _ = self.under(0, 0, &mut |key, found| {
            call(key, found);
            ControlFlow::<()>::Continue(())
        });
    }

    /// Calls back with each rule whose key begins with the first symbols of `key`, in ascending order, until it breaks.
    ///
    /// The key has that many. Nothing else is looked at but empty slots beside.
    pub(in crate::routing) fn under<B>(
        &self,
        key: u128,
        symbols: usize,
        call: &mut impl FnMut(u128, Match) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if symbols == 0
            && let Some(found) = self.short_match(self.root_best)
        {
            call(0, found)?;
        }
        self.child(self.root, 0, 0, Beginning { key: truncated(key, symbols), symbols }, call)
    }

    fn child<B>(
        &self,
        child: u32,
        above: u128,
        depth: usize,
        within: Beginning,
        call: &mut impl FnMut(u128, Match) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if child == 0 {
            return ControlFlow::Continue(());
        }
        if child & RUN != 0 {
            return self.run((child & !RUN) as usize, above, depth, within, call);
        }
        let Some(node) = self.nodes.get(child as usize - 1) else { return ControlFlow::Continue(()) };
        let (skip, stride) = (usize::from(node.skip_symbols), usize::from(node.stride));
        // No more than a byte holds: both come from one.
        if differs(within.key << (4 * depth), node.skip, within.fixed(depth, skip) as u8) {
            return ControlFlow::Continue(());
        }
        let above = above | (u128::from(node.skip) << 64) >> (4 * depth);
        let depth = depth + skip;
        let below = depth + stride;
        let fixed = within.fixed(depth, stride);
        let first = match fixed {
            0 => 0,
            _ => ((within.key << (4 * depth)) >> (128 - 4 * fixed)) as usize,
        };
        let free = 4 * (stride - fixed);
        for index in first << free..(first + 1) << free {
            let slot = node.base as usize + index;
            let key = above | (index as u128) << (128 - 4 * below);
            // A rule that ends in this node is the best of many slots; the one whose symbols are its own stands for it.
            if let Some(found) = self.short_match(self.best(slot))
                && found.symbols == key_length(key)
                && found.symbols >= within.symbols
                && (found.symbols > depth || (index == 0 && found.symbols == depth && skip > 0))
            {
                call(key, found)?;
            }
            self.child(self.children.get(slot).copied().unwrap_or(0), key, below, within, call)?;
        }
        ControlFlow::Continue(())
    }

    fn run<B>(
        &self,
        run: usize,
        above: u128,
        depth: usize,
        within: Beginning,
        call: &mut impl FnMut(u128, Match) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(run) = self.runs.get(run) else { return ControlFlow::Continue(()) };
        let skip = usize::from(run.skip_symbols);
        if differs(within.key << (4 * depth), self.skip_of(run), within.fixed(depth, skip) as u8) {
            return ControlFlow::Continue(());
        }
        let above = above | (u128::from(self.skip_of(run)) << 64) >> (4 * depth);
        let depth = depth + skip;
        let wanted = (within.symbols > depth).then(|| nibble(within.key, depth));
        let mut start = 0;
        for (symbol, end) in (1_u8..).zip(run.ends) {
            let keys = start..end;
            start = end;
            if wanted.is_some_and(|wanted| wanted != symbol) {
                continue;
            }
            for index in keys {
                let width = if run.flags & WIDE != 0 { 2 } else { 1 };
                let at = run.base as usize + usize::from(index) * width;
                let word = |at: usize| self.words.get(at).copied().unwrap_or_default();
                let packed = match width {
                    2 => u128::from(word(at)) << 64 | u128::from(word(at + 1)),
                    _ => u128::from(word(at) & !VALUE) << 64 | u128::from(word(at) & VALUE),
                };
                let first = u128::from(symbol) << (124 - 4 * depth);
                let key = above | first | (packed & !WIDE_VALUE) >> (4 * (depth + 1));
                if truncated(key, within.symbols) == within.key {
                    let value = (packed & WIDE_VALUE) as u32;
                    call(key, Match { symbols: key_length(key), value, spot: at as u32 })?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}
