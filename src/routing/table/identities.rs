//! `user.host` identities: whole user parts, in any case of letters.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::super::prefixes::{Conflict, MAX_IDENTITY_BYTES};

/// An identity on its way in, in lower case.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub text: Box<str>,
    pub value: u32,
    pub origin: u32,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    start: u32,
    /// At most [`MAX_IDENTITY_BYTES`].
    length: u8,
    value: u32,
    origin: u32,
}

/// The identities of a layer, found by hash.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    text: Box<str>,
    items: Box<[Item]>,
    /// Indices plus one; a power of two of them, half of them zero at least.
    slots: Box<[u32]>,
}

/// An identity that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identified {
    pub index: u32,
    pub value: u32,
    pub origin: u32,
}

impl Identities {
    /// Packs identities; of two with one text the first stays, the others come back when they lead to the same place.
    pub(super) fn pack(
        mut list: Vec<Named>,
        same: &impl Fn(u32, u32) -> bool,
        conflicts: &mut Vec<Conflict>,
    ) -> (Self, Vec<Named>) {
        list.sort_unstable_by(|a, b| a.text.cmp(&b.text).then(a.origin.cmp(&b.origin)));
        let mut text = String::new();
        let mut items: Vec<Item> = Vec::new();
        let mut others = Vec::new();
        for group in list.chunk_by(|a, b| a.text == b.text) {
            let Some((first, rest)) = group.split_first() else { continue };
            // A configuration's files together stay far below 4 GiB of identities; what would not fit is not taken.
            let Ok(start) = u32::try_from(text.len()) else { break };
            text.push_str(&first.text);
            items.push(Item { start, length: first.text.len() as u8, value: first.value, origin: first.origin });
            for other in rest {
                if !same(first.value, other.value) {
                    conflicts.push(Conflict { kept: first.origin, dropped: other.origin });
                } else if first.value != other.value {
                    others.push(other.clone());
                }
            }
        }
        let mut packed = Self { text: text.into(), items: items.into(), slots: Box::default() };
        if !packed.items.is_empty() {
            let mut slots = vec![0; (packed.items.len() * 2).next_power_of_two()];
            for (index, item) in (1_u32..).zip(&packed.items) {
                let mut at = hash(packed.text(item).as_bytes()) as usize & (slots.len() - 1);
                while slots.get(at).is_some_and(|slot| *slot != 0) {
                    at = (at + 1) & (slots.len() - 1);
                }
                if let Some(slot) = slots.get_mut(at) {
                    *slot = index;
                }
            }
            packed.slots = slots.into();
        }
        (packed, others)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The identity that a user part is, parameters and password left out.
    pub(super) fn find(&self, user: &[u8]) -> Option<Identified> {
        let (lower, length) = lower(user)?;
        self.exact(lower.get(..length)?)
    }

    /// The identity of this text, in lower case.
    pub(super) fn exact(&self, text: &[u8]) -> Option<Identified> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = hash(text) as usize & (self.slots.len() - 1);
        loop {
            let index = self.slots.get(at)?.checked_sub(1)?;
            let item = self.items.get(index as usize)?;
            if self.text(item).as_bytes() == text {
                return Some(Identified { index, value: item.value, origin: item.origin });
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Identified)> {
        (0..)
            .zip(&self.items)
            .map(|(index, item)| (self.text(item), Identified { index, value: item.value, origin: item.origin }))
    }

    pub(super) fn get(&self, index: u32) -> Option<(&str, u32)> {
        self.items.get(index as usize).map(|item| (self.text(item), item.origin))
    }

    fn text(&self, item: &Item) -> &str {
        let start = item.start as usize;
        self.text.get(start..start + usize::from(item.length)).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.items) + size_of_val(&*self.slots)
    }
}

/// A user part in lower case, parameters and password left out, and its length; `None`: no identity is that long.
pub(super) fn lower(user: &[u8]) -> Option<([u8; MAX_IDENTITY_BYTES], usize)> {
    let mut lower = [0; MAX_IDENTITY_BYTES];
    let mut length = 0;
    let mut rest = user;
    while let [character, after @ ..] = rest {
        let (character, after) = match rest {
            [b'%', high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (*character, after_first(rest)),
            },
            [b';' | b':', ..] => break,
            _ => (*character, after),
        };
        *lower.get_mut(length)? = character.to_ascii_lowercase();
        length += 1;
        rest = after;
    }
    Some((lower, length))
}

fn after_first(rest: &[u8]) -> &[u8] {
    rest.split_first().map_or(&[], |(_, after)| after)
}

fn hash(text: &[u8]) -> u64 {
    // Nobody but the operator puts anything in, so the seed need not be a secret.
    FixedState::with_seed(0).hash_one(text)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
