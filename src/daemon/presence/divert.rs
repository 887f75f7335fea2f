//! What of the messages that come is the bridge's: told by a look at the method, a mark and, at last, the trunk. Calls pay
//! one comparison for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::agent::ask_of;
use super::inbox::{Event, Full, Inbox};
use crate::config;
use crate::presence::Direction;
use crate::presence::agent::{AskId, CALL_ID_MARK, CONTACT_MARK};
use crate::sip::{Essentials, Message};
use crate::transport::{SendFault, Token};
use crate::trunk::{Flow, TrunkId};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diverted {
    /// It is none of the bridge's and goes on.
    Not,
    /// The bridge has it.
    Taken,
    /// It is the bridge's, which has no room for it: it is to be refused over a stream, and dropped over UDP, where it
    /// comes again.
    Full,
}

/// The switch between the network and the bridge.
#[derive(Debug)]
pub struct Divert {
    inbox: Arc<Inbox>,
    /// Some tenant takes part.
    on: AtomicBool,
    /// By [`TrunkId`]: whether its peers may subscribe to users at the edge and publish for them.
    watchers: ArcSwap<Vec<bool>>,
    requests_lost: AtomicU64,
    answers_lost: AtomicU64,
}

impl Divert {
    /// A switch in front of an inbox, as a configuration has it.
    pub fn new(inbox: Arc<Inbox>, settings: &config::Presence) -> Self {
        let (requests_lost, answers_lost) = (AtomicU64::new(0), AtomicU64::new(0));
        let divert =
            Self { inbox, on: AtomicBool::new(false), watchers: ArcSwap::default(), requests_lost, answers_lost };
        divert.set(settings);
        divert
    }

    /// Takes another configuration.
    pub fn set(&self, settings: &config::Presence) {
        let mut watchers = Vec::new();
        for tenant in settings.tenants.values() {
            let wanted = tenant.direction != Direction::Off || !tenant.users.is_empty();
            for &TrunkId(trunk) in tenant.watchers.iter().chain(&tenant.line_trunk).filter(|_| wanted) {
                let at = usize::from(trunk);
                watchers.resize(watchers.len().max(at + 1), false);
                if let Some(place) = watchers.get_mut(at) {
                    *place = true;
                }
            }
        }
        self.watchers.store(Arc::new(watchers));
        self.on.store(!settings.tenants.is_empty(), Ordering::Relaxed);
    }

    /// Takes a request of a known trunk, if it is the bridge's.
    pub fn take(&self, trunk: TrunkId, flow: Flow, message: &Message, essentials: &Essentials<'_>) -> Diverted {
        if !matches!(message.method(), b"NOTIFY" | b"SUBSCRIBE" | b"PUBLISH")
            || !self.on.load(Ordering::Relaxed)
            || !self.is_for_bridge(trunk, message, essentials)
        {
            return Diverted::Not;
        }
        match self.inbox.offer(Event::Request { trunk, flow, message: message.clone() }) {
            Ok(()) => Diverted::Taken,
            Err(Full) => {
                self.requests_lost.fetch_add(1, Ordering::Relaxed);
                Diverted::Full
            }
        }
    }

