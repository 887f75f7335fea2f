//! The bridge as series: what its thread has counted, published once a second and read when the page is.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::divert::Divert;
use super::inbox::Inbox;
use super::lines::Lines;
use crate::presence::agent;
use crate::presence::bridge::Counts;
use crate::presence::state::Presence;
use crate::presence::writer::{LATENCY_BOUNDS, TenantCounts};
use crate::telemetry::metrics::{Buckets, Kind, Page, Series};

/// Tenants that have series of their own; those beyond share one, named `other`.
const MAX_TENANTS: usize = 500;

/// Upper bounds of the latency, in seconds: those of the writer.
const BOUNDS: &[f64] = &[0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 120.0];
const _: () = assert!(BOUNDS.len() == LATENCY_BOUNDS.len());

/// What the thread has counted.
#[derive(Clone, Debug)]
pub struct Counted {
    pub counts: Counts,
    pub agent: agent::Counts,
    pub tenants: Vec<(Arc<str>, TenantCounts)>,
    /// Users for whom there was no room.
    pub beyond: usize,
    /// Sessions that could not be brought to the disk; `None`: there is no `[state] dir`.
    pub not_kept: Option<u64>,
}

/// The bridge's series.
#[derive(Debug)]
pub struct BridgeSeries {
    pub counted: Arc<ArcSwapOption<Counted>>,
    pub inbox: Arc<Inbox>,
    pub divert: Arc<Divert>,
    pub lines: Arc<Lines>,
}

/// A name, what it means, and its values by one label.
type Labelled<'a, const N: usize> = (&'static str, &'static str, &'static str, [(&'a str, u64); N]);

impl Series for BridgeSeries {
    fn write(&self, page: &mut Page) {
        self.write_queues(page);
        let counted = self.counted.load();
        let Some(Counted { counts, agent, tenants, beyond, not_kept }) = counted.as_deref() else { return };
        write_users(page, counts, *beyond);
        let help =
            "Sessions that could not be brought to the disk, so that a crash may leave them in Teams until they expire";
        page.counter("trunkway_presence_not_kept_total", help, not_kept.unwrap_or_default());
        write_graph(page, counts);
        write_tenants(page, tenants);
        write_sip(page, counts, agent);
    }
}

impl BridgeSeries {
    fn write_queues(&self, page: &mut Page) {
        let (events, orders) = self.inbox.waiting();
        let help = "Messages and orders that wait for the presence bridge's thread";
        labelled(
            page,
            Kind::Gauge,
            ("trunkway_presence_queue", help, "queue", [("messages", events as u64), ("orders", orders as u64)]),
        );
        let (dropped, refused) = self.inbox.lost();
        let help = "Messages and orders that found the presence bridge's queue full";
        labelled(
            page,
            Kind::Counter,
            ("trunkway_presence_queue_full_total", help, "queue", [("messages", dropped), ("orders", refused)]),
        );
        let (requests, answers) = self.divert.lost();
        let help =
            "Requests and answers for the presence bridge that were dropped or refused, since its queue was full";
        labelled(
            page,
            Kind::Counter,
            ("trunkway_presence_dropped_total", help, "message", [("request", requests), ("answer", answers)]),
        );
        let (followed, not_followed) = self.lines.counts();
        page.gauge("trunkway_presence_calls", "Calls in progress with users of the presence bridge", followed as f64);
        let help = "Calls that the presence bridge does not follow, since there are more than max_users";
        page.counter("trunkway_presence_calls_not_followed_total", help, not_followed);
    }
}

fn write_users(page: &mut Page, counts: &Counts, beyond: usize) {
    let board = &counts.board;
    let mut family = page.family(
        "trunkway_presence_users",
        Kind::Gauge,
        "Users of the presence bridge, by what their PBX side says",
    );
    for (state, &users) in Presence::ALL.iter().zip(&board.by_presence) {
        family.count(&[("state", state.word())], users as u64);
    }
    let help = "Users that the presence bridge has no room for: max_users";
    page.gauge("trunkway_presence_users_beyond_limit", help, beyond as f64);
    page.gauge(
        "trunkway_presence_sources",
        "Sources that say something of users, lost ones among them",
        board.sources as f64,
    );
    let help = "What sources of presence have told, and what became of it";
    labelled(
        page,
        Kind::Counter,
        ("trunkway_presence_reports_total", help, "result", [("taken", board.reports), ("refused", board.refused)]),
    );
    page.counter("trunkway_presence_changes_total", "Changes of what a user's PBX side comes to", board.changes);
    let help = "Sources that were not heard of again in time, and count as unknown";
    page.counter("trunkway_presence_sources_expired_total", help, board.expired);
}

fn write_graph(page: &mut Page, counts: &Counts) {
    let (writer, poller) = (&counts.writer, &counts.poller);
    let help = "Sessions that Microsoft Graph was told: new ones, ones that go on, and ones that are cleared";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_writes_total",
            help,
            "kind",
            [("set", writer.sets), ("refresh", writer.refreshes), ("clear", writer.clears)],
        ),
    );
    let help = "What Microsoft Graph said to single sessions";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_write_results_total",
            help,
            "result",
            [
                ("done", writer.done),
                ("not-found", writer.not_found),
                ("throttled", writer.throttled),
                ("refused", writer.refused),
                ("failed", writer.failed),
            ],
        ),
    );
    let help = "Requests with sessions that failed as a whole";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_write_faults_total",
            help,
            "fault",
            [
                ("throttled", writer.faults_throttled),
                ("token", writer.faults_token),
                ("refused", writer.faults_refused),
                ("server", writer.faults_server),
                ("network", writer.faults_network),
                ("not-sent", writer.faults_not_sent),
                ("lost", writer.lost),
            ],
        ),
    );
    page.counter("trunkway_presence_write_requests_total", "Requests with one session or more", writer.requests);
    let latency = Buckets::of(BOUNDS, &writer.latency.buckets, writer.latency.sum.as_secs_f64());
    let help = "From a change of a user's PBX side to the request that tells Microsoft Graph";
    page.family("trunkway_presence_write_delay_seconds", Kind::Histogram, help).histogram(&[], &latency);
    page.gauge("trunkway_presence_writes_in_flight", "Requests with sessions under way", writer.in_flight as f64);
    page.counter("trunkway_presence_polls_total", "Requests that ask what users show in Teams", poller.polls);
    let help = "What was heard of users in Teams";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_heard_total",
            help,
            "what",
            [
                ("change", poller.changes),
                ("stale", poller.stale),
                ("missing", poller.missing),
                ("notification", poller.notified),
            ],
        ),
    );
    let help = "Requests that ask what users show and came to nothing";
    page.counter("trunkway_presence_poll_faults_total", help, poller.faults + poller.lost);
    let help = "Users whose own choice in Teams goes over what the edge writes";
    page.gauge("trunkway_presence_overruled_users", help, poller.choice_wins as f64);
    page.gauge(
        "trunkway_presence_watched_users",
        "Users in Teams whom somebody watches at the edge",
        poller.watched as f64,
    );
}

