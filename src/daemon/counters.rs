//! The core's counts as metrics. The hot path adds to plain numbers under the shard's lock; a task carries them over
//! once a second, so that a message costs no metric call.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

use super::changes::{ChangeCounts, Changes};
use super::core::Core;
use super::probe::{ROUND_TRIP, ROUND_TRIP_BUCKETS};
use crate::call::Counts;
use crate::call::dialect::identity::NotTold;
use crate::call::owned::{NotSealed, Refused};
use crate::call::record::Ended;
use crate::config::{Config, Limits};
use crate::dns;
use crate::routing::NoRoute;
use crate::store::{CallCounts, Calls};
use crate::transport::tls::certificate;

/// Opens `/metrics`. Histograms are drained once a second, since they grow until somebody does.
pub fn serve(bind: SocketAddr) -> Result<(), String> {
    PrometheusBuilder::new()
        .with_http_listener(bind)
        .upkeep_timeout(Duration::from_secs(1))
        .set_buckets_for_metric(Matcher::Full(ROUND_TRIP.to_owned()), &ROUND_TRIP_BUCKETS)
        .map_err(|error| error.to_string())?
        .install()
        .map_err(|error| error.to_string())
}

/// A counter, what it tells, and where its number comes from.
type Row<T> = (&'static str, &'static str, fn(&T) -> u64);

const CORE: [Row<Counts>; 25] = [
    ("trunkway_transactions_total", "Requests for which a transaction was begun", |it| it.contexts.into()),
    ("trunkway_requests_forwarded_total", "Requests sent on, branches counted singly", |it| it.forwarded.into()),
    ("trunkway_copies_absorbed_total", "Copies of messages answered from memory or ignored", |it| it.absorbed.into()),
    ("trunkway_retransmissions_total", "Messages sent again by a timer", |it| it.retransmitted.into()),
    ("trunkway_requests_refused_total", "Requests refused by an answer of the edge", |it| it.refused.into()),
    ("trunkway_messages_dropped_total", "Messages dropped without an answer", |it| it.dropped.into()),
    ("trunkway_failovers_total", "Next targets tried after a failure", |it| it.failovers.into()),
    ("trunkway_over_max_transactions_total", "Requests refused at max_transactions", |it| it.over_limit.into()),
    ("trunkway_shed_total", "Requests refused since there is too much to do", |it| it.shed.into()),
    ("trunkway_over_trunk_pace_total", "Requests refused since their trunk begins more a second than it may", |it| {
        it.over_trunk_pace.into()
    }),
    ("trunkway_drain_refused_total", "Requests refused since the edge drains or stops", |it| it.drained.into()),
    (
        "trunkway_over_message_limits_total",
        "Messages past max_message_bytes, max_headers, max_header_line_bytes or max_values_per_header",
        |it| it.over_message_limit.into(),
    ),
    ("trunkway_stranger_requests_total", "Requests of no known trunk", |it| it.strangers.into()),
    ("trunkway_unassigned_total", "Calls to numbers that are a tenant's and nobody's", |it| it.unassigned.into()),
    ("trunkway_ambiguous_total", "Calls to numbers of several users", |it| it.ambiguous.into()),
    ("trunkway_emergency_total", "Calls for help", |it| it.emergency.into()),
    ("trunkway_early_withheld_total", "Provisional answers that the caller's trunk does not want to see", |it| {
        it.early_withheld.into()
    }),
    ("trunkway_progress_total", "183s of the edge's own to callers who had heard nothing for long", |it| {
        it.progress.into()
    }),
    ("trunkway_pracks_total", "PRACKs of the edge's own", |it| it.pracks.into()),
    ("trunkway_early_unacknowledged_total", "Calls refused since the caller sent no PRACK", |it| {
        it.unacknowledged.into()
    }),
    ("trunkway_connections_dropped_total", "Connections that no request takes any more after a 503", |it| {
        it.connections_dropped.into()
    }),
    ("trunkway_transfers_total", "Transfers by REFER that the edge has begun", |it| it.transfers.into()),
    (
        "trunkway_transfers_joined_total",
        "Sides of calls that were connected to another peer by REFER or Replaces",
        |it| it.transferred.into(),
    ),
    ("trunkway_beside_branches_total", "Branches begun beside others", |it| it.beside.into()),
    ("trunkway_calls_not_remembered_total", "Calls that came up at max_calls_remembered", |it| {
        it.calls_not_remembered.into()
    }),
];

