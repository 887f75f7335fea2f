//! Wiring: a checked configuration becomes sockets, shards, timers and a name cache that work together.
//!
//! Life: [`Daemon::bind`] opens the listeners, [`Daemon::run`] lets messages in, [`Daemon::stop`] ends them. Where
//! work happens: the worker that reads a message parses it, locks its shard, runs the pure core and sends; one task
//! turns the timers; names are looked up in tasks of their own.

pub mod build;
mod calls;
mod certificates;
mod changes;
mod clock;
mod control;
mod core;
mod counters;
mod directory;
pub mod graphs;
pub mod handover;
mod keys;
mod life;
pub mod names;
pub mod notify;
mod overload;
mod presence;
mod probe;
mod records;
pub mod reload;
mod seal_key;
mod strangers;
mod taps;
mod timers;
mod trace;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::AbortHandle;

pub use self::core::Status;
pub use crate::admin::TargetStatus;
pub use build::{BuildError, workers};
pub use changes::StateError;
pub use keys::{Keys, KeysOffline};
pub use life::Left;
pub use seal_key::SealKeyError;

use self::certificates::CertificateSeries;
use self::changes::Changes;
use self::clock::Clock;
use self::control::health::Watch;
use self::control::{Desk, Doors, Parts};
use self::core::Core;
use self::counters::Exposition;
use self::directory::Directories;
use self::graphs::Graphs;
use self::life::Life;
use self::overload::Overload;
use self::presence::Sidecar;
use self::presence::webhook::Webhook;
use self::records::Records;
use self::reload::Reloader;
use self::strangers::Strangers;
use self::taps::Taps;
use crate::call::Gate;
use crate::config::{Config, Loaded};
use crate::store::Calls;
use crate::transport::{Inherited, Transports};
use crate::trunk::ListenerId;

