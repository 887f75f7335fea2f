//! Reloads: the configuration is read again beside what runs, checked whole, and put in its place in one step.
//!
//! Nothing changes when anything is wrong: files, certificates, keys and sockets are tried first. Calls that are up or
//! being set up go on with what they began with; ids of trunks and listeners keep their meaning (`config::Slots`).

mod answer;
mod difference;
mod files;
mod tidy;
mod watch;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

use self::answer::{broken, in_a_line, no_file, of_file, refused, warnings};
use self::difference::{Certificates, Side, differences, keep_fixed};
use self::tidy::Leftovers;
use self::watch::Contents;
pub use self::watch::watch;
use super::build;
use super::changes::{self, Changes};
use super::core::Core;
use super::counters;
use super::keys::Keys;
use crate::admin::{Cause, LastReload, NeedsRestart, NotReloaded, ReloadReport, Severity};
use crate::call::Edge;
use crate::config::{self, Config, Loaded, Slots};
use crate::routing::translate::Translations;
use crate::transport::{Prepared, Transports};
use crate::trunk::{ConnectionId, ListenerId, TrunkId, Trunks};

/// Faults that the last reload is remembered with.
const FAULTS: usize = 10;

/// Changes made at run time that no longer fit, told one by one.
const NOT_REPLAYED: usize = 20;

/// Who wants a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// SIGHUP.
    Signal,
    /// Somebody at the door, and who it is.
    Command(String),
    /// A file has changed.
    Watch,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Only say what would change.
    pub dry_run: bool,
    pub by: By,
}

/// What a reload works on.
pub struct Parts {
    pub core: Arc<Core>,
    pub changes: Arc<Changes>,
    pub transports: Arc<Transports>,
    pub keys: Arc<Keys>,
}

/// Reloads the configuration of a running edge, one at a time.
pub struct Reloader {
    /// `None`: the configuration came from no file.
    path: Option<PathBuf>,
    parts: Parts,
    /// Held for as long as a reload is at work.
    turn: Mutex<Turn>,
    /// How many reloads have begun that were no dry runs.
    begun: AtomicU64,
    last: Mutex<Option<LastReload>>,
    followers: Mutex<Vec<Follower>>,
    leftovers: Leftovers,
    meters: answer::Meters,
    /// A reload is over, and was no dry run.
    over: Notify,
    /// What others ask for; nobody holds it while a reload is at work.
    shown: Mutex<Shown>,
    /// What was in the watched files when they were read last; empty while nobody watches.
    seen: Mutex<Contents>,
}

/// What a follower does when the configuration comes into force; it cannot fail.
pub type Take = Box<dyn FnOnce() + Send>;

/// What is in force, for those who do not wait.
struct Shown {
    service: config::Service,
    files: Vec<PathBuf>,
}

/// Somebody who takes a table of the configuration while the edge runs.
struct Follower {
    section: &'static str,
    prepare: Prepare,
}

/// Tries a configuration, and gives what is done when it comes into force.
type Prepare = Box<dyn Fn(&Config) -> Result<Take, String> + Send + Sync>;

struct Turn {
    running: Running,
    /// The reload that ended last, by its number.
    latest: Option<(u64, Result<ReloadReport, NotReloaded>)>,
}

/// The configuration in force, without its dial plans and users, which the edge has.
struct Running {
    config: Config,
    trunks: Trunks,
    translations: Vec<Translations>,
    certificates: Certificates,
    /// All files that it was read from.
    files: Vec<PathBuf>,
}

/// A configuration that can be put in force: nothing can fail any more.
struct Checked {
    loaded: Loaded,
    certificates: Certificates,
    prepared: Prepared,
    /// What followers do then.
    takes: Vec<Take>,
    /// Without the changes made at run time.
    edge: Edge,
    report: ReloadReport,
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal => f.write_str("signal"),
            Self::Command(who) => f.write_str(who),
            Self::Watch => f.write_str("watch"),
        }
    }
}

