//! Sending the request on: the next target is taken from the queue, looked up when it is a name, and tried.

use super::super::best::Best;
use super::super::command::{Command, Output};
use super::super::destination::{Candidate, Place, listener_of};
use super::super::forward::{Branch as ViaBranch, Forward};
use super::super::route_set::RouteSet;
use super::super::{Env, Tools};
use super::client::Branch;
use super::health::hear_no_place;
use super::{Context, Work};
use crate::sip::limits::MESSAGE_BYTES_TOP;
use crate::sip::{Essentials, Message, Transport};
use crate::trunk::{Fork, Hop};

/// From this size on a request goes by a stream transport where that was left open (RFC 3261 section 18.1.1).
const LARGE: usize = 1_300;

impl Context {
    /// Takes targets from the queue until one is being tried or looked up. `read` is the request when it is at hand.
    pub(super) fn try_next(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        read: Option<(&Message, &Essentials<'_>)>,
    ) {
        let reparsed;
        let (request, essentials) = match read {
            Some(read) => read,
            None => {
                let Some(message) = self.work.as_ref().and_then(|work| Message::reread(&work.request)) else { return };
                reparsed = message;
                let Ok(essentials) = Essentials::of_request(&reparsed, &env.edge.limits) else { return };
                return self.take_targets(env, tools, out, &reparsed, &essentials);
            }
        };
        self.take_targets(env, tools, out, request, essentials);
    }

    fn take_targets(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        request: &Message,
        essentials: &Essentials<'_>,
    ) {
        loop {
            let Some(work) = &mut self.work else { return };
            if !work.may_try_next() {
                return;
            }
            let Some(candidate) = work.queue.pop() else { return };
            match candidate.place {
                Place::Hop(_) => self.launch(env, tools, out, request, essentials, candidate),
                Place::Name(ref target) => {
                    let Some(hops) = env.names.cached(&work.edge, candidate.trunk, target) else {
                        let target = (**target).clone();
                        out.commands.push(Command::Resolve { context: self.id, trunk: candidate.trunk, target });
                        work.resolving = Some(candidate);
                        return;
                    };
                    self.queue_hops(tools, out, &candidate, hops);
                }
            }
        }
    }

    /// Puts the places behind a name on the queue; a name without any is a target that failed.
    fn queue_hops(&mut self, tools: &mut Tools, out: &mut Output, candidate: &Candidate, hops: Vec<Hop>) {
        let Some(work) = &mut self.work else { return };
        if hops.is_empty() {
            hear_no_place(out, candidate);
            Best::offer(&mut work.best, 503, None, tools);
        }
        let room = work.edge.max_branches.saturating_sub(work.branches.len() + work.queue.len());
        for hop in hops.into_iter().take(room.max(1)).rev() {
            work.queue.push(Candidate { place: Place::Hop(hop), ..candidate.clone() });
        }
    }

    /// Goes on once the name of the next target is known.
    pub(super) fn handle_resolved(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, hops: Vec<Hop>) {
        let Some(candidate) = self.work.as_mut().and_then(|work| work.resolving.take()) else { return };
        if self.is_answered() {
            return;
        }
        self.queue_hops(tools, out, &candidate, hops);
        self.try_next(env, tools, out, None);
        self.conclude(env, tools, out);
    }

    /// Sends the request to one place; a place that it cannot be sent to at all is a target that failed.
    fn launch(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        request: &Message,
        essentials: &Essentials<'_>,
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
        let target = candidate.target.and_then(|index| trunk?.targets.get(usize::from(index)));
        let number = work.next_branch(id);
        let branch = if work.ack {
            ViaBranch::Stateless(super::super::ack_number(env.secrets, request))
        } else {
            ViaBranch::Stateful(number)
        };
        let forward = |hop: &Hop, tools: &mut Tools| {
            Forward {
                edge: &edge,
                secrets: env.secrets,
                request,
                essentials,
                routes: &routes,
                remote: work.remote,
                from: work.from,
                hop,
                target,
                branch,
                loop_hash: work.loop_hash,
            }
            .write(tools)
        };
        let mut hop = hop;
        let mut bytes = forward(&hop, tools);
        let mut fallback = None;
        if candidate.any_transport
            && bytes.len() > LARGE
            && trunk.is_some_and(|trunk| trunk.stream_when_large)
            && let Some(stream) = as_stream(&edge, &hop, trunk)
        {
            let place = Place::Hop(hop);
            fallback = Some(Box::new(Candidate { place, any_transport: false, ..candidate }));
            bytes = forward(&stream, tools);
            hop = stream;
        }
        if bytes.len() > MESSAGE_BYTES_TOP {
            return Best::offer(&mut work.best, 513, None, tools);
        }
        out.counts.forwarded += 1;
        if work.ack {
            // Nobody answers an ACK, so that no other place would ever be tried: the context must not wait for one.
            work.queue.clear();
            return out.commands.push(Command::Request { hop, bytes, branch: None });
        }
        // Another request than an INVITE may just be slow to answer: trying the next would deliver it twice.
        let passed_over = work.invite && !work.queue.is_empty();
        let no_answer = passed_over.then(|| env.now + edge.no_answer(candidate.trunk));
        let mut branch = Branch::start(env, work.invite, hop.clone(), bytes.clone(), no_answer);
        branch.fallback = fallback;
        branch.target = candidate.target;
        work.branches.push(branch);
        out.commands.push(Command::Request { hop, bytes, branch: Some(number) });
    }
}

impl Work {
    /// Whether the next target may be tried now: when no other is waited for, or beside those of the same trunk when it
    /// forks. The trunks of a route come one after the other in any case.
    fn may_try_next(&self) -> bool {
        let Some(next) = self.queue.last() else { return false };
        let forks = || self.edge.trunk(next.trunk).is_some_and(|trunk| trunk.fork == Fork::Parallel);
        let beside = |trunk| trunk == next.trunk && next.target.is_some() && forks();
        self.branches.iter().filter(|branch| branch.is_pending()).all(|branch| beside(branch.trunk()))
    }
}

/// The same place by TCP, when the edge has a listener to call itself by.
fn as_stream(edge: &super::super::Edge, hop: &Hop, trunk: Option<&crate::trunk::Trunk>) -> Option<Hop> {
    if hop.transport != Transport::Udp {
        return None;
    }
    let listener = listener_of(edge, trunk?, Transport::Tcp)?;
    Some(Hop { listener, transport: Transport::Tcp, ..hop.clone() })
}
