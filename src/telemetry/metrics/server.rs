//! `/metrics`, `/healthz` and `/readyz` over plain HTTP, with bounds on connections and time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections at once: a few scrapers and probes.
const MAX_CONNECTIONS: usize = 32;

/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last: scrapers come by again, and nobody keeps a place for ever.
const CONNECTION_TIME: Duration = Duration::from_secs(300);

/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// How long to wait when the system has no file descriptor for one more connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What stands behind the endpoint.
pub trait Scraped: Send + Sync + 'static {
    /// The page of metrics; asked for where it may take its time.
    fn page(&self) -> String;

    /// Whether calls should come here.
    ///
    /// # Errors
    /// Why not, in words.
    fn ready(&self) -> Result<(), String>;

    /// Whether somebody may read.
    fn allows(&self, peer: IpAddr) -> bool;
}

/// Why the endpoint does not open.
#[derive(Debug, thiserror::Error)]
#[error("the metrics endpoint cannot be opened on {at}: {error}")]
pub struct BindError {
    at: SocketAddr,
    error: io::Error,
}

/// An open socket that nobody serves yet.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
}

impl Endpoint {
    /// Opens a socket. Needs a runtime.
    ///
    /// # Errors
    /// [`BindError`], as when the address is taken.
    pub fn bind(at: SocketAddr) -> Result<Self, BindError> {
        let open = || {
            let listener = std::net::TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        open().map(|listener| Self { listener }).map_err(|error| BindError { at, error })
    }

    /// The address that it has.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until it is dropped.
    pub async fn serve(self, behind: Arc<dyn Scraped>) {
        let router = router(Arc::clone(&behind));
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "accepting on the metrics endpoint");
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            if !behind.allows(peer.ip()) {
                tracing::debug!(%peer, "may not read the metrics");
                continue;
            }
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                tracing::debug!("a connection too many on the metrics endpoint");
                continue;
            };
            let router = router.clone();
            connections.spawn(async move {
                let _ = tokio::time::timeout(CONNECTION_TIME, converse(stream, router)).await;
                drop(place);
            });
        }
    }
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of the metrics endpoint");
    }
}

type Behind = State<Arc<dyn Scraped>>;

fn router(behind: Arc<dyn Scraped>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"))
        .with_state(behind)
}

async fn metrics(State(behind): Behind) -> Response {
    // A large page takes milliseconds that no call has to wait for.
    match tokio::task::spawn_blocking(move || behind.page()).await {
        Ok(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written\n").into_response(),
    }
}

async fn ready(State(behind): Behind) -> Response {
    match behind.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests;
