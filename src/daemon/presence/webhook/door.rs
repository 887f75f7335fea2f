//! The door: HTTPS, a handshake that is answered, and bodies that go into a queue. It believes nothing and reads nothing:
//! Graph wants an answer within three seconds (B4).

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, Limited};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::counts::{Became, Counts};
use crate::config;
use crate::transport::tls::{ServerTls, stream};

/// How long a TLS handshake and the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// How long the body may take: the answer is wanted within three seconds.
const BODY: Duration = Duration::from_secs(3);

/// How long a connection may last.
const CONNECTION: Duration = Duration::from_secs(900);

/// How long to wait when the system has no file descriptor for one more connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Bytes of a request's head.
const MAX_HEAD: usize = 32 << 10;

/// Bytes of a token that is given back.
const MAX_TOKEN: usize = 4_096;

/// Where bodies go, by tenant.
pub type Queues = BTreeMap<Arc<str>, (mpsc::Sender<Bytes>, Arc<Counts>)>;

/// The door.
pub struct Door {
    pub tls: Arc<ArcSwap<ServerTls>>,
    pub settings: config::Webhook,
    pub queues: Arc<Queues>,
}

#[derive(Clone)]
struct Inside {
    queues: Arc<Queues>,
    max_body_bytes: usize,
}

#[derive(Deserialize)]
struct Shaken {
    #[serde(rename = "validationToken")]
    token: Option<String>,
}

impl Door {
    /// Serves until it is dropped.
    pub async fn serve(self, listener: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "[presence.webhook] cannot be served"),
        };
        let room = Arc::new(Semaphore::new(self.settings.max_connections));
        let router = router(Arc::clone(&self.queues), self.settings.max_body_bytes);
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                tracing::debug!("a connection too many at the webhook");
                continue;
            };
            let (tls, router) = (self.tls.load_full(), router.clone());
            connections.spawn(async move {
                let _ = tokio::time::timeout(CONNECTION, welcome(stream, &tls, router)).await;
                drop(place);
            });
        }
    }
}

/// Answers the requests of one connection.
async fn welcome(stream: TcpStream, tls: &ServerTls, router: Router) {
    let Ok(Ok(stream)) = tokio::time::timeout(HEAD, stream::accept(tls, stream)).await else { return };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await {
        tracing::debug!(%error, "a connection of the webhook");
    }
}

/// The URL of the configuration may have a path of its own in front: only its last part says whose it is.
fn router(queues: Arc<Queues>, max_body_bytes: usize) -> Router {
    let inside = Inside { queues, max_body_bytes };
    Router::new().route("/{*path}", post(answer)).with_state(inside)
}

async fn answer(
    State(inside): State<Inside>,
    Path(path): Path<String>,
    Query(shaken): Query<Shaken>,
    body: Body,
) -> Response {
    let tenant = path.rsplit('/').next().unwrap_or_default();
    let Some((queue, counts)) = inside.queues.get(tenant) else { return StatusCode::NOT_FOUND.into_response() };
    if let Some(token) = shaken.token {
        return shake(token);
    }
    let read = Limited::new(body, inside.max_body_bytes).collect();
    let body = match tokio::time::timeout(BODY, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    match queue.try_send(body) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(_) => {
            counts.add(Became::NoRoom, 1);
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// Gives a token back, as plain text whatever it looks like.
fn shake(token: String) -> Response {
    if token.is_empty() || token.len() > MAX_TOKEN {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    let as_it_is = HeaderValue::from_static("nosniff");
    ([(header::CONTENT_TYPE, plain), (header::X_CONTENT_TYPE_OPTIONS, as_it_is)], token).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn ask(router: &Router, target: &str, body: &str) -> (StatusCode, String, String) {
        use hyper::service::Service;
        let request = Request::post(target).body(Body::from(body.to_owned())).unwrap();
        let response = TowerToHyperService::new(router.clone()).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get("content-type").map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default();
        let text = axum::body::to_bytes(Body::new(body), 1 << 16).await.unwrap();
        (parts.status, kind, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn tokens_go_back_and_bodies_wait() {
        let (queue, mut waiting) = mpsc::channel(1);
        let counts = Arc::new(Counts::default());
        let queues = BTreeMap::from([(Arc::from("contoso"), (queue, Arc::clone(&counts)))]);
        let router = router(Arc::new(queues), 100);
        let told = ask(&router, "/graph/contoso?validationToken=a%3Cb%3E%20c%2Bd", "").await;
        assert_eq!(told, (StatusCode::OK, "text/plain; charset=utf-8".to_owned(), "a<b> c+d".to_owned()));
        let long = format!("/contoso?validationToken={}", "x".repeat(MAX_TOKEN + 1));
        assert_eq!(ask(&router, &long, "").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(ask(&router, "/graph/fabrikam", "{}").await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(&router, "/contoso", &"x".repeat(101)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(ask(&router, "/contoso", "first").await.0, StatusCode::ACCEPTED);
        assert_eq!(ask(&router, "/contoso", "second").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(waiting.recv().await.as_deref(), Some(&b"first"[..]));
        assert!(counts.outcomes().any(|counted| counted == ("no-room", 1)));
    }
}
