//! Bodies of requests: read whole, within bounds of bytes and time.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Settings;
use super::fault::Fault;

/// Bytes that one permit stands for.
const PERMIT_BYTES: usize = 1024;

/// The room that all bodies share.
#[derive(Clone, Debug)]
pub(super) struct Bodies {
    room: Arc<Semaphore>,
    max_bytes: usize,
    timeout: std::time::Duration,
}

/// A value that came in a body, with the room that it takes.
#[derive(Debug)]
pub(super) struct Held<T> {
    value: T,
    room: OwnedSemaphorePermit,
}

impl<T> Held<T> {
    /// The value, and its room, which is to be kept as long as the value is.
    pub(super) fn into_parts(self) -> (T, OwnedSemaphorePermit) {
        (self.value, self.room)
    }
}

impl Bodies {
    pub(super) fn new(settings: &Settings) -> Self {
        // One body must always find room.
        let bytes = settings.max_bytes_of_all_bodies.max(settings.max_body_bytes);
        Self {
            room: Arc::new(Semaphore::new(permits(bytes))),
            max_bytes: settings.max_body_bytes,
            timeout: settings.body_timeout,
        }
    }

    /// Reads a body as it is.
    pub(super) async fn bytes(&self, headers: &HeaderMap, body: Body) -> Result<Held<axum::body::Bytes>, Fault> {
        let read = tokio::time::timeout(self.timeout, self.read(headers, body)).await;
        let late = |_| Fault::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took too long");
        let (value, room) = read.map_err(late)??;
        Ok(Held { value, room })
    }

    /// Reads a body as a JSON object.
    pub(super) async fn json<T: DeserializeOwned>(&self, headers: &HeaderMap, body: Body) -> Result<Held<T>, Fault> {
        let Held { value: bytes, room } = self.bytes(headers, body).await?;
        // A list would be taken for the values of an object in their order.
        if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(Fault::bad("bad_json", "the body is not a JSON object"));
        }
        let value = serde_json::from_slice(&bytes).map_err(|error| Fault::bad("bad_json", error.to_string()))?;
        Ok(Held { value, room })
    }

    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<(axum::body::Bytes, OwnedSemaphorePermit), Fault> {
        let too_large = || {
            let detail = format!("the body has more than {} bytes: make several batches of it", self.max_bytes);
            Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        };
        let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length = said.unwrap_or(self.max_bytes);
        if length > self.max_bytes {
            return Err(too_large());
        }
        let wanted = u32::try_from(permits(length)).unwrap_or(u32::MAX);
        let closed = |_| Fault::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the edge stops");
        let room = Arc::clone(&self.room).acquire_many_owned(wanted).await.map_err(closed)?;
        match Limited::new(body, length).collect().await {
            Ok(collected) => Ok((collected.to_bytes(), room)),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
            Err(error) => Err(Fault::bad("bad_body", error.to_string())),
        }
    }
}

const fn permits(bytes: usize) -> usize {
    bytes.div_ceil(PERMIT_BYTES)
}
