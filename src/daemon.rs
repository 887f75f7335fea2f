//! Wiring: a checked configuration becomes sockets, shards, timers and a name cache that work together.
//!
//! Life: [`Daemon::bind`] opens the listeners, [`Daemon::run`] lets messages in, [`Daemon::stop`] ends them. Where
//! work happens: the worker that reads a message parses it, locks its shard, runs the pure core and sends; one task
//! turns the timers; names are looked up in tasks of their own.

pub mod build;
mod calls;
mod changes;
mod clock;
mod control;
mod core;
mod counters;
mod keys;
mod life;
mod names;
pub mod notify;
mod overload;
mod probe;
mod records;
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

use self::changes::Changes;
use self::clock::Clock;
use self::control::{Desk, Parts};
use self::core::Core;
use self::life::Life;
use self::overload::Overload;
use self::strangers::Strangers;
use crate::admin;
use crate::config::{Config, Loaded};
use crate::store::Calls;
use crate::transport::Transports;
use crate::trunk::ListenerId;

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
    #[error("the call store: {0}")]
    Calls(crate::store::StoreError),
    #[error("control socket: {0}")]
    Control(#[from] admin::BindError),
    #[error("[trace]: {0}")]
    Trace(std::io::Error),
    #[error("the metrics endpoint cannot be opened on {bind}: {why}")]
    Metrics { bind: SocketAddr, why: String },
    #[error("the system takes no handler for signals: {0}")]
    Signals(std::io::Error),
}

/// A running edge.
pub struct Daemon {
    core: Arc<Core>,
    life: Arc<Life>,
    changes: Arc<Changes>,
    calls: Arc<Calls>,
    strangers: Arc<Strangers>,
    overload: Arc<Overload>,
    /// Until it is served.
    door: Option<(admin::Server, Arc<Desk>)>,
    transports: Arc<Transports>,
    tasks: Vec<AbortHandle>,
}

impl Daemon {
    /// Opens all listeners of a configuration and prepares everything; no message is read yet.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays open then.
    pub async fn bind(loaded: Loaded) -> Result<Self, StartError> {
        let secrets = build::secrets(loaded.config.node.seal_key_file.as_deref())?;
        let resolver = crate::dns::Resolver::new(&build::dns_settings(&loaded.config.dns))?;
        if let Some(bind) = loaded.config.metrics.bind {
            counters::serve(bind).map_err(|why| StartError::Metrics { bind, why })?;
        }
        counters::publish_limits(&loaded.config.limits);
        counters::publish_certificates(&loaded.config);
        let transports = Transports::bind(build::transport_settings(&loaded)?)?;
        let edge = build::edge(loaded.config.limits, &loaded, |id| transports.bound(id));
        let edge = Arc::new(ArcSwap::from_pointee(edge));
        let Config { limits, state, control, node, .. } = &loaded.config;
        let changes = Changes::open(Arc::clone(&edge), state.dir.as_deref(), changes::bounds(limits))?;
        let calls = calls::open(state.dir.as_deref(), limits, node)?;
        let clock = Clock::start();
        let overload = Overload::new(&loaded.config, workers(&loaded.config));
        let strangers = Strangers::new(&loaded.config.guard, state.dir.as_deref(), clock);
        let trace = trace::open(&loaded.config.trace).map_err(StartError::Trace)?;
        let beside = (Arc::clone(&strangers), clock, trace);
        let core = Core::new(edge, secrets, resolver, Arc::clone(&transports), Arc::clone(&calls), beside, limits);
        let life = Life::new(Arc::clone(&core));
        let door = match &control.socket {
            Some(socket) => {
                let server = admin::Server::bind(admin::Settings::new(socket.clone()))?;
                let keys = Keys::new(Arc::clone(&core), node.seal_key_file.clone(), node.seal_max_age);
                let parts = Parts {
                    core: Arc::clone(&core),
                    changes: Arc::clone(&changes),
                    transports: Arc::clone(&transports),
                    keys,
                    strangers: Arc::clone(&strangers),
                    overload: Arc::clone(&overload),
                    life: Arc::clone(&life),
                    node: Arc::clone(&node.name),
                };
                Some((server, Arc::new(Desk::new(parts))))
            }
            None => None,
        };
        Ok(Self { core, life, changes, calls, strangers, overload, door, transports, tasks: Vec::new() })
    }

    /// Starts to read messages and to turn timers.
    pub fn run(&mut self) {
        let receiver: Arc<dyn crate::transport::Receiver> = self.core.clone();
        self.transports.start(receiver);
        self.tasks.push(tokio::spawn(timers::turn(Arc::clone(&self.core))).abort_handle());
        self.tasks.push(tokio::spawn(probe::turn(Arc::clone(self.core.probes()))).abort_handle());
        self.tasks.push(tokio::spawn(calls::tend(Arc::clone(&self.calls))).abort_handle());
        self.tasks.push(tokio::spawn(trace::tend(Arc::clone(self.core.trace()))).abort_handle());
        self.tasks.push(tokio::spawn(strangers::tend(Arc::clone(&self.strangers))).abort_handle());
        let looking = overload::turn(Arc::clone(&self.overload), Arc::clone(&self.core));
        self.tasks.push(tokio::spawn(looking).abort_handle());
        let counting = counters::publish(Arc::clone(&self.core), Arc::clone(&self.changes), Arc::clone(&self.calls));
        self.tasks.push(tokio::spawn(counting).abort_handle());
        if notify::is_wanted() {
            let shown = notify::show(Arc::clone(&self.core), Arc::clone(&self.life));
            self.tasks.push(tokio::spawn(shown).abort_handle());
            self.tasks.push(tokio::spawn(notify::feed_watchdog(Arc::clone(&self.core))).abort_handle());
        }
        if let Some((server, desk)) = self.door.take() {
            self.tasks.push(tokio::spawn(server.serve(desk)).abort_handle());
        }
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

    /// Refuses new calls, and waits for what is in progress as the configuration has it.
    pub async fn drain(&self, service: &crate::config::Service) -> Left {
        self.life.stop(service).await
    }

    /// What is in progress.
    pub fn left(&self) -> Left {
        self.life.left()
    }

    /// Closes all listeners and connections.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.transports.shutdown().await;
        strangers::keep(&self.strangers);
    }
}
