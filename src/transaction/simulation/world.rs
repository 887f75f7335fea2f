//! The clock, the links and the machines of a run: what moves the actors.

use std::collections::BTreeMap;
use std::time::Duration;

use super::actors::{CALLEE, CALLER, Call, Kind};
use super::layer::{Actions, Layer, Machine, Side};
use super::network::{Chance, Links, Message, Method};
use crate::transaction::{
    ClientSend, InviteClient, InviteServer, Moment, NonInviteClient, NonInviteServer, ProxyTimerC, ServerSend, Timing,
};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogEntry {
    at: Moment,
    element: usize,
    what: &'static str,
    message: Message,
}

/// What is to happen at a moment.
pub(super) enum Event {
    Arrive { element: usize, hop: usize, message: Message },
    Begin { call: u32 },
    CallerHangsUp { call: u32 },
    CalleeDoes { call: u32, status: u16 },
    CalleeRepeats { call: u32 },
}

pub(super) struct World {
    pub(super) calls: Vec<Call>,
    pub(super) layers: [Layer; 3],
    pub(super) log: Vec<LogEntry>,
    pub(super) now: Moment,
    pub(super) timing: Timing,
    links: Links,
    pub(super) chance: Chance,
    events: BTreeMap<(Moment, u64), Event>,
    sequence: u64,
}

