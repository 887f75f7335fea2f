//! Hold between a PBX and a side that takes what Teams takes: in either direction, by both at once, over a refresh, and
//! with a fresh process in the middle. Alice's phones are the PBX's, `bob` is Teams.

mod bodies;

use std::sync::Arc;

use super::super::wire::Sent;
use super::super::world::{ALICE, BOB, World, own_all_legs};
use super::party::Party;
use crate::call::Edge;
use crate::sip::Transport;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Media;
use crate::trunk::dialect::media::{Holding, Location};

/// A description of a side; `version` counts its changes.
fn sdp(address: &str, version: u32, direction: &str) -> String {
    let line = if direction.is_empty() { String::new() } else { format!("a={direction}\r\n") };
    format!(
        "v=0\r\no=- 7 {version} IN IP4 203.0.113.9\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio 49600 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc|2^31\r\na=rtcp-mux\r\n{line}"
    )
}

/// A message with this body instead of its own.
fn with_body(text: &str, content_type: &str, body: &str) -> String {
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    let kept: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with("Content-")).collect();
    let (head, length) = (kept.join("\r\n"), body.len());
    format!("{head}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn body(sent: &Sent) -> String {
    let text = sent.text();
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    assert_eq!(sent.headers("Content-Length"), [body.len().to_string()], "{text}");
    body.to_owned()
}

/// Changes what trunks say of media.
fn media(edge: &mut Edge, name: &str, change: impl Fn(&mut Media)) {
    let trunks = &mut Arc::make_mut(&mut edge.trunks).0;
    for trunk in trunks.iter_mut().filter(|trunk| &*trunk.name == name) {
        change(&mut Arc::make_mut(&mut trunk.dialect).media);
    }
}

/// A world in which `bob` takes what Teams takes, and the PBX wants to be told of hold this way.
fn world(hold: Holding) -> World {
    World::with(
        |edge| {
            own_all_legs(edge);
            media(edge, "bob", |media| *media = Media::of_kind(TrunkKind::Teams));
            media(edge, "alice", |media| media.hold = hold);
        },
        1_000,
    )
}

struct Call {
    world: World,
    pbx: Party,
    teams: Party,
}

/// What the other side was shown of an offer, and the offerer of the answer.
type Seen = (String, String);

impl Call {
    /// A call that the PBX began.
    fn up(hold: Holding) -> Self {
        let (pbx, teams) =
            (Party::new(ALICE, Transport::Udp, "alice", "200"), Party::new(BOB, Transport::Udp, "bob", ""));
        let mut call = Self { world: world(hold), pbx, teams };
        let offer = sdp("192.0.2.10", 1, "sendrecv");
        let answer = sdp("192.0.2.20", 1, "sendrecv");
        assert_eq!(call.pbx_offers(&offer, &answer), (offer.clone(), answer.clone()));
        call
    }

    fn pbx_offers(&mut self, offer: &str, answer: &str) -> Seen {
        exchange(&mut self.world, &mut self.pbx, &mut self.teams, offer, answer)
    }

    fn teams_offers(&mut self, offer: &str, answer: &str) -> Seen {
        exchange(&mut self.world, &mut self.teams, &mut self.pbx, offer, answer)
    }
}

/// An INVITE with an offer is answered by 200 with an answer, and acknowledged.
#[track_caller]
fn exchange(world: &mut World, from: &mut Party, to: &mut Party, offer: &str, answer: &str) -> Seen {
    let text = with_body(&from.request("INVITE"), "application/sdp", offer);
    from.send(world, &text);
    let mut sent = world.take();
    sent.retain(|sent| sent.status() != 100);
    let [invite] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((invite.what().as_str(), invite.to), ("INVITE", to.addr.parse().unwrap()), "{}", invite.text());
    let text = with_body(&to.answer_text(&invite.text(), 200, ""), "application/sdp", answer);
    to.send(world, &text);
    let ok = world.take().remove(0);
    from.learns(&ok);
    assert_eq!(from.asks(world, "ACK").uri(), to.contact);
    (body(invite), body(&ok))
}

