//! The sockets of the stand-in: HTTPS with HTTP/1.1 and HTTP/2, on a thread and a runtime of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::GraphError;
use super::answer::Answer;
use super::control;
use super::faults::Trouble;
use super::handle::GraphControl;
use super::notices;
use super::route::{Endpoint, Verb};
use super::world::{Arrival, Begun, World};
use crate::lab::certificates::Identity;

/// Bytes of a request's body.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A pause after the system had no room for a connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// What the server and its handle share.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    /// For what is told to subscribers.
    http: reqwest::Client,
}

impl Shared {
    pub(super) fn new(world: World, http: reqwest::Client) -> Self {
        Self { world: Mutex::new(world), http }
    }

    /// The stand-in's knowledge. Nothing waits while it is held.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The TLS side of the server.
pub(super) fn tls(identity: &Identity) -> Result<Arc<ServerConfig>, GraphError> {
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
    let (Ok(chain), Ok(key)) = (chain, key) else { return Err(GraphError::Tls("its own PEM cannot be read".into())) };
    let fault = |error: tokio_rustls::rustls::Error| GraphError::Tls(error.to_string());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(fault)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves connections until it is told to stop.
pub(super) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, shared: Arc<Shared>, stop: CancellationToken) {
    let acceptor = TlsAcceptor::from(tls);
    let telling = tokio::spawn(notices::deliver(shared.clone(), shared.http.clone()));
    // What tells subscribers ends with the server.
    let _telling = AbortOnDropHandle::new(telling);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = converse(stream, acceptor.clone(), shared.clone());
                let stop = stop.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = connection => {}
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accepting at the stand-in for Graph");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// One connection from the handshake to its end.
async fn converse(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    // Small answers shall not wait for each other.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let local = stream.get_ref().0.local_addr().ok();
    let service = service_fn(move |request| respond(shared.clone(), local, request));
    let stream = TokioIo::new(stream);
    let outcome = match http2 {
        true => {
            let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            http.timer(TokioTimer::new()).serve_connection(stream, service).await
        }
        false => {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).serve_connection(stream, service).await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection at the stand-in for Graph");
    }
}

/// The connection is to be cut.
#[derive(Debug, thiserror::Error)]
#[error("cut, as was asked for")]
struct Cut;

type Reply = Response<Full<Bytes>>;

/// Answers one request, or lets go wrong what shall go wrong.
async fn respond(shared: Arc<Shared>, local: Option<SocketAddr>, request: Request<Incoming>) -> Result<Reply, Cut> {
    let Some(arrival) = read(local, request).await else {
        return Ok(reply(Answer::error(413, "RequestEntityTooLarge", "The body is too large, or was cut.")));
    };
    if let Some(rest) = arrival.path.strip_prefix("/lab/") {
        return Ok(reply(control::answer(
            &GraphControl::new(shared),
            &arrival.method,
            rest,
            &arrival.query,
            &arrival.body,
        )));
    }
    let open = Open::new(&shared, &arrival);
    if !open.begun.hit.delay.is_zero() {
        tokio::time::sleep(open.begun.hit.delay).await;
    }
    match open.begun.hit.trouble {
        Some(Trouble::Hang) => {
            open.shared.world().lost(&open.begun);
            match std::future::pending::<Infallible>().await {}
        }
        Some(Trouble::Cut) => {
            open.shared.world().lost(&open.begun);
            Err(Cut)
        }
        Some(Trouble::LostAnswer) => {
            let mut world = open.shared.world();
            world.answer(&open.begun);
            world.unheard(&open.begun);
            Err(Cut)
        }
        Some(Trouble::WrongJson) => {
            open.shared.world().lost(&open.begun);
            Ok(plain(200, "application/json", "{\"value\":[{\"id\":"))
        }
        Some(Trouble::Html) => {
            open.shared.world().lost(&open.begun);
            Ok(plain(502, "text/html", "<html><body><h1>Bad gateway</h1></body></html>"))
        }
        Some(Trouble::Status { .. } | Trouble::Delay(_)) | None => {
            let route = &open.begun.whole.route;
            let subscribes = route.endpoint == Endpoint::Subscriptions && route.verb == Verb::Create;
            let troubled = open.begun.whole.hit.trouble.is_some() || open.begun.access.is_err();
            let answer = match subscribes && !troubled {
                true => notices::subscribe(&open.shared, &open.shared.http, &open.begun).await,
                false => open.shared.world().answer(&open.begun),
            };
            Ok(reply(answer))
        }
    }
}

/// A request that is being answered; its writes are on their way until it is dropped.
struct Open {
    shared: Arc<Shared>,
    begun: Begun,
}

impl Open {
    fn new(shared: &Arc<Shared>, arrival: &Arrival) -> Self {
        let begun = shared.world().begin(arrival);
        Self { shared: shared.clone(), begun }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.world().end(&self.begun.writes);
    }
}

/// Reads a request whole; `None`: it is too large or was cut.
async fn read(local: Option<SocketAddr>, request: Request<Incoming>) -> Option<Arrival> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    let body = Pin::from(Box::new(Limited::new(body, MAX_BODY))).collect().await.ok()?.to_bytes();
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    // HTTP/2 has the host in the URI.
    let host = head.uri.authority().map(|authority| authority.to_string()).or_else(|| text(HOST));
    Some(Arrival {
        arrived,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        host: host.or_else(|| local.map(|local| local.to_string())).unwrap_or_default(),
        authorization: text(AUTHORIZATION),
        prefer: text(hyper::header::HeaderName::from_static("prefer")),
        body: body.to_vec(),
    })
}

fn reply(answer: Answer) -> Reply {
    let body = answer.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(hyper::header::HeaderName::from_static(name), value);
        }
    }
    reply
}

fn plain(status: u16, kind: &'static str, text: &'static str) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