impl Running {
    fn of(loaded: &Loaded, certificates: Certificates) -> Self {
        Self {
            config: loaded.config.clone(),
            trunks: loaded.trunks.clone(),
            translations: loaded.translations.clone(),
            certificates,
            files: loaded.files.clone(),
        }
    }

    fn side<'a>(&'a self, routing: &'a crate::routing::Routing) -> Side<'a> {
        let Self { config, trunks, translations, certificates, files: _ } = self;
        Side { config, trunks, translations, routing, certificates }
    }

    fn shown(&self) -> Shown {
        Shown { service: self.config.service.clone(), files: self.all_files() }
    }

    fn slots(&self) -> Slots {
        Slots::new(&self.config, &self.trunks, &self.translations)
    }
}

impl Reloader {
    /// Of an edge that runs with this configuration.
    pub fn new(loaded: &Loaded, parts: Parts) -> Arc<Self> {
        let running = Running::of(loaded, files::certificates(&loaded.config));
        let seen = watch::contents(&running, &Contents::new());
        Arc::new(Self {
            path: loaded.files.first().cloned(),
            parts,
            shown: Mutex::new(running.shown()),
            turn: Mutex::new(Turn { running, latest: None }),
            begun: AtomicU64::new(0),
            last: Mutex::default(),
            followers: Mutex::default(),
            leftovers: Leftovers::default(),
            meters: answer::Meters::register(),
            over: Notify::new(),
            seen: Mutex::new(seen),
        })
    }

