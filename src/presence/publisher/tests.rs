//! Do not disturb on the PBX: made, refreshed, removed, and what PBXs answer.

use bytes::Bytes;
use smallvec::smallvec;

use super::*;
use crate::presence::{Direction, Person};
use crate::sip::{Framing, Limits};

const PBX: TrunkId = TrunkId(4);

struct Place {
    now: Moment,
    publisher: Publisher,
    people: People,
    users: Vec<UserKey>,
}

impl Place {
    fn new(users: u32) -> Self {
        let mut people = People::default();
        let tenant = people.tenant("contoso").unwrap();
        let mut put = |number: u32| {
            let line = Line { trunk: PBX, user: Arc::from(format!("{number}")) };
            people
                .put(Person {
                    tenant,
                    id: Arc::from(format!("u{number}@contoso.example")),
                    direction: Direction::Both,
                    graph_id: None,
                    lines: smallvec![line],
                    numbers: smallvec![],
                })
                .unwrap()
        };
        let users = (401..401 + users).map(&mut put).collect();
        let now = Moment::from_millis(10_000);
        let settings = Settings { max_publications: 100, per_second: 50, expires: Duration::from_secs(600) };
        Self { now, publisher: Publisher::new(now, settings, [5; 16]), people, users }
    }

    fn dnd(&mut self, user: usize, dnd: bool) -> Vec<Ask> {
        let mut out = Vec::new();
        self.publisher.set_dnd(self.now, &self.people, self.users[user], dnd, &mut out);
        asks(out)
    }

    fn answer(&mut self, ask: &Ask, status: u16, more: &str) -> Vec<Ask> {
        let text = format!(
            "SIP/2.0 {status} X\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\n\
             To: <sip:c@d>;tag=2\nCall-ID: x\nCSeq: 1 PUBLISH\n{more}Content-Length: 0\n\n"
        );
        let bytes = Bytes::from(text.replace('\n', "\r\n"));
        let message = Message::parse(bytes, Framing::Datagram, &Limits::default()).unwrap();
        self.reply(ask, Outcome::Answered(message))
    }

    fn reply(&mut self, ask: &Ask, outcome: Outcome) -> Vec<Ask> {
        let mut out = Vec::new();
        let reply = Reply { ticket: ask.ticket, cseq: ask.cseq, outcome };
        self.publisher.handle_reply(self.now, &reply, &mut out);
        asks(out)
    }

    fn wait(&mut self, duration: Duration) -> Vec<Ask> {
        self.now = self.now + duration;
        let mut out = Vec::new();
        self.publisher.handle_time(self.now, &mut out);
        asks(out)
    }
}

fn asks(out: Vec<Say>) -> Vec<Ask> {
    out.into_iter()
        .map(|say| match say {
            Say::Ask(ask) => ask,
            Say::Answer(answer) => panic!("{answer:?}"),
        })
        .collect()
}

fn only(asks: Vec<Ask>) -> Ask {
    assert_eq!(asks.len(), 1, "{asks:?}");
    asks.into_iter().next().unwrap()
}

fn header<'a>(ask: &'a Ask, name: &str) -> Option<&'a str> {
    ask.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

const TAKEN: &str = "SIP-ETag: abc\nExpires: 600\n";

#[test]
fn do_not_disturb_is_made_refreshed_and_removed() {
    let mut place = Place::new(1);
    assert!(place.dnd(0, false).is_empty());
    let made = only(place.dnd(0, true));
    assert!(place.dnd(0, true).is_empty());
    assert_eq!((made.uri.as_str(), made.trunk, made.cseq), ("sip:401@{target}", PBX, 1));
    assert_eq!((header(&made, "Event"), header(&made, "Expires")), (Some("presence"), Some("600")));
    assert_eq!(header(&made, "SIP-If-Match"), None);
    let (kind, body) = made.body.clone().unwrap();
    let mut document = pidf::read(&body, 4_096).unwrap();
    assert_eq!((kind, document.people[0].activities[0].clone()), ("application/pidf+xml", Activity::Busy));
    assert!(!document.drop_own(), "it is known when it comes back");

    assert!(place.answer(&made, 200, TAKEN).is_empty());
    assert!(place.wait(Duration::from_secs(449)).is_empty());
    let refreshed = only(place.wait(Duration::from_secs(2)));
    assert_eq!((header(&refreshed, "SIP-If-Match"), &refreshed.body, refreshed.cseq), (Some("abc"), &None, 2));
    assert_eq!(refreshed.call_id, made.call_id);
    place.answer(&refreshed, 200, "SIP-ETag: def\nExpires: 100\n");

    place.wait(Duration::from_secs(1));
    let removed = only(place.dnd(0, false));
    assert_eq!((header(&removed, "SIP-If-Match"), header(&removed, "Expires")), (Some("def"), Some("0")));
    assert_eq!((&removed.body, place.publisher.counts().publications), (&None, 1));
    assert!(place.answer(&removed, 200, "SIP-ETag: ghi\nExpires: 0\n").is_empty());
    assert_eq!(place.publisher.counts(), Counts { publications: 0, sent: 3, failed: 0, full: 0 });
}

