//! Rules on their way to a layer: read one by one, then packed.

use std::sync::Arc;

use super::super::super::Destination;
use super::super::super::plan::Source;
use super::super::super::prefixes::{Conflict, MAX_HEAD_SYMBOLS, Prefix, PrefixError, literal};
use super::super::super::symbols::key_length;
use super::super::super::trie::{Entry, Key, Trie};
use super::super::identities::{Identities, Named};
use super::super::sources::Sources;
use super::super::tails::{Raw, Tails};
use super::super::values::{Growing, NO_TAG, Value};
use super::{Layer, Other};

/// A rule as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    pub prefix: &'a str,
    pub tag: &'a str,
    /// Whose it is; may be empty.
    pub owner: &'a str,
    /// An inactive rule is kept, but answers nothing.
    pub active: bool,
}

/// The rules of one dial plan on their way to a [`crate::routing::Plan`].
#[derive(Clone, Debug, Default)]
pub struct Rules {
    literals: Vec<Entry<u64>>,
    long: Vec<Entry<u128>>,
    tails: Vec<Raw>,
    text: String,
    identities: Vec<Named>,
    others: Vec<Other>,
    growing: Growing,
    limit: usize,
    normalize: bool,
    sources: Sources,
}

impl Rules {
    /// No rules yet; `limit` is how many are taken, a range counted once.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Says that a leading `+` is not to count, neither of prefixes nor of numbers.
    #[must_use]
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// Says where origins from `first` on were written: in lines of a file, of which the first is `line`.
    pub fn source(&mut self, first: u32, file: Arc<str>, line: u32) {
        self.sources.add(first, Source::File(file, line));
    }

    pub(in crate::routing) fn take_sources(&mut self) -> Sources {
        std::mem::take(&mut self.sources)
    }

    /// Whether a leading `+` does not count.
    pub const fn is_normalized(&self) -> bool {
        self.normalize
    }

    /// Adds an active rule without an owner; `origin` is handed back in a [`Conflict`].
    ///
    /// Returns true when the tag was not seen before.
    pub fn add(&mut self, prefix: &str, tag: &str, origin: u32) -> Result<bool, PrefixError> {
        self.add_rule(Rule { prefix, tag, owner: "", active: true }, origin)
    }

    /// Adds a rule, see [`Rules::add`].
    pub fn add_rule(&mut self, rule: Rule<'_>, origin: u32) -> Result<bool, PrefixError> {
        if self.len() >= self.limit {
            return Err(PrefixError::Full(self.limit));
        }
        // What most rules are, without a detour.
        let plain = if self.normalize { rule.prefix.strip_prefix('+').unwrap_or(rule.prefix) } else { rule.prefix };
        let prefix = match literal(plain.as_bytes()) {
            Some(key) => Prefix::Literal(key),
            None => Prefix::read(plain, false)?,
        };
        // Each tail may need a value of its own for its beginning.
        let added = self.growing.add(rule.tag, rule.owner, self.tails.len() + 1);
        let (value, is_new) = added.ok_or(PrefixError::Full(self.len()))?;
        if !rule.active {
            self.others.push(Other { prefix: prefix.to_string().into(), value, origin, active: false });
            return Ok(is_new);
        }
        match prefix {
            Prefix::Literal(key) if key as u64 == 0 => {
                self.literals.push(Entry { key: (key >> 64) as u64, value, origin });
            }
            Prefix::Literal(key) => self.long.push(Entry { key, value, origin }),
            Prefix::Pattern(pattern) => {
                let (head, head_symbols) = pattern.head();
                // A text that is read as a pattern has a position for three bytes or less... of at most 65 positions.
                let length = u16::try_from(plain.len()).map_err(|_| PrefixError::TooLong)?;
                let start = u32::try_from(self.text.len()).map_err(|_| PrefixError::Full(self.len()))?;
                self.text.push_str(plain);
                let head_symbols = head_symbols as u8;
                self.tails.push(Raw { head, head_symbols, start, length, value, origin });
            }
            Prefix::Identity(text) => self.identities.push(Named { text, value, origin }),
        }
        Ok(is_new)
    }

