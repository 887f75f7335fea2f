//! Publications: the rows of RFC 3903 section 6, authorisation, lifetimes, and what is told.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::smallvec;

use super::*;
use crate::presence::agent::Handle;
use crate::presence::notifier::documents;
use crate::presence::{Direction, Person, Presence, UserState, View};
use crate::sip::{Framing, Limits, Transport};
use crate::trunk::{ConnectionId, Flow, ListenerId};

const PBX: TrunkId = TrunkId(1);
const SECOND_PBX: TrunkId = TrunkId(2);

struct Place {
    now: Moment,
    publications: Publications,
    people: People,
    access: Access,
    alice: UserKey,
    handles: u64,
}

/// What came of a PUBLISH.
struct Heard {
    status: u16,
    etag: Option<String>,
    expires: Option<String>,
    /// All orders but the answer.
    rest: Vec<Order>,
}

impl Place {
    fn new() -> Self {
        let mut people = People::default();
        let mut access = Access::default();
        let contoso = people.tenant("contoso").unwrap();
        let alice = people
            .put(Person {
                tenant: contoso,
                id: "alice@contoso.example".into(),
                direction: Direction::Both,
                graph_id: None,
                lines: smallvec![],
                numbers: smallvec![Arc::from("401")],
            })
            .unwrap();
        access.allow(PBX, contoso);
        access.allow(SECOND_PBX, contoso);
        let settings = Settings {
            max_publications: 40,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3_600),
            max_document_bytes: 4_096,
        };
        let now = Moment::from_millis(1_000);
        let mut publications = Publications::new(now, settings, [3; 16]);
        publications.set_aliases(contoso, Aliases::from([("siesta".to_owned(), UserState::Absent)]));
        Self { now, publications, people, access, alice, handles: 0 }
    }

    /// A PUBLISH for alice of presence.
    fn publish(&mut self, etag: Option<&str>, expires: Option<u32>, body: &str) -> Heard {
        self.send(PBX, "presence", etag, expires, ("application/pidf+xml", body))
    }

    fn send(
        &mut self,
        trunk: TrunkId,
        event: &str,
        etag: Option<&str>,
        expires: Option<u32>,
        (kind, body): (&str, &str),
    ) -> Heard {
        self.handles += 1;
        let etag = etag.map(|etag| format!("SIP-If-Match: {etag}\n")).unwrap_or_default();
        let expires = expires.map(|expires| format!("Expires: {expires}\n")).unwrap_or_default();
        let kind = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\n") };
        let text = format!(
            "PUBLISH sip:401@edge.example SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\nMax-Forwards: 70\n\
             From: <sip:401@pbx.example>;tag=w\nTo: <sip:401@edge.example>\nCall-ID: c\nCSeq: 1 PUBLISH\n\
             Event: {event}\n{etag}{expires}{kind}Content-Length: {}\n\n",
            body.len()
        );
        let bytes = Bytes::from(text.replace('\n', "\r\n") + body);
        let message = Message::parse(bytes, Framing::Datagram, &Limits::default()).unwrap();
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            connection: ConnectionId::DATAGRAM,
            remote: "192.0.2.9:5060".parse().unwrap(),
            local: None,
        };
        let arrived = Arrived { handle: Handle(self.handles), trunk, flow, message };
        let mut out = Vec::new();
        self.publications.handle_request(self.now, &arrived, &self.people, &self.access, &mut out);
        let Some(Order::Say(Say::Answer(answer))) = out.first().cloned() else { panic!("no answer: {out:?}") };
        let header =
            |name: &str| answer.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let (etag, expires) = (header("SIP-ETag"), header("Expires"));
        Heard { status: answer.status, etag, expires, rest: out.split_off(1) }
    }

    fn wait(&mut self, seconds: u64) -> Vec<Order> {
        self.now = self.now + Duration::from_secs(seconds);
        let mut out = Vec::new();
        self.publications.handle_time(self.now, &mut out);
        out
    }

    fn told(&self, source: u32, report: Report, seconds: u64) -> Vec<Order> {
        let until = Some(self.now + Duration::from_secs(seconds));
        vec![Order::Told(Told { user: self.alice, source: Source::Published(source), report: Some(report), until })]
    }

    fn forgot(&self, source: u32) -> Vec<Order> {
        vec![Order::Forget { user: self.alice, source: Source::Published(source) }]
    }
}

