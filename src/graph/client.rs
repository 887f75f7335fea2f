//! HTTPS towards Graph and Entra: connections, limits, and answers read to their end.
//!
//! No redirect is followed: a token goes to the configured host and nowhere else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder};
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::answer::line;
use super::fault::Fault;
use super::retry_after;
use super::settings::{Call, Observer, Outcome, Settings};

/// Bytes of an answer that are read. A page of 999 users with all fields has about 1 MB.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections without a request that are kept to each host.
const MAX_IDLE: usize = 8;

/// How long they are kept.
const IDLE: Duration = Duration::from_secs(90);

/// Characters of a fault of the network.
const MAX_WHY: usize = 200;

/// The connections of one tenant.
pub struct Client {
    http: reqwest::Client,
    room: Semaphore,
    timeout: Duration,
    observer: Arc<dyn Observer>,
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Whether it is a 2xx.
    pub const fn is_ok(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// What the answer asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after::read(value, unix_now())
    }

    /// The id that Microsoft's support asks for.
    pub fn request_id(&self) -> Option<&str> {
        self.headers.get("request-id")?.to_str().ok()
    }
}

impl Client {
    /// Connections as the settings say.
    ///
    /// # Errors
    /// [`Fault::Setup`].
    pub fn new(settings: &Settings, observer: Arc<dyn Observer>) -> Result<Self, Fault> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("trunkway/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .timeout(settings.timeout)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true);
        if let Some(path) = &settings.ca {
            let shown = path.display();
            let text = std::fs::read(path).map_err(|error| Fault::Setup(format!("cannot read {shown}: {error}")))?;
            let roots = reqwest::Certificate::from_pem_bundle(&text).ok().filter(|roots| !roots.is_empty());
            let roots = roots.ok_or_else(|| Fault::Setup(format!("{shown}: no certificate in PEM form in it")))?;
            builder = builder.tls_certs_only(roots);
        }
        // A proxy of the environment is for the way out, and not for a stand-in on this machine.
        if is_local(&settings.base) && is_local(&settings.login) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Fault::Setup(format!("TLS towards Graph: {}", why(&error))))?;
        Ok(Self { http, room: Semaphore::new(settings.max_requests), timeout: settings.timeout, observer })
    }

    /// A request to a URL of which the caller has made sure that it is on the configured host.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request and reads the answer, whatever its status.
    ///
    /// # Errors
    /// [`Fault::Network`], [`Fault::Timeout`] or [`Fault::Malformed`] (too long).
    pub async fn send(&self, call: Call, request: RequestBuilder) -> Result<Answer, Fault> {
        // The semaphore is never closed.
        let place = tokio::time::timeout(self.timeout, self.room.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(Fault::Timeout) };
        let id = random_id();
        let request = match HeaderValue::from_str(&id) {
            Ok(id) => request.header("client-request-id", id).header("return-client-request-id", "true"),
            Err(_) => request,
        };
        let begun = Instant::now();
        let answer = self.exchange(request).await;
        let outcome = match &answer {
            Ok(answer) => Outcome::of_status(answer.status),
            Err(Fault::Timeout) => Outcome::Timeout,
            Err(_) => Outcome::Network,
        };
        let took = begun.elapsed();
        self.observer.done(call, outcome, took);
        tracing::debug!(call = call.word(), outcome = outcome.word(), ?took, client_request_id = id, "asked Graph");
        answer
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, Fault> {
        let mut response = request.send().await.map_err(network)?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Fault::Malformed(format!("it is longer than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }
}

fn network(error: reqwest::Error) -> Fault {
    if error.is_timeout() { Fault::Timeout } else { Fault::Network(why(&error)) }
}

/// The innermost causes of a fault, without the URL: that may hold what is nobody's business.
fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut texts: Vec<String> = Vec::new();
    while let Some(inner) = cause.source() {
        let text = inner.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = inner;
    }
    let text = texts.last().map_or_else(|| "the request could not be made".to_owned(), Clone::clone);
    line(&text, MAX_WHY).into()
}

/// Whether a URL leads to this machine.
fn is_local(url: &str) -> bool {
    let host = url.parse::<reqwest::Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|addr| addr.is_loopback())
    })
}

/// An id that nobody has used before, as UUIDs are written (RFC 9562 section 5.4).
pub fn random_id() -> String {
    let mut bytes = [0; 16];
    // It fails on machines without a source of randomness, where TLS fails as well; the id need not be secret.
    let _ = SystemRandom::new().fill(&mut bytes);
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    parts.join("-")
}

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
