//! Rules that a number nearly fits, for explanations: how far each goes with the number, and what stands against it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::super::super::plan::NearMiss;
use super::super::super::prefixes::{MAX_HEAD_SYMBOLS, Pattern, Prefix, State, WILDCARD, symbol_text};
use super::super::super::symbols::{Dialled, END, MAX_PREFIX_SYMBOLS, key_length, nibble, truncated};
use super::super::tails::Kept;
use super::super::values::NO_TAG;
use super::{At, Layer, Other};

/// How many rules of each kind are looked at for one number: a plan of millions is never walked.
const MAX_LOOKED_AT: usize = 1024;

/// Which rules do not count, asked with a rule and its owner.
pub(in crate::routing) type Dead<'a> = &'a dyn Fn(At, u32) -> bool;

/// A rule that a number misses.
#[derive(Clone, Debug)]
pub(in crate::routing) struct Miss {
    pub at: At,
    pub value: u32,
    pub prefix: String,
    /// How many symbols of the number fit.
    pub shared: usize,
    pub why: NearMiss,
}

impl Layer {
    /// Inactive rules that are not `dead` and would match a user part, `limit` at most.
    pub(in crate::routing) fn inactive(
        &self,
        user: &[u8],
        number: &Dialled,
        limit: usize,
        dead: Dead<'_>,
    ) -> Vec<Miss> {
        let mut list = Vec::new();
        if self.others.is_empty() {
            return list;
        }
        let mut add = |at: At, other: &Other, shared: usize| {
            if list.len() < limit && !other.active && !dead(at, self.owner(other.value)) {
                let (prefix, why) = (other.prefix.to_string(), NearMiss::Inactive);
                list.push(Miss { at, value: other.value, prefix, shared, why });
            }
        };
        if let Some(name) = identity(user) {
            self.others_of(&name).for_each(|(at, other)| add(at, other, number.length));
        }
        // Prefixes in their one form lie sorted: those that could match begin as the number does.
        let mut text = String::new();
        let mut ends = vec![0];
        for index in 0..number.length.min(MAX_PREFIX_SYMBOLS) {
            // Into a string, which takes it all.
            let _ = symbol_text(&mut text, number.symbol(index));
            ends.push(text.len());
        }
        if number.whole {
            let ended = format!("{text}#");
            self.others_of(&ended).for_each(|(at, other)| add(at, other, number.length));
        }
        for (symbols, end) in ends.into_iter().enumerate().rev() {
            let beginning = text.get(..end).unwrap_or_default();
            for choice in ["[", "x"] {
                let from = format!("{beginning}{choice}");
                let first = self.others.partition_point(|other| *other.prefix < *from);
                let going_on = self.others.iter().skip(first).take_while(|other| other.prefix.starts_with(&from));
                for (index, other) in (first as u32..).zip(going_on).take(MAX_LOOKED_AT) {
                    if let Ok(Prefix::Pattern(pattern)) = Prefix::read(&other.prefix, false)
                        && missed(&pattern, number).is_none()
                    {
                        add(At::Other(index), other, pattern.positions.len().min(number.length));
                    }
                }
            }
            self.others_of(beginning).for_each(|(at, other)| add(at, other, symbols));
        }
        list
    }

    /// Active rules that are not `dead` and do not match, but begin with `least` symbols of the number or more: about
    /// `limit` of those that share most, and others beside.
    pub(in crate::routing) fn misses(&self, number: &Dialled, least: usize, limit: usize, dead: Dead<'_>) -> Vec<Miss> {
        let mut found = Found { layer: self, number, least, dead, list: Vec::new(), known: BTreeSet::new() };
        found.in_tails();
        found.in_trie(limit);
        found.list
    }
}

/// Misses as they are found.
struct Found<'a> {
    layer: &'a Layer,
    number: &'a Dialled,
    least: usize,
    dead: Dead<'a>,
    list: Vec<Miss>,
    known: BTreeSet<At>,
}