fn pidf_with(activity: &str) -> String {
    format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:401@pbx'><tuple id='t'><status><basic>open</basic>\
         </status></tuple><person id='p'><activities>{activity}</activities></person></presence>"
    )
}

const ABSENT: Report = Report::User(UserState::Absent);
const MEETING: Report = Report::User(UserState::Meeting);

#[test]
fn a_publication_begins_changes_goes_on_and_ends() {
    let mut place = Place::new();
    let first = place.publish(None, Some(600), &pidf_with("<meeting/>"));
    assert_eq!((first.status, first.expires.as_deref()), (200, Some("600")));
    assert_eq!(first.rest, place.told(0, MEETING, 600));
    place.wait(500);
    let changed = place.publish(first.etag.as_deref(), None, &pidf_with("<other>Siesta</other>"));
    assert_eq!((changed.status, changed.expires.as_deref()), (200, Some("3600")));
    assert_ne!(changed.etag, first.etag);
    assert_eq!(changed.rest, place.told(0, ABSENT, 3_600));
    assert!(place.wait(200).is_empty(), "the first end has passed");
    let refreshed = place.publish(changed.etag.as_deref(), Some(60), "");
    assert_eq!(refreshed.rest, place.told(0, ABSENT, 60));
    assert_eq!(place.publish(changed.etag.as_deref(), Some(60), "").status, 412, "that entity tag is past");
    let removed = place.publish(refreshed.etag.as_deref(), Some(0), "");
    assert_eq!((removed.status, removed.expires.as_deref()), (200, Some("0")));
    assert_eq!(removed.rest, place.forgot(0));
    assert_eq!(place.publish(removed.etag.as_deref(), None, "").status, 412);
    let counts = place.publications.counts();
    let done = (counts.begun, counts.changed, counts.refreshed, counts.removed, counts.unmatched, counts.publications);
    assert_eq!(done, (1, 1, 1, 1, 2, 0));
}

#[test]
fn what_is_not_refreshed_is_forgotten() {
    let mut place = Place::new();
    let first = place.publish(None, Some(600), &pidf_with("<away/>"));
    assert!(place.wait(599).is_empty());
    let refreshed = place.publish(first.etag.as_deref(), Some(60), "");
    assert_eq!(refreshed.status, 200, "shorter than before");
    assert_eq!(place.wait(61), place.forgot(0));
    assert_eq!((place.publications.counts().expired, place.publications.counts().publications), (1, 0));
    assert!(place.wait(600).is_empty());
}

#[test]
fn what_cannot_be_taken_is_refused() {
    let good = pidf_with("<busy/>");
    let pidf = "application/pidf+xml";
    let large = pidf_with(&format!("<other>{}</other>", "x".repeat(4_096)));
    type Row<'a> = (TrunkId, &'a str, Option<&'a str>, Option<u32>, (&'a str, &'a str), u16);
    let rows: [Row<'_>; 12] = [
        (PBX, "presence", None, Some(600), ("Application/pidf+xml;charset=utf-8", &good), 200),
        (PBX, "presence", None, Some(59), (pidf, &good), 423),
        (PBX, "presence", None, None, (pidf, ""), 400),
        (PBX, "presence", None, None, ("text/plain", &good), 415),
        (PBX, "dialog", None, None, (pidf, &good), 415),
        (PBX, "message-summary", None, None, (pidf, &good), 489),
        (PBX, "presence", Some("e0-0.1"), None, (pidf, ""), 412),
        (PBX, "presence", Some("nonsense"), None, (pidf, ""), 412),
        (PBX, "presence", None, None, (pidf, "<presence>"), 400),
        (PBX, "presence", None, None, (pidf, "<dialog-info/>"), 400),
        (PBX, "presence", None, None, (pidf, &large), 400),
        (TrunkId(9), "presence", None, None, (pidf, &good), 403),
    ];
    for (trunk, event, etag, expires, body, status) in rows {
        let mut place = Place::new();
        let heard = place.send(trunk, event, etag, expires, body);
        assert_eq!(heard.status, status, "{event} {etag:?} {expires:?} {body:?}");
        assert_eq!(heard.rest.len(), usize::from(status == 200));
        assert_eq!(place.publications.counts().publications, usize::from(status == 200));
    }
    let mut place = Place::new();
    place.people.take(place.alice);
    assert_eq!(place.publish(None, None, &good).status, 404);
}

