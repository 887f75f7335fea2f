//! What a directory says, made true in routing. It waits for disks: not for a thread that calls wait for.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Directories, Failure, Wishes};
use crate::admin::{DirectoryChange, DirectoryRun, DirectoryUnreadable};
use crate::daemon::clock::Clock;
use crate::directory::{self, Kept, Mirror, Office, Plan};
use crate::routing::people::UserRecord;
use crate::routing::{Batch, Routing};

/// Who the ledger of changes says it was.
const WHO: &str = "directory";

/// Users that a report has one by one, of each kind.
const SHOWN: usize = 1_000;

/// Whether what a directory says is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is only told.
    Preview,
    Do,
    /// However many users go.
    Force,
}

impl Directories {
    /// What has to be done with a tenant's users.
    pub(super) fn plan(&self, tenant: &str, wishes: &Wishes, mirror: &Mirror) -> Result<(Plan, Kept), Failure> {
        let routing: Routing = self.core.edge().routing.clone();
        let configured = self.changes.configured();
        let of = |tenants: &crate::routing::Tenants| tenants.find(tenant).and_then(|id| tenants.get(id)).cloned();
        let own = of(routing.tenants()).filter(|own| !own.removed).ok_or_else(Failure::no_tenant)?;
        let configured = of(&configured).ok_or_else(Failure::no_tenant)?;
        let kept = self.store.kept(tenant)?;
        let office = Office { tenant: &own, sites: routing.sites(), configured: &configured };
        Ok((directory::plan(&wishes.settings, mirror, &kept, office), kept))
    }

    /// Does what has to be done, and tells it.
    pub(super) fn apply(
        &self,
        tenant: &str,
        wishes: &Wishes,
        mirror: &Mirror,
        how: How,
    ) -> Result<DirectoryRun, Failure> {
        let (plan, _) = self.plan(tenant, wishes, mirror)?;
        let run = told(tenant, mirror, &plan);
        let percent = wishes.settings.max_delete_percent;
        let stopped = plan.deletes_more_than(percent);
        match how {
            How::Preview => return Ok(DirectoryRun { result: "preview", stopped, ..run }),
            How::Do if stopped => return Err(stop(&plan, percent)),
            How::Do | How::Force => {}
        }
        // Who is new is noted before, the others afterwards: whatever comes between, the next run finds its way.
        let note = plan.new.iter().chain(&plan.noted);
        self.store.note(tenant, note, &plan.dealt)?;
        let edits = plan.edits(tenant);
        let result = if edits.is_empty() { "unchanged" } else { "changed" };
        if !edits.is_empty() {
            let batch =
                Batch { id: self.batch_id(tenant), who: WHO.to_owned(), when: Clock::start().unix_millis(), edits };
            self.changes.apply(&batch).map_err(|refusal| Failure::refused(&refusal))?;
        }
        let gone = plan.delete.iter().map(|user| &*user.id);
        let gone = gone.chain(plan.yielded.iter().map(|id| &**id)).chain(plan.forgotten.iter().map(|id| &**id));
        let gone: Vec<&str> = gone.collect();
        if !plan.update.is_empty() || !gone.is_empty() {
            self.store.settle(tenant, plan.update.iter().map(|replaced| &replaced.wanted), gone)?;
        }
        Ok(DirectoryRun { result, ..run })
    }

    fn batch_id(&self, tenant: &str) -> String {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        format!("directory-{tenant}-{}-{}", Clock::start().unix_millis(), RUNS.fetch_add(1, Ordering::Relaxed))
    }
}

fn stop(plan: &Plan, percent: u8) -> Failure {
    let names: Vec<String> = plan.delete.iter().take(SHOWN).map(|user| user.id.clone()).collect();
    let (count, known) = (plan.delete.len(), plan.known);
    let shown = names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if count > 5 { ", ..." } else { "" };
    Failure::Stopped {
        text: format!(
            "{count} of {known} users would be removed, more than max_delete_percent = {percent}: {shown}{more}; nothing \
             was changed: look at `trunkway directory preview`, and go on with `trunkway directory sync --force`"
        ),
    }
}

fn told(tenant: &str, mirror: &Mirror, plan: &Plan) -> DirectoryRun {
    let change = |what: &'static str, user: &UserRecord| DirectoryChange { what, user: user.clone() };
    let new = plan.new.iter().take(SHOWN).map(|user| change("new", user));
    let update = plan.update.iter().take(SHOWN).map(|replaced| change("update", &replaced.new));
    let delete = plan.delete.iter().take(SHOWN).map(|user| change("delete", user));
    let unreadable = plan.unreadable.iter().take(SHOWN);
    DirectoryRun {
        tenant: tenant.to_owned(),
        users: mirror.users.len(),
        provisioned: plan.wanted,
        new: plan.new.len(),
        update: plan.update.len(),
        delete: plan.delete.len(),
        unreadable: plan.unreadable.len(),
        held: plan.held.len(),
        without_number: plan.without_number,
        changes: new.chain(update).chain(delete).collect(),
        unread: unreadable.map(|it| DirectoryUnreadable { user: it.user.clone(), why: it.why.clone() }).collect(),
        held_by_others: plan.held.iter().take(SHOWN).cloned().collect(),
        ..DirectoryRun::default()
    }
}
