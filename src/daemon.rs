//! Wiring: a checked configuration becomes sockets, shards, timers and a name cache that work together.
//!
//! Life: [`Daemon::bind`] opens the listeners, [`Daemon::run`] lets messages in, [`Daemon::stop`] ends them. Where
//! work happens: the worker that reads a message parses it, locks its shard, runs the pure core and sends; one task
//! turns the timers; names are looked up in tasks of their own.

mod build;
mod clock;
mod core;
mod counters;
mod names;
mod probe;
mod seal_key;
mod timers;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::AbortHandle;

pub use self::core::Status;
pub use build::{BuildError, workers};
pub use probe::TargetStatus;
pub use seal_key::SealKeyError;

use self::core::Core;
use crate::config::Loaded;
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
    #[error("the metrics endpoint cannot be opened on {bind}: {why}")]
    Metrics { bind: SocketAddr, why: String },
}

/// A running edge.
pub struct Daemon {
    core: Arc<Core>,
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
        let transports = Transports::bind(build::transport_settings(&loaded)?)?;
        let edge = build::edge(loaded.config.limits, &loaded, |id| transports.bound(id));
        let core = Core::new(edge, secrets, resolver, Arc::clone(&transports), &loaded.config.limits);
        Ok(Self { core, transports, tasks: Vec::new() })
    }

    /// Starts to read messages and to turn timers.
    pub fn run(&mut self) {
        let receiver: Arc<dyn crate::transport::Receiver> = self.core.clone();
        self.transports.start(receiver);
        self.tasks.push(tokio::spawn(timers::turn(Arc::clone(&self.core))).abort_handle());
        self.tasks.push(tokio::spawn(probe::turn(Arc::clone(self.core.probes()))).abort_handle());
        self.tasks.push(tokio::spawn(counters::publish(Arc::clone(&self.core))).abort_handle());
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
        self.core.probes().status()
    }

    /// Closes all listeners and connections.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.transports.shutdown().await;
    }
}
