//! `[[tenant.ID.site]]`: the names that Teams knows a customer by, and the trunks behind them.

use std::sync::Arc;

use super::address::host_name;
use super::call_limits::{self, Profiles};
use super::log::{At, Draft, Log, Place};
use super::names::Names;
use super::reader::{Table, quoted};
use super::trunks::TrunkSet;
use crate::routing::{Site, TenantId};
use crate::trunk::{TrunkId, TrunkKind};

/// The sites of all tenants.
#[derive(Debug)]
pub(super) struct SiteSet<'t> {
    /// By FQDN.
    pub names: Names<u32>,
    pub list: Vec<Site>,
    /// By site.
    pub notes: Vec<Note<'t>>,
}

impl Default for SiteSet<'_> {
    fn default() -> Self {
        Self { names: Names::new("site"), list: Vec::new(), notes: Vec::new() }
    }
}

/// What of a site's table is looked at again once the other tables are read.
#[derive(Debug)]
pub(super) struct Note<'t> {
    pub title: String,
    /// Where the FQDN stands.
    pub place: Place,
    /// The trunks behind it, as written.
    pub trunks: Vec<At<&'t str>>,
}

/// Reads the sites of a tenant and hands out their indices.
pub(super) fn read<'t>(
    log: &Log,
    tenant: &mut Table<'t>,
    (id, owner): (&Arc<str>, TenantId),
    around: (&TrunkSet<'_>, &Profiles),
    sites: &mut SiteSet<'t>,
) -> Vec<u32> {
    let title = |index| format!("site {} of tenant {}", index + 1, quoted(id));
    let tables = tenant.tables("site", "tenant.ID.site", title);
    if tables.is_empty() {
        let message = format!("{} has no site", tenant.title);
        log.add(Draft::warning(tenant.place, message).label("in this table"));
    }
    tables.into_iter().filter_map(|table| site(log, (id, owner), table, around, sites)).collect()
}

fn site<'t>(
    log: &Log,
    (tenant, owner): (&Arc<str>, TenantId),
    mut table: Table<'t>,
    (trunks, profiles): (&TrunkSet<'_>, &Profiles),
    sites: &mut SiteSet<'t>,
) -> Option<u32> {
    for key in ["fqdn", "teams", "trunk"] {
        table.must_have(key);
    }
    let fqdn = table.parsed("fqdn", host_name);
    let (teams, trunk, pbx) = (table.text("teams"), table.text("trunk"), table.text("pbx"));
    let hairpin = table.boolean("hairpin").is_some_and(|flag| flag.value);
    let side = |at: &Option<At<&str>>, wanted: &str, fits: fn(TrunkKind) -> bool| -> Option<TrunkId> {
        let at = at.as_ref()?;
        let id = trunks.names.find(log, &table.title, at)?;
        if let Some(kind) = trunks.kind(id)
            && !fits(kind)
        {
            let message = format!("{}: {wanted}, and {} is of kind {}", table.title, quoted(at.value), kind.word());
            log.add(Draft::error(at.place, message));
        }
        Some(id)
    };
    let teams = side(&teams, "`teams` must be a trunk of kind teams", |kind| kind == TrunkKind::Teams);
    let behind = side(&trunk, "`trunk` must not be a trunk of kind teams", |kind| kind != TrunkKind::Teams);
    let named = side(&pbx, "`pbx` must be a trunk of kind pbx", |kind| kind == TrunkKind::Pbx);
    let limits = call_limits::read(&mut table, profiles);
    let (title, fqdn_at) = (table.title.clone(), fqdn);
    table.finish();
    let fqdn = fqdn_at?;
    let index = u32::try_from(sites.list.len()).ok()?;
    if let Some(place) = trunks.names.place(&fqdn.value) {
        let message = format!("{} is both a site and a trunk: a tag could mean either", quoted(&fqdn.value));
        log.add(Draft::error(fqdn.place, message).also(place, "the trunk"));
    }
    sites.names.take(log, At::new(&fqdn.value, fqdn.place), index);
    sites.notes.push(Note { title, place: fqdn.place, trunks: trunk.into_iter().chain(pbx).collect() });
    sites.list.push(Site {
        tenant: Arc::clone(tenant),
        owner,
        fqdn: fqdn.value,
        // Faults keep the configuration back, so a stand-in is never asked.
        teams: teams.unwrap_or(TrunkId(0)),
        trunk: behind.unwrap_or(TrunkId(0)),
        pbx: named.or(behind.filter(|id| trunks.kind(*id) == Some(TrunkKind::Pbx))),
        hairpin,
        limits,
    });
    Some(index)
}
