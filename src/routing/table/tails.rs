//! What follows the literal beginning of a prefix with ranges, sets or wildcards: small graphs of sets of symbols.
//!
//! A range is never written out: `[0000000-9999999]` is seven edges. At a node the more specific sets come first, so
//! the first way that leads to an end is the most specific one. For each set the digits that go on alike share an edge.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use foldhash::fast::RandomState;

use super::super::prefixes::{Allowed, Conflict, Pattern, Prefix, State, rank};
use super::super::symbols::{DIGITS, Dialled, END, MAX_PREFIX_SYMBOLS};

/// A rule with ranges, sets or wildcards on its way into [`Tails`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    pub head: u128,
    pub head_symbols: u8,
    pub start: u32,
    pub length: u16,
    pub value: u32,
    pub origin: u32,
}

/// A rule as it is kept: its text and what it leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    start: u32,
    length: u16,
    pub value: u32,
    pub origin: u32,
}

/// The rules of one beginning: their graph, and which rules they are.
#[derive(Clone, Copy, Debug)]
struct Head {
    node: u32,
    first: u32,
    count: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    edges: u32,
    ends: u32,
    edge_count: u16,
    end_count: u16,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    symbols: u16,
    child: u32,
}

/// The tails of a layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Tails {
    heads: Box<[Head]>,
    nodes: Box<[Node]>,
    edges: Box<[Edge]>,
    /// Rules that end at a node, the most specific first.
    ends: Box<[u32]>,
    rules: Box<[Kept]>,
    text: Box<str>,
}

/// The sets that a number met on its way through a rule.
pub(in crate::routing) type Path = [Allowed; MAX_PREFIX_SYMBOLS + 1];

impl Tails {
    /// Packs rules whose texts lie in `text`; the heads come back in ascending order, the index of each is its tail's.
    pub(super) fn pack(
        mut raw: Vec<Raw>,
        text: String,
        same: &impl Fn(u32, u32) -> bool,
        conflicts: &mut Vec<Conflict>,
    ) -> (Self, Vec<u128>) {
        raw.sort_unstable_by_key(|rule| (rule.head, rule.origin));
        let mut packer = Packer { conflicts: HashSet::default(), ..Packer::default() };
        let mut keys = Vec::new();
        let mut heads = Vec::new();
        for group in raw.chunk_by(|a, b| a.head == b.head) {
            let Some(one) = group.first() else { continue };
            let first = packer.rules.len();
            packer.patterns.clear();
            let mut seen = HashSet::with_hasher(RandomState::default());
            for rule in group {
                let kept = Kept { start: rule.start, length: rule.length, value: rule.value, origin: rule.origin };
                // Each was read before it came here.
                if let Some(pattern) = read(&text, &kept)
                    && seen.insert((pattern.clone(), rule.value))
                {
                    packer.patterns.push(pattern);
                    packer.rules.push(kept);
                }
            }
            let states: Vec<(u32, State)> = (0..packer.patterns.len() as u32)
                .map(|index| (index, State::at(usize::from(one.head_symbols))))
                .collect();
            packer.memo.clear();
            packer.first = first;
            let node = packer.node(&states, same);
            keys.push(one.head);
            heads.push(Head { node, first: first as u32, count: (packer.rules.len() - first) as u32 });
        }
        let mut found: Vec<Conflict> = packer.conflicts.into_iter().collect();
        found.sort_unstable_by_key(|conflict| (conflict.dropped, conflict.kept));
        conflicts.extend(found);
        let tails = Self {
            heads: heads.into(),
            nodes: packer.nodes.into(),
            edges: packer.edges.into(),
            ends: packer.ends.into(),
            rules: packer.rules.into(),
            text: text.into(),
        };
        (tails, keys)
    }

