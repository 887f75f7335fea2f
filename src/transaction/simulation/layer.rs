//! The transaction layer of one element, wired as a shard would wire it: slots, index, wheel, alarms.

use std::collections::BTreeMap;

use super::network::{Message, Method};
use crate::transaction::{
    Alarm, ClientActions, Due, InviteClient, InviteServer, Moment, NonInviteClient, NonInviteServer, ProxyTimerC,
    ServerActions, TimerCExpiry, Timing, Wheel,
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Machine {
    InviteClient(InviteClient),
    InviteServer(InviteServer),
    NonInviteClient(NonInviteClient),
    NonInviteServer(NonInviteServer),
}

/// The outcome of an event at either kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actions {
    Client(ClientActions),
    Server(ServerActions),
}

/// What a due entry led to.
pub(super) struct Expired {
    pub(super) actions: Actions,
    pub(super) timer_c: Option<TimerCExpiry>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    pub(super) machine: Machine,
    pub(super) timer_c: Option<ProxyTimerC>,
    /// The request that began it.
    pub(super) request: Message,
    pub(super) hop: usize,
    pub(super) reliable: bool,
    /// The last response sent (server side).
    pub(super) last: Option<u16>,
    /// Sends that a timer asked for.
    pub(super) timer_sends: u32,
    alarm: Alarm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Client,
    Server,
}

type IndexKey = (Side, u32, Method);

struct Slot {
    generation: u32,
    transaction: Option<Transaction>,
}

pub(super) struct Layer {
    wheel: Wheel,
    slots: Vec<Slot>,
    index: BTreeMap<IndexKey, u32>,
    timing: Timing,
}

impl Layer {
    pub(super) fn new(timing: Timing) -> Self {
        Self { wheel: Wheel::new(Moment::START, usize::MAX), slots: Vec::new(), index: BTreeMap::new(), timing }
    }

    pub(super) fn insert(
        &mut self,
        machine: Machine,
        request: Message,
        hop: usize,
        reliable: bool,
        timer_c: Option<ProxyTimerC>,
    ) -> u32 {
        let transaction = Transaction {
            machine,
            timer_c,
            request,
            hop,
            reliable,
            last: None,
            timer_sends: 0,
            alarm: Alarm::default(),
        };
        let taken = self.index.len();
        let id = self.slots.iter().position(|slot| slot.transaction.is_none()).unwrap_or(self.slots.len());
        if id == self.slots.len() {
            self.slots.push(Slot { generation: 0, transaction: None });
        }
        self.slots[id].transaction = Some(transaction);
        self.index.insert(transaction.key(), id as u32);
        assert_eq!(self.index.len(), taken + 1, "two transactions with one key: {request:?}");
        id as u32
    }

    pub(super) fn remove(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        if let Some(transaction) = slot.transaction.take() {
            slot.generation += 1;
            self.index.remove(&transaction.key());
        }
    }

    pub(super) fn find(&self, side: Side, branch: u32, method: Method) -> Option<u32> {
        let method = if method == Method::Ack { Method::Invite } else { method };
        self.index.get(&(side, branch, method)).copied()
    }

    pub(super) fn get(&self, id: u32) -> Option<&Transaction> {
        self.slots[id as usize].transaction.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Transaction> {
        self.slots[id as usize].transaction.as_mut()
    }

    /// Makes sure that the wheel wakes this transaction in time.
    pub(super) fn cover(&mut self, id: u32, now: Moment) {
        let slot = &mut self.slots[id as usize];
        let Some(transaction) = &mut slot.transaction else {
            return;
        };
        let next = transaction.next_timeout();
        if let Some(at) = transaction.alarm.cover(now, next) {
            self.wheel.arm(id, slot.generation, at);
        }
    }

    pub(super) fn advance(&mut self, now: Moment) -> Vec<Due> {
        let mut due = Vec::new();
        self.wheel.advance(now, &mut due);
        due
    }

    /// Takes a due entry; `None` when its transaction has gone.
    pub(super) fn expire(&mut self, due: Due, now: Moment) -> Option<Expired> {
        let slot = &mut self.slots[due.id as usize];
        let transaction = slot.transaction.as_mut().filter(|_| slot.generation == due.generation)?;
        transaction.alarm.handle_due(now);
        let timer_c = transaction.timer_c.as_mut().and_then(|timer| timer.handle_timeout(now, &self.timing));
        let actions = transaction.handle_timeout(now, &self.timing);
        Some(Expired { actions, timer_c })
    }

    pub(super) fn next_wake(&self) -> Option<Moment> {
        self.wheel.next_wake()
    }

    pub(super) fn transactions(&self) -> usize {
        self.index.len()
    }

    pub(super) fn wheel_len(&self) -> usize {
        self.wheel.len()
    }
}

impl Transaction {
    fn key(&self) -> IndexKey {
        (self.side(), self.request.branch, self.request.method)
    }

