//! Changes at run time: rules, users and tenants together, all of a batch or nothing of it.
//!
//! A batch makes the next routing out of this one and a record of what was changed; whoever asks a routing goes on with
//! the one it has. What is large is shared by both: the packed rules, and the users who stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use super::people::UserRecord;
use super::table::batch::{Batch, BatchError, Edit, Record, TenantChange, UserChange};
use super::table::ledger::{Bounds, Ledger, Outcome};
use super::table::{self, Table};
use super::tenant::{TenantId, Tenants, User, compile};
use super::{Destination, Routing};

impl Routing {
    /// Makes a batch of changes; every tag in it must lead somewhere.
    ///
    /// The caller keeps the record, and calls [`Ledger::remember`] when it is safe.
    pub fn apply(&self, ledger: &Ledger, batch: &Batch) -> Result<Outcome, BatchError> {
        if batch.id.is_empty() {
            return Err(BatchError::NoId);
        }
        if let Some(record) = ledger.get(&batch.id) {
            return Ok(Outcome::Known(record.clone()));
        }
        let mut draft = Draft::new(self, &batch.id);
        for edit in &batch.edits {
            draft.edit(edit)?;
        }
        draft.outcome(ledger, batch, None)
    }

    /// Takes the batch of an id back; `by` says who wants it, and its own id is that of the new record.
    ///
    /// Every rule, user and tenant of it must still be as the batch left it.
    pub fn revert(&self, ledger: &Ledger, id: &str, by: &Batch) -> Result<Outcome, BatchError> {
        if by.id.is_empty() {
            return Err(BatchError::NoId);
        }
        if let Some(record) = ledger.get(&by.id) {
            return Ok(Outcome::Known(record.clone()));
        }
        let record = ledger.get(id).ok_or_else(|| BatchError::UnknownChange(id.to_owned()))?;
        let mut draft = Draft::new(self, &by.id);
        draft.revert(record)?;
        draft.outcome(ledger, by, Some(id))
    }

    /// Makes recorded changes again, after a restart: all becomes what it was then, whatever it is now.
    ///
    /// Changes that the configuration no longer allows are left out and come back as errors.
    pub fn replay<'r>(&self, records: impl IntoIterator<Item = &'r Record>) -> (Self, Vec<BatchError>) {
        let mut draft = Draft::new(self, "");
        let mut errors = Vec::new();
        for record in records {
            draft.replay(record, &mut errors);
        }
        let tenants = changed(self, draft.people);
        let table = match draft.rules.finish(&|tag| self.resolve(tag)) {
            Ok((table, _)) => table,
            // Rules that no single change contradicts may do so together; then none of them is taken.
            Err(error) => {
                errors.push(error);
                self.table.clone()
            }
        };
        (Self { table, ..self.with_tenants(tenants) }, errors)
    }

    /// The dial plans with all changes packed. Takes as long as a build: not for a thread that calls wait for.
    pub fn folded(&self) -> Table {
        self.table.folded(&|tag| self.resolve(tag))
    }

    /// This routing over the packed rules of `folded`, which was made of an earlier one, under what has changed since.
    pub fn rebased(&self, folded: &Table) -> Result<Self, BatchError> {
        Ok(self.with_table(self.table.rebased(folded, &|tag| self.resolve(tag))?))
    }

    /// How many users all tenants have.
    pub fn user_count(&self) -> usize {
        self.tenants.iter().map(|tenant| tenant.users().len()).sum()
    }
}

/// A routing in the making.
struct Draft<'a> {
    routing: &'a Routing,
    rules: table::Draft<'a>,
    /// What changes of tenants.
    people: BTreeMap<TenantId, People>,
    user_changes: Vec<UserChange>,
    tenant_changes: Vec<TenantChange>,
}

/// What changes of a tenant.
#[derive(Debug, Default)]
struct People {
    removed: Option<bool>,
    /// By id; `None`: the user is removed.
    users: BTreeMap<String, Option<User>>,
}

/// The tenants of a routing with what changes of them.
fn changed(routing: &Routing, people: BTreeMap<TenantId, People>) -> Tenants {
    let mut tenants = routing.tenants.clone();
    for (id, People { removed, users }) in people {
        let Some(tenant) = routing.tenants.get(id) else { continue };
        let removed = removed.unwrap_or(tenant.removed);
        let mut next = tenant.with_changes(users);
        next.removed = removed;
        tenants = tenants.with(id, next);
    }
    tenants
}

impl<'a> Draft<'a> {
    fn new(routing: &'a Routing, id: &str) -> Self {
        Self {
            routing,
            rules: table::Draft::new(&routing.table, id),
            people: BTreeMap::new(),
            user_changes: Vec::new(),
            tenant_changes: Vec::new(),
        }
    }