impl World {
    pub(super) fn new(seed: u64, links: Links) -> Self {
        let timing = Timing::default();
        Self {
            calls: Vec::new(),
            layers: [Layer::new(timing), Layer::new(timing), Layer::new(timing)],
            log: Vec::new(),
            now: Moment::START,
            timing,
            links,
            chance: Chance::new(seed),
            events: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Runs until no event, no timer and no wheel entry is left.
    pub(super) fn run_to_end(&mut self) {
        let last = Moment::START + Duration::from_secs(3_600);
        let mut steps = 0;
        while let Some(next) = self.next_event() {
            self.now = self.now.max(next);
            steps += 1;
            assert!(self.now < last && steps < 1_000_000, "calls that never end");
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.handle(event);
            }
            for element in 0..self.layers.len() {
                self.expire(element);
            }
        }
    }

    pub(super) fn retransmissions(&self) -> usize {
        self.log.iter().filter(|entry| entry.what == "again").count()
    }

    fn next_event(&self) -> Option<Moment> {
        let event = self.events.keys().next().map(|key| key.0);
        self.layers.iter().filter_map(Layer::next_wake).chain(event).min()
    }

    pub(super) fn schedule(&mut self, millis: u64, event: Event) {
        self.schedule_at(self.now + Duration::from_millis(millis), event);
    }

    pub(super) fn schedule_at(&mut self, at: Moment, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    pub(super) fn record(&mut self, element: usize, what: &'static str, message: Message) {
        self.log.push(LogEntry { at: self.now, element, what, message });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { element, hop, message } => self.arrive(element, hop, message),
            Event::Begin { call } => self.begin(call),
            Event::CallerHangsUp { call } => self.want_cancel(CALLER, call),
            Event::CalleeDoes { call, status } => self.callee_responds(call, status),
            Event::CalleeRepeats { call } => self.callee_repeats(call),
        }
    }

    // The wire.

    /// Sends over a hop; `false` when the sender hears that the message did not get out.
    pub(super) fn transmit(&mut self, from: usize, hop: usize, message: Message, what: &'static str) -> bool {
        self.record(from, what, message);
        let Some(arrivals) = self.links.carry(hop, self.now, &mut self.chance) else {
            self.record(from, "broken", message);
            return false;
        };
        let element = if from == hop { hop + 1 } else { hop };
        for at in arrivals {
            self.schedule_at(at, Event::Arrive { element, hop, message });
        }
        true
    }

    fn arrive(&mut self, element: usize, hop: usize, message: Message) {
        self.record(element, "arrived", message);
        if element == CALLEE && matches!(self.call(message).kind, Kind::Dead | Kind::OptionsDead) {
            return;
        }
        match message.status {
            Some(status) => {
                // A response without a client machine is dropped (RFC 6026 section 7.3).
                let found = self.layers[element].find(Side::Client, message.branch, message.method);
                if let Some(id) = found {
                    self.respond(element, id, status);
                }
            }
            None => match self.layers[element].find(Side::Server, message.branch, message.method) {
                Some(id) => {
                    let (now, timing) = (self.now, self.timing);
                    let transaction = self.layers[element].get_mut(id).unwrap();
                    let actions = transaction.handle_request(now, message.method, &timing);
                    self.perform(element, id, actions, None, "again");
                }
                None => self.take_new_request(element, hop, message),
            },
        }
    }

    // Machines.

    pub(super) fn start_client(&mut self, element: usize, hop: usize, request: Message, timer_c: Option<ProxyTimerC>) {
        let reliable = self.links.reliable[hop];
        let (machine, actions) = if request.method == Method::Invite {
            let (machine, actions) = InviteClient::start(self.now, reliable, &self.timing);
            (Machine::InviteClient(machine), actions)
        } else {
            let (machine, actions) = NonInviteClient::start(self.now, reliable, &self.timing);
            (Machine::NonInviteClient(machine), actions)
        };
        let id = self.layers[element].insert(machine, request, hop, reliable, timer_c);
        self.perform(element, id, Actions::Client(actions), None, "sent");
    }

    pub(super) fn start_server(&mut self, element: usize, hop: usize, request: Message) -> u32 {
        let reliable = self.links.reliable[hop];
        let machine = if request.method == Method::Invite {
            Machine::InviteServer(InviteServer::start(self.now, reliable, &self.timing))
        } else {
            Machine::NonInviteServer(NonInviteServer::start(self.now, reliable, &self.timing))
        };
        self.layers[element].insert(machine, request, hop, reliable, None)
    }

    /// A response for a machine: from the wire (client) or from the user (server).
    pub(super) fn respond(&mut self, element: usize, id: u32, status: u16) {
        let (now, timing) = (self.now, self.timing);
        if let Some(transaction) = self.layers[element].get_mut(id) {
            let actions = transaction.handle_response(now, status, &timing);
            self.perform(element, id, actions, Some(status), "sent");
        }
    }

    fn expire(&mut self, element: usize) {
        for due in self.layers[element].advance(self.now) {
            let Some(expired) = self.layers[element].expire(due, self.now) else {
                continue;
            };
            self.perform(element, due.id, expired.actions, None, "again");
            if let Some(expiry) = expired.timer_c {
                self.timer_c_fired(element, due.id, expiry);
            }
            self.layers[element].cover(due.id, self.now);
        }
    }

    /// Does what a machine says: send, then report, then end; then sees to its timer.
    pub(super) fn perform(
        &mut self,
        element: usize,
        id: u32,
        actions: Actions,
        status: Option<u16>,
        what: &'static str,
    ) {
        let Some(&transaction) = self.layers[element].get(id) else {
            return;
        };
        let request = transaction.request;
        let (outgoing, ended) = match actions {
            Actions::Client(actions) => {
                let outgoing = actions.send.map(|send| match send {
                    ClientSend::Ack => Message { method: Method::Ack, ..request },
                    ClientSend::Request => request,
                });
                (outgoing, actions.ended)
            }
            Actions::Server(actions) => {
                let status = match actions.send {
                    Some(ServerSend::Last) => Some(transaction.last.expect("nothing to send again")),
                    Some(ServerSend::Response) => Some(status.expect("no response at hand")),
                    None => None,
                };
                (status.map(|status| Message { status: Some(status), ..request }), actions.ended)
            }
        };
        if let (Some(message), Some(transaction)) = (outgoing, self.layers[element].get_mut(id)) {
            transaction.last = message.status;
        }
        let sent = outgoing.is_none_or(|message| self.transmit(element, transaction.hop, message, what));
        match actions {
            Actions::Client(actions) => {
                if let Some(report) = actions.report {
                    self.client_reports(element, id, request, report, status);
                }
            }
            Actions::Server(actions) => {
                if let Some(report) = actions.report {
                    self.server_reports(element, request, report);
                }
            }
        }
        if ended {
            self.layers[element].remove(id);
        } else if !sent {
            let now = self.now;
            if let Some(transaction) = self.layers[element].get_mut(id) {
                let actions = transaction.handle_transport_error(now);
                self.perform(element, id, actions, None, what);
            }
        }
        self.layers[element].cover(id, self.now);
    }
}