    /// Takes an answer, if it is to a request of the bridge; false: it is not.
    pub fn take_answer(&self, answer: &Message) -> bool {
        if AskId::of_answer(answer).is_none() {
            return false;
        }
        if self.inbox.offer(Event::Response(answer.clone())).is_err() {
            self.answers_lost.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Takes the news that something did not leave; false: it was not the bridge's.
    pub fn take_not_sent(&self, token: Token, fault: SendFault) -> bool {
        if ask_of(token).is_none() {
            return false;
        }
        if self.inbox.offer(Event::NotSent { token, fault }).is_err() {
            self.answers_lost.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Requests, and answers with news of what did not leave, that found no room.
    pub fn lost(&self) -> (u64, u64) {
        (self.requests_lost.load(Ordering::Relaxed), self.answers_lost.load(Ordering::Relaxed))
    }

    fn is_for_bridge(&self, trunk: TrunkId, message: &Message, essentials: &Essentials<'_>) -> bool {
        let user = essentials.uri.user.unwrap_or_default();
        if user.starts_with(CONTACT_MARK.as_bytes()) {
            return true;
        }
        match message.method() {
            b"NOTIFY" => essentials.call_id.starts_with(CALL_ID_MARK.as_bytes()),
            _ => essentials.to_tag.is_none() && self.watches(trunk) && is_of_users(message),
        }
    }

    fn watches(&self, trunk: TrunkId) -> bool {
        self.watchers.load().get(usize::from(trunk.0)).copied().unwrap_or(false)
    }
}

/// Whether the event package is one of users: `presence` or `dialog` (RFC 3856, RFC 4235).
fn is_of_users(message: &Message) -> bool {
    let event = message.other(b"Event").or_else(|| message.other(b"o")).unwrap_or_default();
    let package = event.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"presence"[..], b"dialog"].iter().any(|known| package.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::config::{Presence, TenantPresence};
    use crate::sip::{Framing, Limits, Transport};
    use crate::trunk::{ConnectionId, ListenerId};

    fn divert(tenant: TenantPresence) -> (Divert, super::super::inbox::Outlet) {
        let (inbox, outlet) = Inbox::new(1);
        let tenants = BTreeMap::from([("contoso".into(), tenant)]);
        (Divert::new(Arc::new(inbox), &Presence { tenants, ..Presence::default() }), outlet)
    }

    fn taken(divert: &Divert, trunk: u16, method: &str, to: &str, call_id: &str, event: &str) -> Diverted {
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            connection: ConnectionId::DATAGRAM,
            remote: "127.0.0.1:5060".parse().unwrap(),
            local: None,
        };
        let (uri, tag) = to.split_once(' ').unwrap_or((to, ""));
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>{tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: 1 {method}\r\n{event}\r\nContent-Length: 0\r\n\r\n"
        );
        let message = Message::parse(Bytes::from(text), Framing::Datagram, &Limits::default()).unwrap();
        let essentials = Essentials::of_request(&message, &Limits::default()).unwrap();
        divert.take(TrunkId(trunk), flow, &message, &essentials)
    }

    #[test]
    fn the_bridge_gets_what_is_its_and_nothing_else() {
        let (divert, mut outlet) = divert(TenantPresence {
            watchers: vec![TrunkId(3)],
            line_trunk: Some(TrunkId(1)),
            ..TenantPresence::default()
        });
        for (trunk, method, to, call_id, event, wanted) in [
            (0, "NOTIFY", "sip:tw-ps-s-1@edge ;tag=2", "x", "Event: dialog", true),
            (0, "SUBSCRIBE", "sip:tw-ps-n-1@edge ;tag=2", "x", "Event: presence", true),
            (0, "NOTIFY", "sip:edge ;tag=2", "tw-ps-77", "Event: dialog", true),
            (0, "NOTIFY", "sip:edge ;tag=2", "77", "Event: dialog", false),
            (3, "SUBSCRIBE", "sip:alice@edge", "x", "Event: presence", true),
            (3, "SUBSCRIBE", "sip:alice@edge", "x", "o: Dialog ;sla", true),
            (1, "PUBLISH", "sip:alice@edge", "x", "Event: presence", true),
            (3, "SUBSCRIBE", "sip:alice@edge", "x", "Event: message-summary", false),
            (3, "SUBSCRIBE", "sip:alice@edge", "x", "Event: presence.winfo", false),
            (3, "SUBSCRIBE", "sip:alice@edge", "x", "X: y", false),
            (2, "SUBSCRIBE", "sip:alice@edge", "x", "Event: presence", false),
            (9, "SUBSCRIBE", "sip:alice@edge", "x", "Event: presence", false),
            (3, "SUBSCRIBE", "sip:alice@edge ;tag=2", "x", "Event: presence", false),
            (3, "INVITE", "sip:tw-ps-s-1@edge", "tw-ps-1", "Event: presence", false),
            (3, "OPTIONS", "sip:tw-ps-s-1@edge", "tw-ps-1", "Event: presence", false),
        ] {
            let expected = if wanted { Diverted::Taken } else { Diverted::Not };
            assert_eq!(taken(&divert, trunk, method, to, call_id, event), expected, "{trunk} {method} {to} {event}");
            assert_eq!(outlet.network.try_recv().is_ok(), wanted);
        }
    }

    #[test]
    fn a_full_inbox_is_told_and_counted() {
        let (divert, _outlet) = divert(TenantPresence { watchers: vec![TrunkId(0)], ..TenantPresence::default() });
        let one = || taken(&divert, 0, "PUBLISH", "sip:alice@edge", "x", "Event: presence");
        assert_eq!([one(), one()], [Diverted::Taken, Diverted::Full]);
        assert_eq!(divert.lost(), (1, 0));
    }

    #[test]
    fn without_a_tenant_everything_goes_on() {
        let (inbox, _outlet) = Inbox::new(1);
        let divert = Divert::new(Arc::new(inbox), &Presence::default());
        assert_eq!(taken(&divert, 0, "NOTIFY", "sip:tw-ps-s-1@edge", "x", "Event: dialog"), Diverted::Not);
    }
}
