//! The core's counts as metrics. The hot path adds to plain numbers under the shard's lock; a task carries them over
//! once a second, so that a message costs no metric call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::core::Core;
use crate::call::Counts;

/// Opens `/metrics`. Histograms are drained once a second, since they grow until somebody does.
pub fn serve(bind: SocketAddr) -> Result<(), String> {
    PrometheusBuilder::new()
        .with_http_listener(bind)
        .upkeep_timeout(Duration::from_secs(1))
        .install()
        .map_err(|error| error.to_string())
}

struct Handles {
    counters: [(Counter, fn(&Counts) -> u32); 8],
    transactions: Gauge,
    limit: Gauge,
}

impl Handles {
    fn register() -> Self {
        describe_counter!("trunkway_transactions_total", "Requests for which a transaction was begun");
        describe_counter!("trunkway_requests_forwarded_total", "Requests sent on, branches counted singly");
        describe_counter!(
            "trunkway_copies_absorbed_total",
            "Copies of messages that were answered from memory or ignored"
        );
        describe_counter!("trunkway_retransmissions_total", "Messages sent again by a timer");
        describe_counter!("trunkway_requests_refused_total", "Requests refused by an answer of the edge");
        describe_counter!("trunkway_messages_dropped_total", "Messages dropped without an answer");
        describe_counter!("trunkway_failovers_total", "Next targets tried after a failure");
        describe_counter!("trunkway_max_transactions_hits_total", "Requests refused at the limit max_transactions");
        describe_gauge!("trunkway_transactions", "Requests in progress or remembered");
        describe_gauge!("trunkway_max_transactions", "The limit max_transactions");
        Self {
            counters: [
                (counter!("trunkway_transactions_total"), |counts| counts.contexts),
                (counter!("trunkway_requests_forwarded_total"), |counts| counts.forwarded),
                (counter!("trunkway_copies_absorbed_total"), |counts| counts.absorbed),
                (counter!("trunkway_retransmissions_total"), |counts| counts.retransmitted),
                (counter!("trunkway_requests_refused_total"), |counts| counts.refused),
                (counter!("trunkway_messages_dropped_total"), |counts| counts.dropped),
                (counter!("trunkway_failovers_total"), |counts| counts.failovers),
                (counter!("trunkway_max_transactions_hits_total"), |counts| counts.over_limit),
            ],
            transactions: gauge!("trunkway_transactions"),
            limit: gauge!("trunkway_max_transactions"),
        }
    }
}

/// Publishes once a second until it is aborted.
pub async fn publish(core: Arc<Core>) {
    let handles = Handles::register();
    handles.limit.set(core.max_contexts() as f64);
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        let (counts, status) = core.take_counts();
        for (counter, of) in &handles.counters {
            counter.increment(u64::from(of(&counts)));
        }
        handles.transactions.set(status.contexts as f64);
    }
}