fn write_tenants(page: &mut Page, tenants: &[(Arc<str>, TenantCounts)]) {
    let (own, others) = tenants.split_at(tenants.len().min(MAX_TENANTS));
    type Of = fn(&TenantCounts) -> f64;
    let families: [(&'static str, &'static str, Of); 2] = [
        ("trunkway_presence_unmatched_users", "Users who have no match in Teams", |tenant| tenant.unmatched as f64),
        ("trunkway_presence_writes_waiting", "Users with a change that has not been written", |tenant| {
            tenant.waiting as f64
        }),
    ];
    for (name, help, of) in families {
        let mut family = page.family(name, Kind::Gauge, help);
        own.iter().for_each(|(tenant, counts)| family.sample(&[("tenant", tenant)], of(counts)));
        if !others.is_empty() {
            family.sample(&[("tenant", "other")], others.iter().map(|(_, counts)| of(counts)).sum());
        }
    }
    let help = "How long the change that waits longest has not been written";
    let mut family = page.family("trunkway_presence_write_lag_seconds", Kind::Gauge, help);
    let lag = |counts: &TenantCounts| counts.oldest_waiting.as_secs_f64();
    own.iter().for_each(|(tenant, counts)| family.sample(&[("tenant", tenant)], lag(counts)));
    if !others.is_empty() {
        let longest = others.iter().map(|(_, counts)| lag(counts)).fold(0.0, f64::max);
        family.sample(&[("tenant", "other")], longest);
    }
}

