//! Where a request goes (RFC 3261 section 16.5): by the dial plan for a new one, by its route set inside a dialog.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::caller::Calling;
use super::command::Counts;
use super::edge::{Edge, literal_address};
use super::leg::Leg;
use super::owned::Dialog;
use super::route_set::RouteSet;
use super::screen::Refusal;
use crate::routing::{Choice, Decision, NoRoute, Query, Site, Tenant};
use crate::sip::{Essentials, Message, Scheme, Transport, Uri};
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
    /// What routing asks for on this way; `None`: nothing.
    pub leg: Option<Arc<Leg>>,
    /// The dialog between owned legs that the request is in.
    pub dialog: Option<Arc<Dialog>>,
}

/// How far a place is known.
#[derive(Clone, Debug)]
pub enum Place {
    Hop(Hop),
    /// A name that has to be looked up (RFC 3263).
    Name(Box<Target>),
}

/// Places that are tried one after the other.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// `Some`: begun so many seconds after the first lane, beside it.
    pub beside: Option<u16>,
    /// In the reverse of the order in which they are tried.
    pub candidates: Vec<Candidate>,
}

/// Where a request goes.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    /// Never empty; what is in different lanes is tried at the same time.
    pub lanes: SmallVec<[Lane; 1]>,
    /// A call for help: no limit applies.
    pub emergency: bool,
    /// Whose call it is.
    pub whose: Whose,
}

/// Whose a call is, as far as routing knows.
#[derive(Clone, Debug, Default)]
pub struct Whose {
    pub tenant: Option<Arc<Tenant>>,
    pub site: Option<Arc<Site>>,
}

impl Destination {
    /// One place and no other.
    pub fn only(candidate: Candidate) -> Self {
        let lane = Lane { beside: None, candidates: vec![candidate] };
        Self { lanes: SmallVec::from_buf([lane]), ..Self::default() }
    }

    /// The dialog between owned legs that the request is in.
    pub fn dialog(&self) -> Option<&Arc<Dialog>> {
        self.lanes.first()?.candidates.first()?.dialog.as_ref()
    }

    /// Leaves out the places that are not meant.
    pub fn keep(&mut self, is_meant: impl Fn(&Candidate) -> bool) {
        self.lanes.iter_mut().for_each(|lane| lane.candidates.retain(&is_meant));
        self.lanes.retain(|lane| !lane.candidates.is_empty());
        // Something has to begin at once.
        if let Some(first) = self.lanes.first_mut() {
            first.beside = None;
        }
    }

    /// The called number as routing has it on the first way; `None`: as it was asked for.
    pub fn called(&self) -> Option<&[u8]> {
        self.lanes.first()?.candidates.last()?.leg.as_ref()?.called.as_deref()
    }

    /// The place that is tried first, alone: for what nobody answers.
    pub fn into_first(mut self) -> Option<Candidate> {
        self.lanes.first_mut()?.candidates.pop()
    }
}

/// A request that routing is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    pub edge: &'a Edge,
    pub from: TrunkId,
    pub request: &'a Message,
    /// Seconds since 1970 UTC.
    pub unix: u64,
    /// Chance, the same for all copies of the request.
    pub draw: u64,
}

impl<'a> Asking<'a> {
    /// The number that is asked for, as the trunk that it comes from means it.
    pub fn called<'u>(&self, uri: &Uri<'u>) -> Cow<'u, [u8]> {
        self.edge.called_from(self.from, uri.user.unwrap_or_default())
    }

    /// Who calls.
    pub fn caller(&self) -> Calling<'a> {
        let rules = self.edge.translations(self.from).map(|rules| &rules.inbound.calling);
        let believed = self.edge.trunk(self.from).is_none_or(|trunk| trunk.dialect.identity.believed);
        Calling { request: self.request, rules, believed }
    }

    /// What routing is asked.
    pub fn query<'q>(&self, host: &'q [u8], user: &'q [u8], caller: &'q Calling<'_>) -> Query<'q> {
        Query { from: self.from, host, user, caller, now: self.unix, draw: self.draw }
    }
}

/// The destination of a request outside a dialog.
///
/// # Errors
/// The answer to give when no rule leads anywhere.
pub fn of_initial(asking: &Asking<'_>, uri: &Uri<'_>, counts: &mut Counts) -> Result<Destination, Refusal> {
    of_call(asking, uri, counts).map_err(|(refusal, _)| refusal)
}

