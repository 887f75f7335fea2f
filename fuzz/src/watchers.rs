//! Any requests of watchers and publishers, one after the other, parted by lines of `===`.

use std::time::Duration;

use bytes::Bytes;
use trunkway::presence::agent::{Arrived, Handle, Outcome, Reply, Say};
use trunkway::presence::notifier::{self, Lamp, Notifier};
use trunkway::presence::publications::{self, Publications};
use trunkway::presence::{Access, Direction, People, Person, Presence, View};
use trunkway::sip::{Framing, Limits, Message, Transport};
use trunkway::transaction::Moment;
use trunkway::trunk::{ConnectionId, Flow, ListenerId, TrunkId};

const TRUNK: TrunkId = TrunkId(1);

/// No panic, exactly one answer to each request, and all that began ends.
///
/// # Panics
/// When it is not so.
pub fn check(text: &str) {
    let mut people = People::default();
    let Some(tenant) = people.tenant("contoso") else { return };
    let Some(user) = people.put(Person {
        tenant,
        id: "anna@contoso.example".into(),
        direction: Direction::Both,
        graph_id: None,
        lines: Default::default(),
        numbers: ["401".into()].into_iter().collect(),
    }) else {
        return;
    };
    let mut access = Access::default();
    access.allow(TRUNK, tenant);
    let (min_expires, max_expires) = (Duration::from_secs(1), Duration::from_secs(60));
    let settings = notifier::Settings {
        max_watchers: 8,
        max_watchers_per_user: 4,
        min_expires,
        max_expires,
        interval: Duration::from_secs(1),
        lamp: Lamp::default(),
    };
    let mut now = Moment::START;
    let mut notifier = Notifier::new(now, settings, [1; 16]);
    let settings = publications::Settings { max_publications: 4, min_expires, max_expires, max_document_bytes: 4_096 };
    let mut publications = Publications::new(now, settings, [1; 16]);
    let flow = Flow {
        listener: ListenerId(0),
        transport: Transport::Udp,
        connection: ConnectionId::DATAGRAM,
        remote: ([192, 0, 2, 1], 5060).into(),
        local: None,
    };
    for (number, text) in (1..).zip(text.split("\n===\n")) {
        // So that rates, lifetimes and what is under way all occur.
        now = now + Duration::from_millis(text.len() as u64 * 3 % 4_000);
        let (mut told, mut published) = (Vec::new(), Vec::new());
        notifier.handle_time(now, &mut told);
        publications.handle_time(now, &mut published);
        let Ok(message) =
            Message::parse(Bytes::from(text.replace('\n', "\r\n")), Framing::Datagram, &Limits::default())
        else {
            continue;
        };
        let arrived = Arrived { handle: Handle(number), trunk: TRUNK, flow, message };
        if arrived.message.method() == b"PUBLISH" {
            publications.handle_request(now, &arrived, &people, &access, &mut published);
        } else {
            notifier.handle_request(now, &arrived, &people, &access, &mut told);
        }
        let said = told.iter().filter(|order| matches!(order, notifier::Order::Say(Say::Answer(_)))).count();
        let said = said + published.iter().filter(|it| matches!(it, publications::Order::Say(Say::Answer(_)))).count();
        assert_eq!(said, 1);
        notifier.set_presence(now, user, View::of_pbx(Presence::ALL[number as usize % 6], false), &mut told);
        let asks: Vec<_> = told
            .into_iter()
            .filter_map(|order| if let notifier::Order::Say(Say::Ask(ask)) = order { Some(ask) } else { None })
            .collect();
        for ask in asks {
            let reply = Reply { ticket: ask.ticket, cseq: ask.cseq, outcome: Outcome::Full };
            notifier.handle_reply(now, &reply, &mut Vec::new());
        }
    }
    let (mut told, mut published) = (Vec::new(), Vec::new());
    notifier.handle_time(now + max_expires + max_expires, &mut told);
    publications.handle_time(now + max_expires + max_expires, &mut published);
    assert_eq!(notifier.counts().presence + notifier.counts().dialog, 0);
    assert_eq!(publications.counts().publications, 0);
}