    /// Calls back with every rule of a head that the rest of the number fits and that is not `dead`, the most specific
    /// first, and how many symbols it covers, until it breaks.
    pub(super) fn each<B>(
        &self,
        head: u32,
        number: &Dialled,
        at: usize,
        dead: &impl Fn(u32, &Kept) -> bool,
        call: &mut impl FnMut(u32, &Kept, usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(head) = self.heads.get(head as usize) else { return ControlFlow::Continue(()) };
        self.walk(head.node, number, at, dead, call)
    }

    fn walk<B>(
        &self,
        node: u32,
        number: &Dialled,
        at: usize,
        dead: &impl Fn(u32, &Kept) -> bool,
        call: &mut impl FnMut(u32, &Kept, usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let bit = 1_u16 << number.symbol(at) & !1;
        for edge in self.edges_of(node) {
            if edge.symbols & bit != 0 {
                self.walk(edge.child, number, at + 1, dead, call)?;
            }
        }
        for (rule, kept) in self.ends_of(node) {
            if !dead(rule, kept) {
                call(rule, kept, at)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn edges_of(&self, node: u32) -> &[Edge] {
        let node = self.nodes.get(node as usize).copied().unwrap_or_default();
        let first = node.edges as usize;
        self.edges.get(first..first + usize::from(node.edge_count)).unwrap_or_default()
    }

    /// The rules that end at a node, the most specific first.
    fn ends_of(&self, node: u32) -> impl Iterator<Item = (u32, &Kept)> {
        let node = self.nodes.get(node as usize).copied().unwrap_or_default();
        let first = node.ends as usize;
        let ends = self.ends.get(first..first + usize::from(node.end_count)).unwrap_or_default();
        ends.iter().filter_map(|rule| Some((*rule, self.rules.get(*rule as usize)?)))
    }

    /// Whether a rule that is not dead has more digits than the number, which fits its beginning.
    ///
    /// Of `steps` one is used up at each node; when none is left, the answer is no.
    pub(super) fn goes_on(
        &self,
        head: u32,
        number: &Dialled,
        at: usize,
        dead: &impl Fn(u32, &Kept) -> bool,
        steps: &mut usize,
    ) -> bool {
        self.heads.get(head as usize).is_some_and(|head| self.ends_later(head.node, number, at, dead, steps))
    }

    fn ends_later(
        &self,
        node: u32,
        number: &Dialled,
        at: usize,
        dead: &impl Fn(u32, &Kept) -> bool,
        steps: &mut usize,
    ) -> bool {
        let Some(left) = steps.checked_sub(1) else { return false };
        *steps = left;
        let wanted = match at.cmp(&number.length) {
            Ordering::Less => 1_u16 << number.symbol(at),
            Ordering::Equal => DIGITS,
            Ordering::Greater => DIGITS | 1 << END,
        };
        (at > number.length && self.ends_of(node).any(|(rule, kept)| !dead(rule, kept)))
            || self
                .edges_of(node)
                .iter()
                .any(|edge| edge.symbols & wanted != 0 && self.ends_later(edge.child, number, at + 1, dead, steps))
    }

    /// Calls back with rules that the number leaves behind its first `least` symbols, those it leaves last among the
    /// first, until it breaks; a rule may come more than once.
    pub(super) fn each_left<B>(
        &self,
        head: u32,
        number: &Dialled,
        at: usize,
        least: usize,
        call: &mut impl FnMut(u32, &Kept) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(head) = self.heads.get(head as usize) else { return ControlFlow::Continue(()) };
        self.left(head.node, number, at, least, call)
    }

    fn left<B>(
        &self,
        node: u32,
        number: &Dialled,
        at: usize,
        least: usize,
        call: &mut impl FnMut(u32, &Kept) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let bit = 1_u16 << number.symbol(at) & !1;
        let edges = self.edges_of(node);
        for edge in edges.iter().filter(|edge| edge.symbols & bit != 0) {
            self.left(edge.child, number, at + 1, least, call)?;
        }
        if at >= least {
            for edge in edges.iter().filter(|edge| edge.symbols & bit == 0) {
                self.all(edge.child, call)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn all<B>(&self, node: u32, call: &mut impl FnMut(u32, &Kept) -> ControlFlow<B>) -> ControlFlow<B> {
        for (rule, kept) in self.ends_of(node) {
            call(rule, kept)?;
        }
        self.edges_of(node).iter().try_for_each(|edge| self.all(edge.child, call))
    }

    /// The rules of a head.
    pub(super) fn of_head(&self, head: u32) -> impl Iterator<Item = (u32, &Kept)> {
        let (first, count) = self.heads.get(head as usize).map_or((0, 0), |head| (head.first, head.count));
        let rules = self.rules.get(first as usize..(first + count) as usize).unwrap_or_default();
        (first..).zip(rules)
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = (u32, &Kept)> {
        (0..).zip(&self.rules)
    }

    pub(super) fn get(&self, rule: u32) -> Option<&Kept> {
        self.rules.get(rule as usize)
    }

    /// The text of a rule, as it was written.
    pub(super) fn text(&self, kept: &Kept) -> &str {
        slice(&self.text, kept)
    }

    pub(super) fn pattern(&self, kept: &Kept) -> Option<Pattern> {
        read(&self.text, kept)
    }

    /// The sets that the number, which fits, meets in a rule, and how many numbers the rule stands for.
    pub(super) fn path(&self, rule: u32, number: &Dialled) -> (Path, u128) {
        let mut path = [0; MAX_PREFIX_SYMBOLS + 1];
        let Some(pattern) = self.get(rule).and_then(|kept| self.pattern(kept)) else {
            return (path, 0);
        };
        let mut state = State::at(0);
        for (index, slot) in path.iter_mut().enumerate() {
            let Some(allowed) = state.allowed(&pattern) else { break };
            *slot = allowed;
            state = state.next(&pattern, number.symbol(index));
        }
        (path, pattern.size())
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.heads)
            + size_of_val(&*self.nodes)
            + size_of_val(&*self.edges)
            + size_of_val(&*self.ends)
            + size_of_val(&*self.rules)
            + self.text.len()
    }
}

fn slice<'a>(text: &'a str, kept: &Kept) -> &'a str {
    let start = kept.start as usize;
    text.get(start..start + usize::from(kept.length)).unwrap_or_default()
}

fn read(text: &str, kept: &Kept) -> Option<Pattern> {
    match Prefix::read(slice(text, kept), false) {
        Ok(Prefix::Pattern(pattern)) => Some(pattern),
        Ok(Prefix::Literal(_) | Prefix::Identity(_)) | Err(_) => None,
    }
}

/// Compares two paths by the order of the module `prefixes`: less is more specific.
pub(in crate::routing) fn compare(a: &(Path, u128), b: &(Path, u128)) -> Ordering {
    for (one, other) in a.0.iter().zip(&b.0) {
        let order = match (*one, *other) {
            (0, 0) => break,
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            (one, other) => rank(one).cmp(&rank(other)),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.1.cmp(&b.1)
}

#[derive(Default)]
struct Packer {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    ends: Vec<u32>,
    rules: Vec<Kept>,
    conflicts: HashSet<Conflict, RandomState>,
    /// Of the head at work: its rules' patterns, the first of them, and the nodes that were made.
    patterns: Vec<Pattern>,
    first: usize,
    memo: HashMap<Vec<(u32, State)>, u32, RandomState>,
}

impl Packer {
    fn node(&mut self, states: &[(u32, State)], same: &impl Fn(u32, u32) -> bool) -> u32 {
        if let Some(known) = self.memo.get(states) {
            return *known;
        }
        let mut sets: Vec<Allowed> = Vec::new();
        let mut ended: Vec<u32> = Vec::new();
        for (index, state) in states {
            let Some(pattern) = self.patterns.get(*index as usize) else { continue };
            match state.allowed(pattern) {
                Some(set) => sets.push(set),
                None => ended.push(*index),
            }
        }
        sets.sort_unstable_by_key(|set| rank(*set));
        sets.dedup();
        let mut edges: Vec<Edge> = Vec::new();
        for set in sets {
            // What the symbols of the set lead to; symbols that lead to the same share an edge.
            let mut next: Vec<(u16, Vec<(u32, State)>)> = Vec::new();
            for symbol in 1..=14_u8 {
                if set >> symbol & 1 == 0 {
                    continue;
                }
                let of_set = |(index, state): &(u32, State)| {
                    let pattern = self.patterns.get(*index as usize)?;
                    (state.allowed(pattern) == Some(set)).then(|| (*index, state.next(pattern, symbol)))
                };
                let list: Vec<(u32, State)> = states.iter().filter_map(of_set).collect();
                match next.iter_mut().find(|(_, known)| *known == list) {
                    Some((symbols, _)) => *symbols |= 1 << symbol,
                    None => next.push((1 << symbol, list)),
                }
            }
            for (symbols, list) in next {
                let child = self.node(&list, same);
                edges.push(Edge { symbols, child });
            }
        }
        let ends = self.end(&ended, same);
        // A head's graph is as large as its rules are long; 32 bits index more than fit into memory.
        let node = Node {
            edges: self.edges.len() as u32,
            ends: self.ends.len() as u32,
            edge_count: edges.len() as u16,
            end_count: ends.len().min(usize::from(u16::MAX)) as u16,
        };
        self.edges.extend(edges);
        self.ends.extend(ends);
        self.nodes.push(node);
        let id = (self.nodes.len() - 1) as u32;
        self.memo.insert(states.to_vec(), id);
        id
    }

    /// The rules that end at a node, in order; those that nothing tells apart are conflicts.
    fn end(&mut self, ended: &[u32], same: &impl Fn(u32, u32) -> bool) -> Vec<u32> {
        let mut list: Vec<(u128, u32, u32, u32)> = Vec::with_capacity(ended.len());
        for index in ended {
            let rule = self.first + *index as usize;
            if let (Some(pattern), Some(kept)) = (self.patterns.get(*index as usize), self.rules.get(rule)) {
                list.push((pattern.size(), kept.origin, kept.value, rule as u32));
            }
        }
        list.sort_unstable();
        for pair in list.windows(2) {
            if let [(size, kept, one, _), (other_size, dropped, other, _)] = pair
                && size == other_size
                && !same(*one, *other)
            {
                self.conflicts.insert(Conflict { kept: *kept, dropped: *dropped });
            }
        }
        list.into_iter().map(|(.., rule)| rule).collect()
    }
}
