//! The rules of one dial plan, packed: what is only symbols lies in the trie, what has ranges hangs from it as a tail.

mod incomplete;
mod near;
mod rules;

use std::ops::ControlFlow;

use super::super::prefixes::Prefix;
use super::super::symbols::{Dialled, truncated};
use super::super::trie::Trie;
use super::identities::Identities;
use super::tails::Tails;
use super::values::{NO_TAG, Value, Values};

pub(in crate::routing) use near::{Dead, Miss};
pub use rules::{Rule, Rules};

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
        self.each(user, number, dead, &mut ControlFlow::Break).break_value()
    }

    /// Calls back with every rule of a user part that is not `dead`, the most specific first, until it breaks.
    pub(in crate::routing) fn each<B>(
        &self,
        user: &[u8],
        number: &Dialled,
        dead: &impl Fn(At, u32) -> bool,
        call: &mut impl FnMut(Hit) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if !self.identities.is_empty()
            && let Some(found) = self.identities.find(user)
        {
            let at = At::Identity(found.index);
            if !dead(at, self.owner(found.value)) {
                self.with_others(
                    Hit { symbols: number.length, literal: usize::MAX, value: found.value, at },
                    number,
                    dead,
                    call,
                )?;
            }
        }
        let mut key = number.head;
        while let Some(found) = self.trie.longest(key)
            && let Some(value) = self.values.get(found.value)
        {
            if let Some(head) = value.tail.checked_sub(1) {
                let dead = |rule: u32, kept: &super::tails::Kept| dead(At::Tail(rule), self.owner(kept.value));
                self.tails.each(head, number, found.symbols, &dead, &mut |rule, kept, symbols| {
                    let symbols = symbols.min(number.length);
                    call(Hit { symbols, literal: found.symbols, value: kept.value, at: At::Tail(rule) })
                })?;
            }
            let at = At::Literal(found.spot);
            if value.tag != NO_TAG && !dead(at, value.owner) {
                let symbols = found.symbols.min(number.length);
                self.with_others(Hit { symbols, literal: found.symbols, value: found.value, at }, number, dead, call)?;
            }
            let Some(shorter) = found.symbols.checked_sub(1) else { break };
            key = truncated(key, shorter);
        }
        ControlFlow::Continue(())
    }

    /// Calls back with a rule, and then with those of other owners for the same prefix.
    #[inline]
    fn with_others<B>(
        &self,
        hit: Hit,
        number: &Dialled,
        dead: &impl Fn(At, u32) -> bool,
        call: &mut impl FnMut(Hit) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        call(hit)?;
        if self.others.is_empty() {
            return ControlFlow::Continue(());
        }
        let prefix = self.prefix_text(hit.at, number, hit.literal);
        for (at, other) in self.others_of(&prefix) {
            if other.active && !dead(at, self.owner(other.value)) {
                call(Hit { value: other.value, at, ..hit })?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The rules of a prefix, in its one form, that are kept aside.
    fn others_of(&self, prefix: &str) -> impl Iterator<Item = (At, &Other)> {
        let first = self.others.partition_point(|other| *other.prefix < *prefix);
        let of_prefix = self.others.iter().skip(first).take_while(move |other| *other.prefix == *prefix);
        (first as u32..).zip(of_prefix).map(|(index, other)| (At::Other(index), other))
    }

    pub(in crate::routing) fn tag_text(&self, value: u32) -> &str {
        self.values.get(value).map_or("", |value| self.values.tags.get(value.tag))
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
            for (at, other) in self.others_of(&prefix.to_string()) {
                list.extend(self.seen(at, other.value, other.origin, other.active));
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
