//! Requests at a shard: copies are matched, CANCEL and ACK find their INVITE, and what is new is screened, routed and
//! begun (RFC 3261 sections 16.3 to 16.6, 16.10).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use super::calls::leg_key;
use super::progress::{NotPassed, begin_progress};
use super::{Incoming, Legacy, Shard};
use crate::call::branch::ContextId;
use crate::call::context::{Begin, Context, Event, answer_flow};
use crate::call::destination::{self, Asking, Destination, Place, tls_name};
use crate::call::dialect::headers::{self, Crossed};
use crate::call::dialect::session::admit;
use crate::call::forward::{Branch, Forward};
use crate::call::live::learn::{note_ack, offset_for};
use crate::call::live::{End, Known, Lives, replace};
use crate::call::loops::loop_hash;
use crate::call::owned::{Crossing, Dialog, Refused};
use crate::call::probe::product;
use crate::call::progress::Progress;
use crate::call::route_set::RouteSet;
use crate::call::screen::{Refusal, screen};
use crate::call::{Command, Counts, Edge, Env, Output, ack_number, draw, key_parts, own_tag};
use crate::sip::build::{Answer, answer};
use crate::sip::{Edits, Essentials, HeaderName, Message, Transport, Via, What};
use crate::transaction::Key;
use crate::trunk::{Flow, TrunkId};

/// The purpose of the number that a call is shed by.
const SHED: u8 = 20;

impl Shard {
    /// Whether a request belongs to a transaction that is under way: a copy, an ACK or a CANCEL.
    pub fn knows(&self, env: &Env<'_>, request: &Message, essentials: &Essentials<'_>) -> bool {
        let parts = key_parts(request, essentials);
        let key = match parts.method {
            b"CANCEL" => Key::of_cancelled_invite(&env.secrets.hash, &parts),
            _ => Key::of_request(&env.secrets.hash, &parts),
        };
        self.by_key.contains_key(&key)
    }

    /// Handles a request from a known trunk.
    pub fn handle_request(&mut self, env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>) {
        self.with_shelf(env, out, |shard, out| shard.take_request(env, out, incoming));
    }

    fn take_request(&mut self, env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>) {
        let Incoming { request, essentials, .. } = *incoming;
        let parts = key_parts(request, essentials);
        let key = Key::of_request(&env.secrets.hash, &parts);
        if let Some(&slot) = self.by_key.get(&key)
            && let Some((context, _)) = self.contexts.get(slot as usize)
            // The ACK of a 2xx is not of the INVITE's transaction, though some give it the INVITE's branch: it goes on.
            && !(parts.method == b"ACK" && context.is_accepted())
        {
            let id = context.id;
            let event = if parts.method == b"ACK" { Event::Ack } else { Event::Copy };
            self.feed(env, out, id, event);
            return;
        }
        let ruled = ruled(env.edge, incoming, &mut self.tools.edits);
        let read = ruled.as_ref().and_then(|request| {
            let essentials = Essentials::of_request(request, &env.edge.limits).ok()?;
            Some((request, essentials))
        });
        // No rule touches what the keys are made of.
        let incoming = &match &read {
            Some((request, essentials)) => Incoming { request, essentials, ..*incoming },
            None => *incoming,
        };
        match parts.method {
            b"CANCEL" => {
                let invite = Key::of_cancelled_invite(&env.secrets.hash, &parts);
                self.handle_cancel(env, out, incoming, invite);
            }
            b"ACK" => self.handle_stray_ack(env, out, incoming),
            b"PRACK" if self.handle_prack(env, out, incoming) => {}
            _ => self.handle_new(env, out, incoming, key),
        }
    }