    fn side(&self) -> Side {
        match self.machine {
            Machine::InviteClient(_) | Machine::NonInviteClient(_) => Side::Client,
            Machine::InviteServer(_) | Machine::NonInviteServer(_) => Side::Server,
        }
    }

    fn next_timeout(&self) -> Option<Moment> {
        let machine = match &self.machine {
            Machine::InviteClient(machine) => machine.next_timeout(),
            Machine::InviteServer(machine) => machine.next_timeout(),
            Machine::NonInviteClient(machine) => machine.next_timeout(),
            Machine::NonInviteServer(machine) => machine.next_timeout(),
        };
        let timer_c = self.timer_c.as_ref().and_then(ProxyTimerC::next_timeout);
        machine.into_iter().chain(timer_c).min()
    }

    fn handle_timeout(&mut self, now: Moment, timing: &Timing) -> Actions {
        let (actions, sent) = match &mut self.machine {
            Machine::InviteClient(machine) => client(machine.handle_timeout(now, timing)),
            Machine::NonInviteClient(machine) => client(machine.handle_timeout(now, timing)),
            Machine::InviteServer(machine) => server(machine.handle_timeout(now, timing)),
            Machine::NonInviteServer(machine) => server(machine.handle_timeout(now, timing)),
        };
        self.timer_sends += u32::from(sent);
        assert!(self.timer_sends <= self.most_timer_sends(), "too many retransmissions: {self:?}");
        actions
    }

    /// How often timers A, E and G can fire before B, F and H do.
    fn most_timer_sends(&self) -> u32 {
        match self.machine {
            _ if self.reliable => 0,
            Machine::InviteClient(_) => 6,
            Machine::InviteServer(_) | Machine::NonInviteClient(_) => 10,
            Machine::NonInviteServer(_) => 0,
        }
    }

    pub(super) fn handle_response(&mut self, now: Moment, status: u16, timing: &Timing) -> Actions {
        if let Some(timer) = &mut self.timer_c {
            timer.handle_response(now, status, timing);
        }
        match &mut self.machine {
            Machine::InviteClient(machine) => Actions::Client(machine.handle_response(now, status, timing)),
            Machine::NonInviteClient(machine) => Actions::Client(machine.handle_response(now, status, timing)),
            Machine::InviteServer(machine) => Actions::Server(machine.handle_response(now, status, timing)),
            Machine::NonInviteServer(machine) => Actions::Server(machine.handle_response(now, status, timing)),
        }
    }

    /// A request that matched: a copy of the first one, or the ACK.
    pub(super) fn handle_request(&mut self, now: Moment, method: Method, timing: &Timing) -> Actions {
        Actions::Server(match &mut self.machine {
            Machine::InviteServer(machine) if method == Method::Ack => machine.handle_ack(now, timing),
            Machine::InviteServer(machine) => machine.handle_request(now),
            Machine::NonInviteServer(machine) => machine.handle_request(now),
            Machine::InviteClient(_) | Machine::NonInviteClient(_) => {
                unreachable!("found on the server side")
            }
        })
    }

    pub(super) fn abandon(&mut self, now: Moment, timing: &Timing) -> Actions {
        match &mut self.machine {
            Machine::NonInviteServer(machine) => Actions::Server(machine.abandon(now, timing)),
            _ => unreachable!("only a non-INVITE request may stay without an answer"),
        }
    }

    pub(super) fn handle_transport_error(&mut self, now: Moment) -> Actions {
        match &mut self.machine {
            Machine::InviteClient(machine) => Actions::Client(machine.handle_transport_error(now)),
            Machine::NonInviteClient(machine) => Actions::Client(machine.handle_transport_error(now)),
            Machine::InviteServer(machine) => Actions::Server(machine.handle_transport_error(now)),
            Machine::NonInviteServer(machine) => Actions::Server(machine.handle_transport_error(now)),
        }
    }
}

fn client(actions: ClientActions) -> (Actions, bool) {
    (Actions::Client(actions), actions.send.is_some())
}

fn server(actions: ServerActions) -> (Actions, bool) {
    (Actions::Server(actions), actions.send.is_some())
}
