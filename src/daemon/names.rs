//! Names behind targets: from the cache at once, or looked up in a task beside the calls (RFC 3263).

use std::time::Instant;

use crate::call::destination::listener_of;
use crate::call::{Edge, Names};
use crate::dns::Resolver;
use crate::dns::{Resolved, Transports};
use crate::sip::Transport;
use crate::trunk::{Hop, Target, TrunkId};

impl Names for Resolver {
    fn cached(&self, edge: &Edge, trunk: TrunkId, target: &Target) -> Option<Vec<Hop>> {
        let allowed = allowed(edge, trunk);
        let places = Self::cached(self, target, allowed, Instant::now())?;
        Some(hops(edge, trunk, target, &places))
    }
}

/// Looks a target up; empty when there is no such place, which the core takes for a target that failed.
pub async fn look_up(resolver: &Resolver, edge: &Edge, trunk: TrunkId, target: &Target) -> Vec<Hop> {
    match resolver.resolve(target, allowed(edge, trunk)).await {
        Ok(places) => hops(edge, trunk, target, &places),
        Err(error) => {
            tracing::debug!(host = &*target.host, %error, "looking up a target");
            Vec::new()
        }
    }
}

/// The transports that the trunk's listeners can use.
fn allowed(edge: &Edge, trunk: TrunkId) -> Transports {
    let Some(trunk) = edge.trunk(trunk) else { return Transports::NONE };
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .filter(|&transport| listener_of(edge, trunk, transport).is_some())
        .fold(Transports::NONE, Transports::with)
}

fn hops(edge: &Edge, trunk: TrunkId, target: &Target, places: &[Resolved]) -> Vec<Hop> {
    let Some(of) = edge.trunk(trunk) else { return Vec::new() };
    let hop = |place: &Resolved| {
        let listener = listener_of(edge, of, place.transport)?;
        let dialled = target.literal.is_none().then_some(&*place.name);
        let name = crate::call::destination::tls_name(place.transport, of, dialled);
        Some(Hop { listener, transport: place.transport, addr: place.addr, name, trunk })
    };
    places.iter().filter_map(hop).collect()
}
