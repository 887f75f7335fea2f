//! Sending the request on: the next target is taken from the queue, looked up when it is a name, and tried.

use super::super::best::{Best, reason};
use super::super::command::{Command, Output};
use super::super::destination::{Candidate, Place, listener_of};
use super::super::dialect::headers::{self, Crossed};
use super::super::dialect::identity;
use super::super::dialect::methods::not_taken;
use super::super::forward::{Branch as ViaBranch, Forward};
use super::super::own_tag;
use super::super::owned::{Crossing, NotSealed};
use super::super::route_set::RouteSet;
use super::super::{CallId, Env, Tools};
use super::client::{Branch, Start};
use super::early::PRACK_LANES;
use super::health::hear_no_place;
use super::{Context, Lane, Work};
use crate::sip::build::{Answer, answer};
use crate::sip::limits::MESSAGE_BYTES_TOP;
use crate::sip::{Essentials, Message, Transport, Uri};
use crate::trunk::{Fork, Hop, TrunkId, TrunkKind};

/// From this size on a request goes by a stream transport where that was left open (RFC 3261 section 18.1.1).
const LARGE: usize = 1_300;

impl Context {
    /// Begins the lanes whose time has come.
    pub(super) fn begin_lanes(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        read: Option<(&Message, &Essentials<'_>)>,
    ) {
        let lanes = self.work.as_ref().map_or(0, |work| work.lanes.len());
        for index in 0..lanes as u8 {
            let Some(work) = &self.work else { return };
            let Some(lane) = work.lanes.get(usize::from(index)) else { return };
            // The first has no time of its own: it begins with the request.
            let begins = lane.begins.is_some_and(|at| at <= env.now) || index == 0 && read.is_some();
            if begins && !work.answered {
                self.begin_lane(env, tools, out, index, read);
            }
        }
    }

    pub(super) fn begin_lane(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u8,
        read: Option<(&Message, &Essentials<'_>)>,
    ) {
        let lane = self.work.as_mut().and_then(|work| work.lanes.get_mut(usize::from(index)));
        if lane.is_some_and(|lane| lane.begins.take().is_some()) {
            out.counts.beside += 1;
        }
        self.try_next(env, tools, out, index, read);
    }

    /// Takes targets from a lane's queue until one is being tried or looked up. `read` is the request when it is at
    /// hand.
    pub(super) fn try_next(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        lane: u8,
        read: Option<(&Message, &Essentials<'_>)>,
    ) {
        let reparsed;
        let (request, essentials) = match read {
            Some(read) => read,
            None => {
                let Some(message) = self.work.as_ref().and_then(|work| Message::reread(&work.request)) else { return };
                reparsed = message;
                let Ok(essentials) = Essentials::of_request(&reparsed, &env.edge.limits) else { return };
                return self.take_targets(env, tools, out, lane, (&reparsed, &essentials));
            }
        };
        self.take_targets(env, tools, out, lane, (request, essentials));
    }

    fn take_targets(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u8,
        read: (&Message, &Essentials<'_>),
    ) {
        loop {
            let Some(work) = &mut self.work else { return };
            if !work.may_try_next(index) {
                return;
            }
            let Some(lane) = work.lanes.get_mut(usize::from(index)) else { return };
            let Some(candidate) = lane.queue.pop() else { return };
            match candidate.place {
                Place::Hop(_) => self.launch(env, tools, out, index, read, candidate),
                Place::Name(ref target) => {
                    let Some(hops) = env.names.cached(&work.edge, candidate.trunk, target) else {
                        let (target, trunk) = ((**target).clone(), candidate.trunk);
                        out.commands.push(Command::Resolve { context: self.id, lane: index, trunk, target });
                        lane.resolving = Some(Box::new(candidate));
                        return;
                    };
                    self.queue_hops(tools, out, index, &candidate, hops);
                }
            }
        }
    }

    /// Puts the places behind a name on the lane's queue; a name without any is a target that failed.
    fn queue_hops(&mut self, tools: &mut Tools, out: &mut Output, index: u8, candidate: &Candidate, hops: Vec<Hop>) {
        let Some(work) = &mut self.work else { return };
        if hops.is_empty() {
            hear_no_place(out, candidate);
            Best::offer(&mut work.best, 503, None, tools);
        }
        let queued: usize = work.lanes.iter().map(|lane| lane.queue.len()).sum();
        let room = work.edge.max_branches.saturating_sub(work.branches.len() + queued);
        let Some(lane) = work.lanes.get_mut(usize::from(index)) else { return };
        for hop in hops.into_iter().take(room.max(1)).rev() {
            lane.queue.push(Candidate { place: Place::Hop(hop), ..candidate.clone() });
        }
    }

    /// Goes on once the name of a lane's next target is known.
    pub(super) fn handle_resolved(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u8,
        hops: Vec<Hop>,
    ) {
        if index & PRACK_LANES != 0 {
            return self.handle_prack_resolved(env, out, index, hops);
        }
        let lane = self.work.as_mut().and_then(|work| work.lanes.get_mut(usize::from(index)));
        let Some(candidate) = lane.and_then(|lane| lane.resolving.take()) else { return };
        if self.is_answered() {
            return;
        }
        self.queue_hops(tools, out, index, &candidate, hops);
        self.try_next(env, tools, out, index, None);
        self.conclude(env, tools, out);
    }

    /// Sends the request to one place; a place that it cannot be sent to at all is a target that failed.
    fn launch(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u8,
        (request, essentials): (&Message, &Essentials<'_>),
        candidate: Candidate,
    ) {
        let id = self.id;
        let Some(work) = &mut self.work else { return };
        let edge = std::sync::Arc::clone(&work.edge);
        let (Place::Hop(hop), Ok(routes)) = (candidate.place, RouteSet::read(&edge, env.secrets, request, essentials))
        else {
            return Best::offer(&mut work.best, 503, None, tools);
        };
        let trunk = edge.trunk(candidate.trunk);
        if let Some((status, answer)) = work.refused_by_limit(env, out, request, candidate.trunk) {
            work.leave_out(index, candidate.trunk);
            out.counts.failovers += u32::from(work.lanes.iter().any(|lane| !lane.queue.is_empty()));
            return Best::offer_made(&mut work.best, status, answer);
        }
        let target = candidate.target.and_then(|index| trunk?.targets.get(usize::from(index)));
        let leg = candidate.leg.clone();
        let number = work.next_branch(id);
        let initial = essentials.to_tag.is_none() && request.method() != b"REGISTER";
        let own = work.own.as_ref().map(|own| own.behalf.clone());
        let hidden = || !work.emergency && identity::hides(request);
        let crossing = match (candidate.dialog.clone(), own.clone()) {
            (Some(dialog), _) => Some(Crossing::inside(dialog)),
            (None, Some(behalf)) => {
                behalf.map(|behalf| Crossing { hidden: hidden(), ..Crossing::added(&env.secrets.ring, behalf) })
            }
            (None, None) if initial && edge.owns_legs(work.from, candidate.trunk) => {
                Some(Crossing { hidden: hidden(), ..Crossing::begin(&env.secrets.ring, essentials.call_id) })
            }
            (None, None) => None,
        };
        let crossing = crossing.map(|crossing| crossing.carrying(request, work.emergency));
        if crossing.as_ref().is_some_and(Crossing::is_loop) {
            return Best::offer(&mut work.best, 482, None, tools);
        }
        if let (Some(Crossing { dialog: None, .. }), Some(to)) = (&crossing, trunk)
            && !work.emergency
            && let Some((status, why)) = identity::refusal(request, to)
        {
            out.counts.identity_refused.add(why as usize);
            return Best::offer(&mut work.best, status, None, tools);
        }
        if let (Some(_), Some(from), Some(to), None, false) =
            (&crossing, edge.trunk(work.from), trunk, &work.own, work.ack)
            && let Some((status, headers)) = not_taken(request, from, to)
        {
            let mut tag = Vec::with_capacity(16);
            own_tag(env.secrets, request, &mut tag);
            let text = Answer { status, reason: reason(status), to_tag: &tag, headers: &headers, own_vias: 0 };
            return Best::offer_made(&mut work.best, status, answer(request, work.remote, &text));
        }
        let branch = if work.ack {
            ViaBranch::Stateless(super::super::ack_number(env.secrets, request))
        } else {
            ViaBranch::Stateful(number)
        };
        let forward = |hop: &Hop, tools: &mut Tools| {
            let forward = Forward {
                edge: &edge,
                secrets: env.secrets,
                request,
                essentials,
                routes: &routes,
                remote: work.remote,
                from: work.from,
                hop,
                target,
                leg: leg.as_deref(),
                branch,
                loop_hash: work.loop_hash,
            };
            let bytes = match &crossing {
                Some(crossing) => forward.write_owned(crossing, env, tools)?,
                None if own.is_some() => return Ok(forward.write_own(tools)),
                None => forward.write(tools),
            };
            let dialog = crossing.as_ref().and_then(|crossing| crossing.dialog.as_deref());
            let crossed = Crossed { leg: leg.as_deref(), dialog, near: work.from, host: essentials.uri.host };
            Ok::<_, NotSealed>(headers::outgoing(&edge, (hop.trunk, work.from), crossed, bytes, &mut tools.edits))
        };
        let mut hop = hop;
        let mut bytes = match forward(&hop, tools) {
            Ok(bytes) => bytes,
            Err(reason) => {
                tracing::debug!(call = %CallId::of(env.secrets, essentials.call_id), %reason, "a request's Contact or Call-ID is not sealed");
                out.counts.not_sealed.add(reason as usize);
                return Best::offer(&mut work.best, 503, None, tools);
            }
        };
        let mut fallback = None;
        if candidate.any_transport
            && bytes.len() > LARGE
            && trunk.is_some_and(|trunk| trunk.stream_when_large)
            && let Some(stream) = as_stream(&edge, &hop, trunk)
            && let Ok(streamed) = forward(&stream, tools)
        {
            let place = Place::Hop(hop);
            fallback = Some(Box::new(Candidate { place, any_transport: false, ..candidate }));
            bytes = streamed;
            hop = stream;
        }
        if bytes.len() > MESSAGE_BYTES_TOP {
            return Best::offer(&mut work.best, 513, None, tools);
        }
        out.counts.forwarded += 1;
        if work.ack {
            // Nobody answers an ACK, so that no other place would ever be tried: the context must not wait for one.
            work.lanes.iter_mut().for_each(Lane::clear);
            return out.commands.push(Command::Request { hop, bytes, branch: None });
        }
        // Another request than an INVITE may just be slow to answer: trying the next would deliver it twice.
        let passed_over = work.invite && work.lanes.get(usize::from(index)).is_some_and(|lane| !lane.queue.is_empty());
        // Teams turns to another edge when it has heard nothing for ten seconds, and is told so before that.
        let impatient = work.invite && initial && work.own.is_none() && is_teams(&edge, work.from);
        let no_answer = (passed_over || impatient).then(|| env.now + edge.no_answer(candidate.trunk));
        let (invite, sent, target) = (work.invite, bytes.clone(), candidate.target);
        if let Some(progress) = &mut work.progress {
            progress.note_sent(candidate.trunk, target, user_of(&bytes), crossing.is_some());
        }
        let start = Start { invite, hop: hop.clone(), target, leg, crossing, lane: index, sent, no_answer, fallback };
        work.branches.push(Branch::start(env, start));
        out.commands.push(Command::Request { hop, bytes, branch: Some(number) });
    }
}

impl Work {
    /// Whether the next target of a lane may be tried now: when no other of it is waited for, or beside those of the
    /// same trunk when it forks. The trunks of a lane come one after the other in any case.
    fn may_try_next(&self, lane: u8) -> bool {
        let Some(next) = self.lanes.get(usize::from(lane)).and_then(|lane| lane.queue.last()) else { return false };
        let forks = || self.edge.trunk(next.trunk).is_some_and(|trunk| trunk.fork == Fork::Parallel);
        let beside = |trunk| trunk == next.trunk && next.target.is_some() && forks();
        let mut pending = self.branches.iter().filter(|branch| branch.lane() == lane && branch.is_pending());
        pending.all(|branch| beside(branch.trunk()))
    }

    /// The lane that is to begin next.
    pub(super) fn next_to_begin(&self) -> Option<u8> {
        let waiting = (0..).zip(&self.lanes).filter_map(|(index, lane)| Some((lane.begins?, index)));
        waiting.filter(|_| !self.cancelled).min().map(|(_, index)| index)
    }
}

/// The user part of the Request-URI of a request as it is sent.
fn user_of(bytes: &[u8]) -> &[u8] {
    let uri = bytes.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    Uri::parse(uri).ok().and_then(|uri| uri.user).unwrap_or_default()
}

fn is_teams(edge: &super::super::Edge, trunk: TrunkId) -> bool {
    edge.trunk(trunk).is_some_and(|trunk| trunk.kind == TrunkKind::Teams)
}

/// The same place by TCP, when the edge has a listener to call itself by.
fn as_stream(edge: &super::super::Edge, hop: &Hop, trunk: Option<&crate::trunk::Trunk>) -> Option<Hop> {
    if hop.transport != Transport::Udp {
        return None;
    }
    let listener = listener_of(edge, trunk?, Transport::Tcp)?;
    Some(Hop { listener, transport: Transport::Tcp, ..hop.clone() })
}
