//! What reading a message costs, and writing the one that is sent on; rsip 0.4 beside it on the same text.

#[path = "support/allocations.rs"]
mod allocations;
#[path = "support/cases.rs"]
mod cases;
#[path = "support/edge.rs"]
mod edge;
#[path = "support/messages.rs"]
mod messages;

use bytes::Bytes;
use cases::Case;
use rsip::prelude::{HeadersExt, ToTypedHeader};
use trunkway::call::branch::{BranchId, ContextId};
use trunkway::call::destination::{self, Asking, Place};
use trunkway::call::forward::{Branch, Forward};
use trunkway::call::loops::loop_hash;
use trunkway::call::route_set::RouteSet;
use trunkway::call::screen::screen;
use trunkway::call::{Counts, Edge, Secrets, Tools, draw};
use trunkway::sip::{Essentials, Framing, Limits, Message};
use trunkway::trunk::{Flow, TrunkId};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Allocations of indexing a message of common size.
const MOST_ALLOCATIONS: u64 = 1;

fn main() {
    let text = Bytes::from(messages::teams_invite(1, edge::CALLER));
    let limits = Limits::default();
    let index = move |text: &Bytes| Message::parse(text.clone(), Framing::Datagram, &limits).expect("a whole message");

    // Warmed up: the first clone of a `Bytes` makes its count of owners.
    let warm = index(&text);
    let (allocations, message) = allocations::during(|| index(&text));
    assert!(allocations <= MOST_ALLOCATIONS, "indexing made {allocations} allocations");
    let (allocations, essentials) = allocations::during(|| Essentials::of_request(&message, &limits).is_ok());
    assert!(essentials && allocations == 0, "reading the essentials made {allocations} allocations");
    println!("parse: {} bytes, {} headers", warm.bytes().len(), warm.lines().len());

    let one = text.clone();
    let two = text.clone();
    let three = text.clone();
    let mut forwarding = Forwarding::new();
    forwarding.forward(&message);
    let (four, five, six) = (text.clone(), text.clone(), text.clone());
    cases::measure(
        "parse",
        vec![
            Case::new("index", move || index(&one)),
            Case::new("index_essentials", move || {
                let message = index(&two);
                Essentials::of_request(&message, &limits).map(|essentials| essentials.cseq.number)
            }),
            Case::new("index_route_forward", move || forwarding.forward(&index(&three))),
            Case::new("rsip_parse", move || rsip::SipMessage::try_from(four.as_ref()).expect("rsip reads it")),
            Case::new("rsip_parse_typed", move || {
                let message = rsip::SipMessage::try_from(five.as_ref()).expect("rsip reads it");
                typed(&message);
                message
            }),
            Case::new("rsip_parse_typed_print", move || {
                let message = rsip::SipMessage::try_from(six.as_ref()).expect("rsip reads it");
                typed(&message);
                Bytes::from(message)
            }),
        ],
    );
}

/// What [`Essentials`] reads, by rsip.
fn typed(message: &rsip::SipMessage) {
    let via = message.via_header().expect("Via").typed().expect("Via is read");
    let from = message.from_header().expect("From").typed().expect("From is read");
    let to = message.to_header().expect("To").typed().expect("To is read");
    let cseq = message.cseq_header().expect("CSeq").typed().expect("CSeq is read");
    let contact = message.contact_header().expect("Contact").typed().expect("Contact is read");
    std::hint::black_box((via, from, to, cseq, contact, message.call_id_header().expect("Call-ID")));
}

/// All that becomes of a new INVITE, transactions aside.
struct Forwarding {
    edge: std::sync::Arc<Edge>,
    secrets: Secrets,
    tools: Tools,
    from: TrunkId,
    flow: Flow,
}

impl Forwarding {
    fn new() -> Self {
        let edge = edge::edge(true);
        let (from, flow) = edge::peer(&edge, "caller");
        Self { edge, secrets: edge::secrets(), tools: Tools::default(), from, flow }
    }

    fn forward(&mut self, request: &Message) -> Bytes {
        let edge = &*self.edge;
        let essentials = Essentials::of_request(request, &edge.limits).expect("a whole request");
        let hash = loop_hash(edge, self.from, request, &essentials);
        screen(edge, self.from, request, &essentials, Some(hash)).expect("let through");
        let routes = RouteSet::read(edge, &self.secrets, request, &essentials).expect("readable routes");
        let asking = Asking { edge, from: self.from, request, unix: 0, draw: draw(&self.secrets, essentials.call_id) };
        let destination =
            destination::of_initial(&asking, &routes.request_uri, &mut Counts::default()).expect("a route");
        let candidate = destination.into_first().expect("a place");
        let Place::Hop(hop) = &candidate.place else { panic!("an address") };
        let trunk = edge.trunk(candidate.trunk).expect("a trunk");
        let forwarded = Forward {
            edge,
            secrets: &self.secrets,
            request,
            essentials: &essentials,
            routes: &routes,
            remote: self.flow.remote,
            from: self.from,
            hop,
            target: candidate.target.and_then(|index| trunk.targets.get(usize::from(index))),
            leg: candidate.leg.as_deref(),
            branch: Branch::Stateful(BranchId { context: ContextId::default(), branch: 0 }),
            loop_hash: hash,
        }
        .write(&mut self.tools);
        assert!(forwarded.len() > request.bytes().len());
        forwarded
    }
}
