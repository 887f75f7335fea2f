//! What the bridge works by.

use std::sync::Arc;

use crate::presence::pidf::Aliases;
use crate::presence::{Presence, notifier, poller, publications, publisher, subscriber, writer};
use crate::trunk::TrunkId;

/// What each part works by.
#[derive(Clone, Debug)]
pub struct Settings {
    pub writer: writer::Settings,
    pub poller: poller::Settings,
    pub subscriber: subscriber::Settings,
    pub notifier: notifier::Settings,
    pub publications: publications::Settings,
    pub publisher: publisher::Settings,
}

/// What a tenant wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSettings {
    /// The PBX whose lines are subscribed to, and that Do not disturb is published to.
    pub line_trunk: Option<TrunkId>,
    pub subscribe_lines: bool,
    /// A resource list that has all lines, instead of a subscription for each.
    pub line_list: Option<Arc<str>>,
    pub subscribe_presence: bool,
    /// Trunks that may watch and publish.
    pub watchers: Vec<TrunkId>,
    pub aliases: Aliases,
    /// What `not-available` comes to.
    pub not_available: Presence,
    pub publish_dnd: bool,
    pub graph_requests_per_30s: u32,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            line_trunk: None,
            subscribe_lines: false,
            line_list: None,
            subscribe_presence: false,
            watchers: Vec::new(),
            aliases: Aliases::default(),
            not_available: Presence::DoNotDisturb,
            publish_dnd: false,
            graph_requests_per_30s: 1_400,
        }
    }
}
