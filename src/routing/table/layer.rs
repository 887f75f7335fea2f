//! The rules of one dial plan, packed: what is only symbols lies in the trie, what has ranges hangs from it as a tail.

use std::sync::Arc;

use super::super::Destination;
use super::super::plan::Source;
use super::super::prefixes::{Conflict, Prefix, PrefixError, literal};
use super::super::symbols::{Dialled, key_length, truncated};
use super::super::trie::{Entry, Key, Trie};
use super::identities::{Identities, Named};
use super::sources::Sources;
use super::tails::{Raw, Tails};
use super::values::{Growing, NO_TAG, Value, Values};

/// Which rule of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::routing) enum At {
    Literal(u32),
    Tail(u32),
    Identity(u32),
    /// A rule that does not answer as long as another does: inactive, or one more owner's.
    Other(u32),
}

/// A rule that a number fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::routing) struct Hit {
    /// How many symbols the rule covers.
    pub symbols: usize,
    /// How many symbols it begins with that leave no choice.
    pub literal: usize,
    pub value: u32,
    pub at: At,
}

/// A rule that is kept aside.
#[derive(Clone, Debug)]
pub(super) struct Other {
    /// In the one form that a prefix has.
    pub prefix: Box<str>,
    pub value: u32,
    pub origin: u32,
    pub active: bool,
}

/// A rule, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::routing) struct Seen<'a> {
    pub at: At,
    pub tag: &'a str,
    pub owner: &'a str,
    pub active: bool,
    pub origin: u32,
}

/// The packed rules of one dial plan.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Layer {
    trie: Trie,
    tails: Tails,
    identities: Identities,
    pub(in crate::routing) values: Values,
    /// Ascending by prefix.
    others: Box<[Other]>,
    rules: usize,
}

impl Layer {
    /// How many rules it holds, a range counted once.
    pub(in crate::routing) const fn len(&self) -> usize {
        self.rules
    }

    /// The most specific rule of a user part that is not `dead`, which is asked with a rule and its owner.
    pub(in crate::routing) fn find(
        &self,
        user: &[u8],
        number: &Dialled,
        dead: &impl Fn(At, u32) -> bool,
    ) -> Option<Hit> {
        if !self.identities.is_empty()
            && let Some(found) = self.identities.find(user)
        {
            let at = At::Identity(found.index);
            if !dead(at, self.owner(found.value)) {
                return Some(Hit { symbols: number.length, literal: usize::MAX, value: found.value, at });
            }
        }
        let mut key = number.head;
        loop {
            let found = self.trie.longest(key)?;
            let value = self.values.get(found.value)?;
            if let Some(head) = value.tail.checked_sub(1) {
                let dead = |rule: u32, kept: &super::tails::Kept| dead(At::Tail(rule), self.owner(kept.value));
                if let Some((rule, symbols)) = self.tails.find(head, number, found.symbols, &dead) {
                    let value = self.tails.get(rule)?.value;
                    let symbols = symbols.min(number.length);
                    return Some(Hit { symbols, literal: found.symbols, value, at: At::Tail(rule) });
                }
            }
            let at = At::Literal(found.spot);
            if value.tag != NO_TAG && !dead(at, value.owner) {
                let symbols = found.symbols.min(number.length);
                return Some(Hit { symbols, literal: found.symbols, value: found.value, at });
            }
            key = truncated(key, found.symbols.checked_sub(1)?);
        }
    }

    pub(in crate::routing) fn owner_text(&self, value: u32) -> &str {
        self.values.owners.get(self.owner(value))
    }

    fn owner(&self, value: u32) -> u32 {
        self.values.get(value).map_or(NO_TAG, |value| value.owner)
    }

    /// The sets that a number meets in the rule of a hit, see [`super::tails::compare`].
    pub(in crate::routing) fn path(&self, hit: &Hit, number: &Dialled) -> Option<(super::tails::Path, u128)> {
        match hit.at {
            At::Tail(rule) => Some(self.tails.path(rule, number)),
            _ => None,
        }
    }

