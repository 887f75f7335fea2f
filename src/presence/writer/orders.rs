//! What the writer is told, and what it wants done.

use std::sync::Arc;
use std::time::Duration;

use crate::presence::{Session, TenantKey, UserKey};
use crate::transaction::Moment;

/// A request of the writer's or the poller's; each counts its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What the writer works by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long changes of a line that flaps are gathered; the first change waits for nothing.
    pub coalesce: Duration,
    /// What Graph is asked to hold a session for; refreshed at half of it.
    pub session_expires: Duration,
    /// Requests of a tenant that are under way at the most.
    pub max_in_flight: usize,
    /// When nothing is heard of a request for so long, its answer is lost.
    pub request_timeout: Duration,
    /// How long a session of before a restart may wait for its user's state to be known.
    pub settle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            coalesce: Duration::from_millis(500),
            session_expires: Duration::from_secs(3_600),
            max_in_flight: 8,
            request_timeout: Duration::from_secs(60),
            settle: Duration::from_secs(30),
        }
    }
}

/// What is told to Graph of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `None`: the user has gone, or was never seen since the restart.
    pub user: Option<UserKey>,
    pub graph_id: Arc<str>,
    /// `None`: cleared.
    pub session: Option<Session>,
}

/// What may be in Graph for a user, as it is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub session: Session,
    /// When it is certainly gone by itself.
    pub until: Moment,
    /// Graph has said that it took it; otherwise it was only about to be sent.
    pub sure: bool,
}

/// What the writer wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask Graph: one item is a plain request, more are a batch. Nothing is sent before the `Keep`s that came before it
    /// are safe. The answer goes to [`super::Writer::handle_done`].
    Write { request: RequestId, tenant: TenantKey, items: Vec<Item> },
    /// Keep on disk what may be in Graph for the object id; `None`: nothing is.
    Keep { tenant: TenantKey, graph_id: Arc<str>, written: Option<Written> },
    /// Graph has taken a user's session, or has none of the edge any more: for the poller.
    Wrote { user: UserKey, session: Option<Session> },
}

/// What Graph said to one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemResult {
    /// It is as it was asked for.
    Done,
    /// 404: to a clear, no session is there; to a set, no such user.
    NotFound,
    /// 429, with `Retry-After`.
    Throttled { after: Option<Duration> },
    /// 400, 403 and their like: not for this user, not this session.
    Refused,
    /// 5xx: it may have been done all the same.
    Failed,
}

/// Why a request as a whole came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429.
    Throttled { after: Option<Duration> },
    /// No token: the credentials fail.
    Token,
    /// 4xx: the request itself was wrong.
    Refused,
    /// 5xx, with `Retry-After` where there was one; it may have been done all the same.
    Server { after: Option<Duration> },
    /// No connection, or no answer in time; it may have been done all the same.
    Network,
    /// It never left the edge.
    NotSent,
}