/// The edge answers a re-INVITE that says nothing new; gives the answer's body.
#[track_caller]
fn refreshes(world: &mut World, party: &mut Party, offer: &str) -> String {
    let text = with_body(&party.request("INVITE"), "application/sdp", offer);
    party.send(world, &text);
    let mut sent = world.take();
    sent.retain(|sent| sent.status() != 100);
    let [ok] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(ok.status(), 200, "{}", ok.text());
    party.learns(ok);
    let ack = party.request("ACK");
    party.send(world, &ack);
    assert!(world.take().is_empty());
    body(ok)
}

/// The ways in which a PBX holds, with the answer that it expects.
#[test]
fn the_pbx_holds_and_resumes() {
    for (direction, expected) in [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")] {
        for restarts in [false, true] {
            let mut call = Call::up(Holding::AsIs);
            let hold = sdp("192.0.2.10", 2, direction);
            let answer = sdp("192.0.2.20", 2, "inactive");
            let seen = call.pbx_offers(&hold, &answer);
            assert_eq!(seen, (sdp("192.0.2.10", 2, "inactive"), sdp("192.0.2.20", 2, expected)));
            if restarts {
                call.world.restart();
            }
            let (offer, answer) = (sdp("192.0.2.10", 3, "sendrecv"), sdp("192.0.2.20", 3, "sendrecv"));
            assert_eq!(call.pbx_offers(&offer, &answer), (offer, answer));
        }
    }
}

/// Old phones hold by an address: Teams is shown one that is none of that sort.
#[test]
fn the_pbx_holds_by_the_address() {
    for direction in ["", "sendonly", "inactive"] {
        let mut call = Call::up(Holding::AsIs);
        let (shown, answered) = call.pbx_offers(&sdp("0.0.0.0", 2, direction), &sdp("192.0.2.20", 2, "inactive"));
        assert!(shown.contains("a=inactive\r\n") && shown.contains("c=IN IP4 192.0.2.10\r\n"), "{shown}");
        assert_eq!(shown.matches("a=").count(), 3, "{shown}");
        let expected = if direction == "inactive" { "inactive" } else { "recvonly" };
        assert_eq!(answered, sdp("192.0.2.20", 2, expected));
        let (offer, answer) = (sdp("192.0.2.10", 3, ""), sdp("192.0.2.20", 3, "sendrecv"));
        assert_eq!(call.pbx_offers(&offer, &answer), (offer, answer));
    }
}

#[test]
fn teams_holds_and_resumes() {
    for (holding, shown, answer) in [
        (Holding::AsIs, "inactive", "inactive"),
        (Holding::Inactive, "inactive", "inactive"),
        (Holding::SendOnly, "sendonly", "recvonly"),
        // A phone that does not know better.
        (Holding::SendOnly, "sendonly", "sendrecv"),
    ] {
        for restarts in [false, true] {
            let mut call = Call::up(holding);
            let held = sdp("192.0.2.20", 2, "inactive");
            let seen = call.teams_offers(&held, &sdp("192.0.2.10", 2, answer));
            assert_eq!(seen, (sdp("192.0.2.20", 2, shown), sdp("192.0.2.10", 2, "inactive")), "{holding:?}");
            if restarts {
                call.world.restart();
            }
            let (offer, answer) = (sdp("192.0.2.20", 3, "sendrecv"), sdp("192.0.2.10", 3, "sendrecv"));
            assert_eq!(call.teams_offers(&offer, &answer), (offer, answer));
        }
    }
}

