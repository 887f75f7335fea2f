//! Who looks at what passes, beside the calls: each gets a look and must not wait.

use std::sync::Arc;

use bytes::Bytes;

use super::counters::Meters;
use super::records::Records;
use crate::call::CallRecord;
use crate::transport::Source;
use crate::trunk::{Flow, Hop};

/// Those who look at messages and calls. All of them are bounded and none of them blocks.
#[derive(Debug)]
pub struct Taps {
    pub meters: Arc<Meters>,
    pub records: Arc<Records>,
}

impl Taps {
    /// A datagram or framed message has come.
    pub fn received(&self, _source: &Source<'_>, _bytes: &Bytes) {}

    /// An answer is about to leave.
    pub fn answered(&self, _flow: &Flow, bytes: &Bytes) {
        self.meters.messages.answered(bytes);
    }

    /// A request is about to leave.
    pub fn requested(&self, _hop: &Hop, bytes: &Bytes) {
        self.meters.messages.requested(bytes);
    }

    /// Whether calls are told of when they are answered.
    pub fn wants_ups(&self) -> bool {
        self.records.wants_ups()
    }

    /// A call was answered. No lock is held.
    pub fn up(&self, record: CallRecord) {
        self.records.up(record);
    }

    /// A call is over. No lock is held.
    pub fn ended(&self, record: CallRecord) {
        self.meters.ended(&record);
        self.records.ended(record);
    }
}
