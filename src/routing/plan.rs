//! A dial plan: prefixes, and for each the tag that names where its numbers live.

use std::collections::HashMap;
use std::sync::Arc;

use super::prefixes::{Conflict, PrefixError, Prefixes};
use super::symbols::Symbols;
use super::trie::Trie;
use super::{Destination, Site};

/// The rules of one dial plan on their way to a [`Plan`].
#[derive(Clone, Debug)]
pub struct Rules {
    prefixes: Prefixes,
    tags: Vec<Arc<str>>,
    index: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
}

impl Rules {
    /// No rules yet; `limit` is how many prefixes are taken, those of ranges counted singly.
    pub fn new(limit: usize) -> Self {
        Self { prefixes: Prefixes::new(limit), tags: Vec::new(), index: HashMap::default() }
    }

    /// Adds a rule; `origin` is handed back in a [`Conflict`].
    ///
    /// Returns true when the tag was not seen before.
    pub fn add(&mut self, prefix: &str, tag: &str, origin: u32) -> Result<bool, PrefixError> {
        let known = self.index.get(tag).copied();
        let id = match known {
            Some(id) => id,
            None => u32::try_from(self.tags.len()).map_err(|_| PrefixError::Full(self.tags.len()))?,
        };
        self.prefixes.add(prefix, id, origin)?;
        if known.is_none() {
            let tag: Arc<str> = tag.into();
            self.tags.push(Arc::clone(&tag));
            self.index.insert(tag, id);
        }
        Ok(known.is_none())
    }

    /// How many prefixes there are, ranges expanded.
    pub const fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A compiled dial plan.
#[derive(Clone, Debug)]
pub struct Plan {
    name: Arc<str>,
    trie: Trie,
    tags: Vec<Tag>,
    rules: usize,
}

#[derive(Clone, Debug)]
struct Tag {
    text: Arc<str>,
    destination: Option<Destination>,
}

/// What a dial plan says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// How many symbols of the number the rule's prefix covers.
    pub symbols: usize,
    pub tag: &'a str,
    /// `None`: the tag names neither a site nor a trunk.
    pub destination: Option<Destination>,
}

impl Plan {
    /// Compiles the rules; `resolve` tells where a tag leads.
    ///
    /// Two rules for one prefix that lead to different places come back as conflicts; the first of them stays.
    pub fn new(name: Arc<str>, rules: Rules, resolve: impl Fn(&str) -> Option<Destination>) -> (Self, Vec<Conflict>) {
        let Rules { prefixes, tags, .. } = rules;
        let count = prefixes.len();
        let tags: Vec<Tag> = tags.into_iter().map(|text| Tag { destination: resolve(&text), text }).collect();
        let lead = |tag: u32| tags.get(tag as usize).and_then(|tag| tag.destination);
        let (trie, conflicts) = prefixes.pack(|a, b| a == b || (lead(a).is_some() && lead(a) == lead(b)));
        (Self { name, trie, tags, rules: count }, conflicts)
    }

    /// The name that trunks refer to it by.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The rule with the longest prefix of the user part, read as a number.
    pub fn find(&self, user: &[u8]) -> Option<Found<'_>> {
        let found = self.trie.longest(Symbols::new(user))?;
        let tag = self.tags.get(found.value as usize)?;
        Some(Found { symbols: found.symbols, tag: &tag.text, destination: tag.destination })
    }

    /// How many prefixes it holds, ranges expanded.
    pub const fn len(&self) -> usize {
        self.rules
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.rules == 0
    }

    /// How much memory its trie takes, in bytes.
    pub const fn bytes(&self) -> usize {
        self.trie.bytes()
    }
}

/// The sites of all tenants, found by host name.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    list: Vec<Arc<Site>>,
    /// By FQDN in lower case.
    by_fqdn: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
}

/// The longest name that DNS knows, in text (RFC 1035 section 2.3.4).
const MAX_HOST_BYTES: usize = 255;

impl Sites {
    /// Takes the sites; of two with one FQDN the first stays.
    pub fn new(list: Vec<Site>) -> Self {
        let list: Vec<Arc<Site>> = list.into_iter().map(Arc::new).collect();
        let mut by_fqdn = HashMap::default();
        for (index, site) in (0_u32..).zip(&list) {
            by_fqdn.entry(site.fqdn.to_ascii_lowercase().into_bytes().into_boxed_slice()).or_insert(index);
        }
        Self { list, by_fqdn }
    }

    /// The index of the site with this FQDN, in any case and with or without the root's dot.
    pub fn find(&self, host: &[u8]) -> Option<u32> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let mut lower = [0; MAX_HOST_BYTES];
        let lower = lower.get_mut(..host.len())?;
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        self.by_fqdn.get(&*lower).copied()
    }

    /// The site of an index.
    pub fn get(&self, index: u32) -> Option<&Arc<Site>> {
        self.list.get(index as usize)
    }

    /// All sites, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.list.iter()
    }
}
