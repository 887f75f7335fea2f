//! What rules lead to: tags and owners, each text once.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::super::Destination;
use super::super::trie::MAX_VALUES;

/// No tag: only the beginning of rules with a tail.
pub(super) const NO_TAG: u32 = u32::MAX;

/// Texts, one after the other.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    pub(in crate::routing) fn get(&self, index: u32) -> &str {
        let index = index as usize;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.ends.get(index).and_then(|end| self.text.get(start..*end as usize)).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|index| self.get(index))
    }

    fn push(&mut self, text: &str) -> Option<u32> {
        let end = u32::try_from(self.text.len() + text.len()).ok()?;
        let index = u32::try_from(self.ends.len()).ok().filter(|index| *index != NO_TAG)?;
        self.text.push_str(text);
        self.ends.push(end);
        Some(index)
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4
    }
}

/// Where a rule leads and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::routing) struct Value {
    pub tag: u32,
    pub owner: u32,
    /// Index of the tails that go on here, plus one; zero: none.
    pub tail: u32,
}

/// The values of a layer.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Values {
    pub list: Vec<Value>,
    pub tags: Strings,
    pub owners: Strings,
    /// By tag; `None`: the tag is neither a site nor a trunk.
    pub destinations: Vec<Option<Destination>>,
}

impl Values {
    pub(in crate::routing) fn get(&self, value: u32) -> Option<Value> {
        self.list.get(value as usize).copied()
    }

    pub(super) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Value>()
            + self.tags.bytes()
            + self.owners.bytes()
            + self.destinations.capacity() * size_of::<Option<Destination>>()
    }
}

/// Values that are still growing.
#[derive(Clone, Debug, Default)]
pub(super) struct Growing {
    pub values: Values,
    tags: HashMap<Box<str>, u32, RandomState>,
    owners: HashMap<Box<str>, u32, RandomState>,
    known: HashMap<(u32, u32), u32, RandomState>,
    /// The one asked for last: rows of one tenant stand together.
    last: Option<(Value, u32)>,
}

impl Growing {
    /// The index of a tag and owner, and whether the tag is new; `None`: no room for another.
    pub(super) fn add(&mut self, tag: &str, owner: &str, reserved: usize) -> Option<(u32, bool)> {
        if let Some((value, index)) = self.last
            && self.values.tags.get(value.tag) == tag
            && self.values.owners.get(value.owner) == owner
        {
            return Some((index, false));
        }
        let before = self.values.tags.ends.len();
        let tag = intern(&mut self.values.tags, &mut self.tags, tag)?;
        let owner = intern(&mut self.values.owners, &mut self.owners, owner)?;
        let value = Value { tag, owner, tail: 0 };
        let index = match self.known.get(&(tag, owner)) {
            Some(index) => *index,
            None => {
                if self.values.list.len() + reserved >= MAX_VALUES {
                    return None;
                }
                let index = self.values.list.len() as u32;
                self.values.list.push(value);
                self.known.insert((tag, owner), index);
                index
            }
        };
        self.last = Some((value, index));
        Some((index, self.values.tags.ends.len() > before))
    }
}

fn intern(strings: &mut Strings, index: &mut HashMap<Box<str>, u32, RandomState>, text: &str) -> Option<u32> {
    if let Some(known) = index.get(text) {
        return Some(*known);
    }
    let id = strings.push(text)?;
    index.insert(text.into(), id);
    Some(id)
}
