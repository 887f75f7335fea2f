//! Configuration: TOML in; checked, immutable values out, or everything that is wrong with it at once.
//!
//! [`load`] reads the file and those that it includes, checks tables and the references between them, and compiles what
//! the pure core needs. Faults never stop the reading: each is noted with its file, line and column, and any of them
//! keeps the whole configuration back. Warnings come along with a configuration that is taken.

mod address;
mod call_limits;
mod control;
mod credential;
mod dialect;
mod dialplans;
mod directory;
mod emergency;
mod fault;
mod file_faults;
mod files;
mod graph;
mod groups;
mod guard;
mod health;
mod listeners;
mod log;
mod logging;
mod login;
mod mask;
mod model;
mod names;
mod nearest;
mod numbering;
mod origins;
mod overload;
mod owners;
mod presence;
mod rates;
mod reader;
mod records;
mod review;
mod routes;
mod rows;
mod service;
mod settings;
mod sheets;
mod sites;
mod slots;
mod stretches;
pub mod teams;
mod tenants;
mod trace;
mod translations;
mod trunks;
mod users;
mod windows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

pub use control::{Control, ControlHttp, ControlScope, ControlToken};
pub use dialplans::prefix_help;
pub use directory::{Directory, GroupRule};
pub use fault::{Excerpt, Fault, Faults, Position, Severity};
pub use file_faults::{FaultFile, FileFaults, Remark};
pub use files::{Instead, whole};
pub use graph::{Credential as GraphCredential, Graph, Notifications as GraphNotifications, Webhook};
pub use guard::Guard;
pub use logging::{LogFormat, Logging};
pub use login::Login;
pub use model::{
    ClientCertificate, ClientTls, Config, Dns, Limits, Listen, Metrics, Node, ServerTls, State, Timers, TrunkTls,
};
pub use overload::Overload;
pub use presence::{Presence, TenantPresence, UserPresence};
pub use records::{RecordFormat, Records, Rotate};
pub use review::{Finding, Review, Spot};
pub use service::{Service, StopWaits};
pub use slots::{Slots, TrunkSlot};
pub use trace::{Collector, Hep, Trace};

use self::dialplans::Tags;
use self::log::{At, Draft, FileId, Log, Place};
use self::owners::Named;
use self::reader::{Reading, Table, quoted};
use self::sheets::Sheets;
use crate::routing::number::NumberingPlan;
use crate::routing::people;
use crate::routing::translate::Translations;
use crate::routing::{Parts, Routing, Sites, Tenants};
use crate::trunk::{Identify, Listener, Trunks};

/// A configuration that passed every check.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the drivers need.
    pub config: Config,
    pub trunks: Trunks,
    pub identify: Identify,
    pub routing: Routing,
    /// What digits mean, by tenant.
    pub numbering: BTreeMap<Arc<str>, NumberingPlan>,
    /// Rules that rewrite numbers, by [`crate::trunk::TrunkId`].
    pub translations: Vec<Translations>,
    /// What the operator may not want.
    pub warnings: Faults,
    /// The files that it was read from, those of dial plans, rates and users included; certificates are named in
    /// `config`.
    pub files: Vec<PathBuf>,
    /// By dial plan: the files that it names, without those that a pattern found.
    pub plan_files: BTreeMap<Arc<str>, Vec<PathBuf>>,
    /// By tenant: the users files that it names, likewise.
    pub user_files: BTreeMap<Arc<str>, Vec<PathBuf>>,
}

/// Reads and checks the configuration of a file.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    load_reviewed(path, |_, _| ())
}

