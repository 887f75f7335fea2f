//! The door by TCP: TLS first, then a token, then the same endpoints.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use metrics::{Counter, counter, describe_counter};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Settings;
use super::control::Control;
use super::fault::Fault;
use super::routes;
use super::server::{BindError, converse};
use super::tokens::{Guesses, Tokens, home};
use crate::trunk::Network;

/// How long to wait when the system has no file descriptor for one more connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// The metric of what is not let in.
const REFUSED: &str = "trunkway_control_refused_total";

/// What is read and written in clear at this end of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A handshake under way.
pub type Shaking = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Makes a connection private. The door knows no TLS: whoever opens it brings it.
pub trait Handshake: Send + Sync + 'static {
    /// Begins with a connection that has come.
    fn shake(&self, stream: TcpStream) -> Shaking;
}

/// Who may come in by TCP: changed while the door is open, and heeded by the next request.
#[derive(Debug, Default)]
pub struct Access {
    /// Networks from which connections are taken; empty: any.
    pub allow_from: Vec<Network>,
    pub tokens: Tokens,
}

/// Where the door by TCP is, beside what [`Settings`] say of both doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    pub bind: SocketAddr,
    /// Connections at once from one address.
    pub max_connections_per_address: usize,
    /// Addresses whose wrong tokens are remembered.
    pub max_refused_addresses: usize,
}

/// The open door by TCP.
pub struct HttpServer {
    listener: TcpListener,
    settings: Settings,
    guard: Arc<Guard>,
}

/// What stands between a connection and the endpoints.
struct Guard {
    access: Arc<ArcSwap<Access>>,
    handshake: Arc<dyn Handshake>,
    guesses: Guesses,
    refused: Refused,
    max_per_address: usize,
    inside: Mutex<HashMap<IpAddr, usize>>,
}

/// What was not let in, counted by reason.
struct Refused {
    address: Counter,
    connections: Counter,
    no_token: Counter,
    token: Counter,
}

/// The address at the other end.
#[derive(Clone, Copy, Debug)]
struct Remote(IpAddr);

impl HttpServer {
    /// Opens the port. Needs a runtime.
    ///
    /// # Errors
    /// [`BindError::Port`].
    pub fn bind(
        settings: Settings,
        http: &HttpSettings,
        access: Arc<ArcSwap<Access>>,
        handshake: Arc<dyn Handshake>,
    ) -> Result<Self, BindError> {
        let fault = |error| BindError::Port { addr: http.bind, error };
        let listener = std::net::TcpListener::bind(http.bind).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let listener = TcpListener::from_std(listener).map_err(fault)?;
        let guard = Guard {
            access,
            handshake,
            guesses: Guesses::new(http.max_refused_addresses),
            refused: Refused::register(),
            max_per_address: http.max_connections_per_address,
            inside: Mutex::default(),
        };
        Ok(Self { listener, settings, guard: Arc::new(guard) })
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// What the system says.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped.
    pub async fn serve(self, control: Arc<dyn Control>) {
        let Self { listener, settings, guard } = self;
        let router = routes::router(control, &settings);
        let router = router.layer(from_fn_with_state(Arc::clone(&guard), authenticate));
        let room = Arc::new(Semaphore::new(settings.max_connections));
        let mut connections = JoinSet::new();
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "accepting on the control port");
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let Some(entered) = guard.enter(from.ip()) else { continue };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                guard.refused.connections.increment(1);
                continue;
            };
            let (router, settings, guard) = (router.clone(), settings.clone(), Arc::clone(&guard));
            connections.spawn(async move {
                let work = attend(stream, from.ip(), router, &settings, &guard);
                let _ = tokio::time::timeout(settings.connection_time, work).await;
                drop((place, entered));
            });
        }
    }
}

/// The handshake, and then the requests of one connection.
async fn attend(stream: TcpStream, from: IpAddr, router: Router, settings: &Settings, guard: &Guard) {
    let shaking = tokio::time::timeout(settings.head_timeout, guard.handshake.shake(stream));
    match shaking.await {
        Ok(Ok(stream)) => converse(stream, router.layer(Extension(Remote(from))), settings).await,
        Ok(Err(error)) => tracing::debug!(%error, %from, "a handshake on the control port"),
        Err(_) => tracing::debug!(%from, "a handshake on the control port took too long"),
    }
}

/// A connection that counts against its address, until this is dropped.
struct Entered {
    guard: Arc<Guard>,
    home: IpAddr,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut inside = self.guard.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.home) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.home);
            }
        }
    }
}

impl Guard {
    /// Lets a connection in, unless its address is not allowed or has enough of them.
    fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Entered> {
        let access = self.access.load();
        if !access.allow_from.is_empty() && !access.allow_from.iter().any(|network| network.contains(from)) {
            self.refused.address.increment(1);
            tracing::debug!(%from, "not from there: the control port");
            return None;
        }
        let home = home(from);
        // As many entries as there are connections: their number is bounded.
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(home).or_insert(0);
        if *count >= self.max_per_address {
            self.refused.connections.increment(1);
            return None;
        }
        *count += 1;
        drop(inside);
        Some(Entered { guard: Arc::clone(self), home })
    }
}

/// Finds out whose token a request brings; without one it goes no further.
async fn authenticate(
    State(guard): State<Arc<Guard>>,
    Extension(Remote(from)): Extension<Remote>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(secret) = bearer(&request) else {
        guard.refused.no_token.increment(1);
        return unauthorized("no_token", "bring a token: `Authorization: Bearer SECRET`", None);
    };
    let caller = guard.access.load().tokens.caller(secret);
    let Some(caller) = caller else {
        guard.refused.token.increment(1);
        let delay = guard.guesses.wrong(from, Instant::now());
        tracing::debug!(%from, ?delay, "a wrong token on the control port");
        tokio::time::sleep(delay).await;
        return unauthorized("wrong_token", "nobody has this token", Some("invalid_token"));
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The token that a request brings (RFC 6750 section 2.1).
fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim()).filter(|secret| !secret.is_empty())
}

fn unauthorized(error: &'static str, detail: &str, challenge: Option<&str>) -> Response {
    let mut response = Fault::new(StatusCode::UNAUTHORIZED, error, detail).into_response();
    let value = match challenge {
        Some(error) => format!("Bearer realm=\"trunkway\", error=\"{error}\""),
        None => "Bearer realm=\"trunkway\"".to_owned(),
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

impl Refused {
    fn register() -> Self {
        describe_counter!(REFUSED, "Connections and requests that the control port did not let in");
        let of = |reason: &'static str| counter!(REFUSED, "reason" => reason);
        Self {
            address: of("address"),
            connections: of("connections"),
            no_token: of("no-token"),
            token: of("wrong-token"),
        }
    }
}

#[cfg(test)]
mod tests;
