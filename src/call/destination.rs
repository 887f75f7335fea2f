//! Where a request goes (RFC 3261 section 16.5): by the dial plan for a new one, by its route set inside a dialog.

use std::sync::Arc;

use super::edge::{Edge, literal_address};
use super::route_set::RouteSet;
use super::screen::Refusal;
use crate::routing::{Decision, Query};
use crate::sip::{Essentials, Scheme, Transport, Uri};
use crate::trunk::health::State;
use crate::trunk::{Hop, ListenerId, Target, Trunk, TrunkId};

/// A place to try.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub trunk: TrunkId,
    pub place: Place,
    /// Index of the trunk's target: the Request-URI's host becomes the target's when it was the edge's.
    pub target: Option<u16>,
    /// No transport was asked for: a large request may go by TCP (RFC 3261 section 18.1.1).
    pub any_transport: bool,
}

/// How far a place is known.
#[derive(Clone, Debug)]
pub enum Place {
    Hop(Hop),
    /// A name that has to be looked up (RFC 3263).
    Name(Box<Target>),
}

/// The places for a request, in the reverse of the order in which they are tried.
#[derive(Clone, Debug)]
pub struct Destination {
    pub candidates: Vec<Candidate>,
}

/// The destination of a request outside a dialog.
///
/// # Errors
/// The answer to give when no rule leads anywhere.
pub fn of_initial(edge: &Edge, from: TrunkId, uri: &Uri<'_>) -> Result<Destination, Refusal> {
    let called = edge.called_from(from, uri.user.unwrap_or_default());
    let choice = match edge.routing.route(Query::new(from, uri.host, &called)) {
        Decision::To(choice) => choice,
        Decision::NoRoute(refused) => {
            let (status, reason) = refused.why.status();
            return Err(Refusal::new(status, reason));
        }
    };
    let trunks = || choice.ways.iter().filter_map(|way| edge.trunk(way.trunk));
    let mut candidates: Vec<Candidate> = trunks()
        .flat_map(|trunk| trunk.targets.iter().enumerate().map(|(index, target)| of_target(trunk, index, target)))
        .collect();
    put_down_last(edge, &mut candidates);
    candidates.truncate(edge.max_branches);
    candidates.reverse();
    if candidates.is_empty() {
        return Err(Refusal::new(503, "No Target"));
    }
    Ok(Destination { candidates })
}

/// Puts targets that are down behind all others, each kind in its order. None is left out: what is known of them may be
/// wrong or old by now.
fn put_down_last(edge: &Edge, candidates: &mut [Candidate]) {
    let is_down = |it: &Candidate| it.target.is_some_and(|at| edge.health.state(it.trunk, at) == State::Down);
    if candidates.iter().any(is_down) {
        candidates.sort_by_key(is_down);
    }
}

fn of_target(trunk: &Trunk, index: usize, target: &Target) -> Candidate {
    let place = match (target.literal, target.transport) {
        (Some(addr), Some(transport)) => Place::Hop(Hop {
            listener: trunk.listener,
            transport,
            addr,
            name: tls_name(transport, trunk, None),
            trunk: trunk.id,
        }),
        _ => Place::Name(Box::new(target.clone())),
    };
    Candidate { trunk: trunk.id, place, target: u16::try_from(index).ok(), any_transport: target.transport.is_none() }
}

/// The name that a TLS peer must prove: the one dialled, or for an address the first that the trunk lists.
pub fn tls_name(transport: Transport, trunk: &Trunk, dialled: Option<&str>) -> Option<Arc<str>> {
    if transport != Transport::Tls {
        return None;
    }
    match dialled {
        Some(name) => Some(Arc::from(name)),
        None => trunk.peer_names.first().cloned(),
    }
}

