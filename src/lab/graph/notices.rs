//! The way from the stand-in to its subscribers: the handshake, and the delivery of notifications.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::answer::Answer;
use super::server::Shared;
use super::subscriptions::{Delivery, Notice};
use super::text::{guid, percent_encoded};
use super::world::Begun;

/// How often is looked whether there is something to tell.
const TICK: Duration = Duration::from_millis(50);
/// How long a subscriber may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a subscriber may take for a notification before it counts as not delivered.
const DELIVERY: Duration = Duration::from_secs(10);
/// Tries for one notification, and the pause between them.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of an answer to the handshake.
const MAX_ANSWER: usize = 4_096;

/// A client for subscribers, whose certificates are of a rehearsal and are not judged.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build()
}

/// Creates a subscription when its addresses answer the handshake.
pub(super) async fn subscribe(shared: &Shared, http: &reqwest::Client, begun: &Begun) -> Answer {
    let mut wanted = shared.world().want_subscription(begun);
    let urls = wanted.as_ref().map(|wanted| wanted.urls.clone()).unwrap_or_default();
    for url in urls {
        if let Err(text) = shake_hands(http, &url).await {
            let text = format!("Subscription validation request failed. {text}");
            wanted = Err(Answer::error(400, "ValidationError", &text));
            break;
        }
    }
    shared.world().subscribe(begun, wanted)
}

/// The subscriber must give the token back, as plain text and nothing else.
async fn shake_hands(http: &reqwest::Client, url: &str) -> Result<(), String> {
    // Signs that a subscriber must decode, and must not escape.
    let token = format!("Validation: {} <&+%>", guid());
    let sign = if url.contains('?') { '&' } else { '?' };
    let request = http
        .post(format!("{url}{sign}validationToken={}", percent_encoded(&token)))
        .header(reqwest::header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .timeout(HANDSHAKE)
        .send()
        .await;
    let response = request.map_err(|error| format!("No answer within 10 s: {error}."))?;
    let status = response.status().as_u16();
    let kind = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let plain = kind.is_some_and(|kind| kind.starts_with("text/plain"));
    let body = response.bytes().await.map_err(|error| format!("The answer was cut: {error}."))?;
    match (status, plain, body.len() <= MAX_ANSWER && body == token.as_bytes()) {
        (200, true, true) => Ok(()),
        _ => Err(format!("Status {status}, text/plain: {plain}, the token came back: {}.", body == token.as_bytes())),
    }
}

/// Tells subscribers of changes for ever.
pub(super) async fn deliver(shared: Arc<Shared>, http: reqwest::Client) {
    loop {
        tokio::time::sleep(TICK).await;
        let notices = shared.world().notices();
        for notice in notices {
            tokio::spawn(tell(shared.clone(), http.clone(), notice));
        }
    }
}

async fn tell(shared: Arc<Shared>, http: reqwest::Client, notice: Notice) {
    let items = notice.body.get("value").and_then(Value::as_array).map_or(0, Vec::len);
    for _ in 0..TRIES {
        let begun = Instant::now();
        let sent = http.post(&notice.url).json(&notice.body).timeout(DELIVERY).send().await;
        let status = sent.map_or(0, |response| response.status().as_u16());
        shared.world().delivered(Delivery { status, took: begun.elapsed(), items });
        if (200..300).contains(&status) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