/// Reads and checks the configuration of a file; what `review` finds in one that can be taken is among the warnings.
pub fn load_reviewed(path: &Path, review: impl FnOnce(&Loaded, &Review<'_>)) -> Result<Loaded, Faults> {
    load_file(Reading::default(), path, review)
}

/// Reads and checks the configuration of a file over the one in force: what both have keeps its ids, and what the file has
/// no more keeps its place.
pub fn load_over(path: &Path, slots: Slots) -> Result<Loaded, Faults> {
    load_file(Reading { slots: Arc::new(slots), ..Reading::default() }, path, |_, _| ())
}

/// Reads and checks the configuration of a file as it would be with other texts of its files of rows.
pub fn load_instead(path: &Path, instead: Instead) -> Result<Loaded, Faults> {
    load_file(Reading { log: Log::over(instead), ..Reading::default() }, path, |_, _| ())
}

fn load_file(reading: Reading, path: &Path, review: impl FnOnce(&Loaded, &Review<'_>)) -> Result<Loaded, Faults> {
    let shown = path.to_string_lossy().into_owned();
    match std::fs::read_to_string(path) {
        Ok(text) => load_text(reading, shown, &text, path.parent().unwrap_or(Path::new("")), Some(path), review),
        Err(error) => {
            let file = reading.log.add_file(shown, Arc::from(""));
            let message = format!("cannot read the configuration: {error}");
            reading.log.add(Draft::of_file(Severity::Error, file, message));
            Err(reading.log.into_faults())
        }
    }
}

/// Checks a configuration that is at hand as text; `name` stands in faults, paths are relative to `base`.
pub fn load_str(name: &str, text: &str, base: &Path) -> Result<Loaded, Faults> {
    load_text(Reading::default(), name.to_owned(), text, base, None, |_, _| ())
}

/// The same of a configuration that is at hand as text.
pub fn load_str_over(name: &str, text: &str, base: &Path, slots: Slots) -> Result<Loaded, Faults> {
    let reading = Reading { slots: Arc::new(slots), ..Reading::default() };
    load_text(reading, name.to_owned(), text, base, None, |_, _| ())
}

fn load_text(
    reading: Reading,
    name: String,
    text: &str,
    base: &Path,
    path: Option<&Path>,
    review: impl FnOnce(&Loaded, &Review<'_>),
) -> Result<Loaded, Faults> {
    let loaded = compile(&reading, name, text, base, path, review);
    let failed = reading.log.failed();
    let faults = reading.log.into_faults();
    match loaded {
        Some(loaded) if !failed => Ok(Loaded { warnings: faults, ..loaded }),
        _ => Err(faults),
    }
}

/// A file of the configuration.
struct Document<'t> {
    file: FileId,
    base: PathBuf,
    entries: Spanned<DeTable<'t>>,
}

impl Document<'_> {
    fn root<'t>(&'t self, reading: &'t Reading) -> Table<'t> {
        Table::root(reading, self.file, &self.base, self.entries.get_ref())
    }
}

/// The tables of all files, in the order in which they stand.
#[derive(Default)]
struct Sections<'t> {
    node: Vec<Table<'t>>,
    tls_client: Vec<Table<'t>>,
    timers: Vec<Table<'t>>,
    limits: Vec<Table<'t>>,
    dns: Vec<Table<'t>>,
    metrics: Vec<Table<'t>>,
    state: Vec<Table<'t>>,
    control: Vec<Table<'t>>,
    service: Vec<Table<'t>>,
    records: Vec<Table<'t>>,
    trace: Vec<Table<'t>>,
    guard: Vec<Table<'t>>,
    overload: Vec<Table<'t>>,
    logging: Vec<Table<'t>>,
    emergency: Vec<Table<'t>>,
    presence: Vec<Table<'t>>,
    listen: Vec<Table<'t>>,
    limits_profile: Vec<(At<&'t str>, Table<'t>)>,
    trunk: Vec<(At<&'t str>, Table<'t>)>,
    tenant: Vec<(At<&'t str>, Table<'t>)>,
    dialplan: Vec<(At<&'t str>, Table<'t>)>,
    route: Vec<Table<'t>>,
}

impl<'t> Sections<'t> {
    fn add(&mut self, mut root: Table<'t>, is_first: bool) {
        self.node.extend(root.table("node", "node"));
        self.tls_client.extend(root.table("tls_client", "tls_client"));
        self.timers.extend(root.table("timers", "timers"));
        self.limits.extend(root.table("limits", "limits"));
        self.dns.extend(root.table("dns", "dns"));
        self.metrics.extend(root.table("metrics", "metrics"));
        self.state.extend(root.table("state", "state"));
        self.control.extend(root.table("control", "control"));
        self.service.extend(root.table("service", "service"));
        self.records.extend(root.table("records", "records"));
        self.trace.extend(root.table("trace", "trace"));
        self.guard.extend(root.table("guard", "guard"));
        self.overload.extend(root.table("overload", "overload"));
        self.logging.extend(root.table("log", "log"));
        self.emergency.extend(root.table("emergency", "emergency"));
        self.presence.extend(root.table("presence", "presence"));
        self.listen.extend(root.tables("listen", "listen", |index| format!("listener {}", index + 1)));
        self.limits_profile.extend(root.named("limits_profile", "limits_profile.NAME", "limits profile"));
        self.trunk.extend(root.named("trunk", "trunk.NAME", "trunk"));
        self.tenant.extend(root.named("tenant", "tenant.ID", "tenant"));
        self.dialplan.extend(root.named("dialplan", "dialplan.NAME", "dial plan"));
        self.route.extend(root.tables("route", "route", |index| format!("route {}", index + 1)));
        root.know("include");
        if !is_first {
            for key in ["node", "include"] {
                if root.has(key) {
                    let message = format!("an included file cannot have `{key}`");
                    let help = "it belongs in the first file";
                    root.log().add(Draft::error(root.place_of(key), message).help(help));
                }
            }
            self.node.truncate(1);
        }
        root.finish();
    }
}

