//! The tables that stand once: `[node]`, `[tls_client]`, `[timers]`, `[limits]`, `[dns]`, `[metrics]`
//! and `[state]`.

use std::sync::Arc;

use super::address::{host_name, network, socket};
use super::log::Draft;
use super::model::{ClientTls, Dns, Limits, Metrics, Node, State, Timers};
use super::reader::{Complaint, Table};
use crate::sip::limits::MAX_HEADERS_TOP;

const MINUTE_MS: u64 = 60_000;
const DAY_S: u64 = 86_400;
const GIB: u64 = 1 << 30;

pub(super) fn node(mut table: Table<'_>) -> Node {
    table.must_have("name");
    let name = table.parsed("name", |text| {
        let fits = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Arc::from(text))
            .ok_or_else(|| Complaint::new("a name has 1 to 64 letters, digits or signs, and no blanks"))
    });
    let node = Node {
        name: name.map_or_else(|| "".into(), |name| name.value),
        fqdn: table.parsed("fqdn", host_name).map(|fqdn| fqdn.value),
        seal_key_file: table.path("seal_key_file").map(|path| path.value),
        seal_max_age: table.seconds("seal_max_age_s", 3_600..=365 * DAY_S, Node::SEAL_MAX_AGE),
        workers: table.number("workers", 1..=1_024).and_then(|workers| usize::try_from(workers.value).ok()),
    };
    table.finish();
    node
}

/// Reads `ca`, `certificate` and `key`.
pub(super) fn client_tls(mut table: Table<'_>) -> ClientTls {
    let tls = ClientTls {
        ca: table.existing("ca").map(|path| path.value),
        certificate: table.existing("certificate").map(|path| path.value),
        key: table.existing("key").map(|path| path.value),
    };
    for (key, other) in [("certificate", "key"), ("key", "certificate")] {
        if table.has(key) && !table.has(other) {
            let message = format!("{}: `{key}` without `{other}`", table.title);
            table.log().add(Draft::error(table.place_of(key), message));
        }
    }
    table.finish();
    tls
}

pub(super) fn timers(mut table: Table<'_>) -> Timers {
    let default = Timers::default();
    let timers = Timers {
        t1: table.millis("t1_ms", 10..=10_000, default.t1),
        t2: table.millis("t2_ms", 10..=MINUTE_MS, default.t2),
        t4: table.millis("t4_ms", 10..=MINUTE_MS, default.t4),
        timer_c: table.seconds("timer_c_s", 181..=3_600, default.timer_c),
    };
    if timers.t2 < timers.t1 {
        let key = if table.has("t2_ms") { "t2_ms" } else { "t1_ms" };
        let message = format!(
            "{}: `t2_ms` ({}) is below `t1_ms` ({})",
            table.title,
            timers.t2.as_millis(),
            timers.t1.as_millis()
        );
        table.log().add(Draft::error(table.place_of(key), message));
    }
    table.finish();
    timers
}

pub(super) fn limits(mut table: Table<'_>) -> Limits {
    let d = Limits::default();
    let t = &mut table;
    let limits = Limits {
        max_message_bytes: t.count("max_message_bytes", 1_300..=65_535, d.max_message_bytes),
        max_headers: t.count("max_headers", 16..=MAX_HEADERS_TOP as u64, d.max_headers),
        max_header_line_bytes: t.count("max_header_line_bytes", 256..=65_535, d.max_header_line_bytes),
        max_values_per_header: t.count("max_values_per_header", 8..=4_096, d.max_values_per_header),
        max_transactions: t.count("max_transactions", 100..=50_000_000, d.max_transactions),
        max_calls_remembered: t.count("max_calls_remembered", 0..=10_000_000, d.max_calls_remembered),
        transparent_call_age: t.seconds("transparent_call_age_s", 600..=7 * DAY_S, d.transparent_call_age),
        max_branches: t.count("max_branches", 1..=64, d.max_branches),
        max_connections: t.count("max_connections", 1..=1_000_000, d.max_connections),
        max_connections_per_address: t.count(
            "max_connections_per_address",
            1..=1_000_000,
            d.max_connections_per_address,
        ),
        connection_queue_bytes: t.count("connection_queue_bytes", 65_536..=GIB, d.connection_queue_bytes),
        connect_timeout: t.millis("connect_timeout_ms", 50..=MINUTE_MS, d.connect_timeout),
        tls_handshake_timeout: t.millis("tls_handshake_timeout_ms", 50..=MINUTE_MS, d.tls_handshake_timeout),
        stream_idle_timeout: t.seconds("stream_idle_timeout_s", 10..=DAY_S, d.stream_idle_timeout),
        partial_message_timeout: t.millis("partial_message_timeout_ms", 50..=10 * MINUTE_MS, d.partial_message_timeout),
        pending_per_connect: t.count("pending_per_connect", 1..=65_536, d.pending_per_connect),
        unknown_source_answers_per_second: t
            .number("unknown_source_answers_per_second", 0..=1_000_000)
            .and_then(|number| u32::try_from(number.value).ok())
            .unwrap_or(d.unknown_source_answers_per_second),
        udp_receive_buffer_bytes: t.count("udp_receive_buffer_bytes", 65_536..=GIB, d.udp_receive_buffer_bytes),
        udp_send_buffer_bytes: t.count("udp_send_buffer_bytes", 65_536..=GIB, d.udp_send_buffer_bytes),
        max_dialplan_prefixes: t.count("max_dialplan_prefixes", 1..=50_000_000, d.max_dialplan_prefixes),
        max_dialplan_changes: t.count("max_dialplan_changes", 1..=10_000_000, d.max_dialplan_changes),
        max_users: t.count("max_users", 1..=10_000_000, d.max_users),
        max_stored_calls: t.count("max_stored_calls", 100..=10_000_000, d.max_stored_calls),
    };
    table.finish();
    limits
}

pub(super) fn dns(mut table: Table<'_>) -> Dns {
    let default = Dns::default();
    let servers = table.parsed_list("servers", |text| socket(text, Some(53)));
    let dns = Dns {
        servers: servers.map_or(default.servers, |servers| servers.into_iter().map(|server| server.value).collect()),
        timeout: table.millis("timeout_ms", 50..=MINUTE_MS, default.timeout),
        stale: table.seconds("stale_s", 0..=30 * DAY_S, default.stale),
        max_entries: table.count("max_entries", 16..=1_000_000, default.max_entries),
        negative: table.seconds("negative_s", 0..=DAY_S, default.negative),
    };
    table.finish();
    dns
}

pub(super) fn metrics(mut table: Table<'_>) -> Metrics {
    let default = Metrics::default();
    let allow_from = table.parsed_list("allow_from", network).unwrap_or_default();
    let metrics = Metrics {
        bind: table.parsed("bind", |text| socket(text, None)).map(|bind| bind.value),
        allow_from: allow_from.into_iter().map(|network| network.value).collect(),
        max_trunks: table.count("max_trunks", 0..=100_000, default.max_trunks),
        max_tenants: table.count("max_tenants", 0..=100_000, default.max_tenants),
        max_pairs: table.count("max_pairs", 0..=1_000_000, default.max_pairs),
    };
    table.finish();
    metrics
}

pub(super) fn state(mut table: Table<'_>) -> State {
    let state = State { dir: table.path("dir").map(|path| path.value) };
    table.finish();
    state
}
