//! Configuration: TOML in; checked, immutable values out, or everything that is wrong with it at once.
//!
//! [`load`] reads the file and those that it includes, checks tables and the references between them, and compiles what
//! the pure core needs. Faults never stop the reading: each is noted with its file, line and column, and any of them
//! keeps the whole configuration back. Warnings come along with a configuration that is taken.

mod address;
mod dialplans;
mod fault;
mod files;
mod health;
mod listeners;
mod log;
mod mask;
mod model;
mod names;
mod nearest;
mod numbering;
mod reader;
mod routes;
mod rows;
mod settings;
mod tenants;
mod translations;
mod trunks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

pub use fault::{Excerpt, Fault, Faults, Position, Severity};
pub use model::{
    ClientCertificate, ClientTls, Config, Dns, Limits, Listen, Metrics, Node, ServerTls, Timers, TrunkTls,
};

use self::dialplans::{PlanSet, Tags};
use self::listeners::Listeners;
use self::log::{At, Draft, FileId, Log, Place};
use self::reader::{Reading, Table, quoted};
use self::trunks::{Surroundings, TrunkSet};
use crate::routing::number::NumberingPlan;
use crate::routing::translate::Translations;
use crate::routing::{Emergency, Origin, Parts, Routing, Sites, Tenants};
use crate::trunk::{Identify, Listener, TrunkKind, Trunks};

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
    /// The files that it was read from, dial plan files included; certificates are named in `config`.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the configuration of a file.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    let reading = Reading::default();
    let shown = path.to_string_lossy().into_owned();
    match std::fs::read_to_string(path) {
        Ok(text) => load_text(reading, shown, &text, path.parent().unwrap_or(Path::new("")), Some(path)),
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
    load_text(Reading::default(), name.to_owned(), text, base, None)
}