    /// How many rules there are, a range counted once.
    pub const fn len(&self) -> usize {
        self.literals.len() + self.long.len() + self.tails.len() + self.identities.len() + self.others.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Packs the layer; `resolve` tells where a tag leads.
    ///
    /// Of rules for one prefix that lead to different places the first stays, and each pair comes back as a conflict.
    pub(in crate::routing) fn pack(self, resolve: impl Fn(&str) -> Option<Destination>) -> (Layer, Vec<Conflict>) {
        let Self { literals, long, tails, text, identities, mut others, growing, .. } = self;
        let Growing { mut values, .. } = growing;
        values.destinations = values.tags.iter().map(resolve).collect();
        let mut conflicts = Vec::new();
        let tag = |value: u32| values.list.get(value as usize).map_or(NO_TAG, |value| value.tag);
        let lead = |tag: u32| values.destinations.get(tag as usize).copied().flatten();
        let same = |a: u32, b: u32| {
            let (a, b) = (tag(a), tag(b));
            a == b || (lead(a).is_some() && lead(a) == lead(b))
        };
        let (tails, heads) = Tails::pack(tails, text, &same, &mut conflicts);
        let (identities, more) = Identities::pack(identities, &same, &mut conflicts);
        let aside =
            |prefix: Prefix, value, origin| Other { prefix: prefix.to_string().into(), value, origin, active: true };
        others.extend(more.into_iter().map(|other| aside(Prefix::Identity(other.text), other.value, other.origin)));
        let first_head = values.list.len() as u32;
        let mut twice = Vec::new();
        let is_long = !long.is_empty() || heads.iter().any(|head| *head as u64 != 0);
        let (trie, literals, head_values) = if is_long {
            let widen = |entry: Entry<u64>| Entry { key: entry.key.whole(), value: entry.value, origin: entry.origin };
            let mut all = long;
            all.extend(literals.into_iter().map(widen));
            let twice = Twice { same: &same, others: &mut twice, conflicts: &mut conflicts };
            packed(all, &heads, first_head, |key| key, twice, &values.list)
        } else {
            let twice = Twice { same: &same, others: &mut twice, conflicts: &mut conflicts };
            packed(literals, &heads, first_head, |key| (key >> 64) as u64, twice, &values.list)
        };
        values.list.extend(head_values);
        values.list.shrink_to_fit();
        others.extend(twice.into_iter().map(|(key, value, origin)| aside(Prefix::Literal(key), value, origin)));
        others.sort_by(|a, b| {
            let key = |other: &Other| (other.value, !other.active, other.origin);
            a.prefix.cmp(&b.prefix).then_with(|| key(a).cmp(&key(b)))
        });
        // A rule of one owner that is there several times is one rule.
        others.dedup_by(|later, first| {
            (&later.prefix, later.value, later.active) == (&first.prefix, first.value, first.active)
        });
        let others: Box<[Other]> = others.into();
        let rules = literals + tails.rules().count() + identities.iter().count() + others.len();
        let layer = Layer { trie, tails, identities, values, others, rules };
        (layer, conflicts)
    }
}

/// What becomes of a second rule for a prefix.
struct Twice<'a, F> {
    same: &'a F,
    others: &'a mut Vec<(u128, u32, u32)>,
    conflicts: &'a mut Vec<Conflict>,
}

/// Sorts the entries, takes out what is there twice, puts in the heads of tails, and packs the trie. It comes back
/// with the number of its rules and the heads' values, whose indices begin at `first_head`.
fn packed<K: Key>(
    mut entries: Vec<Entry<K>>,
    heads: &[u128],
    first_head: u32,
    cut: impl Fn(u128) -> K,
    twice: Twice<'_, impl Fn(u32, u32) -> bool>,
    values: &[Value],
) -> (Trie, usize, Vec<Value>) {
    entries.sort_unstable_by_key(|entry| (entry.key, entry.origin));
    entries.dedup_by(|later, first| {
        if later.key != first.key {
            return false;
        }
        if !(twice.same)(first.value, later.value) {
            twice.conflicts.push(Conflict { kept: first.origin, dropped: later.origin });
        } else if first.value != later.value {
            twice.others.push((later.key.whole(), later.value, later.origin));
        }
        true
    });
    let rules = entries.len();
    let mut head_values = Vec::with_capacity(heads.len());
    let mut fresh = Vec::new();
    for (tail, head) in (1..).zip(heads) {
        let value = first_head + tail - 1;
        let key = cut(*head);
        match entries.binary_search_by_key(&key, |entry| entry.key) {
            Ok(index) => {
                let Some(entry) = entries.get_mut(index) else { continue };
                let known = values.get(entry.value as usize).copied();
                head_values.push(Value { tail, ..known.unwrap_or(Value { tag: NO_TAG, owner: NO_TAG, tail }) });
                entry.value = value;
            }
            Err(_) => {
                head_values.push(Value { tag: NO_TAG, owner: NO_TAG, tail });
                fresh.push(Entry { key, value, origin: 0 });
            }
        }
    }
    if !fresh.is_empty() {
        entries.append(&mut fresh);
        entries.sort_unstable_by_key(|entry| entry.key);
    }
    debug_assert!(entries.iter().all(|entry| key_length(entry.key.whole()) <= MAX_HEAD_SYMBOLS));
    // `Rules::add_rule` lets no more values in than the trie takes, and memory ends before 2^30 rules.
    (Trie::pack(&entries).unwrap_or_default(), rules, head_values)
}