    fn seen(&self, at: At, value: u32, origin: u32, active: bool) -> Option<Seen<'_>> {
        let Value { tag, owner, .. } = self.values.get(value)?;
        let (tag, owner) = (self.values.tags.get(tag), self.values.owners.get(owner));
        Some(Seen { at, tag, owner, active, origin })
    }

    /// All rules of a prefix, whoever owns them.
    pub(super) fn of_prefix(&self, prefix: &Prefix) -> Vec<Seen<'_>> {
        let mut list = Vec::new();
        match prefix {
            Prefix::Literal(key) => {
                if let Some(found) = self.trie.exact(*key)
                    && self.values.get(found.value).is_some_and(|value| value.tag != NO_TAG)
                {
                    let origin = self.trie.origin(found.spot).unwrap_or_default();
                    list.extend(self.seen(At::Literal(found.spot), found.value, origin, true));
                }
            }
            Prefix::Pattern(pattern) => {
                let (head, _) = pattern.head();
                let found = self.trie.exact(head).and_then(|found| self.values.get(found.value));
                let tail = found.and_then(|value| value.tail.checked_sub(1));
                for (rule, kept) in tail.into_iter().flat_map(|head| self.tails.of_head(head)) {
                    if self.tails.pattern(kept).as_ref() == Some(pattern) {
                        list.extend(self.seen(At::Tail(rule), kept.value, kept.origin, true));
                    }
                }
            }
            Prefix::Identity(text) => {
                if let Some(found) = self.identities.exact(text.as_bytes()) {
                    list.extend(self.seen(At::Identity(found.index), found.value, found.origin, true));
                }
            }
        }
        if !self.others.is_empty() {
            let text = prefix.to_string();
            let first = self.others.partition_point(|other| *other.prefix < *text);
            for (index, other) in (0_u32..).zip(&self.others).skip(first) {
                if *other.prefix != *text {
                    break;
                }
                list.extend(self.seen(At::Other(index), other.value, other.origin, other.active));
            }
        }
        list
    }

    /// Calls back with every rule: its prefix as text and the rest; the order is that of the parts of the layer.
    pub(in crate::routing) fn for_each(&self, mut call: impl FnMut(&str, Seen<'_>)) {
        use std::fmt::Write as _;
        let mut text = String::new();
        self.trie.for_each(|key, found| {
            if self.values.get(found.value).is_some_and(|value| value.tag != NO_TAG) {
                text.clear();
                let _ = write!(text, "{}", Prefix::Literal(key));
                let origin = self.trie.origin(found.spot).unwrap_or_default();
                if let Some(seen) = self.seen(At::Literal(found.spot), found.value, origin, true) {
                    call(&text, seen);
                }
            }
        });
        for (rule, kept) in self.tails.rules() {
            if let Some(seen) = self.seen(At::Tail(rule), kept.value, kept.origin, true) {
                call(self.tails.text(kept), seen);
            }
        }
        for (name, found) in self.identities.iter() {
            if let Some(seen) = self.seen(At::Identity(found.index), found.value, found.origin, true) {
                call(&Prefix::Identity(name.into()).to_string(), seen);
            }
        }
        for (index, other) in (0..).zip(&self.others) {
            if let Some(seen) = self.seen(At::Other(index), other.value, other.origin, other.active) {
                call(&other.prefix, seen);
            }
        }
    }

    /// The rules that are kept aside.
    pub(super) fn others(&self) -> impl Iterator<Item = (&Other, Seen<'_>)> {
        (0..).zip(&self.others).filter_map(|(index, other)| {
            Some((other, self.seen(At::Other(index), other.value, other.origin, other.active)?))
        })
    }

    /// The prefix of a rule that was hit, as text.
    pub(in crate::routing) fn prefix_text(&self, at: At, symbols_of: &Dialled, literal: usize) -> String {
        match at {
            At::Literal(_) => Prefix::Literal(truncated(symbols_of.head, literal)).to_string(),
            At::Tail(rule) => self.tails.get(rule).map(|kept| self.tails.text(kept).to_owned()).unwrap_or_default(),
            At::Identity(index) => {
                let name = self.identities.get(index).map(|(name, _)| name).unwrap_or_default();
                Prefix::Identity(name.into()).to_string()
            }
            At::Other(index) => {
                self.others.get(index as usize).map(|other| other.prefix.to_string()).unwrap_or_default()
            }
        }
    }

    /// The origin that a rule came with.
    pub(in crate::routing) fn origin(&self, at: At) -> Option<u32> {
        match at {
            At::Literal(spot) => self.trie.origin(spot),
            At::Tail(rule) => self.tails.get(rule).map(|kept| kept.origin),
            At::Identity(index) => self.identities.get(index).map(|(_, origin)| origin),
            At::Other(index) => self.others.get(index as usize).map(|other| other.origin),
        }
    }

    /// How much memory it takes, in bytes.
    pub(in crate::routing) fn bytes(&self) -> usize {
        let others: usize = self.others.iter().map(|other| size_of::<Other>() + other.prefix.len()).sum();
        self.trie.bytes() + self.tails.bytes() + self.identities.bytes() + self.values.bytes() + others
    }
}

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
    debug_assert!(
        entries.iter().all(|entry| key_length(entry.key.whole()) <= super::super::prefixes::MAX_HEAD_SYMBOLS)
    );
    // `Rules::add_rule` lets no more values in than the trie takes, and memory ends before 2^30 rules.
    (Trie::pack(&entries).unwrap_or_default(), rules, head_values)
}
