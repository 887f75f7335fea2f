//! The page of metrics and the endpoint that serves it, which follows the configuration.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tokio::task::AbortHandle;

use crate::call::Gate;
use crate::config;
use crate::telemetry::metrics::{BindError, Endpoint, Kind, Page, Process, Scraped, Series};
use crate::trunk::Network;

/// Upper bounds of the exporter's histograms, in seconds: without any it would write summaries, which cannot be added up.
const BOUNDS: [f64; 12] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The exporter of this process: the recorder behind `metrics` can be set once.
static EXPORTER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// What is measured, and who may read it where.
pub struct Exposition {
    exporter: Option<PrometheusHandle>,
    series: Mutex<Vec<Arc<dyn Series>>>,
    gate: Arc<Gate>,
    listening: AtomicBool,
    /// Who may read; empty: everybody who can reach the address.
    networks: Mutex<Vec<Network>>,
    served: Mutex<Option<Served>>,
}

/// The endpoint that is open; closed when it is dropped.
#[derive(Debug)]
struct Served {
    /// As the configuration has it.
    at: SocketAddr,
    task: AbortHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What will be served: the address is bound.
#[derive(Debug)]
pub struct Prepared {
    at: Option<SocketAddr>,
    networks: Vec<Network>,
    /// `None`: nothing is to be served, or it is already.
    endpoint: Option<Endpoint>,
}

impl Exposition {
    /// Sets the exporter up, so that what is registered from now on is found on the page.
    ///
    /// # Errors
    /// When somebody else has set another recorder in this process.
    pub fn install(gate: Arc<Gate>) -> Result<Arc<Self>, String> {
        let exporter = EXPORTER.get_or_init(|| exporter().ok()).clone();
        let exporter = exporter.ok_or("another recorder of metrics is in use in this process")?;
        Ok(Arc::new(Self::of(gate, Some(exporter))))
    }

    fn of(gate: Arc<Gate>, exporter: Option<PrometheusHandle>) -> Self {
        Self {
            exporter,
            series: Mutex::new(vec![Arc::new(Process)]),
            gate,
            listening: AtomicBool::new(false),
            networks: Mutex::default(),
            served: Mutex::default(),
        }
    }

    /// Adds series that are written each time that the page is read.
    pub fn add(&self, series: Arc<dyn Series>) {
        lock(&self.series).push(series);
    }

    /// Says whether all listeners are open.
    pub fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// Opens the endpoint of a configuration, unless it is open already. Needs a runtime.
    ///
    /// # Errors
    /// [`BindError`]; nothing has changed then.
    pub fn prepare(&self, settings: &config::Metrics) -> Result<Prepared, BindError> {
        let open = lock(&self.served).as_ref().map(|served| served.at);
        let new = settings.bind.filter(|at| open != Some(*at));
        let endpoint = new.map(Endpoint::bind).transpose()?;
        Ok(Prepared { at: settings.bind, networks: settings.allow_from.clone(), endpoint })
    }

    /// Serves what was prepared, and nothing else any more.
    pub fn commit(self: &Arc<Self>, prepared: Prepared) {
        let Prepared { at, networks, endpoint } = prepared;
        *lock(&self.networks) = networks;
        let mut served = lock(&self.served);
        match (at, endpoint) {
            (Some(at), Some(endpoint)) => {
                let behind: Arc<dyn Scraped> = self.clone();
                let task = tokio::spawn(endpoint.serve(behind)).abort_handle();
                *served = Some(Served { at, task });
            }
            (Some(_), None) => {}
            (None, _) => *served = None,
        }
    }

    /// Closes the endpoint.
    pub fn close(&self) {
        *lock(&self.served) = None;
    }