fn load_text(reading: Reading, name: String, text: &str, base: &Path, path: Option<&Path>) -> Result<Loaded, Faults> {
    let loaded = compile(&reading, name, text, base, path);
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
    listen: Vec<Table<'t>>,
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
        self.listen.extend(root.tables("listen", "listen", |index| format!("listener {}", index + 1)));
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

fn compile(reading: &Reading, name: String, text: &str, base: &Path, path: Option<&Path>) -> Option<Loaded> {
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
    build(log, sections, files)
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

fn build(log: &Log, sections: Sections<'_>, mut files: Vec<PathBuf>) -> Option<Loaded> {
    let node = match single(log, sections.node) {
        Some(table) => Some(settings::node(table)),
        None => {
            if log.is_complete() {
                let file = FileId::default();
                let draft = Draft::of_file(Severity::Error, file, "there is no [node] table");
                log.add(draft.help("begin with: [node] and name = \"edge-1\""));
            }
            None
        }
    };
    let nameless = Node { name: "".into(), fqdn: None, seal_key_file: None, workers: None };
    let node = node.unwrap_or(nameless);
    let tls_client = single(log, sections.tls_client).map(settings::client_tls).unwrap_or_default();
    let timers = single(log, sections.timers).map(settings::timers).unwrap_or_default();
    let limits = single(log, sections.limits).map(settings::limits).unwrap_or_default();
    let dns = single(log, sections.dns).map(settings::dns).unwrap_or_default();
    let metrics = single(log, sections.metrics).map(settings::metrics).unwrap_or_default();

    let listeners = listeners::read(log, sections.listen, &node);
    let around = Surroundings { node: &node, timers: &timers, listeners: &listeners, tls_client: &tls_client };
    let trunks = trunks::read(log, sections.trunk, around);
    let sites = tenants::read(log, sections.tenant, &trunks);
    let tags = Tags { sites: &sites, trunks: &trunks };
    let plans = dialplans::read(log, sections.dialplan, tags, limits.max_dialplan_prefixes);
    let routes = routes::read(log, sections.route, &trunks, limits.max_branches);
    let origins = origins(log, &trunks, &listeners, &plans);
    if !log.failed() {
        idle(log, &listeners, &trunks, &plans, &origins, &routes.list);
    }

    let PlanSet { list: plans, files: more, .. } = plans;
    files.extend(more);
    let (routing, conflicts) = match Routing::new(Parts {
        sites: Sites::new(sites.list),
        tenants: Tenants::new(sites.tenants),
        plans,
        origins,
        routes: routes.list,
        emergency: Emergency::default(),
    }) {
        Ok(made) => made,
        Err((route, error)) => {
            let place = routes.places.get(route).copied()?;
            log.add(Draft::error(place, format!("route {}: {error}", route + 1)));
            return None;
        }
    };
    for conflict in conflicts {
        let place = |index: u32| routes.places.get(index as usize).copied();
        if let (Some(kept), Some(dropped)) = (place(conflict.kept), place(conflict.dropped)) {
            let message = "two routes with the same `from` and `prefix`";
            let help = "write one route and all its trunks in `to`, in order";
            log.add(Draft::error(dropped, message).label("again").also(kept, "first").help(help));
        }
    }
    let pure: Vec<Listener> = listeners.list.iter().map(|listen| listen.listener.clone()).collect();
    let identify = Identify::new(&pure, &trunks.trunks);
    let trunk_health = trunks.notes.iter().map(|note| note.health.clone()).collect();
    let (listeners, trunk_tls) = (listeners.list, trunks.tls);
    let config = Config { node, listeners, trunk_tls, trunk_health, timers, limits, dns, metrics };
    Some(Loaded {
        config,
        trunks: trunks.trunks,
        identify,
        routing,
        numbering: sites.numbering,
        translations: trunks.translations,
        warnings: Faults::default(),
        files,
    })
}

/// What routing knows of each trunk.
fn origins(log: &Log, trunks: &TrunkSet<'_>, listeners: &Listeners, plans: &PlanSet) -> Vec<Origin> {
    let mut origins = Vec::with_capacity(trunks.notes.len());
    for (trunk, note) in trunks.trunks.0.iter().zip(&trunks.notes) {
        let plan = match &note.dialplan {
            Some(name) => plans.names.find(log, &note.title, name),
            None => plans.names.only(),
        };
        if let (TrunkKind::Teams, Some(name)) = (trunk.kind, &note.dialplan) {
            let message = format!("{}: requests from Teams are routed by their host, not by a dial plan", note.title);
            log.add(Draft::warning(name.place, message));
        }
        let host = trunk
            .fqdn
            .clone()
            .or_else(|| listeners.get(trunk.listener).map(|listen| Arc::clone(&listen.listener.host)));
        let host = host.unwrap_or_else(|| "".into());
        origins.push(Origin { plan, ..Origin::new(Arc::clone(&trunk.name), trunk.kind, host) });
    }
    origins
}

/// Warns of what nothing uses and of trunks whose calls go nowhere.
fn idle(
    log: &Log,
    listeners: &Listeners,
    trunks: &TrunkSet<'_>,
    plans: &PlanSet,
    origins: &[Origin],
    routes: &[crate::routing::Route],
) {
    if trunks.trunks.0.is_empty() {
        let draft = Draft::of_file(Severity::Warning, FileId::default(), "there is no trunk");
        log.add(draft.help("every request is refused until a [trunk.NAME] table says who may send them"));
        return;
    }
    for (listen, place) in listeners.list.iter().zip(&listeners.places) {
        if !trunks.trunks.0.iter().any(|trunk| trunk.listener == listen.listener.id) {
            let message = format!("no trunk uses listener {}", quoted(&listen.listener.name));
            log.add(Draft::warning(*place, message));
        }
    }
    for (index, (plan, place)) in (0..).zip(plans.list.iter().zip(&plans.places)) {
        let asks = |origin: &Origin| origin.kind != TrunkKind::Teams && origin.plan == Some(index);
        if !origins.iter().any(asks) {
            let message = format!("no trunk asks dial plan {}", quoted(plan.name()));
            log.add(Draft::warning(*place, message).help("name it as `dialplan` of a trunk"));
        }
    }
    for ((trunk, note), origin) in trunks.trunks.0.iter().zip(&trunks.notes).zip(origins) {
        let routed = routes.iter().any(|route| match route.from {
            Some(from) => from == trunk.id,
            None => route.trunks().any(|to| to != trunk.id),
        });
        if trunk.kind != TrunkKind::Teams && origin.plan.is_none() && !routed {
            let message = format!("{}: its calls go nowhere", note.title);
            let help = "give it a `dialplan`, or a [[route]] with `from`";
            log.add(Draft::warning(note.place, message).help(help));
        }
    }
}

#[cfg(test)]
mod tests;
