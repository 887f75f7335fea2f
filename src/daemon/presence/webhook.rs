//! Graph's change notifications: the door that they come in by, and the subscriptions that make them come.
//!
//! Everything runs as tasks of the bridge's thread, and ends when the configuration says something else: calls never wait
//! for any of it. What was not told in time is polled.

mod counts;
mod door;
mod groups;
mod tenant;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::counts::Counts;
use self::door::{Door, Queues};
use self::tenant::Tenant;
use super::inbox::Inbox;
use crate::admin::{Cause, Severity};
use crate::config::{self, Config};
use crate::daemon::graphs::Graphs;
use crate::telemetry::metrics::{Kind, Page, Series};
use crate::transport::tls::{ClientCertificate, ServerSettings, ServerTls, TlsError};

/// Where notifications come in, and who asks for them.
pub struct Webhook {
    graphs: Arc<Graphs>,
    inbox: Arc<Inbox>,
    running: Mutex<Running>,
    /// By tenant; kept as long as the process lives, for a table of the configuration that comes back.
    counts: Mutex<BTreeMap<Arc<str>, Arc<Counts>>>,
}

#[derive(Default)]
struct Running {
    wanted: Option<Wanted>,
    tls: Option<Arc<ArcSwap<ServerTls>>>,
    /// The open port, for whoever comes after.
    listener: Option<(SocketAddr, TcpListener)>,
    /// Dropped, it ends the tasks.
    stop: Option<watch::Sender<()>>,
    faults: Vec<Cause>,
}

/// What of the configuration the tasks are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    door: config::Webhook,
    tenants: BTreeMap<Arc<str>, config::Graph>,
}

impl Webhook {
    /// Closed yet.
    pub fn new(graphs: Arc<Graphs>, inbox: Arc<Inbox>) -> Self {
        Self { graphs, inbox, running: Mutex::default(), counts: Mutex::default() }
    }

    /// Takes a configuration, after [`Graphs::set`] has. What cannot be opened is among the causes of ill health.
    pub fn set(&self, config: &Config) {
        let wanted = wanted(config);
        let mut running = lock(&self.running);
        if running.wanted == wanted {
            running.renew_certificate();
            return;
        }
        let before = std::mem::take(&mut *running);
        running.wanted = wanted.clone();
        let Some(Wanted { door, tenants }) = wanted else { return };
        // The port stays open where it is the same: the tasks that end now may have it for a moment longer.
        running.listener = before.listener.filter(|(bind, _)| *bind == door.bind);
        if let Err(fault) = self.open(&mut running, door, tenants.keys()) {
            running.faults.push(unwell("presence.webhook", &fault));
        }
    }

    /// What is unwell.
    pub fn causes(&self) -> Vec<Cause> {
        lock(&self.running).faults.clone()
    }

    fn open<'a>(
        &self,
        running: &mut Running,
        settings: config::Webhook,
        names: impl Iterator<Item = &'a Arc<str>>,
    ) -> Result<(), String> {
        let tls = Arc::new(ArcSwap::from_pointee(shown(&settings).map_err(|error| error.to_string())?));
        let bind = settings.bind;
        let cannot = move |error: std::io::Error| format!("cannot open {bind}: {error}");
        let open = match running.listener.take() {
            Some((_, open)) => open,
            None => TcpListener::bind(bind).map_err(cannot)?,
        };
        open.set_nonblocking(true).map_err(cannot)?;
        let listener = open.try_clone().map_err(cannot)?;
        running.listener = Some((bind, open));
        let (mut tenants, mut queues) = (Vec::new(), Queues::new());
        for name in names {
            let Some((account, notifications)) = self.graphs.account_of(name) else { continue };
            let counts = Arc::clone(lock(&self.counts).entry(Arc::clone(name)).or_default());
            match Tenant::new(name, account, notifications, Arc::clone(&self.inbox), Arc::clone(&counts)) {
                Ok(tenant) => {
                    let (queue, waiting) = mpsc::channel(settings.queue);
                    queues.insert(Arc::clone(name), (queue, counts));
                    tenants.push((Arc::new(tenant), waiting));
                }
                Err(fault) => running.faults.push(unwell(name, &fault.to_string())),
            }
        }
        let (stop, mut stopped) = watch::channel(());
        let door = Door { tls: Arc::clone(&tls), settings, queues: Arc::new(queues) };
        let begin = move || {
            tokio::spawn(async move {
                let mut tasks = JoinSet::new();
                tasks.spawn(door.serve(listener));
                for (tenant, waiting) in tenants {
                    tasks.spawn(Arc::clone(&tenant).read(waiting));
                    tasks.spawn(tenant.subscribe());
                }
                // The other end is dropped, and the tasks with it.
                let _ = stopped.changed().await;
            });
        };
        let busy = |_| "the presence bridge is too busy: reload again".to_owned();
        self.inbox.order(move |_| begin()).map_err(busy)?;
        (running.tls, running.stop) = (Some(tls), Some(stop));
        Ok(())
    }
}

impl Running {
    /// Shows the certificate that is in the files now.
    fn renew_certificate(&mut self) {
        let (Some(wanted), Some(tls)) = (&self.wanted, &self.tls) else { return };
        match shown(&wanted.door) {
            Ok(renewed) => tls.store(Arc::new(renewed)),
            Err(error) => tracing::warn!(%error, "[presence.webhook] goes on with the certificate that it had"),
        }
    }
}

impl Series for Webhook {
    fn write(&self, page: &mut Page) {
        let counts = lock(&self.counts).clone();
        let help = "Change notifications of Microsoft Graph, by what became of them";
        let mut family = page.family("trunkway_graph_notifications_total", Kind::Counter, help);
        for (tenant, counts) in &counts {
            for (outcome, count) in counts.outcomes() {
                family.count(&[("outcome", outcome), ("tenant", tenant)], count);
            }
        }
        let help = "Subscriptions to change notifications of Microsoft Graph";
        let mut family = page.family("trunkway_graph_subscriptions", Kind::Gauge, help);
        for (tenant, counts) in &counts {
            family.count(&[("tenant", tenant)], counts.subscriptions());
        }
    }
}

/// `None`: there is no door, or nobody for whom to open it.
fn wanted(config: &Config) -> Option<Wanted> {
    let door = config.presence.webhook.clone()?;
    let notified = |(_, graph): &(&Arc<str>, &config::Graph)| graph.notifications.is_some();
    let tenants: BTreeMap<_, _> =
        config.graph.iter().filter(notified).map(|(name, graph)| (Arc::clone(name), graph.clone())).collect();
    (!tenants.is_empty()).then_some(Wanted { door, tenants })
}

fn shown(settings: &config::Webhook) -> Result<ServerTls, TlsError> {
    ServerTls::load(&ServerSettings {
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
        client_ca: None,
        client_certificate: ClientCertificate::None,
        peers: Vec::new(),
    })
}

fn unwell(source: &str, why: &str) -> Cause {
    Cause {
        severity: Severity::Error,
        name: "graph-notifications",
        source: source.to_owned(),
        text: format!("Microsoft Graph cannot tell of changes: {why}"),
        advice:
            "repair what is named in [presence.webhook] or [tenant.ID.graph.notifications], and run `trunkway reload`; \
                 users are polled meanwhile"
                .to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