fn write_sip(page: &mut Page, counts: &Counts, agent: &agent::Counts) {
    let (subscriber, notifier) = (&counts.subscriber, &counts.notifier);
    let help = "The edge's own subscriptions on PBXs";
    labelled(
        page,
        Kind::Gauge,
        (
            "trunkway_presence_subscriptions",
            help,
            "state",
            [
                ("up", subscriber.up as u64),
                ("waiting", subscriber.waiting as u64),
                ("other", (subscriber.subscriptions.saturating_sub(subscriber.up + subscriber.waiting)) as u64),
            ],
        ),
    );
    let help = "What happened with the edge's own subscriptions on PBXs";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_subscription_events_total",
            help,
            "event",
            [
                ("subscribe", subscriber.subscribes),
                ("refused", subscriber.refused),
                ("failed", subscriber.failed),
                ("lost", subscriber.lost),
                ("over-limit", subscriber.over_limit),
                ("notify", subscriber.notifies),
                ("notify-fault", subscriber.notify_faults),
                ("unreadable", subscriber.unreadable),
                ("resync", subscriber.resyncs),
            ],
        ),
    );
    let help = "Subscriptions of others at the edge, by event package";
    labelled(
        page,
        Kind::Gauge,
        (
            "trunkway_presence_watchers",
            help,
            "package",
            [("presence", notifier.presence as u64), ("dialog", notifier.dialog as u64)],
        ),
    );
    let help = "What happened with subscriptions of others at the edge";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_watcher_events_total",
            help,
            "event",
            [
                ("begun", notifier.begun),
                ("refreshed", notifier.refreshed),
                ("fetched", notifier.fetched),
                ("left", notifier.left),
                ("expired", notifier.expired),
                ("gone", notifier.gone),
                ("notified", notifier.notified),
                ("not-taken", notifier.failed),
                ("coalesced", notifier.coalesced),
            ],
        ),
    );
    let help = "SUBSCRIBE requests that the edge refused";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_watcher_refused_total",
            help,
            "reason",
            [
                ("forbidden", notifier.forbidden),
                ("not-found", notifier.not_found),
                ("full", notifier.full),
                ("other", notifier.refused),
            ],
        ),
    );
    let published = &counts.publications;
    let help = "Publications of others at the edge";
    page.gauge("trunkway_presence_publications", help, published.publications as f64);
    let help = "PUBLISH requests that came, by what became of them";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_publish_total",
            help,
            "result",
            [
                ("begun", published.begun),
                ("changed", published.changed),
                ("refreshed", published.refreshed),
                ("removed", published.removed),
                ("forbidden", published.forbidden),
                ("not-found", published.not_found),
                ("unmatched", published.unmatched),
                ("full", published.full),
                ("refused", published.refused),
            ],
        ),
    );
    let publisher = &counts.publisher;
    let help = "Users whose Do not disturb in Teams is published to their PBX";
    page.gauge("trunkway_presence_published_users", help, publisher.publications as f64);
    let help = "PUBLISH requests to PBXs, by what became of them";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_published_total",
            help,
            "result",
            [("sent", publisher.sent), ("failed", publisher.failed), ("full", publisher.full)],
        ),
    );
    let help = "Transactions of the presence bridge, its own and those of others";
    labelled(
        page,
        Kind::Gauge,
        (
            "trunkway_presence_transactions",
            help,
            "side",
            [("client", agent.clients as u64), ("server", agent.servers as u64)],
        ),
    );
    let help = "Requests of the presence bridge, by what became of them";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_requests_total",
            help,
            "result",
            [
                ("answered", agent.answered),
                ("timeout", agent.timed_out),
                ("unreachable", agent.unreachable),
                ("over-limit", agent.over_limit),
            ],
        ),
    );
    let help = "Challenges of PBXs to the presence bridge";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_challenges_total",
            help,
            "result",
            [("met", agent.challenges_met), ("not-met", agent.challenges_refused)],
        ),
    );
    let help = "Requests to the presence bridge, by what became of them";
    labelled(
        page,
        Kind::Counter,
        (
            "trunkway_presence_requests_received_total",
            help,
            "result",
            [
                ("taken", agent.arrived),
                ("copy", agent.absorbed),
                ("refused", agent.refused),
                ("unanswered", agent.unanswered),
            ],
        ),
    );
}

/// A family with one label.
fn labelled<const N: usize>(page: &mut Page, kind: Kind, (name, help, label, values): Labelled<'_, N>) {
    let mut family = page.family(name, kind, help);
    values.iter().for_each(|&(value, count)| family.count(&[(label, value)], count));
}