/// The destination of a request outside a dialog; where it has none, whose it is all the same.
///
/// # Errors
/// As [`of_initial`].
pub fn of_call(asking: &Asking<'_>, uri: &Uri<'_>, counts: &mut Counts) -> Result<Destination, (Refusal, Whose)> {
    let (called, caller) = (asking.called(uri), asking.caller());
    counts.decisions += 1;
    match asking.edge.routing.route(asking.query(uri.host, &called, &caller)) {
        Decision::To(choice) => {
            counts.emergency += u32::from(choice.emergency);
            counts.unassigned += u32::from(choice.noted.unassigned);
            counts.ambiguous += u32::from(choice.noted.ambiguous);
            of_choice(asking.edge, &choice).map_err(|refusal| {
                let whose = Whose { tenant: choice.tenant.cloned(), site: choice.site.cloned() };
                (refusal, whose)
            })
        }
        Decision::NoRoute(refused) => {
            counts.unassigned += u32::from(refused.why == NoRoute::Unassigned);
            counts.ambiguous += u32::from(refused.why == NoRoute::Ambiguous);
            counts.unrouted.add(refused.why);
            let (status, reason) = refused.why.status();
            let whose = Whose { tenant: refused.tenant.cloned(), site: refused.site.cloned() };
            Err((Refusal::new(status, reason), whose))
        }
    }
}

/// The places of a decision.
///
/// # Errors
/// 503 when its trunks have no target.
pub fn of_choice(edge: &Edge, choice: &Choice<'_>) -> Result<Destination, Refusal> {
    let mut lanes: SmallVec<[Lane; 1]> = SmallVec::new();
    for way in &choice.ways {
        let Some(trunk) = edge.trunk(way.trunk) else { continue };
        // The trunk's rules for headers may name the tenant.
        let leg = Leg::new(choice, way, !trunk.dialect.headers.outbound.is_empty());
        let places = || trunk.targets.iter().enumerate();
        let candidates = places().map(|(index, target)| of_target(trunk, index, target, leg.as_ref()));
        match lanes.last_mut() {
            // A way that nothing else is tried beside is the first of its lane.
            Some(lane) if way.beside.is_none() => lane.candidates.extend(candidates),
            last => {
                let beside = way.beside.filter(|_| last.is_some());
                lanes.push(Lane { beside, candidates: candidates.collect() });
            }
        }
    }
    lanes.retain(|lane| !lane.candidates.is_empty());
    // Each lane has its share, so that a long list of one does not take the others' place.
    let share = (edge.max_branches / lanes.len().max(1)).max(1);
    for lane in &mut lanes {
        put_down_last(edge, &mut lane.candidates);
        lane.candidates.truncate(share);
        lane.candidates.reverse();
    }
    match lanes.first_mut() {
        Some(first) => first.beside = None,
        None => return Err(Refusal::new(503, "No Target")),
    }
    let whose = Whose { tenant: choice.tenant.cloned(), site: choice.site.cloned() };
    Ok(Destination { lanes, emergency: choice.emergency, whose })
}

/// Puts targets that are down behind all others of a lane, each kind in its order. None is left out: what is known of
/// them may be wrong or old by now.
fn put_down_last(edge: &Edge, candidates: &mut [Candidate]) {
    let is_down = |it: &Candidate| it.target.is_some_and(|at| edge.health.state(it.trunk, at) == State::Down);
    if candidates.iter().any(is_down) {
        candidates.sort_by_key(is_down);
    }
}

fn of_target(trunk: &Trunk, index: usize, target: &Target, leg: Option<&Arc<Leg>>) -> Candidate {
    Candidate {
        trunk: trunk.id,
        place: place_of(trunk, target),
        target: u16::try_from(index).ok(),
        any_transport: target.transport.is_none(),
        leg: leg.cloned(),
        dialog: None,
    }
}

