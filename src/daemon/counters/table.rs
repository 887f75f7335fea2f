//! The core's counts as metrics. The hot path adds to plain numbers under the shard's lock; a task carries them over
//! once a second, so that a message costs no metric call.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::Exposition;
use crate::call::Counts;
use crate::call::dialect::identity::NotTold;
use crate::call::owned::{NotSealed, Refused};
use crate::call::record::Ended;
use crate::daemon::changes::{ChangeCounts, Changes};
use crate::daemon::core::{Core, Status};
use crate::dns;
use crate::routing::{NoRoute, Plan};
use crate::store::{CallCounts, Calls};
use crate::transport::Transports;

/// A counter, what it tells, and where its number comes from.
type Row<T> = (&'static str, &'static str, fn(&T) -> u64);

const CORE: [Row<Counts>; 26] = [
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
    ("trunkway_dialplan_decisions_total", "Requests that routing was asked about", |it| it.decisions.into()),
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
    calls: Gauge,
    dns_entries: Gauge,
    pending: Gauge,
    revision: Gauge,
    journal_bytes: Gauge,
    timers: Gauge,
    rules: Gauge,
    rule_bytes: Gauge,
    users: Gauge,
    tenants: Gauge,
    queued_bytes: Gauge,
    /// In the order of [`USED`].
    used: Vec<Gauge>,
}

/// The limits whose use is published, in the order of [`Handles::carry_status`].
const USED: [&str; 7] = [
    "max_transactions",
    "max_calls_remembered",
    "max_connections",
    "max_dialplan_prefixes",
    "max_dialplan_changes",
    "max_users",
    "max_stored_calls",
];

impl Handles {
    fn register() -> Self {
        describe_gauge!("trunkway_transactions", "Requests in progress or remembered");
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
        describe_gauge!("trunkway_timers", "Timers that wait in the shards");
        describe_gauge!("trunkway_dialplan_rules", "Rules of all dial plans");
        describe_gauge!("trunkway_dialplan_bytes", "Bytes of memory of all dial plans");
        describe_gauge!("trunkway_users", "Users of all tenants");
        describe_gauge!("trunkway_tenants", "Tenants");
        describe_gauge!("trunkway_transport_queued_bytes", "Bytes that wait to leave, of all connections");
        describe_gauge!("trunkway_limit_used", "How much of a limit is in use, by its key in [limits]");
        Self {
            core: register(&CORE),
            timers: gauge!("trunkway_timers"),
            rules: gauge!("trunkway_dialplan_rules"),
            rule_bytes: gauge!("trunkway_dialplan_bytes"),
            users: gauge!("trunkway_users"),
            tenants: gauge!("trunkway_tenants"),
            queued_bytes: gauge!("trunkway_transport_queued_bytes"),
            used: USED.iter().map(|key| gauge!("trunkway_limit_used", "limit" => *key)).collect(),
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

/// What is carried over, and where from.
pub struct Measured {
    pub core: Arc<Core>,
    pub changes: Arc<Changes>,
    pub calls: Arc<Calls>,
    pub transports: Arc<Transports>,
    pub exposition: Arc<Exposition>,
}

/// Publishes once a second until it is aborted.
pub async fn publish(measured: Measured) {
    let handles = Handles::register();
    let mut full = Seldom::default();
    let mut edge = measured.core.edge();
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        let now = measured.core.edge();
        if !Arc::ptr_eq(&now, &edge) {
            measured.core.meters().calls.keep(&now);
            now.gate.meters().keep(&now);
            edge = now;
        }
        let (counts, status) = measured.core.take_counts();
        handles.carry_core(&counts);
        handles.carry_stores(&measured);
        handles.carry_status(&measured, &status);
        let refused = full.add(counts.not_sealed.0.get(NotSealed::StoreFull as usize).copied().unwrap_or_default());
        if let Some(refused) = refused {
            tracing::warn!(refused, "the call store is full: calls whose Contact fits into no URI are refused");
        }
        measured.core.meters().lookups.sample(&edge.routing);
        measured.exposition.upkeep();
    }
}

impl Handles {
    fn carry_core(&self, counts: &Counts) {
        for (counter, of) in &self.core {
            counter.increment(of(counts));
        }
        let owned = [
            (&self.not_sealed, &counts.not_sealed.0[..]),
            (&self.tokens_refused, &counts.tokens_refused.0),
            (&self.identity_refused, &counts.identity_refused.0),
        ];
        for (counter, &count) in owned.into_iter().flat_map(|(counters, counts)| counters.iter().zip(counts)) {
            counter.increment(count.into());
        }
        for (counter, (_, count)) in self.unrouted.iter().zip(counts.unrouted.iter()) {
            counter.increment(count.into());
        }
        for (counter, (_, _, count)) in self.calls_ended.iter().zip(counts.calls_ended.iter()) {
            counter.increment(count.into());
        }
    }

    fn carry_stores(&self, measured: &Measured) {
        let Measured { core, changes, calls, .. } = measured;
        let counts = core.dns_counts();
        for (counter, of) in &self.dns {
            counter.absolute(of(&counts));
        }
        self.dns_entries.set(counts.entries as f64);
        for (counter, of) in &self.changes {
            counter.absolute(of(&changes.counts));
        }
        for (counter, of) in &self.call_store {
            counter.absolute(of(&calls.counts));
        }
        self.stored_calls.set(calls.calls() as f64);
        self.stored_bytes.set(calls.bytes() as f64);
        self.store_file_bytes.set(calls.file_bytes().unwrap_or_default() as f64);
        // A change that waits for its disk keeps the numbers of before.
        if let Some((revision, bytes)) = changes.try_revision_and_bytes() {
            self.revision.set(revision as f64);
            self.journal_bytes.set(bytes.unwrap_or_default() as f64);
        }
    }

    fn carry_status(&self, measured: &Measured, status: &Status) {
        let routing = &measured.core.edge().routing;
        let (table, transports) = (routing.table(), measured.transports.counts());
        self.transactions.set(status.contexts as f64);
        self.timers.set(status.timers as f64);
        self.calls.set(status.calls as f64);
        self.pending.set(table.pending() as f64);
        self.rules.set(table.len() as f64);
        self.rule_bytes.set(routing.plans().iter().map(Plan::bytes).sum::<usize>() as f64);
        self.users.set(routing.user_count() as f64);
        self.tenants.set(routing.tenants().iter().filter(|tenant| !tenant.removed).count() as f64);
        self.queued_bytes.set(transports.queued_bytes as f64);
        let used = [
            status.contexts,
            status.calls,
            transports.connections,
            table.len(),
            table.pending(),
            routing.user_count(),
            measured.calls.calls(),
        ];
        self.used.iter().zip(used).for_each(|(gauge, used)| gauge.set(used as f64));
    }
}