    /// A CANCEL is answered by the edge and cancels what the INVITE was sent on to (RFC 3261 sections 9.2, 16.10).
    fn handle_cancel(&mut self, env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>, invite: Key) {
        let Incoming { request, .. } = *incoming;
        let invite = self.by_key.get(&invite).and_then(|&slot| self.contexts.get(slot as usize));
        let Some(id) = invite.map(|(context, _)| context.id) else {
            let refusal = Refusal::new(481, "Call/Transaction Does Not Exist");
            return refuse(env, out, incoming, &refusal);
        };
        refuse(env, out, incoming, &Refusal::new(200, "OK"));
        let mut reason_lines = Vec::new();
        for line in request.lines_of(HeaderName::Reason) {
            reason_lines.extend_from_slice(request.at(crate::sip::Span { start: line.start, end: line.next }));
        }
        self.feed(env, out, id, Event::Cancel { reason_lines: &reason_lines });
    }

    /// An ACK of no transaction: it belongs to a 2xx and goes on along its route set, without a transaction; one for
    /// an answer that the edge gave without a transaction ends here.
    fn handle_stray_ack(&mut self, env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>) {
        let Incoming { request, essentials, .. } = *incoming;
        if self.handle_local_ack(env, out, incoming) {
            return;
        }
        let mut tag = Vec::with_capacity(16);
        own_tag(env.secrets, request, &mut tag);
        let ours = essentials.to_tag == Some(&tag);
        if ours || essentials.to_tag.is_none() || screen(env.edge, incoming.from, request, essentials, None).is_err() {
            out.counts.dropped += 1;
            return;
        }
        let Ok(routes) = RouteSet::read(env.edge, env.secrets, request, essentials) else {
            out.counts.dropped += 1;
            return;
        };
        let known = self.known_leg(env, essentials);
        let destination = inside_dialog(env, out, &self.tools.lives, incoming, &routes);
        if let Some(Known::Up(id, end)) = known
            && let Some(call) = self.tools.lives.get_mut(id)
        {
            note_ack(call, end, request, env.now);
        }
        // Nobody answers an ACK, so that no other place would ever be tried.
        let Some(candidate) = destination.ok().and_then(Destination::into_first) else {
            out.counts.dropped += 1;
            return;
        };
        let Place::Hop(hop) = &candidate.place else {
            if self.is_full(false) {
                out.counts.over_limit += 1;
                return;
            }
            let id = self.next_id(env);
            return self.begin(env, out, incoming, (id, None), Destination::only(candidate), (0, None));
        };
        let forward = Forward {
            edge: env.edge,
            secrets: env.secrets,
            request,
            essentials,
            routes: &routes,
            remote: incoming.flow.remote,
            from: incoming.from,
            hop,
            target: candidate.target.and_then(|index| env.edge.trunk(hop.trunk)?.targets.get(usize::from(index))),
            leg: candidate.leg.as_deref(),
            branch: Branch::Stateless(ack_number(env.secrets, request)),
            loop_hash: 0,
        };
        let bytes = match &candidate.dialog {
            Some(dialog) => {
                let crossing = Crossing::inside(Arc::clone(dialog)).carrying(request, false);
                forward.write_owned(&crossing, env, &mut self.tools)
            }
            None => Ok(forward.write(&mut self.tools)),
        };
        let bytes = bytes.map(|bytes| {
            let (leg, dialog) = (candidate.leg.as_deref(), candidate.dialog.as_deref());
            let crossed = Crossed { leg, dialog, near: incoming.from, host: essentials.uri.host };
            headers::outgoing(env.edge, (hop.trunk, incoming.from), crossed, bytes, &mut self.tools.edits)
        });
        let Ok(bytes) = bytes.inspect_err(|&reason| out.counts.not_sealed.add(reason as usize)) else {
            out.counts.dropped += 1;
            return;
        };
        out.counts.forwarded += 1;
        out.commands.push(Command::Request { hop: hop.clone(), bytes, branch: None });
    }

