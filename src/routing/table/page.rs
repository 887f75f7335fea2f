//! Some of a plan's rules in an order that does not change, so that they can be had in pages.

use std::collections::{BTreeSet, BinaryHeap};

use super::layer::Rule;
use super::{Listed, Origin, Table, changes};

/// Which rules are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuleFilter<'a> {
    /// What the prefix, as it is written, begins with.
    pub prefix: &'a str,
    pub owner: Option<&'a str>,
    /// Whose rules may be seen, in lower case; `None`: everybody's.
    pub owners: Option<&'a BTreeSet<String>>,
    pub tag: Option<&'a str>,
    /// Only rules behind this one: prefix, owner, tag, and whether it is active.
    pub after: Option<(&'a str, &'a str, &'a str, bool)>,
}

impl RuleFilter<'_> {
    fn fits(&self, rule: &Rule<'_>) -> bool {
        rule.prefix.starts_with(self.prefix)
            && self.owner.is_none_or(|owner| rule.owner == owner)
            && self.owners.is_none_or(|owners| owners.contains(&plain_owner(rule.owner)))
            && self.tag.is_none_or(|tag| rule.tag == tag)
            && self.after.is_none_or(|after| (rule.prefix, rule.owner, rule.tag, rule.active) > after)
    }
}

/// An owner without what does not tell two apart.
pub fn plain_owner(owner: &str) -> String {
    owner.trim().trim_end_matches('.').to_ascii_lowercase()
}

/// A rule that may come into the page.
#[derive(Debug)]
struct Entry {
    prefix: String,
    owner: String,
    tag: String,
    active: bool,
    origin: Origin,
}

impl Entry {
    fn key(&self) -> (&str, &str, &str, bool) {
        (&self.prefix, &self.owner, &self.tag, self.active)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl Table {
    /// The first `limit` rules of a plan that are asked for, ascending by prefix as it is written, owner and tag; `None`:
    /// there is no such plan. It looks at every rule of the plan, and keeps no more than `limit` of them.
    pub fn page(&self, plan: &str, filter: &RuleFilter<'_>, limit: usize) -> Option<Vec<Listed>> {
        let plan = self.plan(plan)?;
        let mut first: BinaryHeap<Entry> = BinaryHeap::new();
        changes(plan).for_each(plan, |rule, origin| {
            if !filter.fits(&rule) {
                return;
            }
            if first.len() >= limit {
                let key = (rule.prefix, rule.owner, rule.tag, rule.active);
                if first.peek().is_none_or(|last| key >= last.key()) {
                    return;
                }
                first.pop();
            }
            let (prefix, owner, tag) = (rule.prefix.to_owned(), rule.owner.to_owned(), rule.tag.to_owned());
            first.push(Entry { prefix, owner, tag, active: rule.active, origin });
        });
        let listed = first.into_sorted_vec().into_iter().map(|entry| {
            let Entry { prefix, owner, tag, active, origin } = entry;
            Listed { plan: plan.name.clone(), prefix, tag, owner, active, source: origin.source(&plan.sources) }
        });
        Some(listed.collect())
    }
}
