//! What the configuration sets: its limits.

use metrics::{describe_gauge, gauge};

use crate::config::Limits;

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