#[test]
fn what_changes_while_a_request_is_under_way_is_done_after_it() {
    let mut place = Place::new(1);
    let made = only(place.dnd(0, true));
    assert!(place.dnd(0, false).is_empty());
    place.wait(Duration::from_millis(100));
    let removed = only(place.answer(&made, 200, TAKEN));
    assert_eq!(header(&removed, "Expires"), Some("0"));
    assert!(place.dnd(0, true).is_empty());
    place.wait(Duration::from_millis(100));
    let again = only(place.answer(&removed, 200, ""));
    assert_eq!((header(&again, "SIP-If-Match"), again.body.is_some()), (None, true));
}

#[test]
fn a_pbx_that_forgot_the_publication_gets_a_new_one() {
    let mut place = Place::new(1);
    let made = only(place.dnd(0, true));
    place.answer(&made, 200, TAKEN);
    let refreshed = only(place.wait(Duration::from_secs(451)));
    let again = only(place.answer(&refreshed, 412, ""));
    assert_eq!((header(&again, "SIP-If-Match"), again.body.is_some()), (None, true));
    place.answer(&again, 200, TAKEN);
    place.wait(Duration::from_secs(1));
    let removed = only(place.dnd(0, false));
    assert!(place.answer(&removed, 412, "").is_empty());
    assert_eq!(place.publisher.counts().publications, 0);
}

#[test]
fn a_longer_life_is_asked_for_where_the_pbx_wants_it() {
    let mut place = Place::new(1);
    let made = only(place.dnd(0, true));
    let longer =
        only([place.answer(&made, 423, "Min-Expires: 1800\n"), place.wait(Duration::from_millis(20))].concat());
    assert_eq!(header(&longer, "Expires"), Some("1800"));
    // A PBX that asks for what it has got is one that fails.
    assert!(place.answer(&longer, 423, "Min-Expires: 1800\n").is_empty());
    assert!(place.wait(Duration::from_millis(4_900)).is_empty());
    assert_eq!(place.wait(Duration::from_millis(200)).len(), 1);
}

#[test]
fn failures_wait_longer_each_time_and_removals_give_up() {
    let mut place = Place::new(1);
    let mut ask = only(place.dnd(0, true));
    for wait in [5, 10, 20, 40] {
        assert!(place.reply(&ask, Outcome::Timeout).is_empty());
        assert!(place.wait(Duration::from_secs(wait) - Duration::from_millis(20)).is_empty(), "{wait}");
        ask = only(place.wait(Duration::from_millis(40)));
    }
    assert!(place.answer(&ask, 503, "Retry-After: 7\n").is_empty());
    ask = only(place.wait(Duration::from_secs(8)));
    place.answer(&ask, 200, TAKEN);
    place.wait(Duration::from_secs(1));
    ask = only(place.dnd(0, false));
    for _ in 1..REMOVALS {
        assert!(place.answer(&ask, 500, "").is_empty());
        ask = only(place.wait(Duration::from_secs(30)));
    }
    place.answer(&ask, 500, "");
    assert_eq!((place.publisher.counts().publications, place.wait(Duration::from_secs(3_600)).len()), (0, 0));
}

#[test]
fn a_trunk_is_not_flooded() {
    let mut place = Place::new(100);
    let mut sent: Vec<_> = (0..100).flat_map(|user| place.dnd(user, true)).collect();
    assert_eq!(sent.len(), 1, "the first at once, the others in their turn");
    sent.extend(place.wait(Duration::from_secs(1)));
    assert!((50..=52).contains(&sent.len()), "{}", sent.len());
    // One who is back before it was told needs nothing.
    assert!(place.dnd(99, false).is_empty());
    sent.extend(place.wait(Duration::from_secs(1)));
    assert_eq!((sent.len(), place.publisher.counts().publications), (99, 99));
}

#[test]
fn there_is_room_for_so_many() {
    let mut place = Place::new(2);
    place.publisher.set_settings(Settings { max_publications: 1, ..place.publisher.settings.clone() });
    assert_eq!(place.dnd(0, true).len(), 1);
    assert!(place.dnd(1, true).is_empty());
    assert_eq!(place.publisher.counts().full, 1);
}