    /// A request that begins a transaction.
    fn handle_new(&mut self, env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>, key: Key) {
        if let Some(refusal) = self.refusals.of(key, env.now) {
            out.counts.absorbed += 1;
            return refuse(env, out, incoming, &refusal);
        }
        match route(env, out, (&self.tools.lives, self.index), incoming) {
            Ok((hash, destination)) if !self.is_full(destination.emergency) => match destination.dialog() {
                Some(dialog) => {
                    let dialog = Arc::clone(dialog);
                    self.handle_midcall(env, out, incoming, key, (&dialog, destination));
                }
                None => {
                    self.note_bye_through(env, out, incoming, &destination);
                    match begin_progress(env, out, incoming, &destination) {
                        Ok(progress) => {
                            let id = self.next_id(env);
                            self.begin(env, out, incoming, (id, Some(key)), destination, (hash, progress));
                        }
                        Err(refusal) => self.refuse_call(env, out, incoming, key, refusal),
                    }
                }
            },
            Ok((_, destination)) => {
                out.counts.over_limit += 1;
                let refusal = Refusal::overloaded(env.edge);
                let refused = NotPassed { refusal, whose: destination.whose, limit: Some("max_transactions") };
                self.turn_away(env, out, incoming, key, refused);
            }
            Err(refused) => self.turn_away(env, out, incoming, key, refused),
        }
    }

    pub(super) fn begin(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        incoming: &Incoming<'_>,
        (id, key): (ContextId, Option<Key>),
        destination: Destination,
        (loop_hash, progress): (u32, Option<Box<Progress>>),
    ) {
        let Incoming { flow, from, request, essentials, .. } = *incoming;
        let live = destination.dialog().and_then(|_| self.known_leg(env, essentials)).and_then(Known::call);
        let begin = Begin { id, flow, request, essentials, from, loop_hash, destination, live, progress };
        let context = Context::begin(env, &mut self.tools, out, begin);
        self.enter(env, out, incoming, key, context);
    }

    /// Puts a context for a request in its place.
    pub(super) fn enter(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        incoming: &Incoming<'_>,
        key: Option<Key>,
        context: Context,
    ) {
        let Incoming { request, essentials, .. } = *incoming;
        let had_server = context.has_server();
        // A context without a server transaction (an ACK that waits for a name) is never looked up by this key.
        let table_key = key.unwrap_or_else(|| Key::of_request(&env.secrets.hash, &key_parts(request, essentials)));
        let slot = self.put(context, table_key);
        if let (Some(key), true) = (key, had_server) {
            self.by_key.insert(key, slot);
            if request.method() == b"INVITE" && essentials.via.rfc3261_branch().is_none() {
                self.legacy.insert(slot, Legacy { request: request.bytes().clone(), ack: None });
            }
        }
        let proved = incoming.flow.transport == Transport::Tls
            && env
                .edge
                .trunk(incoming.from)
                .is_some_and(|trunk| trunk.connection_reuse && !trunk.peer_names.is_empty());
        if essentials.via.alias && proved {
            offer_alias(env.edge, out, incoming);
        }
        self.settle(env, slot, had_server);
    }
}

/// A request as the rules for headers of its trunk make it; `None` when nothing changes.
fn ruled(edge: &Edge, incoming: &Incoming<'_>, edits: &mut Edits) -> Option<Message> {
    let Incoming { from, request, essentials, .. } = *incoming;
    let crossed = Crossed { leg: None, dialog: None, near: from, host: essentials.uri.host };
    headers::incoming(edge, (from, None), crossed, request, edits)
}

/// A request as routing is asked about it.
pub(super) fn asking<'a>(env: &Env<'a>, incoming: &Incoming<'a>) -> Asking<'a> {
    let draw = draw(env.secrets, incoming.essentials.call_id);
    Asking { edge: env.edge, from: incoming.from, request: incoming.request, unix: env.unix, draw }
}