const CALLS: [Row<CallCounts>; 5] = [
    ("trunkway_call_store_kept_total", "Things of calls kept that do not fit into URIs", |it| it.kept.load(Relaxed)),
    (
        "trunkway_call_store_not_written_total",
        "Of these, those that a restart would lose: the file could not be written",
        |it| it.not_written.load(Relaxed),
    ),
    ("trunkway_call_store_damaged_total", "Places of the file that could not be read at the start", |it| {
        it.damaged.load(Relaxed)
    }),
    ("trunkway_call_store_expired_total", "Calls let go since they were over or too old", |it| {
        it.expired.load(Relaxed)
    }),
    ("trunkway_call_store_compactions_total", "Times that the file was written anew", |it| {
        it.compactions.load(Relaxed)
    }),
];

const UNROUTED: &str = "trunkway_routing_refused_total";
const NOT_SEALED: &str = "trunkway_not_sealed_total";
const CALLS_ENDED: &str = "trunkway_calls_ended_total";
const TOKENS_REFUSED: &str = "trunkway_tokens_refused_total";
const IDENTITY_REFUSED: &str = "trunkway_identity_refused_total";

const DNS: [Row<dns::Counts>; 5] = [
    ("trunkway_dns_lookups_total", "Targets looked up", |it| it.lookups),
    ("trunkway_dns_failures_total", "Lookups that gave no answer", |it| it.failures),
    ("trunkway_dns_stale_answers_total", "Uses of an answer past its time to live", |it| it.stale),
    ("trunkway_dns_evicted_total", "Entries that had to go at dns.max_entries", |it| it.evicted),
    ("trunkway_dns_refused_total", "Lookups refused since too many were under way", |it| it.refused),
];

const CHANGES: [Row<ChangeCounts>; 6] = [
    ("trunkway_changes_made_total", "Batches of changes made at run time", |it| it.made.load(Relaxed)),
    ("trunkway_changes_reverted_total", "Batches of changes taken back", |it| it.reverted.load(Relaxed)),
    ("trunkway_changes_refused_total", "Batches of changes that were not made", |it| it.refused.load(Relaxed)),
    (
        "trunkway_changes_not_replayed_total",
        "Changes of the journal that did not fit the configuration at the start",
        |it| it.not_replayed.load(Relaxed),
    ),
    ("trunkway_dialplan_folds_total", "Times that changes were folded into the packed rules", |it| {
        it.folds.load(Relaxed)
    }),
    ("trunkway_journal_compactions_total", "Times that the journal was made short", |it| it.compactions.load(Relaxed)),
];

/// A counter and where its number comes from.
type Registered<T> = (Counter, fn(&T) -> u64);

struct Handles {
    core: Vec<Registered<Counts>>,
    /// In the order of [`NoRoute::ALL`].
    unrouted: Vec<Counter>,
    /// In the order of [`NotSealed::ALL`].
    not_sealed: Vec<Counter>,
    /// In the order of [`Refused::ALL`].
    tokens_refused: Vec<Counter>,
    /// In the order of [`NotTold::ALL`].
    identity_refused: Vec<Counter>,
    dns: Vec<Registered<dns::Counts>>,
    changes: Vec<Registered<ChangeCounts>>,
    call_store: Vec<Registered<CallCounts>>,
    stored_calls: Gauge,
    stored_bytes: Gauge,
    store_file_bytes: Gauge,
    /// In the order of [`Ended::iter`].
    calls_ended: Vec<Counter>,
    transactions: Gauge,
    draining: Gauge,
    calls: Gauge,
    dns_entries: Gauge,
    pending: Gauge,
    revision: Gauge,
    journal_bytes: Gauge,
}

