//! What the bridge wants of Graph is asked by tasks on its thread, and what came of it is brought back.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::inbox::Inbox;
use super::side::Side;
use crate::config;
use crate::daemon::clock::Clock;
use crate::daemon::graphs::Graphs;
use crate::graph::{self, Graph, Write};
use crate::presence::TeamsPresence;
use crate::presence::people::TenantKey;
use crate::presence::writer::{Fault, Item, ItemResult, RequestId, Written};
use crate::store::{FoundSessions, Place, SessionCounts, Sessions, Stored};
use crate::transaction::Moment;

/// The longest that a request may take; the writer and the poller give up an answer a while later.
const LONGEST: Duration = Duration::from_secs(50);

/// How long a request waits for the disk. A disk that is slower than that shall not make presence as slow.
const DISK: Duration = Duration::from_secs(2);

/// The shortest time between two warnings of a disk that fails.
const WARNING: Duration = Duration::from_secs(60);

/// Graph as the bridge uses it, and what was written there as the disk has it.
pub struct Teams {
    graphs: Arc<Graphs>,
    inbox: Arc<Inbox>,
    clock: Clock,
    dir: Option<PathBuf>,
    expires: Duration,
    /// `None`: there is no state directory, and a crash leaves sessions to run out by themselves.
    sessions: Option<Sessions>,
    /// What has to be on disk before the next request may leave.
    place: Place,
    /// Lines that the disk did not take and that were told of.
    warned_of: u64,
    next_warning: Moment,
}

/// A session of before the start: the tenant's name, the user's object id, and what may be there.
pub type Kept = (Arc<str>, Arc<str>, Written);

impl Teams {
    /// Graph of all tenants; `dir` is the state directory.
    pub fn new(graphs: Arc<Graphs>, inbox: Arc<Inbox>, clock: Clock, dir: Option<PathBuf>) -> Self {
        let expires = Duration::from_secs(3_600);
        Self {
            graphs,
            inbox,
            clock,
            dir,
            expires,
            sessions: None,
            place: Place::default(),
            warned_of: 0,
            next_warning: Moment::START,
        }
    }