    /// Has a table of the configuration (`records` for `[records]`) taken at each reload. A table that nobody takes needs
    /// a restart, and the operator is told so.
    pub fn follow<F: Fn(&Config) + Send + Sync + 'static>(&self, section: &'static str, take: F) {
        let take = Arc::new(take);
        self.follow_with(section, move |config| {
            let (take, config) = (Arc::clone(&take), config.clone());
            Ok(Box::new(move || take(&config)))
        });
    }

    /// The same for who has to try first: what it says against a configuration keeps that from coming into force.
    pub fn follow_with(
        &self,
        section: &'static str,
        prepare: impl Fn(&Config) -> Result<Take, String> + Send + Sync + 'static,
    ) {
        lock(&self.followers).push(Follower { section, prepare: Box::new(prepare) });
    }

    /// Reloads where no call waits for it. One that is asked for while another is at work is done after it, and once
    /// for all who have asked meanwhile.
    ///
    /// # Errors
    /// [`NotReloaded`]; nothing has changed then.
    pub async fn reload(self: &Arc<Self>, ask: Ask) -> Result<ReloadReport, NotReloaded> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || this.reload_here(&ask))
            .await
            .map_err(|_| broken("the reload came to no end"))?
    }

    /// The same on this thread, which may wait.
    ///
    /// # Errors
    /// [`NotReloaded`]; nothing has changed then.
    pub fn reload_here(&self, ask: &Ask) -> Result<ReloadReport, NotReloaded> {
        let seen = self.begun.load(Ordering::SeqCst);
        let mut turn = lock(&self.turn);
        if ask.dry_run {
            let begun = Instant::now();
            let checked = self.check(&turn.running, true)?;
            return Ok(ReloadReport { took_ms: millis(begun.elapsed()), ..checked.report });
        }
        if let Some((_, result)) = turn.latest.as_ref().filter(|(number, _)| *number > seen) {
            return result.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let begun = Instant::now();
        // What changes while the files are read shows as a change afterwards.
        let seen = watch::contents(&turn.running, &Contents::new());
        let checked = self.check(&turn.running, false);
        let result = checked.and_then(|checked| self.put_in_force(&turn.running, checked)).map(|(running, report)| {
            *lock(&self.shown) = running.shown();
            turn.running = running;
            report
        });
        let took = begun.elapsed();
        let result = result.map(|report| ReloadReport { took_ms: millis(took), ..report });
        *lock(&self.seen) = if result.is_ok() { watch::contents(&turn.running, &seen) } else { seen };
        self.tell(ask, took, &result);
        turn.latest = Some((number, result.clone()));
        self.over.notify_waiters();
        result
    }

    /// The last reload that was no dry run; `None`: there was none since the start.
    pub fn last(&self) -> Option<LastReload> {
        lock(&self.last).clone()
    }

    /// What `[service]` says now.
    pub fn service(&self) -> config::Service {
        lock(&self.shown).service.clone()
    }

    /// Why the edge is not well, as far as reloads go.
    pub fn causes(&self) -> Vec<Cause> {
        let failed = self.last().filter(|last| last.result == "failed");
        let cause = |last: LastReload| Cause {
            severity: Severity::Warning,
            name: "reload-failed",
            source: self.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            text: format!("the reload at {} failed: {}", last.at, last.faults.join("; ")),
            advice: "run `trunkway check`, correct the file and run `trunkway reload`; until then a restart fails too"
                .to_owned(),
        };
        failed.map(cause).into_iter().collect()
    }

    /// Reads and checks everything; nothing that runs has changed afterwards.
    fn check(&self, running: &Running, dry_run: bool) -> Result<Checked, NotReloaded> {
        let Some(path) = &self.path else { return Err(no_file()) };
        let mut loaded = config::load_over(path, running.slots()).map_err(|faults| of_file(&faults))?;
        let taken: Vec<&str> = lock(&self.followers).iter().map(|follower| follower.section).collect();
        let restart = keep_fixed(&mut loaded.config, &running.config, &taken);
        let certificates = files::certificates(&loaded.config);
        let settings = build::transport_settings(&loaded).map_err(|error| refused("bad_certificate", &error))?;
        self.parts.keys.check().map_err(|error| refused("bad_key", &error))?;
        let prepare = |follower: &Follower| (follower.prepare)(&loaded.config);
        let takes: Result<Vec<Take>, String> = lock(&self.followers).iter().map(prepare).collect();
        let takes = takes.map_err(|error| refused("not_taken", &error))?;
        let prepared = self.parts.transports.prepare(settings).map_err(|error| refused("cannot_listen", &error))?;

        let old = self.parts.core.edge();
        let bound = |id| prepared.bound(id).or_else(|| self.parts.transports.bound(id));
        let edge = build::edge(loaded.config.limits, &loaded, bound).following(&old);
        let edge = edge.with_routing(loaded.routing.clone().following(&old.routing));
        let replayed = self.parts.changes.over(&edge.routing, |routing, errors| (routing, errors));
        let (routing, errors) = replayed.map_err(|error| refused("broken", &error))?;

        let mut report = ReloadReport { dry_run, restart, warnings: warnings(&loaded.warnings), ..Default::default() };
        report.not_replayed = errors.iter().take(NOT_REPLAYED).map(ToString::to_string).collect();
        let after = Running::of(&loaded, certificates.clone());
        (report.differences, report.moved) = differences(&running.side(&old.routing), &after.side(&routing));
        report.changed = !report.differences.is_empty();
        Ok(Checked { loaded, certificates, prepared, takes, edge, report })
    }

    /// Puts a configuration in the place of the one in force.
    fn put_in_force(&self, running: &Running, checked: Checked) -> Result<(Running, ReloadReport), NotReloaded> {
        let Checked { loaded, certificates, prepared, takes, edge, mut report } = checked;
        let Parts { core, changes, transports, keys } = &self.parts;
        let Config { limits, node, service, .. } = &loaded.config;
        let doubtful = doubtful(running, &loaded, &certificates);
        let leaving = leaving(running, &loaded);
        // What was changed at run time since the configuration was checked is made again too.
        let base = edge.routing.clone();
        let replayed = changes.over(&base, |routing, errors| {
            let old = core.edge();
            let edge = edge.with_routing(routing);
            core.watch_targets_of(&edge);
            // Who proves to be a trunk under a name that it no longer has must not pass for it, whatever comes first.
            let edge = Arc::new(edge.doubting(&doubtful, ConnectionId(u64::MAX)));
            core.set_edge(Arc::clone(&edge));
            transports.commit(prepared, &leaving);
            if !doubtful.is_empty() {
                core.set_edge(Arc::new(edge.doubting(&doubtful, transports.newest_connection())));
            }
            (old, errors)
        });
        let (old, errors) = replayed.map_err(|error| refused("broken", &error))?;
        report.not_replayed = errors.iter().take(NOT_REPLAYED).map(ToString::to_string).collect();
        self.leftovers.keep_edge(old);
        self.leftovers.keep_listeners(&leaving, service.drain_timeout);
        changes.set_bounds(changes::bounds(limits));
        changes.set_configured(base.tenants());
        keys.set_max_age(node.seal_max_age);
        if let Err(error) = keys.take_up_file() {
            tracing::error!(%error, "the seal keys in use stay");
        }
        counters::publish_limits(limits);
        takes.into_iter().for_each(|take| take());
        Ok((Running::of(&loaded, certificates), report))
    }

    /// Tells the log, the status and the metrics.
    fn tell(&self, ask: &Ask, took: Duration, result: &Result<ReloadReport, NotReloaded>) {
        let (word, faults) = match result {
            Ok(report) if report.changed => ("changed", Vec::new()),
            Ok(_) => ("unchanged", Vec::new()),
            Err(not) if not.faults.is_empty() => ("failed", vec![not.detail.clone()]),
            Err(not) => ("failed", not.faults.iter().filter(|it| it.severity == "error").map(in_a_line).collect()),
        };
        let faults: Vec<String> = faults.into_iter().take(FAULTS).collect();
        match result {
            Ok(report) => {
                tracing::info!(by = %ask.by, took_ms = report.took_ms, "{}", answer::sentence(report));
                for key in &report.restart {
                    tracing::warn!("{}", needs_restart(key));
                }
                for change in &report.not_replayed {
                    tracing::warn!("a change made at run time does not fit any more: {change}");
                }
            }
            Err(not) => tracing::error!(by = %ask.by, "nothing was reloaded: {}", faults_or(&not.detail, &faults)),
        }
        self.meters.note(word, took);
        let at = format!("{:.0}", Timestamp::now());
        let last = LastReload { at, by: ask.by.to_string(), result: word, took_ms: millis(took), faults };
        *lock(&self.last) = Some(last);
    }
}