/// Each side holds and takes the call back while the other one still holds.
#[test]
fn both_sides_hold() {
    let mut call = Call::up(Holding::SendOnly);
    let (pbx, teams) =
        (|version, it: &str| sdp("192.0.2.10", version, it), |version, it: &str| sdp("192.0.2.20", version, it));
    assert_eq!(
        call.teams_offers(&teams(2, "inactive"), &pbx(2, "recvonly")),
        (teams(2, "sendonly"), pbx(2, "inactive"))
    );
    // Held, the PBX holds too: it is not told that Teams would listen.
    assert_eq!(call.pbx_offers(&pbx(3, "sendonly"), &teams(3, "inactive")), (pbx(3, "inactive"), teams(3, "inactive")));
    call.world.restart();
    // Teams takes the call back and finds itself held.
    assert_eq!(
        call.teams_offers(&teams(4, "sendrecv"), &pbx(4, "sendonly")),
        (teams(4, "sendrecv"), pbx(4, "inactive"))
    );
    // Its refresh says no more than that; the PBX is not told of another hold.
    assert_eq!(
        call.teams_offers(&teams(5, "inactive"), &pbx(5, "sendonly")),
        (teams(5, "recvonly"), pbx(5, "inactive"))
    );
    assert_eq!(call.pbx_offers(&pbx(6, "sendrecv"), &teams(6, "sendrecv")), (pbx(6, "sendrecv"), teams(6, "sendrecv")));
}

/// The PBX resumes while Teams still holds: it is told so in its own words.
#[test]
fn a_side_that_still_holds_says_so_in_its_answer() {
    for (holding, told) in [(Holding::AsIs, "inactive"), (Holding::SendOnly, "sendonly")] {
        let mut call = Call::up(holding);
        let held = sdp("192.0.2.20", 2, "inactive");
        call.teams_offers(&held, &sdp("192.0.2.10", 2, "inactive"));
        let offer = sdp("192.0.2.10", 3, "sendrecv");
        let seen = call.pbx_offers(&offer, &held);
        assert_eq!(seen, (offer, sdp("192.0.2.20", 2, told)));
    }
}

/// After a restart nobody knows the address that the side had: that of the `o=` line serves.
#[test]
fn an_address_that_nobody_remembers_is_taken_from_elsewhere() {
    let mut call = Call::up(Holding::AsIs);
    call.world.restart();
    let (shown, _) = call.pbx_offers(&sdp("0.0.0.0", 2, "sendonly"), &sdp("192.0.2.20", 2, "inactive"));
    assert_eq!(shown, sdp("203.0.113.9", 2, "inactive"));
    // Phones answer in that way too, and by then the call is known again.
    let (offer, answer) = (sdp("192.0.2.20", 3, "sendrecv"), sdp("192.0.2.10", 3, "sendrecv"));
    assert_eq!(call.teams_offers(&offer, &answer), (offer.clone(), answer));
    let (_, answered) = call.teams_offers(&sdp("192.0.2.20", 4, "inactive"), &sdp("0.0.0.0", 4, ""));
    assert_eq!(answered, sdp("192.0.2.10", 4, "inactive"));
}

/// A refresh during hold is the same hold again. What the edge answers itself it says in the words of the side that asks;
/// a fresh process, which knows no more than the token, passes it on.
#[test]
fn a_refresh_keeps_the_hold() {
    let mut call = Call::up(Holding::AsIs);
    let pbx = sdp("192.0.2.10", 2, "sendonly");
    let teams = sdp("192.0.2.20", 2, "inactive");
    let told = sdp("192.0.2.20", 2, "recvonly");
    let shown = sdp("192.0.2.10", 2, "inactive");
    for turn in 0..2 {
        assert_eq!(call.pbx_offers(&pbx, &teams), (shown.clone(), told.clone()), "{turn}");
        assert_eq!(refreshes(&mut call.world, &mut call.pbx, &pbx), told, "{turn}");
        assert_eq!(refreshes(&mut call.world, &mut call.teams, &teams), shown, "{turn}");
        call.world.restart();
        assert_eq!(call.teams_offers(&teams, &pbx), (told.clone(), shown.clone()), "{turn}");
        assert_eq!(refreshes(&mut call.world, &mut call.pbx, &pbx), told, "{turn}");
        call.world.restart();
    }
    // UPDATE says hold in the same way.
    let update = with_body(&call.pbx.request("UPDATE"), "application/sdp", &pbx);
    call.pbx.send(&mut call.world, &update);
    let sent = call.world.take().remove(0);
    assert_eq!(body(&sent), sdp("192.0.2.10", 2, "inactive"));
    let answer = with_body(&call.teams.answer_text(&sent.text(), 200, ""), "application/sdp", &teams);
    call.teams.send(&mut call.world, &answer);
    assert_eq!(body(&call.world.take().remove(0)), sdp("192.0.2.20", 2, "recvonly"));
}