/// The place that a target of a trunk names.
pub fn place_of(trunk: &Trunk, target: &Target) -> Place {
    match (target.literal, target.transport) {
        (Some(addr), Some(transport)) => Place::Hop(Hop {
            listener: trunk.listener,
            transport,
            addr,
            name: tls_name(transport, trunk, None),
            trunk: trunk.id,
        }),
        _ => Place::Name(Box::new(target.clone())),
    }
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
pub fn of_in_dialog(asking: &Asking<'_>, set: &RouteSet<'_>, counts: &mut Counts) -> Result<Destination, Refusal> {
    let Asking { edge, from, .. } = *asking;
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
        None if set.next.is_none() && edge.is_own_uri(&uri) => return of_initial(asking, &uri, counts),
        None => match owner_of(edge, &uri) {
            Some(trunk) => trunk,
            // Nothing proves the dialog: the request may go where a new one could, and nowhere else.
            None => {
                let unknown = |_| Refusal::new(481, "Unknown Dialog");
                return of_initial(asking, &set.request_uri, counts).map_err(unknown);
            }
        },
    };
    let candidate = of_uri(edge, trunk, &uri).ok_or(Refusal::new(503, "No Listener For Transport"))?;
    Ok(Destination::only(candidate))
}

/// The destination of a request in a dialog between owned legs.
///
/// # Errors
/// The answer to give when its next hop cannot be reached.
pub fn of_dialog(edge: &Edge, dialog: Dialog) -> Result<Destination, Refusal> {
    let trunk = edge.trunk_of_mark(dialog.far).and_then(|id| edge.trunk(id));
    let trunk = trunk.ok_or(Refusal::new(481, "Trunk Is Gone"))?;
    let candidate = {
        let uri = dialog.next_uri().ok().filter(|uri| !uri.host.is_empty());
        let uri = uri.ok_or(Refusal::new(503, "No Next Hop"))?;
        of_uri(edge, trunk, &uri).ok_or(Refusal::new(503, "No Listener For Transport"))?
    };
    Ok(Destination::only(Candidate { dialog: Some(Arc::new(dialog)), ..candidate }))
}

/// The place where requests on a leg of a live call go: to its first route or its target.
pub fn of_leg(edge: &Edge, trunk: &Trunk, listener: ListenerId, uri: &Uri<'_>) -> Option<Candidate> {
    let candidate = of_uri(edge, trunk, uri).filter(|_| !uri.host.is_empty())?;
    let place = match candidate.place {
        // The leg began on another listener of the same transport: it stays there.
        Place::Hop(hop)
            if edge.listener(listener).is_some_and(|own| own.transport == hop.transport && !own.leaving) =>
        {
            Place::Hop(Hop { listener, ..hop })
        }
        place => place,
    };
    Some(Candidate { place, ..candidate })
}

/// Where a new call goes that belongs to whoever is behind a leg: to that leg's next hop, then to the other targets of its
/// trunk.
pub fn of_proxy(
    edge: &Edge,
    trunk: &Trunk,
    listener: ListenerId,
    next_hop: Option<Uri<'_>>,
    leg: &Arc<Leg>,
) -> Option<Destination> {
    let first = next_hop.and_then(|uri| of_leg(edge, trunk, listener, &uri));
    let is_first = |target: &Target| match first.as_ref().map(|first| &first.place) {
        Some(Place::Hop(hop)) => target.literal == Some(hop.addr),
        Some(Place::Name(first)) => first.host == target.host && first.port == target.port,
        None => false,
    };
    let others = trunk.targets.iter().enumerate().filter(|(_, target)| !is_first(target));
    let others = others.map(|(index, target)| of_target(trunk, index, target, Some(leg)));
    let first = first.clone().map(|first| Candidate { leg: Some(Arc::clone(leg)), ..first });
    let mut candidates: Vec<_> = first.into_iter().chain(others).take(edge.max_branches).collect();
    candidates.reverse();
    (!candidates.is_empty()).then(|| Destination {
        lanes: SmallVec::from_buf([Lane { beside: None, candidates }]),
        ..Destination::default()
    })
}

/// The trunk that has a URI's address as one of its targets.
fn owner_of<'e>(edge: &'e Edge, uri: &Uri<'_>) -> Option<&'e Trunk> {
    let ip = uri.ip()?;
    let has = |trunk: &&Trunk| trunk.targets.iter().any(|target| target.literal.is_some_and(|addr| addr.ip() == ip));
    edge.trunks.staying().find(has)
}

/// The place that a URI names (RFC 3263 section 4), over the trunk's listener or one of the URI's transport.
pub fn of_uri(edge: &Edge, trunk: &Trunk, uri: &Uri<'_>) -> Option<Candidate> {
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
    Some(Candidate { trunk: trunk.id, place, target: None, any_transport: false, leg: None, dialog: None })
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
