//! What the bridge wants of Graph is asked by tasks on its thread, and what came of it is brought back.

use std::sync::Arc;
use std::time::Duration;

use super::inbox::Inbox;
use super::side::Side;
use crate::config;
use crate::daemon::graphs::Graphs;
use crate::graph::{self, Graph, Write};
use crate::presence::TeamsPresence;
use crate::presence::people::TenantKey;
use crate::presence::writer::{Fault, Item, ItemResult, RequestId, Written};

/// Graph as the bridge uses it.
pub struct Teams {
    graphs: Arc<Graphs>,
    inbox: Arc<Inbox>,
    expires: Duration,
}

impl Teams {
    /// Graph of all tenants.
    pub const fn new(graphs: Arc<Graphs>, inbox: Arc<Inbox>, settings: &config::Presence) -> Self {
        Self { graphs, inbox, expires: settings.session_expires }
    }

    /// Takes other settings.
    pub const fn set(&mut self, settings: &config::Presence) {
        self.expires = settings.session_expires;
    }

    /// Writes sessions; what comes of it goes to [`Side::handle_written`].
    pub fn write(&self, tenant: Option<Arc<str>>, request: RequestId, key: TenantKey, items: Vec<Item>) {
        let (graph, inbox, expires) = (self.graph(tenant), Arc::clone(&self.inbox), self.expires);
        tokio::spawn(async move {
            let writes: Vec<Write> = items
                .iter()
                .map(|item| Write { user: Arc::clone(&item.graph_id), session: item.session, expires })
                .collect();
            let result = match &graph {
                Some(graph) => graph.write_many(&writes).await.map_err(|fault| fault_of(&fault)),
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

    /// Keeps on disk what may be in Graph.
    pub fn keep(&self, _tenant: Option<Arc<str>>, _graph_id: Arc<str>, _written: Option<Written>) {}

    /// Asks what users show; what comes of it goes to [`Side::handle_polled`].
    pub fn poll(&self, tenant: Option<Arc<str>>, request: RequestId, key: TenantKey, ids: Vec<Arc<str>>) {
        let (graph, inbox) = (self.graph(tenant), Arc::clone(&self.inbox));
        tokio::spawn(async move {
            let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
            let result = match &graph {
                Some(graph) => graph.presences(&ids).await.map_err(|fault| fault_of(&fault)),
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

fn presence_of(user: graph::UserPresence) -> (Arc<str>, TeamsPresence) {
    (user.id.into(), user.presence)
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
