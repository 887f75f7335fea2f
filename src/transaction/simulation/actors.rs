//! Caller, relay and callee above their transaction layers.

use std::time::Duration;

use super::layer::{Machine, Side};
use super::network::{Message, Method};
use super::world::{Event, World};
use crate::transaction::{
    ClientReport, InviteClientState, InviteServerState, Moment, ProxyTimerC, ServerReport, TimerCExpiry, Timing,
};

/// What the users mean to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Answered,
    Busy,
    /// The caller hangs up while it rings.
    Cancelled,
    /// The callee says nothing at all.
    Dead,
    /// It rings for ever.
    NoAnswer,
    Options,
    OptionsDead,
}

const KINDS: [Kind; 8] = [
    Kind::Answered,
    Kind::Busy,
    Kind::Cancelled,
    Kind::Answered,
    Kind::Options,
    Kind::NoAnswer,
    Kind::Dead,
    Kind::OptionsDead,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallerEnd {
    Answered,
    Done,
    /// Nothing final came, not even after a CANCEL.
    GaveUp,
    Refused(u16),
    TimedOut,
    TransportError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CalleeEnd {
    Answered { acked: bool },
    Done,
    Refused { status: u16, acked: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) caller: Option<CallerEnd>,
    pub(super) callee: Option<CalleeEnd>,
    /// How often the callee's user got the request as a new one.
    pub(super) seen: u32,
    /// The ACK for a 2xx carries the branch of the INVITE, as older clients do.
    legacy_ack: bool,
    /// By element: a CANCEL is wanted and waits for a provisional response.
    cancel_wanted: [bool; 2],
    cancelled: [bool; 2],
    /// Interval of the callee's next copy of its 2xx (RFC 3261 section 13.3.1.4).
    repeat: Duration,
    answered_at: Moment,
}

pub(super) const CALLER: usize = 0;
pub(super) const RELAY: usize = 1;
pub(super) const CALLEE: usize = 2;

/// The branches of a call: the caller's request and CANCEL, its ACK for a 2xx, the same of the relay.
const CALLER_BRANCH: u32 = 1;
const CALLER_ACK: u32 = 2;
const RELAY_BRANCH: u32 = 3;
const RELAY_ACK: u32 = 4;

const fn branch(call: u32, which: u32) -> u32 {
    call * 10 + which
}

impl World {
    pub(super) fn place_call(&mut self, call: u32) {
        let kind = KINDS[self.chance.below(KINDS.len() as u64) as usize];
        self.calls.push(Call {
            kind,
            caller: None,
            callee: None,
            seen: 0,
            legacy_ack: self.chance.happens(0.5),
            cancel_wanted: [false; 2],
            cancelled: [false; 2],
            repeat: self.timing.t1,
            answered_at: Moment::START,
        });
        let begin = self.chance.below(20_000);
        self.schedule(begin, Event::Begin { call });
        if kind == Kind::Cancelled {
            let patience = self.chance.below(8_000);
            self.schedule(begin + patience, Event::CallerHangsUp { call });
        }
    }

    pub(super) fn call(&mut self, message: Message) -> &mut Call {
        &mut self.calls[message.call as usize]
    }

    pub(super) fn begin(&mut self, call: u32) {
        let method = match self.calls[call as usize].kind {
            Kind::Options | Kind::OptionsDead => Method::Options,
            _ => Method::Invite,
        };
        let request = Message { call, method, branch: branch(call, CALLER_BRANCH), status: None };
        // The caller's own patience outlasts the relay's timer C.
        let patience = Timing { timer_c: Duration::from_secs(240), ..self.timing };
        let timer_c = (method == Method::Invite).then(|| ProxyTimerC::start(self.now, &patience));
        self.start_client(CALLER, 0, request, timer_c);
    }

    pub(super) fn take_new_request(&mut self, element: usize, hop: usize, request: Message) {
        match request.method {
            Method::Ack => self.take_ack(element, request),
            Method::Cancel => self.take_cancel(element, hop, request),
            Method::Invite | Method::Options => {
                let id = self.start_server(element, hop, request);
                if element == RELAY {
                    self.relay_request(id, request);
                } else {
                    self.callee_request(request);
                }
            }
        }
    }

    fn relay_request(&mut self, id: u32, request: Message) {
        let forwarded = Message { branch: branch(request.call, RELAY_BRANCH), ..request };
        let invite = request.method == Method::Invite;
        if invite {
            self.respond(RELAY, id, 100);
        }
        let timer_c = invite.then(|| ProxyTimerC::start(self.now, &self.timing));
        self.start_client(RELAY, 1, forwarded, timer_c);
    }

    fn callee_request(&mut self, request: Message) {
        let call = self.call(request);
        call.seen += 1;
        let kind = call.kind;
        let rings = self.chance.below(3_000);
        let decides = rings + self.chance.below(15_000);
        let mut later = |millis, status| {
            let event = Event::CalleeDoes { call: request.call, status };
            self.schedule(millis, event);
        };
        match kind {
            Kind::Answered => {
                later(rings, 180);
                later(decides, 200);
            }
            Kind::Busy => later(rings, 486),
            Kind::Cancelled | Kind::NoAnswer => {
                later(rings, 180);
                // A callee whose CANCEL never comes through stops ringing in the end.
                later(600_000, 480);
            }
            Kind::Options => later(rings, 200),
            Kind::Dead | Kind::OptionsDead => {}
        }
    }

    pub(super) fn callee_responds(&mut self, call: u32, status: u16) {
        let invite = branch(call, RELAY_BRANCH);
        if let Some(id) = self.layers[CALLEE].find(Side::Server, invite, Method::Options) {
            self.calls[call as usize].callee = Some(CalleeEnd::Done);
            return self.respond(CALLEE, id, status);
        }
        let Some(id) = self.layers[CALLEE].find(Side::Server, invite, Method::Invite) else {
            return;
        };
        if !self.invite_server_is(CALLEE, id, InviteServerState::Proceeding) {
            return;
        }
        match status {
            200 => {
                let (now, repeat) = (self.now, self.timing.t1);
                let entry = &mut self.calls[call as usize];
                entry.callee = Some(CalleeEnd::Answered { acked: false });
                entry.answered_at = now;
                self.schedule_at(now + repeat, Event::CalleeRepeats { call });
            }
            300.. => {
                let entry = &mut self.calls[call as usize];
                // The machine tells of a missing ACK by `NoAck`.
                entry.callee = Some(CalleeEnd::Refused { status, acked: true });
            }
            _ => {}
        }
        self.respond(CALLEE, id, status);
    }

    /// The callee sends its 2xx until the ACK comes (RFC 3261 section 13.3.1.4).
    pub(super) fn callee_repeats(&mut self, call: u32) {
        let (now, timing) = (self.now, self.timing);
        let entry = &mut self.calls[call as usize];
        let given_up = now >= entry.answered_at + timing.timer_h();
        if entry.callee == Some(CalleeEnd::Answered { acked: true }) || given_up {
            return;
        }
        entry.repeat = (entry.repeat * 2).min(timing.t2);
        let next = now + entry.repeat;
        self.schedule_at(next, Event::CalleeRepeats { call });
        let invite = branch(call, RELAY_BRANCH);
        if let Some(id) = self.layers[CALLEE].find(Side::Server, invite, Method::Invite) {
            self.respond(CALLEE, id, 200);
        }
    }

    fn take_ack(&mut self, element: usize, ack: Message) {
        if element == CALLEE {
            if let Some(CalleeEnd::Answered { acked }) = &mut self.call(ack).callee {
                *acked = true;
            }
            return;
        }
        // The relay passes an ACK that no machine wanted on without state.
        let which = if self.call(ack).legacy_ack { RELAY_BRANCH } else { RELAY_ACK };
        let forwarded = Message { branch: branch(ack.call, which), ..ack };
        self.transmit(RELAY, 1, forwarded, "sent");
    }

    fn take_cancel(&mut self, element: usize, hop: usize, cancel: Message) {
        let invite = self.layers[element].find(Side::Server, cancel.branch, Method::Invite);
        let id = self.start_server(element, hop, cancel);
        self.respond(element, id, if invite.is_some() { 200 } else { 481 });
        let Some(invite) = invite else { return };
        if !self.invite_server_is(element, invite, InviteServerState::Proceeding) {
            return;
        }
        if element == RELAY {
            self.want_cancel(RELAY, cancel.call);
        } else {
            self.call(cancel).callee = Some(CalleeEnd::Refused { status: 487, acked: true });
            self.respond(CALLEE, invite, 487);
        }
    }

    fn invite_server_is(&self, element: usize, id: u32, state: InviteServerState) -> bool {
        let transaction = self.layers[element].get(id);
        matches!(transaction.map(|t| t.machine), Some(Machine::InviteServer(machine)) if machine.state() == state)
    }

    /// Sends a CANCEL, now or as soon as a provisional response is in (RFC 3261 section 9.1).
    pub(super) fn want_cancel(&mut self, element: usize, call: u32) {
        self.calls[call as usize].cancel_wanted[element] = true;
        self.cancel_when_allowed(element, call);
    }

    fn cancel_when_allowed(&mut self, element: usize, call: u32) {
        let entry = &self.calls[call as usize];
        if !entry.cancel_wanted[element] || entry.cancelled[element] {
            return;
        }
        let invite = branch(call, if element == CALLER { CALLER_BRANCH } else { RELAY_BRANCH });
        let Some(id) = self.layers[element].find(Side::Client, invite, Method::Invite) else {
            return;
        };
        let (now, timing) = (self.now, self.timing);
        let Some(transaction) = self.layers[element].get_mut(id) else {
            return;
        };
        let Machine::InviteClient(machine) = transaction.machine else {
            return;
        };
        if machine.state() != InviteClientState::Proceeding {
            return;
        }
        if let Some(timer) = &mut transaction.timer_c {
            timer.handle_cancel(now, &timing);
        }
        let (hop, request) = (transaction.hop, transaction.request);
        self.layers[element].cover(id, now);
        self.calls[call as usize].cancelled[element] = true;
        self.start_client(element, hop, Message { method: Method::Cancel, ..request }, None);
    }

    pub(super) fn timer_c_fired(&mut self, element: usize, id: u32, expiry: TimerCExpiry) {
        let Some(&transaction) = self.layers[element].get(id) else {
            return;
        };
        let request = transaction.request;
        self.record(element, "timer C", request);
        match expiry {
            TimerCExpiry::Cancel => self.want_cancel(element, request.call),
            TimerCExpiry::TimedOut => {
                self.layers[element].remove(id);
                if element == CALLER {
                    self.caller_ends(request, CallerEnd::GaveUp);
                } else {
                    self.relay_responds(request, 408);
                }
            }
        }
    }

    pub(super) fn client_reports(
        &mut self,
        element: usize,
        id: u32,
        request: Message,
        report: ClientReport,
        status: Option<u16>,
    ) {
        if request.method == Method::Cancel {
            return;
        }
        let status = match report {
            ClientReport::Response => status.expect("a response is at hand"),
            ClientReport::TimedOut => 408,
            ClientReport::TransportError => 503,
        };
        if report != ClientReport::Response
            && let Some(timer) = self.layers[element].get_mut(id).and_then(|t| t.timer_c.as_mut())
        {
            timer.stop();
        }
        if status < 200 {
            self.cancel_when_allowed(element, request.call);
        }
        if element == RELAY {
            // Silence is the only answer to a non-INVITE request that ran out of time (RFC 4320).
            if request.method == Method::Options && report == ClientReport::TimedOut {
                self.relay_abandons(request);
            } else if status > 100 {
                self.relay_responds(request, status);
            }
            return;
        }
        let end = match (report, status) {
            (ClientReport::TimedOut, _) => CallerEnd::TimedOut,
            (ClientReport::TransportError, _) => CallerEnd::TransportError,
            (ClientReport::Response, 100..=199) => return,
            (ClientReport::Response, 200..=299) if request.method == Method::Invite => {
                let which = if self.call(request).legacy_ack { CALLER_BRANCH } else { CALLER_ACK };
                let ack = Message { method: Method::Ack, branch: branch(request.call, which), status: None, ..request };
                self.transmit(CALLER, 0, ack, "sent");
                CallerEnd::Answered
            }
            (ClientReport::Response, 200..=299) => CallerEnd::Done,
            (ClientReport::Response, _) => CallerEnd::Refused(status),
        };
        self.caller_ends(request, end);
    }

    fn caller_ends(&mut self, request: Message, end: CallerEnd) {
        let before = self.call(request).caller.replace(end);
        // Only copies of a 2xx may come up again, for a new ACK.
        assert!(before.is_none_or(|before| before == end && end == CallerEnd::Answered), "{before:?}, then {end:?}");
    }

    fn relay_responds(&mut self, forwarded: Message, status: u16) {
        let received = branch(forwarded.call, CALLER_BRANCH);
        if let Some(id) = self.layers[RELAY].find(Side::Server, received, forwarded.method) {
            self.respond(RELAY, id, status);
        }
    }

    fn relay_abandons(&mut self, forwarded: Message) {
        let received = branch(forwarded.call, CALLER_BRANCH);
        if let Some(id) = self.layers[RELAY].find(Side::Server, received, forwarded.method) {
            let (now, timing) = (self.now, self.timing);
            let transaction = self.layers[RELAY].get_mut(id).unwrap();
            let actions = transaction.abandon(now, &timing);
            self.perform(RELAY, id, actions, None, "abandoned");
        }
    }

    pub(super) fn server_reports(&mut self, element: usize, request: Message, report: ServerReport) {
        match report {
            ServerReport::Ack => self.take_ack(element, Message { method: Method::Ack, ..request }),
            ServerReport::NoAck if element == CALLEE => {
                if let Some(CalleeEnd::Refused { acked, .. }) = &mut self.call(request).callee {
                    *acked = false;
                }
            }
            ServerReport::NoAck => self.record(element, "no ACK", request),
            ServerReport::TransportError => self.record(element, "transport error", request),
        }
    }
}