    fn edit(&mut self, edit: &Edit) -> Result<(), BatchError> {
        match edit {
            Edit::PutUser { tenant, user } => {
                let id = self.tenant(tenant)?;
                self.put(id, user.clone())
            }
            Edit::RemoveUser { tenant, user } => {
                let id = self.tenant(tenant)?;
                self.user(id, user)?;
                self.set(id, user, None);
                Ok(())
            }
            Edit::SetLives { tenant, user, lives } => {
                let id = self.tenant(tenant)?;
                let record = UserRecord { lives: *lives, ..self.user(id, user)?.record.clone() };
                self.put(id, record)
            }
            Edit::ReplaceUsers { tenant, users } => {
                let id = self.tenant(tenant)?;
                self.replace(id, users)
            }
            Edit::RemoveTenant { tenant } => {
                let id = self.tenant(tenant)?;
                self.remove(id);
                Ok(())
            }
            Edit::RestoreTenant { tenant } => {
                let id = self.routing.tenants.find(tenant).filter(|id| self.is_removed(*id));
                let id = id.ok_or_else(|| BatchError::UnknownTenant(tenant.clone()))?;
                self.set_removed(id, false);
                Ok(())
            }
            Edit::Put { tag, .. } if !self.leads_somewhere(tag) => Err(BatchError::UnknownTag(tag.clone())),
            rules => self.rules.edit(rules, &|tag| self.routing.resolve(tag)),
        }
    }

    fn revert(&mut self, record: &Record) -> Result<(), BatchError> {
        for TenantChange { tenant, removed } in record.inverse_tenants() {
            let since = || BatchError::TenantChangedSince(tenant.clone());
            let id = self.routing.tenants.find(&tenant).filter(|id| self.is_removed(*id) != removed);
            self.set_removed(id.ok_or_else(since)?, removed);
        }
        for UserChange { tenant, user, old, new } in record.inverse_users() {
            let since = || BatchError::UserChangedSince { tenant: tenant.clone(), user: user.clone() };
            let id = self.routing.tenants.find(&tenant).ok_or_else(since)?;
            if self.current(id, &user).map(|user| &user.record) != old.as_ref() {
                return Err(since());
            }
            match new {
                Some(record) => self.put(id, record)?,
                None => self.set(id, &user, None),
            }
        }
        self.rules.revert(&record.inverse(), &|tag| self.routing.resolve(tag))
    }

    fn replay(&mut self, record: &Record, errors: &mut Vec<BatchError>) {
        self.rules.next(&record.id);
        for TenantChange { tenant, removed } in &record.tenants {
            // A tenant that the configuration has no more is as good as removed.
            if let Some(id) = self.routing.tenants.find(tenant) {
                self.set_removed(id, *removed);
            }
        }
        for UserChange { tenant, user, new, .. } in &record.users {
            let Some(id) = self.routing.tenants.find(tenant) else {
                errors.extend(new.as_ref().map(|_| BatchError::UnknownTenant(tenant.clone())));
                continue;
            };
            match new {
                Some(record) => errors.extend(self.put(id, record.clone()).err()),
                None => self.set(id, user, None),
            }
        }
        for change in &record.changes {
            if let Some(state) = &change.new
                && self.routing.resolve(&state.tag).is_none()
            {
                errors.push(BatchError::UnknownTag(state.tag.clone()));
                continue;
            }
            let resolve = |tag: &str| self.routing.resolve(tag);
            let put = self.rules.put(&change.plan, &change.prefix, &change.owner, change.new.clone(), &resolve);
            errors.extend(put.err());
        }
        // What led here is not asked again, and a journal may be long.
        self.user_changes.clear();
        self.tenant_changes.clear();
    }

    /// What the batch comes to, when there is room for it.
    fn outcome(self, ledger: &Ledger, batch: &Batch, reverts: Option<&str>) -> Result<Outcome, BatchError> {
        let Bounds { rules, users, .. } = ledger.bounds();
        let routing = self.routing;
        let next = routing.with_tenants(changed(routing, self.people));
        if next.user_count() > users.max(routing.user_count()) {
            return Err(BatchError::FullOfUsers(users));
        }
        let (table, changes) = self.rules.finish_within(rules, &|tag| routing.resolve(tag))?;
        let record = Record {
            id: batch.id.clone(),
            revision: ledger.revision() + 1,
            who: batch.who.clone(),
            when: batch.when,
            reverts: reverts.map(str::to_owned),
            changes,
            users: self.user_changes,
            tenants: self.tenant_changes,
        };
        Ok(Outcome::Made(Box::new(next.with_table(table)), record))
    }

