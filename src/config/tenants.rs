//! `[tenant.ID]`: the customers, their wishes and their number ranges.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::call_limits::{self, Profiles};
use super::directory::{self, Directory};
use super::graph::{self, Graph};
use super::log::{At, Draft, Log, Place};
use super::names::Names;
use super::numbering;
use super::presence::{self, TenantPresence};
use super::reader::{Table, quoted};
use super::sheets::{self, Sheets};
use super::sites::{self, SiteSet};
use super::trunks::TrunkSet;
use super::users::{self, UserPlaces};
use crate::routing::number::NumberingPlan;
use crate::routing::people::{ShortName, ShortNameError};
use crate::routing::{Anonymous, Plan, PrefixError, Rules, Tenant, TenantId};
use crate::trunk::TrunkId;

/// The tenants with their sites and users.
#[derive(Debug)]
pub(super) struct TenantSet<'t> {
    pub ids: Names<TenantId>,
    pub list: Vec<Tenant>,
    /// By [`TenantId`].
    pub notes: Vec<Note>,
    pub sites: SiteSet<'t>,
    pub numbering: BTreeMap<Arc<str>, NumberingPlan>,
    /// By tenant: those that take part in the bridge.
    pub presence: BTreeMap<Arc<str>, TenantPresence>,
    /// By tenant: the users files that it names, not those that a pattern found.
    pub files: BTreeMap<Arc<str>, Vec<PathBuf>>,
    /// By tenant: how Microsoft Graph is asked.
    pub graphs: BTreeMap<Arc<str>, Graph>,
    /// By tenant: how its users are read from Entra ID.
    pub directories: BTreeMap<Arc<str>, Directory>,
}

/// What of a tenant's table is looked at again once the other tables are read.
#[derive(Debug)]
pub(super) struct Note {
    pub title: String,
    pub place: Place,
    /// The trunks of `emergency_to` and `service_to`, and those of the bridge.
    pub trunks: Vec<At<TrunkId>>,
    /// Where its users stand.
    pub users: UserPlaces,
}

/// What the tenants are read with.
#[derive(Debug)]
pub(super) struct Surroundings<'a, 's> {
    pub trunks: &'a TrunkSet<'a>,
    pub profiles: &'a Profiles,
    /// Users files.
    pub sheets: &'s mut Sheets,
    pub max_users: usize,
    /// How many ranges a tenant may have.
    pub max_ranges: usize,
}

pub(super) fn read<'t>(
    log: &Log,
    tables: Vec<(At<&'t str>, Table<'t>)>,
    around: Surroundings<'_, '_>,
) -> TenantSet<'t> {
    let mut set = TenantSet {
        ids: Names::new("tenant"),
        list: Vec::new(),
        notes: Vec::new(),
        sites: SiteSet::default(),
        numbering: BTreeMap::new(),
        presence: BTreeMap::new(),
        files: BTreeMap::new(),
        graphs: BTreeMap::new(),
        directories: BTreeMap::new(),
    };
    let mut open = Vec::with_capacity(tables.len());
    for (index, (name, mut table)) in (0..).zip(tables) {
        let owner = TenantId(index);
        short_name(log, &name);
        set.ids.take(log, At::new(name.value, name.place), owner);
        let (tenant, trunks) = tenant(log, &name, owner, &mut table, &around, &mut set.sites);
        set.numbering.insert(Arc::clone(&tenant.id), tenant.numbering.clone());
        let graph = table.table("graph", "tenant.ID.graph").and_then(graph::read);
        set.graphs.extend(graph.map(|graph| (Arc::clone(&tenant.id), graph)));
        if table.has("directory") && !table.has("graph") {
            let message = format!("{}: `directory` without `graph`: nothing is read", table.title);
            let help = "say in [tenant.ID.graph] how Microsoft Graph is asked";
            log.add(Draft::warning(table.place_of("directory"), message).help(help));
        }
        set.directories.extend(directory::read(&mut table).map(|read| (Arc::clone(&tenant.id), read)));
        let (title, place) = (table.title.clone(), name.place);
        set.notes.push(Note { title, place, trunks, users: UserPlaces::default() });
        set.list.push(tenant);
        open.push(table);
    }
    // Users name sites, of which all are known by now.
    let mut left = users::Left::new(around.max_users);
    for (index, mut table) in open.into_iter().enumerate() {
        let (Some(tenant), Some(note)) = (set.list.get_mut(index), set.notes.get_mut(index)) else { continue };
        set.files.insert(Arc::clone(&tenant.id), sheets::literal(&mut table, "users_files"));
        let (users, places, limits) =
            users::read(log, &mut table, (tenant, around.profiles), &set.sites, around.sheets, &mut left);
        note.users = places;
        if users.is_empty() && !tenant.ranges.is_empty() && tenant.unassigned.is_none() {
            nobody(log, &table);
        }
        tenant.user_limits.extend(limits);
        *tenant = std::mem::take(tenant).with_users(users);
        if let Some((presence, trunks)) = presence::of_tenant(log, &mut table, tenant, around.trunks) {
            note.trunks.extend(trunks);
            set.presence.insert(Arc::clone(&tenant.id), presence);
        }
        table.finish();
    }
    set
}

