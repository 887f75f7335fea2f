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
mod names;
mod probe;
mod records;
mod seal_key;
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
pub use seal_key::SealKeyError;

use self::changes::Changes;
use self::control::{Desk, Parts};
use self::core::Core;
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
}

/// A running edge.
pub struct Daemon {
    core: Arc<Core>,
    changes: Arc<Changes>,
    calls: Arc<Calls>,
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
        let trace = trace::open(&loaded.config.trace).map_err(StartError::Trace)?;
        let core = Core::new(edge, secrets, resolver, Arc::clone(&transports), Arc::clone(&calls), limits, trace);
        let door = match &control.socket {
            Some(socket) => {
                let server = admin::Server::bind(admin::Settings::new(socket.clone()))?;
                let keys = Keys::new(Arc::clone(&core), node.seal_key_file.clone(), node.seal_max_age);
                let parts = Parts {
                    core: Arc::clone(&core),
                    changes: Arc::clone(&changes),
                    transports: Arc::clone(&transports),
                    keys,
                    node: Arc::clone(&node.name),
                };
                Some((server, Arc::new(Desk::new(parts))))
            }
            None => None,
        };
        Ok(Self { core, changes, calls, door, transports, tasks: Vec::new() })
    }

    /// Starts to read messages and to turn timers.
    pub fn run(&mut self) {
        let receiver: Arc<dyn crate::transport::Receiver> = self.core.clone();
        self.transports.start(receiver);
        self.tasks.push(tokio::spawn(timers::turn(Arc::clone(&self.core))).abort_handle());
        self.tasks.push(tokio::spawn(probe::turn(Arc::clone(self.core.probes()))).abort_handle());
        self.tasks.push(tokio::spawn(calls::tend(Arc::clone(&self.calls))).abort_handle());
        self.tasks.push(tokio::spawn(trace::tend(Arc::clone(self.core.trace()))).abort_handle());
        let counting = counters::publish(Arc::clone(&self.core), Arc::clone(&self.changes), Arc::clone(&self.calls));
        self.tasks.push(tokio::spawn(counting).abort_handle());
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

    /// Closes all listeners and connections.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.transports.shutdown().await;
    }
}
