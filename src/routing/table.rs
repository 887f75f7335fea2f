//! The dial plans of a configuration as one value: immutable, cheap to clone, changed by making the next one.
//!
//! A batch of changes gives a new table that shares the packed rules with the old one and lays a small layer over them;
//! lookups go on in whichever table they have. From time to time the changes are folded into packed rules anew, beside
//! the running table, and the result takes over what was changed meanwhile.

pub(super) mod batch;
mod identities;
pub(super) mod layer;
pub(super) mod ledger;
pub(super) mod overlay;
pub(super) mod page;
pub(super) mod rows;
pub(super) mod sources;
pub(super) mod tails;
pub(super) mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::batch::{Batch, BatchError, Change, Edit, Record, State};
use self::layer::{Rule, Rules};
use self::overlay::{Changes, Origin, Stamp};
use self::sources::Sources;
use super::Destination;
use super::plan::{Plan, Source};
use super::prefixes::Prefix;

/// How many changes may wait to be folded in; with [`FOLD_PENDING`] heeded they never come near.
pub const MAX_PENDING: usize = 1 << 20;

/// From how many changes on they are worth folding in: until then a change takes about half a millisecond at most.
pub const FOLD_PENDING: usize = 4096;

/// Where a tag leads; `None`: it is neither a site nor a trunk.
pub type Resolve<'a> = &'a dyn Fn(&str) -> Option<Destination>;

/// All dial plans.
#[derive(Clone, Debug, Default)]
pub struct Table {
    plans: Arc<[Plan]>,
    /// How many batches were made.
    version: u64,
}

/// A rule, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub plan: Arc<str>,
    pub prefix: String,
    pub tag: String,
    pub owner: String,
    pub active: bool,
    pub source: Source,
}

impl Table {
    /// The plans, in the order of the configuration.
    pub fn new(plans: Vec<Plan>) -> Self {
        Self { plans: plans.into(), version: 0 }
    }

    /// The plans, in the order of the configuration.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The plan of a name.
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| *plan.name == *name)
    }

    /// How many rules there are, a range counted once.
    pub fn len(&self) -> usize {
        self.plans.iter().map(Plan::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many batches were made to get here.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// How many changes are not folded in yet; each makes the next batch a little slower.
    pub fn pending(&self) -> usize {
        self.plans.iter().filter_map(|plan| plan.overlay.as_ref()).map(|overlay| overlay.changes.len()).sum()
    }

    /// Calls back with every rule, inactive ones included.
    pub fn for_each(&self, mut call: impl FnMut(Listed)) {
        for plan in &*self.plans {
            let changes = changes(plan);
            changes.for_each(plan, |rule, origin| {
                call(Listed {
                    plan: Arc::clone(&plan.name),
                    prefix: rule.prefix.to_owned(),
                    tag: rule.tag.to_owned(),
                    owner: rule.owner.to_owned(),
                    active: rule.active,
                    source: origin.source(&plan.sources),
                });
            });
        }
    }

    /// Calls back with every rule that is otherwise here than in a table before it: plan, prefix, and the tags that it had
    /// and has while it is active.
    pub fn for_each_difference(&self, old: &Self, mut call: impl FnMut(&str, &str, Option<&str>, Option<&str>)) {
        let none = Plan::default();
        let gone = old.plans.iter().filter(|plan| self.plan(&plan.name).is_none());
        let pairs = self.plans.iter().map(|plan| (old.plan(&plan.name), Some(plan)));
        for (before, after) in pairs.chain(gone.map(|plan| (Some(plan), None))) {
            let name = after.or(before).map_or("", |plan| &plan.name);
            let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
            let (old, new) = (changes(before), changes(after));
            let state = |changes: &Changes, plan: &Plan, rule: &Rule<'_>| {
                let prefix = Prefix::read(rule.prefix, plan.normalize).ok()?;
                changes.state(plan, &prefix, rule.owner)
            };
            let tag = |state: &Option<State>| state.as_ref().filter(|it| it.active).map(|it| it.tag.clone());
            new.for_each(after, |rule, _| {
                let had = tag(&state(&old, before, &rule));
                let has = rule.active.then_some(rule.tag);
                if had.as_deref() != has {
                    call(name, rule.prefix, had.as_deref(), has);
                }
            });
            old.for_each(before, |rule, _| {
                if rule.active && state(&new, after, &rule).is_none() {
                    call(name, rule.prefix, Some(rule.tag), None);
                }
            });
        }
    }

    /// Makes a batch: all of it, or none when anything is wrong with it.
    ///
    /// `limit` is how many rules there may be afterwards.
    pub fn apply(&self, batch: &Batch, limit: usize, resolve: Resolve<'_>) -> Result<(Self, Record), BatchError> {
        if batch.id.is_empty() {
            return Err(BatchError::NoId);
        }
        let mut draft = Draft::new(self, &batch.id);
        for edit in &batch.edits {
            draft.edit(edit, resolve)?;
        }
        let (table, changes) = draft.finish_within(limit, resolve)?;
        let Batch { id, who, when, .. } = batch;
        let record = Record { id: id.clone(), who: who.clone(), when: *when, changes, ..Record::default() };
        Ok((table, record))
    }

    /// Takes a batch back; every rule must still be as the batch left it.
    pub fn revert(&self, record: &Record, by: &Batch, resolve: Resolve<'_>) -> Result<(Self, Record), BatchError> {
        let mut draft = Draft::new(self, &by.id);
        draft.revert(&record.inverse(), resolve)?;
        let (table, changes) = draft.finish(resolve)?;
        let (id, who, reverts) = (by.id.clone(), by.who.clone(), Some(record.id.clone()));
        Ok((table, Record { id, who, when: by.when, reverts, changes, ..Record::default() }))
    }

    /// The same rules with all changes packed. Takes as long as a build: not for a thread that calls wait for.
    pub fn folded(&self, resolve: Resolve<'_>) -> Self {
        let fold = |plan: &Plan| match &plan.overlay {
            Some(overlay) => fold(plan, &overlay.changes, resolve),
            None => plan.clone(),
        };
        Self { plans: self.plans.iter().map(fold).collect(), version: self.version }
    }

    /// This table, with the packed rules of `folded`, which was made of an earlier one, under what has changed since.
    pub fn rebased(&self, folded: &Self, resolve: Resolve<'_>) -> Result<Self, BatchError> {
        let mut plans = Vec::with_capacity(self.plans.len());
        for plan in &*self.plans {
            let base = folded.plan(&plan.name).filter(|base| base.overlay.is_none());
            let (Some(base), Some(overlay)) = (base, &plan.overlay) else {
                plans.push(plan.clone());
                continue;
            };
            let left = overlay.changes.since(folded.version, base);
            plans.push(over(base, left, resolve)?);
        }
        Ok(Self { plans: plans.into(), version: self.version })
    }
}

