//! The configuration as the parts of the bridge read it.

use crate::call::Edge;
use crate::config::{Presence, TenantPresence};
use crate::presence::bridge::{Settings, TenantSettings};
use crate::presence::{agent, notifier, poller, publications, publisher, subscriber, writer};

/// What each part works by.
pub fn settings(config: &Presence) -> Settings {
    let (min_expires, max_expires) = (config.min_expires, config.max_expires);
    Settings {
        writer: writer::Settings {
            coalesce: config.coalesce,
            session_expires: config.session_expires,
            ..writer::Settings::default()
        },
        poller: poller::Settings {
            interval: config.poll_interval,
            interval_watched: config.poll_interval_watched,
            ..poller::Settings::default()
        },
        subscriber: subscriber::Settings {
            max_subscriptions: config.max_subscriptions,
            per_second: config.subscribe_per_second,
            expires: config.subscribe_expires,
            max_document_bytes: config.max_document_bytes,
        },
        notifier: notifier::Settings {
            max_watchers: config.max_watchers,
            max_watchers_per_user: config.max_watchers_per_user,
            min_expires,
            max_expires,
            interval: config.notify_interval,
            lamp: config.lamp,
        },
        publications: publications::Settings {
            max_publications: config.max_publications,
            min_expires,
            max_expires,
            max_document_bytes: config.max_document_bytes,
        },
        publisher: publisher::Settings {
            max_publications: config.max_publications,
            per_second: config.subscribe_per_second,
            expires: config.publish_expires,
        },
    }
}

/// What the agent works by.
pub fn agent(edge: &Edge, config: &Presence) -> agent::Settings {
    agent::Settings { timing: edge.timing, max_transactions: config.max_transactions }
}

/// What a tenant wants.
pub fn tenant(config: &Presence, tenant: &TenantPresence) -> TenantSettings {
    TenantSettings {
        line_trunk: tenant.line_trunk,
        subscribe_lines: tenant.subscribe_lines,
        line_list: tenant.line_list.clone(),
        subscribe_presence: tenant.subscribe_presence,
        watchers: tenant.watchers.clone(),
        aliases: tenant.aliases.clone(),
        not_available: tenant.not_available,
        publish_dnd: tenant.publish_dnd,
        graph_requests_per_30s: config.graph_requests_per_30s,
    }
}
