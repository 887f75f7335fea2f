//! `[tenant.ID]` and its sites.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::address::host_name;
use super::log::{At, Draft, Log};
use super::names::Names;
use super::numbering;
use super::reader::{Table, quoted};
use super::trunks::TrunkSet;
use crate::routing::number::NumberingPlan;
use crate::routing::{Site, Tenant, TenantId};
use crate::trunk::{TrunkId, TrunkKind};

/// The sites of all tenants.
#[derive(Debug)]
pub(super) struct SiteSet {
    /// By FQDN.
    pub names: Names<u32>,
    pub list: Vec<Site>,
    /// By tenant.
    pub numbering: BTreeMap<Arc<str>, NumberingPlan>,
    pub tenants: Vec<Tenant>,
}

pub(super) fn read(log: &Log, tables: Vec<(At<&str>, Table<'_>)>, trunks: &TrunkSet<'_>) -> SiteSet {
    let mut tenants = Names::new("tenant");
    let mut sites =
        SiteSet { names: Names::new("site"), list: Vec::new(), numbering: BTreeMap::new(), tenants: Vec::new() };
    for (index, (name, mut tenant)) in (0..).zip(tables) {
        let owner = TenantId(index);
        let first = sites.list.len();
        tenants.add(log, At::new(name.value, name.place), ());
        let numbering = numbering::read(&mut tenant);
        sites.numbering.insert(name.value.into(), numbering.clone());
        let title = |index| format!("site {} of tenant {}", index + 1, quoted(name.value));
        let all = tenant.tables("site", "tenant.ID.site", title);
        if all.is_empty() {
            let message = format!("{} has no site", tenant.title);
            log.add(Draft::warning(tenant.place, message).label("in this table"));
        }
        for table in all {
            site(log, (name.value, owner), table, trunks, &mut sites);
        }
        tenant.finish();
        let own = (first..sites.list.len()).filter_map(|site| u32::try_from(site).ok()).collect();
        let mut tenant = Tenant::new(name.value, numbering);
        tenant.sites = own;
        sites.tenants.push(tenant);
    }
    sites
}

fn site(
    log: &Log,
    (tenant, owner): (&str, TenantId),
    mut table: Table<'_>,
    trunks: &TrunkSet<'_>,
    sites: &mut SiteSet,
) {
    for key in ["fqdn", "teams", "trunk"] {
        table.must_have(key);
    }
    let fqdn = table.parsed("fqdn", host_name);
    let (teams, trunk) = (table.text("teams"), table.text("trunk"));
    let side = |at: &Option<At<&str>>, wanted: bool| -> Option<TrunkId> {
        let at = at.as_ref()?;
        let id = trunks.names.find(log, &table.title, at)?;
        let is_teams = trunks.trunks.get(id).is_some_and(|trunk| trunk.kind == TrunkKind::Teams);
        if is_teams != wanted {
            let what = if wanted {
                "`teams` must be a trunk of kind teams"
            } else {
                "`trunk` must not be a trunk of kind teams"
            };
            let message = format!(
                "{}: {what}, and {} is {}",
                table.title,
                quoted(at.value),
                if is_teams { "one" } else { "none" }
            );
            log.add(Draft::error(at.place, message));
        }
        Some(id)
    };
    let (teams, trunk) = (side(&teams, true), side(&trunk, false));
    table.finish();
    let Some(fqdn) = fqdn else { return };
    let Ok(index) = u32::try_from(sites.list.len()) else {
        return;
    };
    if let Some(place) = trunks.names.place(&fqdn.value) {
        let message = format!("{} is both a site and a trunk: a tag could mean either", quoted(&fqdn.value));
        log.add(Draft::error(fqdn.place, message).also(place, "the trunk"));
    }
    sites.names.take(log, At::new(&fqdn.value, fqdn.place), index);
    sites.list.push(Site {
        tenant: tenant.into(),
        owner,
        fqdn: fqdn.value,
        // Faults keep the configuration back, so a stand-in is never asked.
        teams: teams.unwrap_or(TrunkId(0)),
        trunk: trunk.unwrap_or(TrunkId(0)),
        pbx: None,
        hairpin: false,
    });
}