fn changes(plan: &Plan) -> Changes {
    plan.overlay.as_ref().map(|overlay| overlay.changes.clone()).unwrap_or_default()
}

/// A plan with other changes over its base.
fn over(plan: &Plan, changes: Changes, resolve: Resolve<'_>) -> Result<Plan, BatchError> {
    let overlay = match changes.len() {
        0 => None,
        _ => Some(Arc::new(changes.pack(plan, resolve)?)),
    };
    Ok(Plan { overlay, ..plan.clone() })
}

fn fold(plan: &Plan, changes: &Changes, resolve: Resolve<'_>) -> Plan {
    let mut rules = Rules::new(usize::MAX).normalize(plan.normalize);
    let mut sources = Sources::clone(&plan.sources);
    let mut next = 0_u32;
    changes.for_each(plan, |rule, origin| {
        let origin = match origin {
            Origin::Base(origin) => origin,
            Origin::Change(id) => {
                sources.add(next, Source::Change(id));
                next
            }
        };
        next = next.max(origin.saturating_add(1));
        // All of them were rules before, and are written as such.
        let _ = rules.add_rule(rule, origin);
    });
    let (base, _) = rules.pack(resolve);
    Plan { base: Arc::new(base), sources: Arc::new(sources), overlay: None, ..plan.clone() }
}

