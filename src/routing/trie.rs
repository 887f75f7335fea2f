//! A digit trie packed into one flat array: longest prefix without an allocation.
//!
//! A node is a bitmap of the symbols that go on, the index of its first child, and a value. Nodes lie breadth first, so
//! that the children of a node are neighbours and the n-th child is found by counting the bits below its symbol.

/// The longest prefix that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// How many symbols of the number the prefix covers.
    pub symbols: usize,
    pub value: u32,
}

/// Twelve bytes; the alignment leaves two of them unused.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Index of the child of the lowest symbol in `bitmap`.
    base: u32,
    /// The value plus one; zero: no prefix ends here.
    value: u32,
    bitmap: u16,
}

/// Prefixes with a value each.
#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    nodes: Box<[Node]>,
}

impl Trie {
    /// Packs prefixes, given in ascending order and without a repetition, as symbols below 16.
    ///
    /// `None` when the nodes would outgrow their 32-bit indices.
    pub(super) fn pack(prefixes: &[(&[u8], u32)]) -> Option<Self> {
        let mut nodes = vec![Node::default()];
        // One level after the other: (first prefix, end, in the order of the nodes of that level).
        let mut level = vec![prefixes];
        let mut depth = 0;
        let mut at = 0;
        while !level.is_empty() {
            let mut below = Vec::new();
            for mut here in level {
                let base = u32::try_from(nodes.len()).ok()?;
                let node = nodes.get_mut(at)?;
                at += 1;
                if let Some(((prefix, value), rest)) = here.split_first()
                    && prefix.len() == depth
                {
                    node.value = value.checked_add(1)?;
                    here = rest;
                }
                node.base = base;
                let mut children = 0;
                while let Some(symbol) = here.first().and_then(|(prefix, _)| prefix.get(depth)) {
                    let same = here.partition_point(|(prefix, _)| prefix.get(depth) <= Some(symbol));
                    let (child, rest) = here.split_at(same);
                    node.bitmap |= 1 << symbol;
                    below.push(child);
                    children += 1;
                    here = rest;
                }
                nodes.resize(nodes.len() + children, Node::default());
            }
            level = below;
            depth += 1;
        }
        Some(Self { nodes: nodes.into_boxed_slice() })
    }

    /// The longest prefix of the symbols.
    pub(super) fn longest(&self, symbols: impl Iterator<Item = u8>) -> Option<Match> {
        let mut node = self.nodes.first()?;
        let mut best = value(node, 0);
        for (index, symbol) in symbols.enumerate() {
            let bit = 1_u16.checked_shl(u32::from(symbol)).unwrap_or(0);
            if node.bitmap & bit == 0 {
                break;
            }
            let before = (node.bitmap & (bit - 1)).count_ones();
            // The builder laid the child there; `break` instead of a panic should that ever be untrue.
            let Some(child) = self.nodes.get((node.base + before) as usize) else {
                break;
            };
            node = child;
            best = value(node, index + 1).or(best);
        }
        best
    }

    /// How much memory the nodes take, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        std::mem::size_of_val(&*self.nodes)
    }
}

fn value(node: &Node, symbols: usize) -> Option<Match> {
    node.value.checked_sub(1).map(|value| Match { symbols, value })
}