    /// The tenant of a short name, unless it is removed.
    fn tenant(&self, name: &str) -> Result<TenantId, BatchError> {
        let id = self.routing.tenants.find(name).filter(|id| !self.is_removed(*id));
        id.ok_or_else(|| BatchError::UnknownTenant(name.to_owned()))
    }

    fn is_removed(&self, id: TenantId) -> bool {
        let changed = self.people.get(&id).and_then(|people| people.removed);
        changed.unwrap_or_else(|| self.routing.tenants.get(id).is_some_and(|tenant| tenant.removed))
    }

    fn set_removed(&mut self, id: TenantId, removed: bool) {
        let Some(tenant) = self.routing.tenants.get(id) else { return };
        if self.is_removed(id) != removed {
            self.people.entry(id).or_default().removed = Some(removed);
            self.tenant_changes.push(TenantChange { tenant: tenant.id.to_string(), removed });
        }
    }

    /// A user as it is now.
    fn current(&self, id: TenantId, user: &str) -> Option<&User> {
        match self.people.get(&id).and_then(|people| people.users.get(user)) {
            Some(changed) => changed.as_ref(),
            None => self.routing.tenants.get(id)?.named(user),
        }
    }

    fn user(&self, id: TenantId, user: &str) -> Result<&User, BatchError> {
        let tenant = || self.routing.tenants.get(id).map(|tenant| tenant.id.to_string()).unwrap_or_default();
        let unknown = || BatchError::UnknownUser { tenant: tenant(), user: user.to_owned() };
        self.current(id, user).ok_or_else(unknown)
    }

    /// Compiles a record and puts it in the place of the one that there is.
    fn put(&mut self, id: TenantId, record: UserRecord) -> Result<(), BatchError> {
        let Some(tenant) = self.routing.tenants.get(id) else { return Ok(()) };
        let wrong = |error| BatchError::User { tenant: tenant.id.to_string(), error };
        let user = compile(record, tenant, &self.routing.sites).map_err(wrong)?;
        let name = user.record.id.clone();
        if self.current(id, &name).is_none_or(|old| old.record != user.record) {
            self.set(id, &name, Some(user));
        }
        Ok(())
    }

    fn set(&mut self, id: TenantId, name: &str, user: Option<User>) {
        let Some(tenant) = self.routing.tenants.get(id) else { return };
        let old = self.current(id, name).map(|user| user.record.clone());
        if old.is_none() && user.is_none() {
            return;
        }
        let new = user.as_ref().map(|user| user.record.clone());
        self.user_changes.push(UserChange { tenant: tenant.id.to_string(), user: name.to_owned(), old, new });
        self.people.entry(id).or_default().users.insert(name.to_owned(), user);
    }

    /// Makes `records` the tenant's users.
    fn replace(&mut self, id: TenantId, records: &[UserRecord]) -> Result<(), BatchError> {
        let mut wanted = BTreeSet::new();
        for record in records {
            let user = record.id.trim();
            if !wanted.insert(user) {
                let tenant = self.routing.tenants.get(id).map(|tenant| tenant.id.to_string()).unwrap_or_default();
                return Err(BatchError::UserTwice { tenant, user: user.to_owned() });
            }
        }
        for gone in self.user_ids(id).into_iter().filter(|user| !wanted.contains(&**user)) {
            self.set(id, &gone, None);
        }
        records.iter().try_for_each(|record| self.put(id, record.clone()))
    }

    /// The ids of the users that a tenant has now.
    fn user_ids(&self, id: TenantId) -> Vec<String> {
        let Some(tenant) = self.routing.tenants.get(id) else { return Vec::new() };
        let changed = self.people.get(&id).map(|people| &people.users);
        let is_changed = |user: &str| changed.is_some_and(|changed| changed.contains_key(user));
        let known = tenant.users().iter().map(|user| &user.record.id).filter(|user| !is_changed(user));
        let put = changed.into_iter().flatten().filter(|(_, user)| user.is_some()).map(|(user, _)| user);
        known.chain(put).cloned().collect()
    }

    /// Removes a tenant and all that it owns.
    fn remove(&mut self, id: TenantId) {
        let names = self.routing.owner_names_among(id, |id| self.is_removed(id));
        for owner in self.rules.owners() {
            if names.contains(&owner.trim().trim_end_matches('.').to_ascii_lowercase()) {
                self.rules.remove_owner(&owner);
            }
        }
        for user in self.user_ids(id) {
            self.set(id, &user, None);
        }
        self.set_removed(id, true);
    }

    /// Whether a tag names a trunk, or a site of a tenant that is there.
    fn leads_somewhere(&self, tag: &str) -> bool {
        match self.routing.resolve(tag) {
            Some(Destination::Site(site)) => {
                self.routing.sites.get(site).is_some_and(|site| !self.is_removed(site.owner))
            }
            Some(Destination::Trunk(_)) => true,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
