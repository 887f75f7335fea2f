//! What was changed at run time, over the packed rules: a small layer of its own, and which rules of the base are dead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::super::Destination;
use super::super::plan::{Plan, Source};
use super::super::prefixes::{Prefix, PrefixError};
use super::batch::{BatchError, State};
use super::layer::{At, Layer, Rule, Rules};
use super::sources::Sources;

/// A prefix in its one form, and an owner.
pub(super) type Key = (Arc<str>, Arc<str>);

/// A rule as it is now.
#[derive(Clone, Debug)]
pub(super) struct Now {
    /// The prefix as it was written.
    text: Arc<str>,
    /// `None`: it is removed.
    pub state: Option<State>,
    /// The rules of the base that it takes the place of: an inactive one may stand beside an active one.
    base: SmallVec<[At; 1]>,
    /// The number and the id of the change.
    stamp: u64,
    id: Arc<str>,
}

/// The changes of a plan since its base was packed.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Changes {
    pub(super) rules: BTreeMap<Key, Now>,
    /// Owners whose rules in the base are dead: the number of the change, and how many rules that are.
    owners: BTreeMap<Arc<str>, (u64, usize)>,
}

/// The changes of a plan, packed.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Overlay {
    pub(in crate::routing) layer: Layer,
    /// How many rules the plan has.
    pub(in crate::routing) rules: usize,
    pub(super) changes: Changes,
    /// Rules and owners of the base that are dead, ascending.
    dead_rules: Vec<At>,
    dead_owners: Vec<u32>,
    /// By the origins of the layer's rules.
    sources: Vec<Origin>,
}

/// Where a rule comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Change(Arc<str>),
    /// Its origin in the base.
    Base(u32),
}

impl Origin {
    pub(super) fn source(&self, base: &Sources) -> Source {
        match self {
            Self::Change(id) => Source::Change(Arc::clone(id)),
            Self::Base(origin) => base.find(Some(*origin)),
        }
    }
}

/// The number and id of a change.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub number: u64,
    pub id: Arc<str>,
}

impl Overlay {
    /// Whether a rule of the base answers no more.
    #[inline]
    pub(in crate::routing) fn is_dead(&self, at: At, owner: u32) -> bool {
        (!self.dead_owners.is_empty() && self.dead_owners.binary_search(&owner).is_ok())
            || (!self.dead_rules.is_empty() && self.dead_rules.binary_search(&at).is_ok())
    }

    pub(in crate::routing) fn source(&self, origin: Option<u32>, base: &Sources) -> Source {
        let origin = origin.and_then(|origin| self.sources.get(origin as usize));
        origin.map_or(Source::Unknown, |origin| origin.source(base))
    }
}

impl Changes {
    pub(super) fn len(&self) -> usize {
        self.rules.len() + self.owners.len()
    }

    pub(super) fn set(
        &mut self,
        plan: &Plan,
        text: &str,
        owner: &str,
        state: Option<State>,
        stamp: &Stamp,
    ) -> Result<(), PrefixError> {
        let prefix = &Prefix::read(text, plan.normalize)?;
        // A rule of an owner who has none is dead already.
        let base = match self.owners.contains_key(owner) {
            true => SmallVec::new(),
            false => {
                let seen = plan.base.of_prefix(prefix).into_iter();
                seen.filter(|seen| seen.owner == owner).map(|seen| seen.at).collect()
            }
        };
        let now = Now { text: text.into(), state, base, stamp: stamp.number, id: Arc::clone(&stamp.id) };
        self.rules.insert((prefix.to_string().into(), owner.into()), now);
        Ok(())
    }

    /// Says that an owner has no rules; what it has comes back.
    pub(super) fn remove_owner(&mut self, plan: &Plan, owner: &str, stamp: &Stamp) -> Vec<(String, State)> {
        let mut removed = Vec::new();
        let (mut dead, was_dead) = (0, self.owners.contains_key(owner));
        let replaced: BTreeSet<At> = self.rules.values().flat_map(|now| now.base.iter().copied()).collect();
        if plan.base.values.owners.iter().any(|known| known == owner) && !was_dead {
            plan.base.for_each(|prefix, seen| {
                if seen.owner != owner {
                    return;
                }
                dead += 1;
                if !replaced.contains(&seen.at) {
                    removed.push((prefix.to_owned(), State { tag: seen.tag.to_owned(), active: seen.active }));
                }
            });
        }
        self.rules.retain(|(_, of), now| {
            if **of == *owner {
                removed.extend(now.state.take().map(|state| (now.text.to_string(), state)));
            }
            **of != *owner
        });
        // Even where the base has none: rules that are folded in meanwhile go as well.
        let known = self.owners.get(owner).map_or(dead, |(_, dead)| *dead);
        self.owners.insert(owner.into(), (stamp.number, known));
        removed
    }

    /// What a rule is now, if it is there.
    pub(super) fn state(&self, plan: &Plan, prefix: &Prefix, owner: &str) -> Option<State> {
        if let Some(now) = self.rules.get(&(prefix.to_string().into(), owner.into())) {
            return now.state.clone();
        }
        if self.owners.contains_key(owner) {
            return None;
        }
        let seen = plan.base.of_prefix(prefix).into_iter().find(|seen| seen.owner == owner)?;
        Some(State { tag: seen.tag.to_owned(), active: seen.active })
    }