/// Screens a request and finds where it goes.
fn route(
    env: &Env<'_>,
    out: &mut Output,
    (lives, shard): (&Lives, u8),
    incoming: &Incoming<'_>,
) -> Result<(u32, Destination), NotPassed> {
    let Incoming { request, essentials, .. } = *incoming;
    let initial = essentials.to_tag.is_none();
    let hash = if initial { loop_hash(env.edge, incoming.from, request, essentials) } else { 0 };
    screen(env.edge, incoming.from, request, essentials, initial.then_some(hash))?;
    let fault = |what: What| {
        let (status, reason) = what.status();
        Refusal::new(status, reason)
    };
    let routes = RouteSet::read(env.edge, env.secrets, request, essentials).map_err(fault)?;
    let asking = asking(env, incoming);
    let replaced = replace::find(env, lives, incoming.from, request, essentials)?;
    let destination = if let Some(dialog) = replaced {
        // Its CANCEL and its ACK name no other call.
        let until = env.now + env.edge.timing.timer_c + env.edge.timing.timer_h();
        lives.homes().adopt(env.secrets, (env.now, Some(until)), essentials.call_id, shard);
        destination::of_dialog(env.edge, dialog)?
    } else if initial {
        let mut destination = destination::of_call(&asking, &routes.request_uri, &mut out.counts)?;
        ask_the_gate(env, out, incoming, &destination)?;
        let taken = admit(env.edge, (incoming.from, incoming.flow.listener, request), &mut destination);
        taken.map_err(|refusal| (refusal, destination.whose.clone()))?;
        destination
    } else {
        inside_dialog(env, out, lives, incoming, &routes)?
    };
    Ok((hash, destination))
}

/// Whether the edge as a whole takes what would begin a dialog. A call for help always passes.
fn ask_the_gate(
    env: &Env<'_>,
    out: &mut Output,
    incoming: &Incoming<'_>,
    destination: &Destination,
) -> Result<(), NotPassed> {
    if destination.emergency {
        return Ok(());
    }
    let Edge { gate, paces, .. } = &**env.edge;
    let (count, limit) = if gate.is_draining() {
        (&mut out.counts.drained, "draining")
    } else if gate.shed_percent() > 0 && gate.sheds(shed_draw(env, incoming)) {
        (&mut out.counts.shed, "overload")
    } else if paces.get(usize::from(incoming.from.0)).is_some_and(|pace| !pace.take(env.now.as_millis())) {
        (&mut out.counts.over_trunk_pace, "guard")
    } else {
        return Ok(());
    };
    *count += 1;
    let refusal = Refusal::overloaded(env.edge);
    Err(NotPassed { refusal, whose: destination.whose.clone(), limit: Some(limit) })
}

/// The number by which it is drawn whether a call is shed: another one than that which picks its way.
fn shed_draw(env: &Env<'_>, incoming: &Incoming<'_>) -> u64 {
    env.secrets.number(SHED, &[incoming.essentials.call_id])
}

/// Finds where a request inside a dialog goes: by the token in its Request-URI, or else by its route set.
fn inside_dialog(
    env: &Env<'_>,
    out: &mut Output,
    lives: &Lives,
    incoming: &Incoming<'_>,
    routes: &RouteSet<'_>,
) -> Result<Destination, Refusal> {
    let Incoming { from, essentials, .. } = *incoming;
    if let Some(mut dialog) = Dialog::open(env, &mut out.counts, from, essentials)? {
        remember(env, lives, essentials, &mut dialog);
        return destination::of_dialog(env.edge, dialog);
    }
    if routes.unproved && routes.token.is_none() {
        out.counts.tokens_refused.add(Refused::RecordRoute as usize);
    }
    // Where the edge owns the legs, what neither token proves is of no call: nothing goes past it as it came. Nor does
    // anything of a trunk that may take part in calls that are up, and in nothing else.
    if routes.token.is_none() && (incoming.former || env.edge.owns_legs(from, from)) {
        return Err(Refusal::new(481, "Call/Transaction Does Not Exist"));
    }
    destination::of_in_dialog(&asking(env, incoming), routes, &mut out.counts)
}

/// Whether a token in a request inside a dialog says that its sender is this trunk.
pub fn is_party(env: &Env<'_>, trunk: TrunkId, request: &Message, essentials: &Essentials<'_>) -> bool {
    let mut counts = Counts::default();
    if let Ok(Some(_)) = Dialog::open(env, &mut counts, trunk, essentials) {
        return true;
    }
    let token = RouteSet::read(env.edge, env.secrets, request, essentials).ok().and_then(|routes| routes.token);
    let mark = env.edge.face(trunk).map(|face| face.mark);
    token.is_some_and(|token| mark.is_some_and(|mark| [token.caller, token.callee].contains(&mark)))
}

