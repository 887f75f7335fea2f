//! Whose a trunk is, and who names a trunk that is another's.

use super::log::{At, Draft, Log, Place};
use super::reader::quoted;
use super::tenants::TenantSet;
use super::trunks::TrunkSet;
use crate::routing::TenantId;
use crate::trunk::{TrunkId, TrunkKind};

/// Whose each trunk is.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// By [`TrunkId`].
    of: Vec<Option<Owner>>,
}

/// Whose a trunk is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub tenant: TenantId,
    /// Where the trunk's table says so; `None`: it follows from the sites.
    pub said: Option<Place>,
}

impl Owners {
    /// Whose a trunk is; `None`: it is shared.
    pub(super) fn get(&self, trunk: TrunkId) -> Option<Owner> {
        self.of.get(usize::from(trunk.0)).copied().flatten()
    }

    /// Complains when a tenant's trunk is named for another; `title` is who names it.
    pub(super) fn check(&self, log: &Log, title: &str, at: &At<TrunkId>, tenant: TenantId, around: &Named<'_>) {
        let Some(owner) = self.get(at.value).filter(|owner| owner.tenant != tenant) else { return };
        let trunk = around.trunks.trunks.get(at.value).map_or("", |trunk| &*trunk.name);
        let of = around.tenants.list.get(owner.tenant.0 as usize).map_or("", |tenant| &*tenant.id);
        let message = format!("{title}: trunk {} is that of tenant {}", quoted(trunk), quoted(of));
        let mut draft = Draft::error(at.place, message);
        if let Some(said) = owner.said {
            draft = draft.also(said, "says whose it is");
        }
        log.add(draft.help("a trunk with a tenant of its own serves that tenant only"));
    }
}

/// What names stand for in complaints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub trunks: &'a TrunkSet<'a>,
    pub tenants: &'a TenantSet<'a>,
}

pub(super) fn read(log: &Log, around: Named<'_>) -> Owners {
    let Named { trunks, tenants } = around;
    let mut owners = Owners::default();
    for (trunk, note) in trunks.trunks.0.iter().zip(&trunks.notes) {
        owners.of.push(match &note.tenant {
            Some(name) => {
                let tenant = tenants.ids.find(log, &note.title, name);
                tenant.map(|tenant| Owner { tenant, said: Some(name.place) })
            }
            None if trunk.kind == TrunkKind::Pbx => only(tenants, trunk.id),
            None => None,
        });
    }
    for (site, note) in tenants.sites.list.iter().zip(&tenants.sites.notes) {
        for name in &note.trunks {
            if let Some(trunk) = trunks.names.get(name.value) {
                owners.check(log, &note.title, &At::new(trunk, name.place), site.owner, &around);
            }
        }
    }
    for (tenant, note) in (0..).map(TenantId).zip(&tenants.notes) {
        for trunk in &note.trunks {
            owners.check(log, &note.title, trunk, tenant, &around);
        }
    }
    owners
}

/// The only tenant whose sites name a trunk.
fn only(tenants: &TenantSet<'_>, trunk: TrunkId) -> Option<Owner> {
    let naming = tenants.sites.list.iter().filter(|site| site.trunk == trunk || site.pbx == Some(trunk));
    let mut naming = naming.map(|site| site.owner);
    let tenant = naming.next()?;
    naming.all(|other| other == tenant).then_some(Owner { tenant, said: None })
}
