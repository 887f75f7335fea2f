//! `[presence]` and `[tenant.ID.presence]`: the bridge between PBX lines and Teams.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::login::Login;
use crate::presence::{Direction, Presence as PbxPresence, UserState};
use crate::trunk::TrunkId;

/// The bridge: what it may use, and the tenants that take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    pub max_users: usize,
    /// The edge's own subscriptions on PBXs.
    pub max_subscriptions: usize,
    /// Subscriptions of others at the edge.
    pub max_watchers: usize,
    pub max_watchers_per_user: usize,
    pub max_publications: usize,
    /// Requests and answers that wait for the bridge's thread.
    pub queue: usize,
    /// Transactions of the bridge that are under way.
    pub max_transactions: usize,
    /// Bytes of a presence or dialog document.
    pub max_document_bytes: usize,
    /// SUBSCRIBE requests a second to one trunk, while subscriptions are set up.
    pub subscribe_per_second: u32,
    /// What a subscription asks for.
    pub subscribe_expires: Duration,
    /// What watchers and publications get at the least and at the most.
    pub min_expires: Duration,
    pub max_expires: Duration,
    /// The shortest time between two NOTIFYs of one subscription.
    pub notify_interval: Duration,
    /// How long changes of a line that flaps are gathered; the first change waits for nothing.
    pub coalesce: Duration,
    /// What Graph is asked to hold a session for; refreshed at half of it.
    pub session_expires: Duration,
    /// Graph requests a tenant may make in 30 seconds.
    pub graph_requests_per_30s: u32,
    /// How often every user of a tenant is asked for, at the latest, and those that somebody watches.
    pub poll_interval: Duration,
    pub poll_interval_watched: Duration,
    /// Whether sessions are cleared when the edge stops; otherwise they are left to expire.
    pub clear_on_stop: bool,
    /// Who the edge is towards trunks that challenge its requests.
    pub logins: BTreeMap<TrunkId, Login>,
    pub tenants: BTreeMap<Arc<str>, TenantPresence>,
}

/// What a tenant wants of the bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantPresence {
    pub direction: Direction,
    /// The PBX whose lines are subscribed to.
    pub line_trunk: Option<TrunkId>,
    /// Whether the edge subscribes to `dialog` at `line_trunk` for each user's line.
    pub subscribe_lines: bool,
    /// A resource list on the PBX that has all lines (RFC 4662), instead of a subscription for each.
    pub line_list: Option<Arc<str>>,
    /// Whether the edge subscribes to `presence` at `line_trunk` for each user.
    pub subscribe_presence: bool,
    /// Whether the calls that the edge carries count.
    pub own_calls: bool,
    /// Trunks that may watch the tenant's users and publish for them.
    pub watchers: Vec<TrunkId>,
    /// The PBX's own names of user presence, in lower case.
    pub aliases: BTreeMap<String, UserState>,
    /// What `not-available` comes to.
    pub not_available: Option<PbxPresence>,
    /// How long what the HTTP feed said holds.
    pub feed_expires: Duration,
    /// Whether Teams' Do not disturb is published to `line_trunk`.
    pub publish_dnd: bool,
    /// By user id, in lower case.
    pub users: BTreeMap<Arc<str>, UserPresence>,
}

/// What one user has of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPresence {
    pub direction: Option<Direction>,
    /// The user part of the line on the PBX; `None`: the extension, or else the number.
    pub line: Option<Arc<str>>,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            max_users: 500_000,
            max_subscriptions: 500_000,
            max_watchers: 100_000,
            max_watchers_per_user: 100,
            max_publications: 100_000,
            queue: 8_192,
            max_transactions: 16_384,
            max_document_bytes: 65_536,
            subscribe_per_second: 50,
            subscribe_expires: Duration::from_secs(3_600),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3_600),
            notify_interval: Duration::from_secs(1),
            coalesce: Duration::from_millis(500),
            session_expires: Duration::from_secs(3_600),
            graph_requests_per_30s: 1_400,
            poll_interval: Duration::from_secs(60),
            poll_interval_watched: Duration::from_secs(5),
            clear_on_stop: true,
            logins: BTreeMap::new(),
            tenants: BTreeMap::new(),
        }
    }
}