/// Teams would refuse a call that begins on hold: it begins without, and the caller's answer fits its offer.
#[test]
fn a_call_that_begins_on_hold_reaches_teams() {
    for (direction, told) in [("sendonly", "recvonly"), ("inactive", "inactive")] {
        let (mut pbx, mut teams) =
            (Party::new(ALICE, Transport::Udp, "alice", "200"), Party::new(BOB, Transport::Udp, "bob", ""));
        let mut world = world(Holding::AsIs);
        let answer = sdp("192.0.2.20", 1, "sendrecv");
        let seen = exchange(&mut world, &mut pbx, &mut teams, &sdp("192.0.2.10", 1, direction), &answer);
        assert_eq!(seen, (sdp("192.0.2.10", 1, "sendrecv"), sdp("192.0.2.20", 1, told)));
        let (offer, answer) = (sdp("192.0.2.10", 2, "sendrecv"), sdp("192.0.2.20", 2, "sendrecv"));
        assert_eq!(exchange(&mut world, &mut pbx, &mut teams, &offer, &answer), (offer, answer));
    }
}

/// Announcements before and after the answer are no hold.
#[test]
fn early_media_that_go_one_way_are_heard_by_teams() {
    let mut world = world(Holding::AsIs);
    let mut teams = Party::new(BOB, Transport::Udp, "bob", "100");
    let offer = with_body(&teams.request("INVITE"), "application/sdp", &sdp("192.0.2.20", 1, "sendrecv"));
    teams.send(&mut world, &offer);
    let invite = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
    let mut pbx = Party::new(ALICE, Transport::Udp, "alice", "");
    for status in [183, 200] {
        let text = pbx.answer_text(&invite.text(), status, "");
        pbx.send(&mut world, &with_body(&text, "application/sdp", &sdp("192.0.2.10", 1, "sendonly")));
        assert_eq!(body(&world.take().remove(0)), sdp("192.0.2.10", 1, "sendrecv"));
    }
}

/// An offer in the 200 to a re-INVITE without one, and the answer in the ACK.
#[test]
fn delayed_offers_are_said_as_each_side_takes_them() {
    let mut call = Call::up(Holding::AsIs);
    let text = with_body(&call.teams.request("INVITE"), "application/sdp", "");
    call.teams.send(&mut call.world, &text);
    let invite = call.world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
    let held = sdp("192.0.2.10", 2, "sendonly");
    let text = with_body(&call.pbx.answer_text(&invite.text(), 200, ""), "application/sdp", &held);
    call.pbx.send(&mut call.world, &text);
    let ok = call.world.take().remove(0);
    assert_eq!(body(&ok), sdp("192.0.2.10", 2, "inactive"));
    call.teams.learns(&ok);
    let answer = sdp("192.0.2.20", 2, "inactive");
    let ack = with_body(&call.teams.request("ACK"), "application/sdp", &answer);
    call.teams.send(&mut call.world, &ack);
    assert_eq!(body(&call.world.expect_one("ACK 192.0.2.10:5060")), answer);
}

/// Sides that say hold as they like are not talked into anything.
#[test]
fn other_trunks_hold_as_they_always_did() {
    let mut world = super::party::owned();
    let (mut pbx, mut other) =
        (Party::new(ALICE, Transport::Udp, "alice", "200"), Party::new(BOB, Transport::Udp, "bob", ""));
    let said = [("sendonly", "recvonly"), ("sendonly", "sendrecv"), ("inactive", "inactive"), ("", "")];
    for (version, (offer, answer)) in (1..).zip(said) {
        let (offer, answer) = (sdp("0.0.0.0", version, offer), sdp("192.0.2.20", version, answer));
        assert_eq!(exchange(&mut world, &mut pbx, &mut other, &offer, &answer), (offer, answer));
    }
}