/// A key that needs a restart, in words.
fn needs_restart(key: &NeedsRestart) -> String {
    let values = key.running.as_ref().zip(key.file.as_ref());
    let values = values.map(|(running, file)| format!(" ({running} is in force, the file says {file})"));
    format!("{} needs a restart{}", key.key, values.unwrap_or_default())
}

fn faults_or(detail: &str, faults: &[String]) -> String {
    if faults.is_empty() { detail.to_owned() } else { faults.join("; ") }
}

/// Trunks whose certificates prove less than they did: older connections must not speak for them any more.
fn doubtful(running: &Running, loaded: &Loaded, certificates: &Certificates) -> Vec<TrunkId> {
    let trust = |config: &Config, certificates: &Certificates, listener: ListenerId| {
        let listen = config.listeners.get(usize::from(listener.0))?;
        let tls = listen.tls.as_ref()?;
        let roots = tls.client_ca.as_ref().and_then(|path| certificates.get(path).copied());
        Some((roots, format!("{:?}", tls.client_certificate)))
    };
    let all = loaded.trunks.0.iter().filter(|trunk| !trunk.peer_names.is_empty() && !trunk.leaving);
    let differs = |now: &&crate::trunk::Trunk| {
        let Some(was) = running.trunks.get(now.id) else { return false };
        let old = trust(&running.config, &running.certificates, was.listener);
        was.peer_names != now.peer_names || old != trust(&loaded.config, certificates, now.listener)
    };
    all.filter(differs).map(|trunk| trunk.id).collect()
}

/// Listeners that were there and are no more.
fn leaving(running: &Running, loaded: &Loaded) -> Vec<ListenerId> {
    let pairs = running.config.listeners.iter().zip(&loaded.config.listeners);
    let gone = pairs.filter(|(was, now)| !was.listener.leaving && now.listener.leaving);
    gone.map(|(was, _)| was.listener.id).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What a thread that panicked left half done is in no edge.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
