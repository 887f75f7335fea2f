//! Bodies of several parts, where callers are, and messages that are too large for a datagram.

use super::super::super::office::{SITE, TEAMS, office};
use super::*;
use crate::shard::tests::world::CARL;

const PLACE: &str = "<?xml version=\"1.0\"?>\r\n<presence entity=\"pres:a@b\"><place>Floor 2</place></presence>";

/// A body of a description and a place, as Teams writes it.
fn mixed(sdp: &str) -> String {
    format!(
        "--b25\r\nContent-Type: application/sdp\r\n\r\n{sdp}--b25\r\nContent-Type: application/pidf+xml\r\n\
         Content-ID: <loc@b>\r\n\r\n{PLACE}\r\n--b25--\r\n"
    )
}

const TYPE: &str = "multipart/mixed;boundary=b25";
const GEOLOCATION: &str = "GEOLOCATION: <cid:loc@b>\r\nGEOLOCATION-ROUTING: yes\r\n";

/// An INVITE of Teams to a number; what the edge sends on, and whom to.
fn calls(world: &mut World, number: &str, body: &str) -> Sent {
    let mut teams = Party::new(TEAMS, Transport::Udp, "+441632768401", "");
    teams.target = format!("sip:{number}@{SITE};user=phone");
    teams.other = format!("<sip:{number}@{SITE};user=phone>");
    teams.call_id = format!("call-{number}");
    teams.extra = format!("{GEOLOCATION}Accept: application/sdp\r\n");
    let text = with_body(&teams.request("INVITE"), TYPE, body);
    teams.send(world, &text);
    let mut sent = world.take();
    sent.retain(|sent| sent.what() == "INVITE");
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

fn owned_office(change: impl Fn(&mut Edge)) -> World {
    let mut world = office(1_000);
    let edge = Arc::make_mut(&mut world.edge);
    own_all_legs(edge);
    media(edge, "echo", |media| *media = Media::of_kind(TrunkKind::Teams));
    change(edge);
    world
}

/// The body of the vector, or one like it.
fn of_vector() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/teams-vectors/tv25.sip");
    let Ok(text) = std::fs::read_to_string(path) else { return mixed(&sdp("192.0.2.80", 1, "sendrecv")) };
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    text.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

#[test]
fn who_helps_is_told_where_the_caller_is_and_nobody_else() {
    for whole in [mixed(&sdp("192.0.2.80", 1, "sendrecv")), of_vector()] {
        let mut world = owned_office(|edge| media(edge, "alice", |media| media.slim = false));
        let sent = calls(&mut world, "+999", &whole);
        assert_eq!(sent.to, CARL.parse().unwrap(), "the trunk for calls for help");
        assert_eq!((body(&sent), sent.headers("Content-Type")), (whole.clone(), vec![TYPE.to_owned()]));
        assert_eq!(sent.headers("Geolocation"), ["<cid:loc@b>"]);
        assert_eq!(sent.headers("Geolocation-Routing"), ["yes"]);

        let sent = calls(&mut world, "+4930123456", &whole);
        let plain = whole.split_once("\r\n\r\n").unwrap().1.split("--b25").next().unwrap().to_owned();
        assert_eq!((body(&sent), sent.headers("Content-Type")), (plain, vec!["application/sdp".to_owned()]));
        assert_eq!((sent.header("Geolocation"), sent.header("Geolocation-Routing")), (None, None));
        assert!(!sent.text().contains("pidf") && !sent.text().contains("b25"), "{}", sent.text());
        assert!(sent.header("Accept").is_some());
    }
}

/// A call for help stays one: a place that is told later arrives as well, in whatever process.
#[test]
fn a_call_for_help_is_known_as_such_to_its_end() {
    let whole = mixed(&sdp("192.0.2.80", 1, "sendrecv"));
    for (number, helps) in [("+999", true), ("+4930123456", false)] {
        let mut world = owned_office(|_| {});
        let mut teams = Party::new(TEAMS, Transport::Udp, "+441632768401", "");
        teams.target = format!("sip:{number}@{SITE};user=phone");
        teams.other = format!("<sip:{number}@{SITE};user=phone>");
        let first = with_body(&teams.request("INVITE"), TYPE, &whole);
        teams.send(&mut world, &first);
        let invite = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
        let mut other = if helps {
            Party::new(CARL, Transport::Tcp, "carl", "")
        } else {
            Party::new(ALICE, Transport::Udp, "alice", "")
        };
        teams.learns(&other.answers(&mut world, &invite, 200, ""));
        teams.asks(&mut world, "ACK");
        for turn in 0..2 {
            world.restart();
            teams.extra = GEOLOCATION.to_owned();
            let again = with_body(&teams.request("INVITE"), TYPE, &whole);
            teams.send(&mut world, &again);
            let invite = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
            assert_eq!(invite.header("Geolocation").is_some(), helps, "{turn}");
            assert_eq!(body(&invite) == whole, helps, "{turn}");
            teams.learns(&other.answers(&mut world, &invite, 200, ""));
            teams.asks(&mut world, "ACK");
        }
    }
}

#[test]
fn a_trunk_may_be_told_always_or_never() {
    let whole = mixed(&sdp("192.0.2.80", 1, "sendrecv"));
    for (location, ordinary, help) in [(Location::Pass, true, true), (Location::Strip, false, false)] {
        let mut world = owned_office(|edge| {
            for name in ["alice", "carl"] {
                media(edge, name, |media| media.location = location);
            }
        });
        for (number, passes) in [("+4930123456", ordinary), ("+999", help)] {
            let sent = calls(&mut world, number, &whole);
            assert_eq!((body(&sent) == whole, sent.header("Geolocation").is_some()), (passes, passes), "{number}");
        }
    }
}

#[test]
fn hold_is_found_in_bodies_of_several_parts() {
    let mut call = Call::up(Holding::AsIs);
    let text = with_body(&call.pbx.request("INVITE"), TYPE, &mixed(&sdp("192.0.2.10", 2, "sendonly")));
    call.pbx.send(&mut call.world, &text);
    let sent = call.world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
    // Teams is not asked for help.
    assert_eq!(body(&sent), sdp("192.0.2.10", 2, "inactive"));
    let text = call.teams.answer_text(&sent.text(), 200, "");
    call.teams.send(&mut call.world, &with_body(&text, TYPE, &mixed(&sdp("192.0.2.20", 2, "inactive"))));
    let ok = call.world.take().remove(0);
    assert_eq!(body(&ok), mixed(&sdp("192.0.2.20", 2, "recvonly")), "answers are left whole");
}

const ICE: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
    a=candidate:1 1 UDP 2130706431 192.0.2.80 49600 typ host\r\na=candidate:2 1 UDP 2130706430 192.0.2.81 49600 typ host\r\n";

/// A description that makes any message large, and what is left of it.
fn fat() -> (String, String) {
    let slim = sdp("192.0.2.80", 1, "sendrecv");
    let more: String = (0..20).map(|ssrc| format!("a=ssrc:{ssrc} cname:0123456789abcdef\r\n")).collect();
    let fat = slim.replace("t=0 0", "b=CT:10000000\r\nt=0 0") + ICE + &more;
    (fat, slim)
}

#[test]
fn e28_what_does_not_pass_in_a_datagram_is_made_smaller() {
    let (large, small) = fat();
    for (slims, offer, wanted) in [(true, &large, &small), (false, &large, &large), (true, &small, &small)] {
        let mut world = owned_office(|edge| media(edge, "alice", |media| media.slim = slims));
        let mut teams = Party::new(TEAMS, Transport::Udp, "+441632768401", "");
        teams.target = format!("sip:+4930123456@{SITE};user=phone");
        teams.extra = "MS-Conversation-ID: 1\r\n".to_owned();
        let text = with_body(&teams.request("INVITE"), "application/sdp", offer);
        teams.send(&mut world, &text);
        let sent = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
        assert_eq!((sent.to, sent.transport), (ALICE.parse().unwrap(), Transport::Udp));
        assert_eq!(body(&sent), *wanted);
        let is_large = offer == &large;
        assert!(sent.header("MS-Conversation-ID").is_none() || !slims || !is_large);
        assert_eq!(sent.bytes.len() > 1_300, is_large && !slims, "{}", sent.bytes.len());
        assert!(body(&sent).contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc|2^31\r\n"));
    }
}

/// An answer leaves ICE out only where the offer had none, and what goes over a stream stays whole.
#[test]
fn answers_keep_the_ice_that_was_offered() {
    let (large, small) = fat();
    for (offer, wanted) in [(small.clone(), small.clone()), (small.clone() + ICE, small.clone() + ICE)] {
        let mut world = world(Holding::AsIs);
        let (mut pbx, mut teams) =
            (Party::new(ALICE, Transport::Udp, "alice", "200"), Party::new(BOB, Transport::Udp, "bob", ""));
        assert_eq!(exchange(&mut world, &mut pbx, &mut teams, &offer, &large), (offer, wanted));
    }
    let mut world = owned_office(|_| {});
    assert_eq!(body(&calls(&mut world, "999", &large)), large, "over TCP");
}