#[test]
fn an_entity_tag_is_good_for_its_trunk_and_event_only() {
    let mut place = Place::new();
    let first = place.publish(None, None, &pidf_with("<busy/>"));
    let etag = first.etag.as_deref();
    assert_eq!(place.send(SECOND_PBX, "presence", etag, Some(0), ("", "")).status, 412);
    assert_eq!(place.send(PBX, "dialog", etag, Some(0), ("", "")).status, 412);
    assert_eq!(place.send(PBX, "presence", etag, Some(0), ("", "")).status, 200);
}

#[test]
fn dialogs_are_published_as_lines() {
    let mut place = Place::new();
    let document = |state: &str| {
        format!(
            "<dialog-info version='0' state='full' entity='sip:401@pbx'><dialog id='d' direction='initiator'>\
             <state>{state}</state></dialog></dialog-info>"
        )
    };
    let kind = "application/dialog-info+xml";
    let first = place.send(PBX, "dialog", None, Some(600), (kind, &document("proceeding")));
    let line = |presence| Report::Line { presence, conference: false };
    assert_eq!(first.rest, place.told(0, line(Presence::Busy), 600));
    let second = place.send(PBX, "dialog", first.etag.as_deref(), Some(600), (kind, &document("terminated")));
    assert_eq!(second.rest, place.told(0, line(Presence::Available), 600));
}

#[test]
fn what_the_edge_told_is_no_news_when_it_comes_back() {
    let mut place = Place::new();
    let view = View::of_pbx(Presence::DoNotDisturb, false);
    let told = documents::presence("sip:401@edge.example", &view);
    let echo = place.publish(None, Some(600), std::str::from_utf8(&told).unwrap());
    assert_eq!((echo.status, echo.rest.is_empty()), (200, true));
    let lamp = documents::dialog("sip:401@edge.example", 3, true);
    let body = ("application/dialog-info+xml", std::str::from_utf8(&lamp).unwrap());
    let echo = place.send(PBX, "dialog", None, Some(600), body);
    assert_eq!((echo.status, echo.rest.is_empty()), (200, true));
    let own = place.publish(echo.etag.as_deref(), None, &pidf_with("<away/>"));
    assert_eq!(own.status, 412, "that one is a publication of dialogs");
    assert_eq!(place.publications.counts().echoes, 2);
    let first = place.publish(None, Some(600), &pidf_with("<away/>"));
    let echo = place.publish(first.etag.as_deref(), Some(600), std::str::from_utf8(&told).unwrap());
    assert_eq!(echo.rest, place.forgot(2), "nothing of the user's own is left in it");
}

#[test]
fn there_is_room_for_so_many() {
    let mut place = Place::new();
    for number in 0..MAX_PER_USER {
        assert_eq!(place.publish(None, None, &pidf_with("<busy/>")).status, 200, "{number}");
    }
    assert_eq!(place.publish(None, None, &pidf_with("<busy/>")).status, 503);
    let mut out = Vec::new();
    place.publications.remove_user(place.alice, &mut out);
    assert_eq!((out.len(), place.publications.counts().publications), (MAX_PER_USER, 0));
    place.publications.settings.max_publications = 1;
    assert_eq!(place.publish(None, None, &pidf_with("<busy/>")).status, 200);
    assert_eq!(place.publish(None, None, &pidf_with("<busy/>")).status, 503);
    assert_eq!(place.publications.counts().full, 2);
}

#[test]
fn rights_that_are_taken_away_end_what_was_published() {
    let mut place = Place::new();
    place.publish(None, None, &pidf_with("<busy/>"));
    let mut out = Vec::new();
    place.publications.review(&place.people, &place.access, &mut out);
    assert!(out.is_empty());
    place.publications.review(&place.people, &Access::default(), &mut out);
    assert_eq!(out, place.forgot(0));
}