impl Handles {
    fn register() -> Self {
        describe_gauge!("trunkway_transactions", "Requests in progress or remembered");
        describe_gauge!("trunkway_draining", "1 while new calls are refused since the edge drains or stops, else 0");
        describe_gauge!("trunkway_calls", "Calls that are up and remembered");
        describe_counter!(CALLS_ENDED, "Calls that are over, by outcome and by the kind of the trunk that was called");
        describe_gauge!("trunkway_dns_entries", "Targets remembered");
        describe_counter!(UNROUTED, "Requests that routing sent nowhere, by reason");
        describe_counter!(NOT_SEALED, "Calls whose state did not fit into the edge's own URIs, by what was too long");
        describe_counter!(TOKENS_REFUSED, "Requests inside a dialog whose token was refused, by reason");
        describe_counter!(IDENTITY_REFUSED, "Calls kept from a trunk: diverted too often, or more private than can be");
        describe_gauge!("trunkway_changes_pending", "Single changes that are not folded into the packed rules yet");
        describe_gauge!("trunkway_changes_revision", "Number of the last batch of changes");
        describe_gauge!("trunkway_journal_bytes", "Bytes of the journal of changes");
        describe_gauge!("trunkway_call_store_calls", "Calls of which something is kept that does not fit into URIs");
        describe_gauge!("trunkway_call_store_bytes", "Bytes that are kept of calls");
        describe_gauge!("trunkway_call_store_file_bytes", "Bytes of the call store's file");
        Self {
            core: register(&CORE),
            unrouted: NoRoute::ALL.iter().map(|why| counter!(UNROUTED, "reason" => why.name())).collect(),
            not_sealed: NotSealed::ALL.iter().map(|why| counter!(NOT_SEALED, "reason" => why.name())).collect(),
            tokens_refused: Refused::ALL.iter().map(|why| counter!(TOKENS_REFUSED, "reason" => why.name())).collect(),
            calls_ended: Ended::default()
                .iter()
                .map(|(outcome, kind, _)| counter!(CALLS_ENDED, "outcome" => outcome, "kind" => kind.word()))
                .collect(),
            calls: gauge!("trunkway_calls"),
            identity_refused: NotTold::ALL
                .iter()
                .map(|why| counter!(IDENTITY_REFUSED, "reason" => why.name()))
                .collect(),
            dns: register(&DNS),
            changes: register(&CHANGES),
            call_store: register(&CALLS),
            stored_calls: gauge!("trunkway_call_store_calls"),
            stored_bytes: gauge!("trunkway_call_store_bytes"),
            store_file_bytes: gauge!("trunkway_call_store_file_bytes"),
            pending: gauge!("trunkway_changes_pending"),
            revision: gauge!("trunkway_changes_revision"),
            journal_bytes: gauge!("trunkway_journal_bytes"),
            transactions: gauge!("trunkway_transactions"),
            draining: gauge!("trunkway_draining"),
            dns_entries: gauge!("trunkway_dns_entries"),
        }
    }
}

fn register<T>(rows: &[Row<T>]) -> Vec<Registered<T>> {
    let one = |&(name, help, of): &Row<T>| {
        describe_counter!(name, help);
        (counter!(name), of)
    };
    rows.iter().map(one).collect()
}

/// Rounds between two words on the same thing.
const SELDOM: u32 = 60;

/// Adds up what is worth a word, and gives it now and then.
#[derive(Debug, Default)]
struct Seldom {
    sum: u64,
    quiet: u32,
}

impl Seldom {
    /// What has come together, when it is time to tell it.
    fn add(&mut self, more: u32) -> Option<u64> {
        self.sum += u64::from(more);
        self.quiet = self.quiet.saturating_sub(1);
        if self.sum == 0 || self.quiet > 0 {
            return None;
        }
        self.quiet = SELDOM;
        Some(std::mem::take(&mut self.sum))
    }
}