    /// Drains the exporter's histograms, which grow until somebody does.
    pub fn upkeep(&self) {
        if let Some(exporter) = &self.exporter {
            exporter.run_upkeep();
        }
    }
}

impl Scraped for Exposition {
    fn page(&self) -> String {
        let mut page = Page::behind(self.exporter.as_ref().map(PrometheusHandle::render).unwrap_or_default());
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        page.family("trunkway_build_info", Kind::Gauge, "1, with the version of the program").sample(&labels, 1.0);
        let ready = self.ready().is_ok();
        page.gauge("trunkway_ready", "Whether calls are welcome (1), as /readyz says", f64::from(u8::from(ready)));
        let draining = f64::from(u8::from(self.gate.is_draining()));
        page.gauge(
            "trunkway_draining",
            "Whether new calls are refused since an operator, or a stop, wants it so (1)",
            draining,
        );
        let series = lock(&self.series).clone();
        series.iter().for_each(|series| series.write(&mut page));
        page.into_text()
    }

    fn ready(&self) -> Result<(), String> {
        if !self.listening.load(Ordering::Relaxed) {
            return Err("the listeners are not open".to_owned());
        }
        if self.gate.is_draining() {
            return Err("the edge drains: it takes no new calls".to_owned());
        }
        Ok(())
    }

    fn allows(&self, peer: IpAddr) -> bool {
        let (networks, peer) = (lock(&self.networks), peer.to_canonical());
        networks.is_empty() || networks.iter().any(|network| network.contains(peer))
    }
}

fn exporter() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().set_buckets(&BOUNDS)?.install_recorder()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(bind: Option<SocketAddr>) -> config::Metrics {
        config::Metrics { bind, ..config::Metrics::default() }
    }

    /// An address that was free a moment ago.
    fn free() -> SocketAddr {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.local_addr().expect("it is bound")
    }

    fn connects(at: SocketAddr) -> bool {
        std::net::TcpStream::connect(at).is_ok()
    }

    #[tokio::test]
    async fn the_endpoint_follows_the_configuration() {
        let exposition = Arc::new(Exposition::of(Arc::default(), None));
        let [one, two] = [free(), free()];
        let commit = |bind| exposition.prepare(&settings(bind)).map(|prepared| exposition.commit(prepared));
        commit(Some(one)).expect("a free address");
        assert!(connects(one));
        commit(Some(one)).expect("it stays open");
        assert!(connects(one));
        let taken = std::net::TcpListener::bind(two).expect("a free port");
        commit(Some(two)).expect_err("the address is taken");
        assert!(connects(one), "nothing has changed");
        drop(taken);
        commit(Some(two)).expect("it is free again");
        assert!(connects(two));
        commit(None).expect("nothing to open");
        // The tasks end when the runtime turns.
        for at in [one, two] {
            while connects(at) {
                tokio::task::yield_now().await;
            }
        }
    }

    #[test]
    fn readiness_has_a_cause() {
        let gate = Arc::new(Gate::default());
        let exposition = Exposition::of(Arc::clone(&gate), None);
        assert_eq!(exposition.ready(), Err("the listeners are not open".to_owned()));
        exposition.set_listening(true);
        assert_eq!(exposition.ready(), Ok(()));
        assert!(exposition.page().contains("\ntrunkway_ready 1\n"), "{}", exposition.page());
        gate.set_draining(true);
        assert_eq!(exposition.ready(), Err("the edge drains: it takes no new calls".to_owned()));
        let page = exposition.page();
        assert!(page.contains("\ntrunkway_ready 0\n") && page.contains("\ntrunkway_draining 1\n"), "{page}");
    }

    #[test]
    fn networks_may_read() {
        let exposition = Exposition::of(Arc::default(), None);
        let peer = IpAddr::from([192, 0, 2, 1]);
        assert!(exposition.allows(peer));
        *lock(&exposition.networks) = vec![Network::host(peer)];
        assert!(exposition.allows(peer) && !exposition.allows(IpAddr::from([192, 0, 2, 2])));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        assert!(exposition.allows(mapped));
    }
}