fn compile(
    reading: &Reading,
    name: String,
    text: &str,
    base: &Path,
    path: Option<&Path>,
    review: impl FnOnce(&Loaded, &Review<'_>),
) -> Option<Loaded> {
    let log = &reading.log;
    let mut files: Vec<PathBuf> = path.map(Path::to_owned).into_iter().collect();
    let first = parse(log, name, text, base.to_owned());
    let texts = included(reading, &first, &mut files);
    let mut documents = vec![first];
    for (path, text) in &texts {
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        documents.push(parse(log, path.to_string_lossy().into_owned(), text, base));
    }
    let mut sections = Sections::default();
    for (index, document) in documents.iter().enumerate() {
        sections.add(document.root(reading), index == 0);
    }
    build(reading, sections, files, review)
}

/// Parses a file; what can be read of a faulty one is kept, so that its other faults are told as well.
fn parse<'t>(log: &Log, name: String, text: &'t str, base: PathBuf) -> Document<'t> {
    let file = log.add_file(name, text.into());
    let (entries, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        log.set_incomplete();
        let place = Place::new(file, error.span().unwrap_or(0..0));
        log.add(Draft::error(place, format!("this is no TOML: {}", error.message())));
    }
    Document { file, base, entries }
}

/// The texts of the files that `include` names.
fn included(reading: &Reading, first: &Document<'_>, files: &mut Vec<PathBuf>) -> Vec<(PathBuf, String)> {
    let log = &reading.log;
    let mut texts = Vec::new();
    for pattern in first.root(reading).texts("include").unwrap_or_default() {
        let paths = files::expand(&first.base, pattern.value).unwrap_or_else(|error| {
            log.set_incomplete();
            let message = format!("include {}: {error}", quoted(pattern.value));
            log.add(Draft::error(pattern.place, message));
            vec![]
        });
        if paths.is_empty() && log.is_complete() {
            let message = format!("no file fits {}", quoted(pattern.value));
            log.add(Draft::warning(pattern.place, message));
        }
        for path in paths {
            // A file that two patterns find is read once.
            if files.contains(&path) {
                continue;
            }
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    files.push(path.clone());
                    texts.push((path, text));
                }
                Err(error) => {
                    log.set_incomplete();
                    let shown = quoted(&path.to_string_lossy());
                    let message = format!("cannot read {shown}: {error}");
                    log.add(Draft::error(pattern.place, message));
                }
            }
        }
    }
    texts
}

/// The table that may stand once in all files.
fn single<'t>(log: &Log, tables: Vec<Table<'t>>) -> Option<Table<'t>> {
    let mut tables = tables.into_iter();
    let first = tables.next()?;
    for again in tables {
        let message = format!("{} is there twice", again.title);
        log.add(Draft::error(again.place, message).label("again").also(first.place, "first"));
    }
    Some(first)
}

/// The tables that stand once.
struct Settings {
    node: Node,
    tls_client: ClientTls,
    timers: Timers,
    limits: Limits,
    dns: Dns,
    metrics: Metrics,
    state: State,
    control: control::Read,
    logging: Logging,
    overload: Overload,
    guard: Guard,
    trace: Trace,
    records: Records,
    service: Service,
}

fn settings(log: &Log, sections: &mut Sections<'_>) -> Settings {
    let take = |tables: &mut Vec<_>| single(log, std::mem::take(tables));
    let node = match take(&mut sections.node) {
        Some(table) => settings::node(table),
        None => {
            if log.is_complete() {
                let file = FileId::default();
                let draft = Draft::of_file(Severity::Error, file, "there is no [node] table");
                log.add(draft.help("begin with: [node] and name = \"edge-1\""));
            }
            Node { name: "".into(), fqdn: None, seal_key_file: None, seal_max_age: Node::SEAL_MAX_AGE, workers: None }
        }
    };
    let state = take(&mut sections.state).map(settings::state).unwrap_or_default();
    let has_state = state.dir.is_some();
    Settings {
        node,
        tls_client: take(&mut sections.tls_client).map(settings::client_tls).unwrap_or_default(),
        timers: take(&mut sections.timers).map(settings::timers).unwrap_or_default(),
        limits: take(&mut sections.limits).map(settings::limits).unwrap_or_default(),
        dns: take(&mut sections.dns).map(settings::dns).unwrap_or_default(),
        metrics: take(&mut sections.metrics).map(settings::metrics).unwrap_or_default(),
        state,
        control: take(&mut sections.control).map(control::read).unwrap_or_default(),
        logging: take(&mut sections.logging).map(logging::read).unwrap_or_default(),
        overload: take(&mut sections.overload).map(overload::read).unwrap_or_default(),
        guard: take(&mut sections.guard).map(guard::read).unwrap_or_default(),
        trace: take(&mut sections.trace).map(trace::read).unwrap_or_default(),
        records: take(&mut sections.records).map(|table| records::read(table, has_state)).unwrap_or_default(),
        service: take(&mut sections.service).map(service::read).unwrap_or_default(),
    }
}