/// The destination of a request inside a dialog.
///
/// With the edge's token any place is allowed: the token proves that the edge set the dialog up between these two
/// trunks. Without it a request to the edge itself goes where the dial plan says (the edge is responsible for that
/// URI, RFC 3261 section 16.5; some peers keep no route set), any other to the trunk whose target it names, or else
/// where the dial plan would send a new one.
///
/// # Errors
/// The answer to give when the request may not pass or its next hop cannot be reached.
pub fn of_in_dialog(edge: &Edge, from: TrunkId, set: &RouteSet<'_>) -> Result<Destination, Refusal> {
    let uri = set.next_uri().map_err(|what| {
        let (status, reason) = what.status();
        Refusal::new(status, reason)
    })?;
    if uri.scheme == Scheme::Other || uri.host.is_empty() {
        return Err(Refusal::new(416, "Unsupported URI Scheme"));
    }
    let trunk = match set.token {
        Some(token) => {
            let mine = edge.face(from).map(|face| face.mark);
            let far = match mine {
                Some(mark) if mark == token.caller => token.callee,
                Some(mark) if mark == token.callee => token.caller,
                _ => return Err(Refusal::new(403, "Not Your Dialog")),
            };
            edge.trunk_of_mark(far).and_then(|id| edge.trunk(id)).ok_or(Refusal::new(481, "Trunk Is Gone"))?
        }
        None if set.next.is_none() && edge.is_own_uri(&uri) => return of_initial(edge, from, &uri),
        None => match owner_of(edge, &uri) {
            Some(trunk) => trunk,
            // Nothing proves the dialog: the request may go where a new one could, and nowhere else.
            None => {
                let unknown = |_| Refusal::new(481, "Unknown Dialog");
                return of_initial(edge, from, &set.request_uri).map_err(unknown);
            }
        },
    };
    let candidate = of_uri(edge, trunk, &uri).ok_or(Refusal::new(503, "No Listener For Transport"))?;
    Ok(Destination { candidates: vec![candidate] })
}

/// The trunk that has a URI's address as one of its targets.
fn owner_of<'e>(edge: &'e Edge, uri: &Uri<'_>) -> Option<&'e Trunk> {
    let ip = uri.ip()?;
    let has = |trunk: &&Trunk| trunk.targets.iter().any(|target| target.literal.is_some_and(|addr| addr.ip() == ip));
    edge.trunks.0.iter().find(has)
}

/// The place that a URI names (RFC 3263 section 4), over the trunk's listener or one of the URI's transport.
fn of_uri(edge: &Edge, trunk: &Trunk, uri: &Uri<'_>) -> Option<Candidate> {
    let asked = match uri.param(b"transport") {
        Some(Some(token)) => Transport::from_token(token),
        _ => None,
    };
    let own = edge.listener(trunk.listener)?.transport;
    let transport = match (uri.scheme, asked) {
        (Scheme::Sips, _) => Transport::Tls,
        (_, Some(transport)) => transport,
        // A URI that names no transport is reached as the trunk is.
        (_, None) => own,
    };
    let (transport, listener) = match edge.listener_for(transport, trunk.listener) {
        Some(listener) => (transport, listener),
        None => (own, trunk.listener),
    };
    let port = uri.port.unwrap_or(transport.default_port());
    // RFC 3263 section 4: `maddr` is the place, the host only the name.
    let host = uri.param(b"maddr").flatten().filter(|_| !edge.is_own_maddr(uri)).unwrap_or(uri.host);
    let place = match literal_address(host, port) {
        Some(addr) => {
            Place::Hop(Hop { listener, transport, addr, name: tls_name(transport, trunk, None), trunk: trunk.id })
        }
        None => {
            let host = std::str::from_utf8(host).ok()?;
            Place::Name(Box::new(Target {
                transport: Some(transport),
                host: Arc::from(host),
                port: uri.port,
                literal: None,
            }))
        }
    };
    Some(Candidate { trunk: trunk.id, place, target: None, any_transport: false })
}

/// The listener for a hop that a lookup gave for a trunk.
pub fn listener_of(edge: &Edge, trunk: &Trunk, transport: Transport) -> Option<ListenerId> {
    edge.listener_for(transport, trunk.listener)
}

/// Whether a request of an initial kind sets up a dialog, so that the edge stays in its path (RFC 3261 section 16.6
/// item 4, RFC 6665, RFC 3515).
pub fn sets_up_dialog(method: &[u8], essentials: &Essentials<'_>) -> bool {
    essentials.to_tag.is_none() && matches!(method, b"INVITE" | b"SUBSCRIBE" | b"REFER" | b"NOTIFY")
}