/// Publishes each limit, so that a graph can show how near it is.
pub fn publish_limits(limits: &Limits) {
    describe_gauge!("trunkway_limit", "A limit of the configuration, by its key in [limits]");
    for (key, value) in [
        ("max_message_bytes", limits.max_message_bytes),
        ("max_headers", limits.max_headers),
        ("max_header_line_bytes", limits.max_header_line_bytes),
        ("max_values_per_header", limits.max_values_per_header),
        ("max_transactions", limits.max_transactions),
        ("max_calls_remembered", limits.max_calls_remembered),
        ("max_branches", limits.max_branches),
        ("max_connections", limits.max_connections),
        ("max_connections_per_address", limits.max_connections_per_address),
        ("connection_queue_bytes", limits.connection_queue_bytes),
        ("pending_per_connect", limits.pending_per_connect),
        ("udp_receive_buffer_bytes", limits.udp_receive_buffer_bytes),
        ("udp_send_buffer_bytes", limits.udp_send_buffer_bytes),
        ("max_dialplan_prefixes", limits.max_dialplan_prefixes),
        ("max_dialplan_changes", limits.max_dialplan_changes),
        ("max_users", limits.max_users),
        ("max_stored_calls", limits.max_stored_calls),
    ] {
        gauge!("trunkway_limit", "limit" => key).set(value as f64);
    }
}

/// Publishes until when the edge's own certificates are good, as they were read at the start. One that nobody can read
/// keeps the edge from starting, so it is told elsewhere.
pub fn publish_certificates(config: &Config) {
    const NAME: &str = "trunkway_certificate_expiry_seconds";
    describe_gauge!(NAME, "When the first certificate of a file that the edge shows ends, in seconds since 1970");
    let servers = config.listeners.iter().filter_map(|listen| listen.tls.as_ref()).map(|tls| &tls.certificate);
    let clients = config.trunk_tls.iter().filter_map(|tls| tls.client.certificate.as_ref());
    let files: BTreeSet<&PathBuf> = servers.chain(clients).collect();
    for file in files {
        let chain = certificate::read(file).unwrap_or_default();
        if let Some(end) = chain.iter().map(|certificate| certificate.not_after.unix_timestamp()).min() {
            gauge!(NAME, "file" => file.display().to_string()).set(end as f64);
        }
    }
}

/// Publishes once a second until it is aborted.
pub async fn publish(core: Arc<Core>, changes: Arc<Changes>, calls: Arc<Calls>) {
    let handles = Handles::register();
    let mut full = Seldom::default();
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        let (core_counts, status) = core.take_counts();
        let counts = &core_counts;
        for (counter, of) in &handles.core {
            counter.increment(of(counts));
        }
        let owned = [
            (&handles.not_sealed, &counts.not_sealed.0[..]),
            (&handles.tokens_refused, &counts.tokens_refused.0),
            (&handles.identity_refused, &counts.identity_refused.0),
        ];
        for (counter, &count) in owned.into_iter().flat_map(|(counters, counts)| counters.iter().zip(counts)) {
            counter.increment(count.into());
        }
        for (counter, (_, count)) in handles.unrouted.iter().zip(counts.unrouted.iter()) {
            counter.increment(count.into());
        }
        for (counter, (_, _, count)) in handles.calls_ended.iter().zip(counts.calls_ended.iter()) {
            counter.increment(count.into());
        }
        let counts = core.dns_counts();
        for (counter, of) in &handles.dns {
            counter.absolute(of(&counts));
        }
        for (counter, of) in &handles.changes {
            counter.absolute(of(&changes.counts));
        }
        for (counter, of) in &handles.call_store {
            counter.absolute(of(&calls.counts));
        }
        handles.stored_calls.set(calls.calls() as f64);
        handles.stored_bytes.set(calls.bytes() as f64);
        handles.store_file_bytes.set(calls.file_bytes().unwrap_or_default() as f64);
        let refused =
            full.add(core_counts.not_sealed.0.get(NotSealed::StoreFull as usize).copied().unwrap_or_default());
        if let Some(refused) = refused {
            tracing::warn!(refused, "the call store is full: calls whose Contact fits into no URI are refused");
        }
        handles.pending.set(core.edge().routing.table().pending() as f64);
        // A change that waits for its disk keeps the numbers of before.
        if let Some((revision, bytes)) = changes.try_revision_and_bytes() {
            handles.revision.set(revision as f64);
            handles.journal_bytes.set(bytes.unwrap_or_default() as f64);
        }
        handles.draining.set(f64::from(u8::from(core.edge().gate.is_draining())));
        handles.transactions.set(status.contexts as f64);
        handles.calls.set(status.calls as f64);
        handles.dns_entries.set(counts.entries as f64);
    }
}