fn build(
    reading: &Reading,
    mut sections: Sections<'_>,
    mut files: Vec<PathBuf>,
    review: impl FnOnce(&Loaded, &Review<'_>),
) -> Option<Loaded> {
    let Reading { log, slots, .. } = reading;
    let Settings {
        node,
        tls_client,
        timers,
        limits,
        dns,
        metrics,
        state,
        control,
        service,
        records,
        trace,
        guard,
        overload,
        logging,
    } = settings(log, &mut sections);
    let mut sheets = Sheets::new(mask::masked);
    let mut users_files = Sheets::new(people::masked);

    let listeners = listeners::read(log, sections.listen, &node, slots);
    let profiles = call_limits::profiles(log, sections.limits_profile);
    let around = trunks::Surroundings {
        node: &node,
        profiles: &profiles,
        timers: &timers,
        listeners: &listeners,
        slots,
        tls_client: &tls_client,
        max_rates: limits.max_dialplan_prefixes,
    };
    let trunks = trunks::read(log, sections.trunk, around, &mut sheets);
    let around = tenants::Surroundings {
        trunks: &trunks,
        profiles: &profiles,
        sheets: &mut users_files,
        max_users: limits.max_users,
        max_ranges: limits.max_dialplan_prefixes,
    };
    let mut tenants = tenants::read(log, sections.tenant, around);
    let bridged = std::mem::take(&mut tenants.presence);
    let named = Named { trunks: &trunks, tenants: &tenants };
    let owners = owners::read(log, named);
    control::check_tenants(log, &control, &tenants);
    let presence = match single(log, sections.presence) {
        Some(table) => presence::read(table, bridged),
        None => Presence { tenants: bridged, ..Presence::default() },
    };
    let emergency = emergency::read(log, single(log, sections.emergency), &trunks, &owners);
    let tags = Tags { tenants: &tenants, trunks: &trunks };
    let plans = dialplans::read(log, sections.dialplan, tags, &mut sheets, limits.max_dialplan_prefixes);
    let routes = routes::read(log, sections.route, named, &owners, limits.max_branches);
    let origins = origins::read(log, &trunks, &listeners, &plans, &owners);
    if !log.failed() {
        origins::idle(log, &listeners, &trunks, &plans, &origins, &routes.list);
        emergency::unminded(log, &tenants, &emergency, &plans.list);
    }

    files.extend(sheets.into_paths());
    files.extend(users_files.into_paths());
    let parts = Parts {
        sites: Sites::new(tenants.sites.list),
        tenants: Tenants::new(tenants.list),
        plans: plans.list,
        origins,
        routes: routes.list,
        emergency,
    };
    let (routing, conflicts) = match Routing::new(parts) {
        Ok(made) => made,
        Err((route, error)) => {
            let place = routes.places.get(route).copied()?;
            log.add(Draft::error(place, format!("route {}: {error}", route + 1)));
            return None;
        }
    };
    routes::unreachable(log, &routes.places, &conflicts);
    let pure: Vec<Listener> = listeners.list.iter().map(|listen| listen.listener.clone()).collect();
    let identify = Identify::new(&pure, &trunks.trunks);
    let pace = |note: &trunks::Note<'_>| note.requests_per_second.unwrap_or(guard.trunk_requests_per_second);
    let trunk_requests_per_second = trunks.notes.iter().map(pace).collect();
    let trunk_health = trunks.notes.iter().map(|note| note.health.clone()).collect();
    let logins = trunks.staying().filter_map(|(trunk, note)| Some((trunk.id, note.login.clone()?))).collect();
    let (listeners, trunk_tls) = (listeners.list, trunks.tls);
    let config = Config {
        node,
        listeners,
        trunk_tls,
        trunk_health,
        trunk_requests_per_second,
        timers,
        limits,
        dns,
        metrics,
        state,
        control: control.control,
        service,
        records,
        trace,
        guard,
        overload,
        logging,
        presence: Presence { logins, ..presence },
        graph: tenants.graphs,
        directory: tenants.directories,
    };
    let loaded = Loaded {
        config,
        trunks: trunks.trunks,
        identify,
        routing,
        numbering: tenants.numbering,
        translations: trunks.translations,
        warnings: Faults::default(),
        files,
        plan_files: plans.named,
        user_files: tenants.files,
    };
    if !log.failed() {
        let (sites, tenants) = (&tenants.sites.notes, &tenants.notes);
        review(&loaded, &Review { log, trunks: &trunks.notes, sites, tenants });
    }
    Some(loaded)
}

#[cfg(test)]
mod tests;
