//! A stand-in for Microsoft Graph and its login service: presence, users, groups and numbers of several Entra tenants.
//!
//! It runs on a thread of its own, over HTTPS on loopback, and is told what to do by this handle or by requests to
//! `/lab/…`. It judges its clients: what a real Graph would refuse it refuses in the same words, and what no
//! well-made client does becomes a [`GraphComplaint`]. It shares no code with the bridge that it judges.

mod aggregate;
mod answer;
mod assertion;
mod batch;
mod changes;
mod clock;
mod control;
mod cursor;
mod directory;
mod faults;
mod handle;
mod journal;
mod login;
mod notices;
mod presence;
mod route;
mod sealed;
mod server;
mod subscriptions;
mod tenant;
mod text;
mod throttle;
mod world;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

pub use aggregate::{Availability, ClientState, Device, Pair};
pub use faults::{Fault, FaultId, Trouble};
pub use handle::{GraphControl, SessionState};
pub use journal::{GraphComplaint, RequestRecord};
pub use route::Endpoint;
pub use subscriptions::Delivery;
pub use tenant::{AppSecret, EntraTenant, GraphApp, GraphUser, Removal};
pub use throttle::Limit;

use crate::lab::certificates::{Authority, CertificateError};
use clock::Clock;
use faults::Faults;
use journal::Journal;
use login::Tokens;
use server::Shared;
use subscriptions::Subscriptions;
use tenant::Tenant;
use world::World;

/// How the stand-in starts.
#[derive(Clone, Debug)]
pub struct GraphStandInSettings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    pub tenants: Vec<EntraTenant>,
    /// Limit of presence requests for a tenant.
    pub presence: Limit,
    /// Limit of the directory for a tenant.
    pub directory: Limit,
    /// Life of an access token.
    pub token_life: Duration,
    /// Entries on a page of users, groups or numbers.
    pub page: usize,
    /// Requests that the journal keeps.
    pub journal: usize,
}

impl Default for GraphStandInSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tenants: Vec::new(),
            presence: Limit::PRESENCE,
            directory: Limit::DIRECTORY,
            token_life: Duration::from_secs(3_599),
            page: 100,
            journal: 50_000,
        }
    }
}

impl GraphStandInSettings {
    /// One Entra tenant, in which an application with a secret may do all that the bridge needs.
    pub fn with_tenant(tenant: EntraTenant) -> Self {
        Self { tenants: vec![tenant], ..Self::default() }
    }
}

/// Why the stand-in did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GraphError {
    #[error("the stand-in for Graph cannot listen on {addr}: {error}")]
    Listen { addr: SocketAddr, error: std::io::Error },
    #[error("the stand-in for Graph cannot start: {0}")]
    Start(std::io::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the stand-in for Graph cannot set up TLS: {0}")]
    Tls(String),
}

/// A stand-in that runs; dropping it ends it. What it can be told is in [`GraphControl`].
#[derive(Debug)]
pub struct GraphStandIn {
    addr: SocketAddr,
    ca: String,
    control: GraphControl,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl GraphStandIn {
    /// Starts it; it listens when this returns.
    ///
    /// # Errors
    /// [`GraphError`], when the address is taken for example.
    pub fn start(settings: GraphStandInSettings) -> Result<Self, GraphError> {
        let listen = settings.listen;
        let fault = |error| GraphError::Listen { addr: listen, error };
        let socket = std::net::TcpListener::bind(listen).map_err(fault)?;
        socket.set_nonblocking(true).map_err(fault)?;
        let addr = socket.local_addr().map_err(fault)?;
        let authority = Authority::new()?;
        let own = addr.ip().to_string();
        let mut names = vec!["localhost", "127.0.0.1", "::1"];
        if !names.contains(&own.as_str()) {
            names.push(&own);
        }
        let tls = server::tls(&authority.teams(&names)?)?;
        let http = notices::client().map_err(|error| GraphError::Tls(error.to_string()))?;
        let shared = Arc::new(Shared::new(world(settings), http));
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(GraphError::Start)?;
        let serving = (shared.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("lab-graph".to_owned())
            .spawn(move || {
                let (shared, stop) = serving;
                runtime.block_on(async move {
                    match tokio::net::TcpListener::from_std(socket) {
                        Ok(listener) => server::serve(listener, tls, shared, stop).await,
                        Err(error) => tracing::debug!(%error, "the stand-in for Graph has no socket"),
                    }
                });
            })
            .map_err(GraphError::Start)?;
        Ok(Self {
            addr,
            ca: authority.pem().to_owned(),
            control: GraphControl::new(shared),
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base of its URLs, for the login service and for Graph: `https://127.0.0.1:8443`.
    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// The root to which its certificate leads, PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Ends it and waits until its port is free.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A server that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Deref for GraphStandIn {
    type Target = GraphControl;

    fn deref(&self) -> &GraphControl {
        &self.control
    }
}

impl Drop for GraphStandIn {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the stand-in knows at its start.
fn world(settings: GraphStandInSettings) -> World {
    let (presence, directory) = (settings.presence, settings.directory);
    let tenants = settings.tenants.into_iter().enumerate();
    World {
        clock: Arc::new(Clock::new()),
        tenants: tenants.map(|(place, tenant)| Tenant::new(place, tenant, presence, directory)).collect(),
        tokens: Tokens::default(),
        token_life: settings.token_life,
        journal: Journal::new(settings.journal),
        faults: Faults::default(),
        subscriptions: Subscriptions::default(),
        sequence: 0,
        page: settings.page.max(1),
        awkward: false,
    }
}

#[cfg(test)]
mod tests;
