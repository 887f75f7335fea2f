//! What callers with some tenants only may see and change of rules, users and changes.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use super::access::{Caller, not_yours};
use super::control::Made;
use super::fault::Fault;
use crate::routing::{Batch, Destination, Edit, Record, Routing, plain_owner};

/// Numbers that a prefix of such a caller may stand for, apart from those that are longer than it.
const MAX_NUMBERS: usize = 10_000;

/// What a caller sees of a routing. Made for one request.
#[derive(Debug)]
pub(super) struct View<'a> {
    caller: &'a Caller,
    routing: &'a Routing,
    /// Owners of rules, in lower case; `None`: all.
    owners: Option<BTreeSet<String>>,
}

impl<'a> View<'a> {
    pub(super) fn new(caller: &'a Caller, routing: &'a Routing) -> Self {
        let owners = caller.tenants().map(|tenants| {
            let ids = tenants.iter().filter_map(|tenant| routing.tenants().find(tenant));
            ids.flat_map(|id| routing.owner_names(id)).collect()
        });
        Self { caller, routing, owners }
    }

    pub(super) const fn caller(&self) -> &Caller {
        self.caller
    }

    pub(super) const fn routing(&self) -> &Routing {
        self.routing
    }

    /// Owners of the rules that the caller sees, in lower case; `None`: all.
    pub(super) const fn owners(&self) -> Option<&BTreeSet<String>> {
        self.owners.as_ref()
    }

    /// Whether rules of an owner are the caller's business.
    pub(super) fn owns(&self, owner: &str) -> bool {
        self.owners.as_ref().is_none_or(|owners| owners.contains(&plain_owner(owner)))
    }

    /// Whether all that a batch did is the caller's business.
    pub(super) fn sees(&self, record: &Record) -> bool {
        self.caller.sees_all()
            || (record.changes.iter().all(|change| self.owns(&change.owner))
                && record.users.iter().all(|change| self.caller.sees(&change.tenant))
                && record.tenants.iter().all(|change| self.caller.sees(&change.tenant)))
    }

    /// Whether the caller may make these edits.
    pub(super) fn may_make(&self, batch: &Batch) -> Result<(), Fault> {
        if self.caller.sees_all() {
            return Ok(());
        }
        batch.edits.iter().try_for_each(|edit| self.may(edit))
    }

    /// Whether the caller may take a batch back.
    pub(super) fn may_revert(&self, record: &Record) -> Result<(), Fault> {
        if self.caller.sees_all() || (self.sees(record) && record.tenants.is_empty()) {
            return Ok(());
        }
        Err(not_yours(&format!("change `{}`", record.id)))
    }

    /// What came of a batch, unless it is another's that was made before under the same id.
    pub(super) fn made(&self, made: Made) -> Result<Made, Fault> {
        if made.known && !self.sees(&made.record) {
            return Err(Fault::new(StatusCode::CONFLICT, "conflict", "another change has this id: take a new one"));
        }
        Ok(made)
    }

    fn may(&self, edit: &Edit) -> Result<(), Fault> {
        match edit {
            Edit::Put { plan, prefix, owner, tag, .. } => {
                self.must_own(owner)?;
                if !self.leads_home(tag) {
                    return Err(not_yours(&format!("tag `{tag}`, which is no site of theirs,")));
                }
                self.must_not_take(plan, prefix)
            }
            Edit::Remove { owner, .. } | Edit::RemoveOwner { owner } => self.must_own(owner),
            Edit::PutUser { tenant, .. }
            | Edit::RemoveUser { tenant, .. }
            | Edit::SetLives { tenant, .. }
            | Edit::ReplaceUsers { tenant, .. } => self.caller.must_see(tenant),
            Edit::RemoveTenant { .. } | Edit::RestoreTenant { .. } => {
                Err(not_yours("removing a tenant or taking it back"))
            }
        }
    }

    fn must_own(&self, owner: &str) -> Result<(), Fault> {
        if self.owns(owner) { Ok(()) } else { Err(not_yours(&format!("owner `{owner}`"))) }
    }

    /// Whether a tag is a site of the caller's tenants.
    fn leads_home(&self, tag: &str) -> bool {
        match self.routing.resolve(tag) {
            Some(Destination::Site(site)) => self.is_home(site),
            // What leads nowhere is refused by who makes the change.
            Some(Destination::Trunk(_)) => false,
            None => true,
        }
    }

    fn is_home(&self, site: u32) -> bool {
        self.routing.sites().get(site).is_some_and(|site| self.caller.sees(&site.tenant))
    }

    /// Refuses a prefix that would take numbers which lead to somebody else.
    fn must_not_take(&self, plan: &str, prefix: &str) -> Result<(), Fault> {
        let Some(plan) = self.routing.table().plan(plan) else { return Ok(()) };
        let Some(numbers) = numbers(prefix) else {
            let detail = format!("prefix `{prefix}` stands for more than {MAX_NUMBERS} numbers, or cannot be read");
            return Err(Fault::bad("bad_prefix", detail));
        };
        for number in numbers {
            let Some(found) = plan.find(number.as_bytes()) else { continue };
            let elsewhere = matches!(found.destination, Some(Destination::Site(site)) if !self.is_home(site));
            if elsewhere || !(found.owner().is_empty() || self.owns(found.owner())) {
                return Err(not_yours(&format!("number `{number}`, which somebody else's rule has,")));
            }
        }
        Ok(())
    }
}

/// The numbers that a prefix stands for, as long as it is; `None`: too many, or it cannot be read.
fn numbers(prefix: &str) -> Option<Vec<String>> {
    let mut all = vec![String::new()];
    let mut rest = prefix.trim();
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..)?;
        let (choices, left) = match first {
            '[' => {
                let (inside, left) = after.split_once(']')?;
                (choices(inside)?, left)
            }
            'x' | 'X' => (choices("0-9")?, after),
            '\\' => {
                let escaped = after.chars().next()?;
                (vec![escaped.to_string()], after.get(escaped.len_utf8()..)?)
            }
            '#' if after.is_empty() => break,
            other => (vec![other.to_string()], after),
        };
        if all.len().saturating_mul(choices.len()) > MAX_NUMBERS {
            return None;
        }
        all = all.iter().flat_map(|begin| choices.iter().map(move |choice| format!("{begin}{choice}"))).collect();
        rest = left;
    }
    Some(all)
}

/// What stands between brackets: numbers of one width, or digits of a set.
fn choices(inside: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for part in inside.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if to < from || to - from >= MAX_NUMBERS {
            return None;
        }
        let width = first.trim().len();
        all.extend((from..=to).map(|number| format!("{number:0width$}")));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_stands_for_the_numbers_of_its_ranges() {
        for (prefix, wanted) in [
            ("+44", vec!["+44"]),
            ("4[08-10]", vec!["408", "409", "410"]),
            ("[1,3,5-6]0", vec!["10", "30", "50", "60"]),
            ("12#", vec!["12"]),
            ("\\x1", vec!["x1"]),
        ] {
            assert_eq!(numbers(prefix).unwrap(), wanted, "{prefix}");
        }
        assert_eq!(numbers("1x").unwrap().len(), 10);
        assert_eq!(numbers("1[0000-9999]").unwrap().len(), 10_000);
        for prefix in ["1[00000-99999]", "1xxxxx", "[1", "[a-b]", "[5-4]", "1[0-99999999999999999999]"] {
            assert_eq!(numbers(prefix), None, "{prefix}");
        }
    }
}
