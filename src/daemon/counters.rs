//! What is measured, and the page that shows it: the exporter's series, and behind them those that come and go with the
//! configuration.
//!
//! The hot path adds to plain numbers; a task carries most of them over to the exporter once a second ([`table`]), and
//! what has names of the configuration on it is written when somebody reads the page.

mod admission;
mod calls;
mod exposition;
mod limits;
mod lookups;
mod messages;
mod table;

pub use admission::Admission;
pub use calls::CallMeters;
pub use exposition::Exposition;
pub use limits::publish_limits;
pub use lookups::Lookups;
pub use messages::Messages;
pub use table::{Measured, publish};

use crate::call::CallRecord;
use crate::config;
use crate::telemetry::metrics::{Page, Series};

/// What is counted of messages and of calls that are over, as they pass.
#[derive(Debug, Default)]
pub struct Meters {
    pub messages: Messages,
    pub calls: CallMeters,
    pub lookups: Lookups,
}

impl Meters {
    /// Counts as the settings say; not at all without an endpoint.
    pub fn set(&self, settings: &config::Metrics) {
        self.messages.set_on(settings.bind.is_some());
        self.calls.set(settings);
    }

    /// A call is over.
    pub fn ended(&self, record: &CallRecord) {
        self.calls.ended(record);
        self.lookups.called(&record.facts.called);
    }
}

impl Series for Meters {
    fn write(&self, page: &mut Page) {
        self.messages.write(page);
        self.calls.write(page);
        self.lookups.write(page);
    }
}