/// What memory knows better of a dialog than the token: CSeq numbers, since the edge may have used up those that were its
/// own, and who holds.
fn remember(env: &Env<'_>, lives: &Lives, essentials: &Essentials<'_>, dialog: &mut Dialog) {
    let Some((id, end)) = lives.up(leg_key(env, essentials)) else { return };
    let Some(call) = lives.get(id) else { return };
    dialog.cseq_offset = offset_for(call, end, essentials.cseq.number);
    dialog.back_offset = call.leg(end.other()).cseq_offset;
    dialog.hold = if end == End::Caller { call.hold } else { call.hold.turned() };
    dialog.live = Some((id, end));
}

/// The peer lets the edge use its connection for requests to the address in its Via (RFC 5923).
fn offer_alias(edge: &Edge, out: &mut Output, incoming: &Incoming<'_>) {
    let Incoming { flow, from, essentials, .. } = *incoming;
    let Some(trunk) = edge.trunk(from) else { return };
    let Flow { connection, remote, transport, .. } = flow;
    let addr = SocketAddr::new(remote.ip(), essentials.via.port.unwrap_or(transport.default_port()));
    let dialled = trunk.targets.iter().find(|target| target.literal.is_none()).map(|target| &*target.host);
    out.commands.push(Command::Alias { connection, addr, name: tls_name(transport, trunk, dialled) });
}

/// Answers a request without a transaction: a copy is answered alike (RFC 3261 section 8.2.7).
pub fn refuse(env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>, refusal: &Refusal) {
    let Incoming { flow, request, essentials, from, .. } = *incoming;
    send_refusal(env, out, (flow, answer_flow(flow, &essentials.via)), Some(from), request, refusal);
}

/// Tells a stranger, whose request belongs to no trunk, that it gets nowhere. Its `maddr` is not followed: anybody
/// could have the edge send to anywhere.
pub fn refuse_stranger(env: &Env<'_>, out: &mut Output, flow: Flow, request: &Message, essentials: &Essentials<'_>) {
    let via = Via { maddr: None, ..essentials.via };
    let flows = (flow, answer_flow(flow, &via));
    send_refusal(env, out, flows, None, request, &Refusal::new(403, "Forbidden"));
}

/// Answers a request of a trunk that is not whole: where its Via says, or, where that cannot be read, to its source.
pub fn refuse_flawed(env: &Env<'_>, out: &mut Output, flow: Flow, from: TrunkId, request: &Message, what: What) {
    out.counts.over_message_limit += u32::from(what.is_limit());
    let flow_back = match request.top_via() {
        Ok(via) => answer_flow(flow, &via),
        Err(What::MissingVia) => {
            out.counts.dropped += 1;
            return;
        }
        Err(_) => flow,
    };
    // A fault of the whole message, such as its version, says more than one of a header.
    let what = request.flaw().map_or(what, |flaw| flaw.what);
    let (status, reason) = what.status();
    send_refusal(env, out, (flow, flow_back), Some(from), request, &Refusal::new(status, reason));
}

/// `flow` is where the request came from, `back` where the answer goes.
fn send_refusal(
    env: &Env<'_>,
    out: &mut Output,
    (flow, back): (Flow, Flow),
    from: Option<TrunkId>,
    request: &Message,
    refusal: &Refusal,
) {
    if matches!(request.method(), b"ACK" | b"") {
        out.counts.dropped += 1;
        return;
    }
    if refusal.status >= 300 {
        out.counts.refused += 1;
    }
    let mut tag = Vec::with_capacity(16);
    own_tag(env.secrets, request, &mut tag);
    let Refusal { status, reason, ref headers } = *refusal;
    let product = from.map_or(&b""[..], |from| product(env.edge, from));
    let headers = &match product.is_empty() || headers.ends_with(product) {
        true => Cow::Borrowed(&**headers),
        false => Cow::Owned([headers, product].concat()),
    };
    let bytes = answer(request, flow.remote, &Answer { status, reason, to_tag: &tag, headers, own_vias: 0 });
    out.commands.push(Command::Answer { flow: back, fallback: None, bytes });
}