    /// An active rule of another owner for the same prefix that leads to a place which is not `same`.
    pub(super) fn against(
        &self,
        plan: &Plan,
        prefix: &Prefix,
        owner: &str,
        same: impl Fn(&str) -> bool,
    ) -> Option<(String, String)> {
        let text: Arc<str> = prefix.to_string().into();
        let from = (Arc::clone(&text), Arc::from(""));
        for ((_, of), now) in self.rules.range(from..).take_while(|((prefix, _), _)| *prefix == text) {
            if let Some(state) = &now.state
                && state.active
                && **of != *owner
                && !same(&state.tag)
            {
                return Some((state.tag.clone(), of.to_string()));
            }
        }
        plan.base.of_prefix(prefix).into_iter().find_map(|seen| {
            let is_own = seen.owner == owner || !seen.active || self.hides(&text, seen.owner);
            (!is_own && !same(seen.tag)).then(|| (seen.tag.to_owned(), seen.owner.to_owned()))
        })
    }

    /// Whether a rule of the base is not what it was there.
    fn hides(&self, prefix: &Arc<str>, owner: &str) -> bool {
        self.owners.contains_key(owner) || self.rules.contains_key(&(Arc::clone(prefix), owner.into()))
    }

    /// Calls back with every rule of the plan as it is now, those of the base first.
    pub(super) fn for_each(&self, plan: &Plan, mut call: impl FnMut(Rule<'_>, Origin)) {
        let replaced: BTreeSet<At> = self.rules.values().flat_map(|now| now.base.iter().copied()).collect();
        plan.base.for_each(|prefix, seen| {
            if !replaced.contains(&seen.at) && !self.owners.contains_key(seen.owner) {
                let rule = Rule { prefix, tag: seen.tag, owner: seen.owner, active: seen.active };
                call(rule, Origin::Base(seen.origin));
            }
        });
        for ((_, owner), now) in &self.rules {
            if let Some(State { tag, active }) = &now.state {
                let rule = Rule { prefix: &now.text, tag, owner, active: *active };
                call(rule, Origin::Change(Arc::clone(&now.id)));
            }
        }
    }

    /// The changes that a later base does not have, as changes to it.
    pub(super) fn since(&self, number: u64, base: &Plan) -> Self {
        let mut left = Self::default();
        for (owner, (number, _)) in self.owners.iter().filter(|(_, (stamp, _))| *stamp > number) {
            left.remove_owner(base, owner, &Stamp { number: *number, id: Arc::from("") });
        }
        for ((_, owner), now) in self.rules.iter().filter(|(_, now)| now.stamp > number) {
            let stamp = Stamp { number: now.stamp, id: Arc::clone(&now.id) };
            // It was read when it was set.
            let _ = left.set(base, &now.text, owner, now.state.clone(), &stamp);
        }
        left
    }

    /// Packs the changes over the base of a plan.
    pub(super) fn pack(
        self,
        plan: &Plan,
        resolve: &dyn Fn(&str) -> Option<Destination>,
    ) -> Result<Overlay, BatchError> {
        let mut overlay = Overlay::default();
        let owners = plan.base.values.owners.iter();
        overlay.dead_owners =
            (0_u32..).zip(owners).filter(|(_, owner)| self.owners.contains_key(*owner)).map(|(id, _)| id).collect();
        overlay.dead_rules = self.rules.values().flat_map(|now| now.base.iter().copied()).collect();
        overlay.dead_rules.sort_unstable();
        let mut rules = Rules::new(usize::MAX).normalize(plan.normalize);
        let mut names = Vec::new();
        for ((_, owner), now) in &self.rules {
            let Some(State { tag, active }) = &now.state else { continue };
            let rule = Rule { prefix: &now.text, tag, owner, active: *active };
            add(&mut rules, rule, &mut overlay.sources, Origin::Change(Arc::clone(&now.id)))?;
            names.push((&now.text, owner, tag));
        }
        let own = rules.len();
        // A rule of the base that another owner's stood before answers when that one is dead.
        for (other, seen) in plan.base.others() {
            let prefix: Arc<str> = Arc::from(&*other.prefix);
            if !other.active || self.hides(&prefix, seen.owner) {
                continue;
            }
            let Ok(read) = Prefix::read(&prefix, false) else { continue };
            let list = plan.base.of_prefix(&read);
            let first = list.iter().find(|first| !matches!(first.at, At::Other(_)));
            if first.is_some_and(|first| self.hides(&prefix, first.owner)) {
                let rule = Rule { prefix: &prefix, tag: seen.tag, owner: seen.owner, active: true };
                add(&mut rules, rule, &mut overlay.sources, Origin::Base(other.origin))?;
            }
        }
        let (layer, conflicts) = rules.pack(resolve);
        if let Some(conflict) = conflicts.first() {
            let name = |origin: u32| names.get(origin as usize);
            if let (Some((_, of, known)), Some((prefix, _, tag))) = (name(conflict.kept), name(conflict.dropped)) {
                return Err(BatchError::Conflict {
                    plan: plan.name.to_string(),
                    prefix: prefix.to_string(),
                    tag: (*tag).clone(),
                    known: (*known).clone(),
                    of: of.to_string(),
                });
            }
        }
        overlay.layer = layer;
        let dead: usize = self.owners.values().map(|(_, rules)| rules).sum();
        overlay.rules = plan.base.len() + own - overlay.dead_rules.len() - dead;
        overlay.changes = self;
        Ok(overlay)
    }
}

fn add(rules: &mut Rules, rule: Rule<'_>, sources: &mut Vec<Origin>, origin: Origin) -> Result<(), BatchError> {
    let index = sources.len() as u32;
    sources.push(origin);
    let error = |error: PrefixError| BatchError::Prefix { prefix: rule.prefix.to_owned(), error };
    rules.add_rule(rule, index).map(|_| ()).map_err(error)
}