    /// Takes settings; the first ones that have tenants open the file of sessions, and what it has comes back.
    pub fn set(&mut self, settings: &config::Presence) -> Vec<Kept> {
        self.expires = settings.session_expires;
        if self.sessions.is_some() || settings.tenants.is_empty() {
            return Vec::new();
        }
        let unix = self.clock.unix();
        match self.dir.as_deref().map(|dir| Sessions::open(dir, unix)).transpose() {
            Ok(None) => Vec::new(),
            Ok(Some((sessions, found))) => {
                self.sessions = Some(sessions);
                self.kept(found)
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "what is written into Teams will not be known after a restart, and what was written before is not"
                );
                Vec::new()
            }
        }
    }

    fn kept(&self, found: FoundSessions) -> Vec<Kept> {
        if found.damaged > 0 {
            tracing::warn!(lines = found.damaged, "the file of sessions in Teams has lines that cannot be read");
        }
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let kept = found.sessions.into_iter().map(|(tenant, graph_id, stored)| {
            let until = now + Duration::from_secs(stored.until.saturating_sub(unix));
            (tenant, graph_id, Written { session: stored.session, until, sure: stored.sure })
        });
        kept.collect()
    }

    /// What the disk has done, where there is one.
    pub fn session_counts(&self) -> Option<&SessionCounts> {
        self.sessions.as_ref().map(Sessions::counts)
    }

    /// Tells an operator of sessions that the disk did not take, once a minute at the most.
    fn warn_of_disk(&mut self, now: Moment) {
        let Some(sessions) = self.sessions.as_ref().filter(|_| now >= self.next_warning) else { return };
        let lost = sessions.counts().not_written.load(Ordering::Relaxed);
        if lost > self.warned_of {
            self.next_warning = now + WARNING;
            tracing::warn!(
                lines = lost - self.warned_of,
                "what is written into Teams could not be kept in the state directory: after a crash it may stay there \
                 until it runs out; look at the disk"
            );
            self.warned_of = lost;
        }
    }

    /// Writes sessions; what comes of it goes to [`Side::handle_written`].
    pub fn write(&self, tenant: Option<Arc<str>>, request: RequestId, key: TenantKey, items: Vec<Item>) {
        let (graph, inbox, expires) = (self.graph(tenant), Arc::clone(&self.inbox), self.expires);
        let sets = items.iter().any(|item| item.session.is_some());
        let safe = self.sessions.as_ref().filter(|_| sets).map(|sessions| sessions.safe(self.place));
        tokio::spawn(async move {
            if let Some(safe) = safe
                && tokio::time::timeout(DISK, safe).await.is_err()
            {
                tracing::debug!("the disk is slow: sessions are written before they are kept");
            }
            let writes: Vec<Write> = items
                .iter()
                .map(|item| Write { user: Arc::clone(&item.graph_id), session: item.session, expires })
                .collect();
            let result = match &graph {
                Some(graph) => in_time(graph.write_many(&writes)).await,
                None => Err(Fault::Token),
            };
            let result = result.map(|items| items.into_iter().map(item_of).collect());
            let well = graph.is_some_and(|graph| graph.health().fault.is_none());
            let back = move |side: &mut Side| {
                side.set_well(key, well);
                side.handle_written(request, result);
            };
            inbox.order_in_turn(back).await;
        });
    }

    /// Keeps on disk what may be in Graph: what is about to be sent at once, and what came of it with the next.
    pub fn keep(&mut self, tenant: Option<Arc<str>>, graph_id: Arc<str>, written: Option<Written>) {
        let Some((sessions, tenant)) = self.sessions.as_ref().zip(tenant) else { return };
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let stored = written.map(|Written { session, until, sure }| {
            // A second more, since both ends are rounded.
            Stored { session, until: unix + until.since(now).as_secs() + 1, sure }
        });
        let urgent = stored.is_some_and(|stored| !stored.sure);
        let place = sessions.keep(tenant, graph_id, stored, urgent);
        if urgent {
            self.place = place;
        }
        self.warn_of_disk(now);
    }

    /// Asks what users show; what comes of it goes to [`Side::handle_polled`].
    pub fn poll(&self, tenant: Option<Arc<str>>, request: RequestId, key: TenantKey, ids: Vec<Arc<str>>) {
        let (graph, inbox) = (self.graph(tenant), Arc::clone(&self.inbox));
        tokio::spawn(async move {
            let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
            let result = match &graph {
                Some(graph) => in_time(graph.presences(&ids)).await,
                None => Err(Fault::Token),
            };
            let result = result.map(|users| users.into_iter().map(presence_of).collect());
            let well = graph.is_some_and(|graph| graph.health().fault.is_none());
            let back = move |side: &mut Side| {
                side.set_well(key, well);
                side.handle_polled(request, result);
            };
            inbox.order_in_turn(back).await;
        });
    }

    fn graph(&self, tenant: Option<Arc<str>>) -> Option<Arc<Graph>> {
        self.graphs.of(&tenant?)
    }
}

/// What Graph says, or that it says nothing in time.
async fn in_time<T>(request: impl Future<Output = Result<T, graph::Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(LONGEST, request).await {
        Ok(result) => result.map_err(|fault| fault_of(&fault)),
        Err(_) => Err(Fault::Network),
    }
}

fn presence_of(user: graph::UserPresence) -> (Arc<str>, TeamsPresence) {
    (user.id, user.presence)
}

fn item_of(result: Result<(), graph::Fault>) -> ItemResult {
    match result {
        Ok(()) => ItemResult::Done,
        Err(graph::Fault::NotFound(_)) => ItemResult::NotFound,
        Err(graph::Fault::Throttled { retry_after }) => ItemResult::Throttled { after: retry_after },
        Err(graph::Fault::Refused(_) | graph::Fault::Gone(_)) => ItemResult::Refused,
        Err(_) => ItemResult::Failed,
    }
}

fn fault_of(fault: &graph::Fault) -> Fault {
    match fault {
        graph::Fault::Throttled { retry_after } => Fault::Throttled { after: *retry_after },
        graph::Fault::Token(_) => Fault::Token,
        graph::Fault::NotFound(_) | graph::Fault::Gone(_) | graph::Fault::Refused(_) => Fault::Refused,
        graph::Fault::Server { retry_after, .. } => Fault::Server { after: *retry_after },
        graph::Fault::Setup(_) => Fault::NotSent,
        _ => Fault::Network,
    }
}