impl Found<'_> {
    /// Rules with ranges whose beginnings the number has.
    fn in_tails(&mut self) {
        let (layer, number) = (self.layer, self.number);
        let mut left = MAX_LOOKED_AT;
        let mut key = truncated(number.head, number.length.min(MAX_HEAD_SYMBOLS));
        while let Some(found) = layer.trie.longest(key) {
            let tail = layer.values.get(found.value).and_then(|value| value.tail.checked_sub(1));
            if let Some(head) = tail {
                let end = layer.tails.each_left(head, number, found.symbols, self.least, &mut |rule, kept| {
                    self.tail(rule, kept);
                    counted(&mut left)
                });
                if end.is_break() {
                    return;
                }
            }
            let Some(shorter) = found.symbols.checked_sub(1) else { return };
            key = truncated(key, shorter);
        }
    }

    /// Rules that begin with all symbols of the number, then those that begin with all but the last, and so on.
    fn in_trie(&mut self, limit: usize) {
        let (layer, number) = (self.layer, self.number);
        let mut left = MAX_LOOKED_AT;
        let before = self.list.len();
        for symbols in (self.least..=number.length.min(MAX_HEAD_SYMBOLS)).rev() {
            let end = layer.trie.under(number.head, symbols, &mut |key, found| {
                let Some(value) = layer.values.get(found.value) else { return ControlFlow::Continue(()) };
                if value.tag != NO_TAG
                    && let Some((shared, why)) = missed_key(key, number)
                {
                    self.add(At::Literal(found.spot), found.value, shared, why, || Prefix::Literal(key).to_string());
                }
                let tails = value.tail.checked_sub(1).into_iter().flat_map(|head| layer.tails.of_head(head));
                for (rule, kept) in tails {
                    self.tail(rule, kept);
                    counted(&mut left)?;
                    if self.list.len() - before >= limit {
                        break;
                    }
                }
                counted(&mut left)?;
                if self.list.len() - before < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if end.is_break() {
                return;
            }
        }
    }

    fn tail(&mut self, rule: u32, kept: &Kept) {
        let tails = &self.layer.tails;
        if let Some((shared, why)) = tails.pattern(kept).and_then(|pattern| missed(&pattern, self.number)) {
            self.add(At::Tail(rule), kept.value, shared, why, || tails.text(kept).to_owned());
        }
    }

    fn add(&mut self, at: At, value: u32, shared: usize, why: NearMiss, prefix: impl FnOnce() -> String) {
        if shared >= self.least && !(self.dead)(at, self.layer.owner(value)) && self.known.insert(at) {
            self.list.push(Miss { at, value, prefix: prefix(), shared, why });
        }
    }
}

fn counted(left: &mut usize) -> ControlFlow<()> {
    *left = left.saturating_sub(1);
    if *left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// The user part as an identity would be written; `None`: it is none.
fn identity(user: &[u8]) -> Option<String> {
    let (lower, length) = super::super::identities::lower(user)?;
    let text = std::str::from_utf8(lower.get(..length)?).ok()?;
    let name = Prefix::Identity(text.into()).to_string();
    // What is a number only would be found once more.
    matches!(Prefix::read(&name, false), Ok(Prefix::Identity(_))).then_some(name)
}

/// How many symbols of a number fit a pattern, and what stands against it; `None`: nothing does.
fn missed(pattern: &Pattern, number: &Dialled) -> Option<(usize, NearMiss)> {
    let mut state = State::at(0);
    loop {
        let allowed = state.allowed(pattern)?;
        let index = usize::from(state.index);
        let symbol = number.symbol(index);
        if allowed >> symbol & 1 == 0 {
            let choice = allowed & WILDCARD == 0 && allowed.count_ones() > 1;
            return Some((
                index,
                why(allowed == 1 << END, symbol, if choice { NearMiss::Range } else { NearMiss::Digit }),
            ));
        }
        state = state.next(pattern, symbol);
    }
}

/// [`missed`] for a key.
fn missed_key(key: u128, number: &Dialled) -> Option<(usize, NearMiss)> {
    let index = (0..key_length(key)).find(|index| nibble(key, *index) != number.symbol(*index))?;
    Some((index, why(nibble(key, index) == END, number.symbol(index), NearMiss::Digit)))
}

fn why(is_end: bool, symbol: u8, otherwise: NearMiss) -> NearMiss {
    match symbol {
        _ if is_end => NearMiss::End,
        0 | END => NearMiss::TooShort,
        _ => otherwise,
    }
}
