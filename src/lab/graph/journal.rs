//! What was asked of the stand-in, and what a real Graph or its rules would have held against it. Bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use serde::{Serialize, Serializer};

use super::clock::At;
use super::route::Endpoint;

/// Complaints that are kept with their words; beyond that they are counted.
const MAX_COMPLAINTS: usize = 1_000;

/// A request that was answered; an item of a batch is one too.
#[derive(Clone, Debug, Serialize)]
pub struct RequestRecord {
    /// When it arrived, in the machine's time.
    #[serde(skip)]
    pub arrived: Instant,
    /// When it arrived, in milliseconds of the stand-in's time.
    pub at_ms: u64,
    pub endpoint: Endpoint,
    /// The Entra tenant.
    #[serde(serialize_with = "as_text")]
    pub tenant: Option<Arc<str>>,
    /// The id of the user whom it is about.
    #[serde(serialize_with = "as_text")]
    pub user: Option<Arc<str>>,
    /// What was written, such as `Busy/InACall PT1H`, or how many were asked for.
    pub detail: Option<String>,
    /// The status of the answer; 0 when it was cut or never came.
    pub status: u16,
    /// Whether it came in a batch.
    pub batched: bool,
}

/// Something that a real Graph would refuse, or that a well-made client does not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GraphComplaint {
    /// When, in milliseconds of the stand-in's time.
    pub at_ms: u64,
    pub endpoint: Endpoint,
    #[serde(serialize_with = "as_text")]
    pub tenant: Option<Arc<str>>,
    #[serde(serialize_with = "as_text")]
    pub user: Option<Arc<str>>,
    pub text: String,
}

/// The newest requests and the first complaints.
#[derive(Debug)]
pub(super) struct Journal {
    limit: usize,
    requests: VecDeque<RequestRecord>,
    /// Requests ever, those that are no longer kept too.
    total: u64,
    complaints: Vec<GraphComplaint>,
    complained: u64,
    counts: HashMap<(Endpoint, u16), u64>,
}

impl Journal {
    pub(super) fn new(limit: usize) -> Self {
        let (requests, complaints) = (VecDeque::new(), Vec::new());
        Self { limit, requests, total: 0, complaints, complained: 0, counts: HashMap::new() }
    }

    pub(super) fn record(&mut self, record: RequestRecord) {
        *self.counts.entry((record.endpoint, record.status)).or_default() += 1;
        self.total += 1;
        if self.requests.len() >= self.limit {
            self.requests.pop_front();
        }
        if self.limit > 0 {
            self.requests.push_back(record);
        }
    }

    pub(super) fn complain(
        &mut self,
        now: At,
        endpoint: Endpoint,
        about: (Option<Arc<str>>, Option<Arc<str>>),
        text: String,
    ) {
        self.complained += 1;
        if self.complaints.len() < MAX_COMPLAINTS {
            let (tenant, user) = about;
            self.complaints.push(GraphComplaint { at_ms: now, endpoint, tenant, user, text });
        }
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &RequestRecord> {
        self.requests.iter()
    }

    /// The requests after the first `seen` that are kept, and how many there were ever.
    pub(super) fn since(&self, seen: u64) -> (impl Iterator<Item = &RequestRecord>, u64) {
        let news = usize::try_from(self.total.saturating_sub(seen)).unwrap_or(usize::MAX);
        (self.requests.range(self.requests.len().saturating_sub(news)..), self.total)
    }

    pub(super) fn complaints(&self) -> &[GraphComplaint] {
        &self.complaints
    }

    /// Complaints, those without words too.
    pub(super) fn complained(&self) -> u64 {
        self.complained
    }

    /// Requests of an endpoint ever, by status.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Endpoint, u16, u64)> {
        self.counts.iter().map(|((endpoint, status), count)| (*endpoint, *status, *count))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }
}

fn as_text<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}