/// A table in the making.
pub(super) struct Draft<'a> {
    table: &'a Table,
    /// By plan; `None`: untouched.
    changes: Vec<Option<Changes>>,
    stamp: Stamp,
    made: Vec<Change>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(table: &'a Table, id: &str) -> Self {
        let stamp = Stamp { number: table.version + 1, id: id.into() };
        Self { table, changes: table.plans.iter().map(|_| None).collect(), stamp, made: Vec::new() }
    }

    /// Goes on to the next batch, of another id; what was changed before is not told any more.
    pub(super) fn next(&mut self, id: &str) {
        self.made.clear();
        self.stamp = Stamp { number: self.stamp.number + 1, id: id.into() };
    }

    /// Makes an edit of rules.
    pub(super) fn edit(&mut self, edit: &Edit, resolve: Resolve<'_>) -> Result<(), BatchError> {
        match edit {
            Edit::Put { plan, prefix, owner, tag, active } => {
                let state = State { tag: tag.clone(), active: *active };
                self.put(plan, prefix, owner, Some(state), resolve).map(|_| ())
            }
            Edit::Remove { plan, prefix, owner } => match self.put(plan, prefix, owner, None, resolve)? {
                true => Ok(()),
                false => Err(BatchError::Missing { plan: plan.clone(), prefix: prefix.clone(), owner: owner.clone() }),
            },
            Edit::RemoveOwner { owner } => {
                self.remove_owner(owner);
                Ok(())
            }
            // Dial plans alone have no tenants.
            Edit::PutUser { tenant, .. }
            | Edit::RemoveUser { tenant, .. }
            | Edit::SetLives { tenant, .. }
            | Edit::ReplaceUsers { tenant, .. }
            | Edit::RemoveTenant { tenant }
            | Edit::RestoreTenant { tenant } => Err(BatchError::UnknownTenant(tenant.clone())),
        }
    }

    /// Makes changes that take others back: every rule must still be as those left it.
    pub(super) fn revert(&mut self, changes: &[Change], resolve: Resolve<'_>) -> Result<(), BatchError> {
        for Change { plan, prefix, owner, old, new } in changes {
            if self.state(plan, prefix, owner)? != *old {
                let (plan, prefix, owner) = (plan.clone(), prefix.clone(), owner.clone());
                return Err(BatchError::ChangedSince { plan, prefix, owner });
            }
            self.put(plan, prefix, owner, new.clone(), resolve)?;
        }
        Ok(())
    }

    /// The owners of rules, as they are written.
    pub(super) fn owners(&self) -> BTreeSet<Arc<str>> {
        let mut owners = BTreeSet::new();
        for (plan, draft) in self.table.plans.iter().zip(&self.changes) {
            owners.extend(plan.base.values.owners.iter().map(Arc::from));
            let changed = draft.as_ref().or(plan.overlay.as_ref().map(|overlay| &overlay.changes));
            owners.extend(
                changed.into_iter().flat_map(|changes| changes.rules.keys()).map(|(_, owner)| Arc::clone(owner)),
            );
        }
        owners
    }

    fn plan(&mut self, name: &str) -> Result<(&'a Plan, &mut Changes), BatchError> {
        let mut both = self.table.plans.iter().zip(&mut self.changes);
        let (plan, slot) =
            both.find(|(plan, _)| *plan.name == *name).ok_or_else(|| BatchError::UnknownPlan(name.to_owned()))?;
        Ok((plan, slot.get_or_insert_with(|| changes(plan))))
    }

    fn state(&mut self, plan: &str, prefix: &str, owner: &str) -> Result<Option<State>, BatchError> {
        let (plan, changes) = self.plan(plan)?;
        Ok(changes.state(plan, &read(plan, prefix)?, owner))
    }

    /// Gives a rule another state; false: it has that state already.
    pub(super) fn put(
        &mut self,
        name: &str,
        prefix: &str,
        owner: &str,
        state: Option<State>,
        resolve: Resolve<'_>,
    ) -> Result<bool, BatchError> {
        let stamp = self.stamp.clone();
        let prefix = prefix.trim();
        let (plan, changes) = self.plan(name)?;
        let read = read(plan, prefix)?;
        let old = changes.state(plan, &read, owner);
        if old == state {
            return Ok(false);
        }
        if let Some(State { tag, active: true }) = &state {
            let lead = resolve(tag);
            let same = |other: &str| other == tag || (lead.is_some() && resolve(other) == lead);
            if let Some((known, of)) = changes.against(plan, &read, owner, same) {
                let (plan, prefix, tag) = (name.to_owned(), prefix.to_owned(), tag.clone());
                return Err(BatchError::Conflict { plan, prefix, tag, known, of });
            }
        }
        let error = |error| BatchError::Prefix { prefix: prefix.to_owned(), error };
        changes.set(plan, prefix, owner, state.clone(), &stamp).map_err(error)?;
        let (plan, prefix, owner) = (name.to_owned(), prefix.to_owned(), owner.to_owned());
        self.made.push(Change { plan, prefix, owner, old, new: state });
        Ok(true)
    }

    /// Removes all rules of an owner.
    pub(super) fn remove_owner(&mut self, owner: &str) {
        for (plan, slot) in self.table.plans.iter().zip(&mut self.changes) {
            let changes = slot.get_or_insert_with(|| changes(plan));
            for (prefix, state) in changes.remove_owner(plan, owner, &self.stamp) {
                let (plan, owner) = (plan.name.to_string(), owner.to_owned());
                self.made.push(Change { plan, prefix, owner, old: Some(state), new: None });
            }
        }
    }

    /// The table, and what was changed; an error when there are more than `limit` rules then and more than before.
    pub(super) fn finish_within(self, limit: usize, resolve: Resolve<'_>) -> Result<(Table, Vec<Change>), BatchError> {
        let (before, pending) = (self.table.len(), self.table.pending());
        let (table, made) = self.finish(resolve)?;
        if table.len() > limit.max(before) {
            return Err(BatchError::Full(limit));
        }
        if table.pending() > MAX_PENDING {
            return Err(BatchError::Pending(pending));
        }
        Ok((table, made))
    }

    /// The table, and what was changed.
    pub(super) fn finish(self, resolve: Resolve<'_>) -> Result<(Table, Vec<Change>), BatchError> {
        let plans = self.table.plans.iter().zip(self.changes).map(|(plan, changes)| match changes {
            Some(changes) => over(plan, changes, resolve),
            None => Ok(plan.clone()),
        });
        let table = Table { plans: plans.collect::<Result<_, _>>()?, version: self.stamp.number };
        Ok((table, self.made))
    }
}

fn read(plan: &Plan, prefix: &str) -> Result<Prefix, BatchError> {
    let prefix = prefix.trim();
    if prefix.is_empty() {
        return Err(BatchError::EmptyPrefix);
    }
    Prefix::read(prefix, plan.normalize).map_err(|error| BatchError::Prefix { prefix: prefix.to_owned(), error })
}

#[cfg(test)]
mod tests;