/// How long a stop waits for the presence bridge to clear what it wrote.
const SIDECAR_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Bind(#[from] crate::transport::BindError),
    #[error(transparent)]
    SealKey(#[from] SealKeyError),
    #[error("the name resolver cannot be set up: {0}")]
    Dns(#[from] crate::dns::SetupError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the users of directories: {0}")]
    Directory(#[from] crate::directory::StoreError),
    #[error("the call store: {0}")]
    Calls(crate::store::StoreError),
    #[error("control: {0}")]
    Control(#[from] control::DoorError),
    #[error(transparent)]
    Endpoint(#[from] crate::telemetry::metrics::BindError),
    #[error("metrics: {0}")]
    Metrics(String),
    #[error("[trace]: {0}")]
    Trace(std::io::Error),
    #[error("the system takes no handler for signals: {0}")]
    Signals(std::io::Error),
}

/// A running edge.
pub struct Daemon {
    core: Arc<Core>,
    life: Arc<Life>,
    changes: Arc<Changes>,
    calls: Arc<Calls>,
    reloader: Arc<Reloader>,
    strangers: Arc<Strangers>,
    overload: Arc<Overload>,
    directories: Arc<Directories>,
    sidecar: Arc<Sidecar>,
    /// What the sidecar begins with, until it runs.
    bridged: Option<presence::side::Parts>,
    /// Until it is served.
    doors: Option<(Doors, Arc<Desk>)>,
    watch: Arc<Watch>,
    transports: Arc<Transports>,
    exposition: Arc<Exposition>,
    tasks: Vec<AbortHandle>,
}

impl Daemon {
    /// Opens all listeners of a configuration and prepares everything; no message is read yet.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays open then.
    pub async fn bind(loaded: Loaded) -> Result<Self, StartError> {
        Self::bind_inheriting(loaded, Vec::new()).await
    }

    /// The same with sockets that are open already: listeners that are bound to their addresses take them.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays open then.
    pub async fn bind_inheriting(loaded: Loaded, inherited: Vec<Inherited>) -> Result<Self, StartError> {
        let secrets = build::secrets(loaded.config.node.seal_key_file.as_deref())?;
        let resolver = crate::dns::Resolver::new(&build::dns_settings(&loaded.config.dns))?;
        let gate = Arc::new(Gate::default());
        let exposition = Exposition::install(Arc::clone(&gate)).map_err(StartError::Metrics)?;
        let endpoint = exposition.prepare(&loaded.config.metrics)?;
        counters::publish_limits(&loaded.config.limits);
        let mut settings = build::transport_settings(&loaded)?;
        settings.inherited = handover::still_wanted(inherited, &loaded.config);
        let transports = Transports::bind(settings)?;
        let mut edge = build::edge(loaded.config.limits, &loaded, |id| transports.bound(id));
        edge.gate = gate;
        let edge = Arc::new(ArcSwap::from_pointee(edge));
        let Config { limits, state, control, node, .. } = &loaded.config;
        let changes = Changes::open(Arc::clone(&edge), state.dir.as_deref(), changes::bounds(limits))?;
        let calls = calls::open(state.dir.as_deref(), limits, node)?;
        let clock = Clock::start();
        let overload = Overload::new(&loaded.config, workers(&loaded.config));
        let strangers = Strangers::new(&loaded.config.guard, state.dir.as_deref(), clock);
        let trace = trace::open(&loaded.config.trace).map_err(StartError::Trace)?;
        let secrets = Arc::new(ArcSwap::from_pointee(secrets));
        let (records, looked) = (Records::start(&loaded.config), (Arc::clone(&edge), Arc::clone(&secrets)));
        let taps = Taps::new(records, trace, looked);
        let sidecar = Sidecar::new(&loaded.config);
        let beside = (Arc::clone(&strangers), clock, taps, &*sidecar);
        let core = Core::new(edge, secrets, resolver, Arc::clone(&transports), Arc::clone(&calls), beside, limits);
        let life = Life::new(Arc::clone(&core));
        let keys = Arc::new(Keys::new(Arc::clone(&core), node.seal_key_file.clone(), node.seal_max_age));
        let reloader = Reloader::new(
            &loaded,
            reload::Parts {
                core: Arc::clone(&core),
                changes: Arc::clone(&changes),
                transports: Arc::clone(&transports),
                keys: Arc::clone(&keys),
            },
        );
        let mut watched = control::core_parts(&core, &calls, limits, node.seal_key_file.clone());
        watched.push(Box::new(trace::health(Arc::clone(core.taps().trace()))));
        let lives = Arc::clone(&life);
        watched.push(Box::new(move || lives.causes()));
        let showing = Arc::clone(&transports);
        watched.push(Box::new(move || certificates::causes(&showing)));
        let graphs = Arc::new(Graphs::default());
        graphs.set(&loaded.config.graph);
        let webhook = Arc::new(Webhook::new(Arc::clone(&graphs), Arc::clone(sidecar.inbox())));
        webhook.set(&loaded.config);
        let renewed = (Arc::clone(&graphs), Arc::clone(&webhook));
        reloader.follow("graph", move |config| {
            renewed.0.set(&config.graph);
            renewed.1.set(config);
        });
        let asked = (Arc::clone(&graphs), Arc::clone(&webhook));
        watched.push(Box::new(move || asked.0.causes().into_iter().chain(asked.1.causes()).collect()));
        let bridged = presence::side::Parts {
            core: Arc::clone(&core),
            graphs: Arc::clone(&graphs),
            clock,
            inbox: Arc::clone(sidecar.inbox()),
            lines: Arc::clone(sidecar.lines()),
            settings: loaded.config.presence.clone(),
            state_dir: state.dir.clone(),
        };
        presence::follow(&reloader, &sidecar);
        let store = crate::directory::Store::open(state.dir.as_deref())?;
        let inbox = Arc::clone(sidecar.inbox());
        let matched: directory::Listener = Box::new(move |tenant, matches| {
            if inbox.order(move |side| side.set_matches(tenant, matches)).is_err() {
                tracing::warn!("the presence bridge is too busy to hear who is who: the next reading tells it again");
            }
        });
        let directories =
            Directories::new(store, Arc::clone(&changes), Arc::clone(&core), Arc::clone(&graphs), matched);
        directories.set(&loaded.config);
        let (renewed, asked) = (Arc::clone(&directories), Arc::clone(&directories));
        reloader.follow("directory", move |config| renewed.set(config));
        watched.push(Box::new(move || asked.causes()));
        let doors = Doors::bind(control)?;
        if let Some(locks) = doors.as_ref().map(Doors::locks) {
            let renewed = Arc::clone(&locks);
            reloader.follow_with("control", move |config| {
                let prepared = renewed.prepare(&config.control).map_err(|error| error.to_string())?;
                let locks = Arc::clone(&renewed);
                Ok(Box::new(move || locks.commit(prepared)))
            });
            watched.push(Box::new(move || locks.causes(Clock::start().unix())));
        }
        let failing = Arc::clone(&reloader);
        watched.push(Box::new(move || failing.causes()));
        let records = Arc::clone(&core.taps().records);
        watched.push(Box::new(move || records.causes()));
        let watch = Arc::new(Watch::new(watched, control.max_alarms));
        let doors = match doors {
            Some(doors) => {
                let parts = Parts {
                    core: Arc::clone(&core),
                    changes: Arc::clone(&changes),
                    transports: Arc::clone(&transports),
                    keys,
                    directories: Arc::clone(&directories),
                    strangers: Arc::clone(&strangers),
                    overload: Arc::clone(&overload),
                    life: Arc::clone(&life),
                    sidecar: Arc::clone(&sidecar),
                    node: Arc::clone(&node.name),
                    reloader: Arc::clone(&reloader),
                    watch: Arc::clone(&watch),
                };
                Some((doors, Arc::new(Desk::new(parts))))
            }
            None => None,
        };
        follow(&reloader, &core, &overload, &strangers, &exposition);
        core.meters().set(&loaded.config.metrics);
        exposition.add(Arc::clone(core.meters()) as _);
        exposition.add(Arc::clone(core.probes()) as _);
        exposition.add(Arc::new(CertificateSeries { core: Arc::clone(&core), transports: Arc::clone(&transports) }));
        exposition.add(graphs);
        exposition.add(webhook);
        exposition.add(Arc::new(sidecar.series()));
        exposition.add(Arc::new(counters::Admission::new(Arc::clone(&core.edge().gate))));
        exposition.commit(endpoint);
        let tasks = Vec::new();
        Ok(Self {
            core,
            life,
            changes,
            calls,
            reloader,
            strangers,
            overload,
            directories,
            sidecar,
            bridged: Some(bridged),
            doors,
            watch,
            transports,
            exposition,
            tasks,
        })
    }

    /// Starts to read messages and to turn timers.
    pub fn run(&mut self) {
        let receiver: Arc<dyn crate::transport::Receiver> = self.core.clone();
        self.transports.start(receiver);
        if let Some(Err(error)) = self.bridged.take().map(|parts| self.sidecar.start(parts)) {
            tracing::error!(%error, "the presence bridge does not run: the system gives it no thread");
        }
        self.tasks.push(tokio::spawn(timers::turn(Arc::clone(&self.core))).abort_handle());
        self.tasks.push(tokio::spawn(probe::turn(Arc::clone(self.core.probes()))).abort_handle());
        self.tasks.push(tokio::spawn(calls::tend(Arc::clone(&self.calls))).abort_handle());
        self.tasks.push(tokio::spawn(directory::tend(Arc::clone(&self.directories))).abort_handle());
        self.tasks.push(tokio::spawn(trace::tend(Arc::clone(self.core.taps().trace()))).abort_handle());
        self.tasks.push(tokio::spawn(Arc::clone(&self.reloader).tidy()).abort_handle());
        self.tasks.push(tokio::spawn(reload::watch(Arc::clone(&self.reloader))).abort_handle());
        self.tasks.push(tokio::spawn(records::watch(Arc::clone(&self.core.taps().records))).abort_handle());
        let counting = counters::publish(counters::Measured {
            core: Arc::clone(&self.core),
            changes: Arc::clone(&self.changes),
            calls: Arc::clone(&self.calls),
            transports: Arc::clone(&self.transports),
            exposition: Arc::clone(&self.exposition),
        });
        self.tasks.push(tokio::spawn(counting).abort_handle());
        self.exposition.set_listening(true);
        self.tasks.push(tokio::spawn(strangers::tend(Arc::clone(&self.strangers))).abort_handle());
        let looking = overload::turn(Arc::clone(&self.overload), Arc::clone(&self.core));
        self.tasks.push(tokio::spawn(looking).abort_handle());
        let certificates = certificates::tend(Arc::clone(&self.transports));
        self.tasks.push(tokio::spawn(certificates).abort_handle());
        if notify::is_wanted() {
            let shown = notify::show(Arc::clone(&self.core), Arc::clone(&self.life), Arc::clone(&self.reloader));
            self.tasks.push(tokio::spawn(shown).abort_handle());
            self.tasks.push(tokio::spawn(notify::feed_watchdog(Arc::clone(&self.core))).abort_handle());
        }
        self.tasks.push(tokio::spawn(control::health::turn(Arc::clone(&self.watch))).abort_handle());
        if let Some((doors, desk)) = self.doors.take() {
            self.tasks.push(tokio::spawn(doors.serve(desk)).abort_handle());
        }
    }

    /// Sockets that were handed over and that no listener wants.
    pub fn unused_sockets(&self) -> Vec<String> {
        self.transports.unused()
    }

    /// The address that a listener is bound to.
    pub fn bound(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.transports.bound(listener)
    }

    /// The listeners by name, with their transports and the addresses that they are bound to.
    pub fn listeners(&self) -> Vec<(Arc<str>, crate::sip::Transport, SocketAddr)> {
        let edge = self.core.edge();
        let bound = |id| self.transports.bound(id);
        edge.listeners.iter().filter_map(|it| Some((Arc::clone(&it.name), it.transport, bound(it.id)?))).collect()
    }

    /// What is going on, counted now.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// What is known of the targets of all trunks.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.core.probes().status().into_iter().flat_map(|trunk| trunk.targets).collect()
    }

    /// What reloads the configuration.
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// Refuses new calls, and waits for what is in progress as the configuration has it.
    pub async fn drain(&self, service: &crate::config::Service) -> Left {
        self.life.stop(service).await
    }

    /// What is in progress.
    pub fn left(&self) -> Left {
        self.life.left()
    }

    /// Closes all listeners and connections; a service manager keeps the listeners open for the next process.
    pub async fn stop(self) {
        if !self.sidecar.stop(SIDECAR_PATIENCE).await {
            tracing::warn!("the presence bridge did not end in time: sessions in Teams expire by themselves");
        }
        handover::leave(&self.transports);
        self.exposition.set_listening(false);
        for task in &self.tasks {
            task.abort();
        }
        self.transports.shutdown().await;
        let records = Arc::clone(&self.core.taps().records);
        // It waits for the disk; a failure to join would be a panic in there, which is logged.
        let _ = tokio::task::spawn_blocking(move || records.stop()).await;
        strangers::keep(&self.strangers);
        self.exposition.close();
    }
}

/// Has each part take its table when the configuration is reloaded.
fn follow(
    reloader: &Reloader,
    core: &Arc<Core>,
    overload: &Arc<Overload>,
    strangers: &Arc<Strangers>,
    exposition: &Arc<Exposition>,
) {
    let (overload, strangers) = (Arc::clone(overload), Arc::clone(strangers));
    reloader.follow("overload", move |config| overload.set(config));
    reloader.follow("guard", move |config| strangers.set(&config.guard));
    let records = Arc::clone(&core.taps().records);
    reloader.follow("records", move |config| records.reconfigure(config));
    // Records know of the log as well.
    reloader.follow("log", |_| ());
    let (core, exposition) = (Arc::clone(core), Arc::clone(exposition));
    reloader.follow_with("metrics", move |config| {
        let prepared = exposition.prepare(&config.metrics).map_err(|error| error.to_string())?;
        let (core, exposition, settings) = (Arc::clone(&core), Arc::clone(&exposition), config.metrics.clone());
        Ok(Box::new(move || {
            core.meters().set(&settings);
            exposition.commit(prepared);
        }))
    });
}