/// Warns of ranges in which every number is nobody's.
fn nobody(log: &Log, table: &Table<'_>) {
    let message = format!("{}: calls to its `numbers` get 404, since there are no users", table.title);
    let help = "name its users, say in `unassigned` where calls to nobody go, or leave `numbers` to the dial plan";
    log.add(Draft::warning(table.place_of("numbers"), message).label("each of them is nobody's").help(help));
}

fn short_name(log: &Log, name: &At<&str>) {
    let Err(error) = name.value.parse::<ShortName>() else { return };
    let message = format!("{} is no name for a tenant: {error}", quoted(name.value));
    let lower = name.value.to_ascii_lowercase();
    let help = match error {
        ShortNameError::Character(_) if lower.parse::<ShortName>().is_ok() => format!("write it as `{lower}`"),
        _ => {
            "use a DNS label of 3 to 15 characters in lower case: it can be the first part of a site's FQDN".to_owned()
        }
    };
    log.add(Draft::error(name.place, message).help(help));
}

fn tenant<'t>(
    log: &Log,
    name: &At<&str>,
    owner: TenantId,
    table: &mut Table<'t>,
    around: &Surroundings<'_, '_>,
    sites: &mut SiteSet<'t>,
) -> (Tenant, Vec<At<TrunkId>>) {
    let mut tenant = Tenant::new(name.value, numbering::read(table));
    tenant.limits = call_limits::read(table, around.profiles);
    tenant
        .user_limits
        .extend(call_limits::named(table, "user_limits", around.profiles).map(|limits| (Box::default(), limits)));
    tenant.sites = sites::read(log, table, (&tenant.id, owner), (around.trunks, around.profiles), sites);
    tenant.ranges = ranges(log, table, around.max_ranges);
    if let Some(unassigned) = table.parsed("unassigned", |text| numbering::destination(text, &tenant.numbering)) {
        if tenant.ranges.is_empty() && tenant.numbering.extensions().is_empty() {
            let message = format!("{}: `unassigned` is never used", table.title);
            let help = "say in `numbers` or `extension_ranges` which numbers are this tenant's";
            log.add(Draft::warning(unassigned.place, message).help(help));
        }
        tenant.unassigned = Some(unassigned.value);
    }
    let mut named = Vec::new();
    let mut list = |key| {
        let list = around.trunks.list(log, table, key);
        let ids = list.iter().map(|trunk| trunk.value).collect();
        named.extend(list);
        ids
    };
    tenant.emergency = list("emergency_to");
    tenant.service = list("service_to");
    tenant.between_tenants = table.boolean("between_tenants").is_some_and(|flag| flag.value);
    let words = [("accept", Anonymous::Accept), ("refuse", Anonymous::Refuse)];
    tenant.anonymous = table.choice("anonymous", &words).map_or_else(Anonymous::default, |word| word.value);
    (tenant, named)
}

/// The plan of a tenant's own numbers.
fn ranges(log: &Log, table: &mut Table<'_>, max: usize) -> Plan {
    let mut rules = Rules::new(max);
    for (index, prefix) in (0..).zip(table.texts("numbers").unwrap_or_default()) {
        let text = prefix.value.trim();
        let digits = text.strip_prefix('+').unwrap_or("");
        let good = !digits.is_empty() && digits.bytes().all(|byte| !byte.is_ascii_alphabetic() || byte == b'x');
        let error = if good { rules.add(text, "", index).err() } else { None };
        let help = match error {
            None if good => continue,
            Some(PrefixError::Full(_)) => "raise `max_dialplan_prefixes` in [limits]",
            _ => "write E.164 numbers or their beginnings with `+`, such as \"+4416327684[00-99]\"",
        };
        let why = error.map_or_else(|| "it does not begin with `+` and a digit".to_owned(), |error| error.to_string());
        let message = format!("{}: `numbers`: {} is no range: {why}", table.title, quoted(prefix.value));
        log.add(Draft::error(prefix.place, message).help(help));
    }
    // All of them lead to the tenant: none contradicts another.
    Plan::new(Arc::from("numbers"), rules, |_| None).0
}
