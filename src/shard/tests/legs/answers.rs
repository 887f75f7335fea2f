//! Final answers, methods and extensions between peers that understand different things.

use std::sync::Arc;

use super::super::office::{SITE, TEAMS, invite, office};
use super::super::wire::{Request, Sent, headers};
use super::super::world::{ALICE, BOB, CARL, World, own_all_legs};
use super::party::{Party, make_teams, speaking};
use crate::sip::Transport;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::answers::{Code, Codes};
use crate::trunk::health::Outcome;

fn alice(called: &str) -> Party {
    Party::new(ALICE, Transport::Udp, "alice", called)
}

fn bob() -> Party {
    Party::new(BOB, Transport::Udp, "bob", "")
}

/// `alice` is Teams.
fn from_teams() -> World {
    speaking(|name, trunk| {
        if name == "alice" {
            make_teams(trunk);
        }
    })
}

#[test]
fn e23_teams_is_told_to_try_elsewhere_for_trouble_of_the_network_and_never_for_what_a_user_did() {
    for (said, heard) in [
        (401, 503),
        (407, 503),
        (500, 503),
        (502, 503),
        (503, 503),
        (504, 504),
        (408, 408),
        (404, 404),
        (410, 410),
        (480, 480),
        (484, 484),
        (486, 486),
        (488, 488),
        (302, 480),
        (600, 600),
        (603, 603),
    ] {
        let mut world = from_teams();
        let mut callee = bob();
        let invite = alice("200").asks(&mut world, "INVITE");
        let more =
            "WWW-Authenticate: Digest realm=\"x\"\r\nProxy-Authenticate: Digest realm=\"y\"\r\nRetry-After: 300\r\n";
        let answer = callee.answers(&mut world, &invite, said, more);
        assert_eq!(answer.status(), heard, "{said}");
        let text = answer.text();
        if said != heard {
            assert!(!text.contains("Authenticate") && answer.header("Contact").is_none(), "{text}");
        }
        assert_eq!(answer.header("Retry-After").is_some(), said != 503, "{text}");
        if said != heard {
            assert!(!text.contains("Some Reason"), "{text}");
        }
        world.finish();
    }
}

#[test]
fn other_callers_hear_what_was_said_and_a_503_as_500() {
    for (said, heard) in [(401, 401), (407, 407), (500, 500), (503, 500), (302, 302), (486, 486)] {
        let mut world = super::party::owned();
        let invite = alice("200").asks(&mut world, "INVITE");
        assert_eq!(bob().answers(&mut world, &invite, said, "").status(), heard, "{said}");
        world.finish();
    }
}

#[test]
fn e23_silence_and_a_place_that_cannot_be_reached_are_for_another_edge() {
    let mut world = from_teams();
    let invite = alice("200").asks(&mut world, "INVITE");
    world.fails(&invite);
    assert_eq!(world.take()[0].status(), 503);
    world.finish();

    let mut world = from_teams();
    let mut caller = alice("200");
    let invite = caller.asks(&mut world, "INVITE");
    world.pass(9_000);
    let told = world.take().into_iter().find(|sent| sent.to.to_string() == ALICE).unwrap();
    assert_eq!(told.status(), 408, "before Teams has waited for ten seconds");
    // Who comes to life too late is sent away again.
    let text = bob().answer_text(&invite.text(), 180, "");
    world.udp(BOB, &text);
    let late = world.take();
    assert!(late.iter().any(|sent| sent.what() == "CANCEL" && sent.header("Reason").is_none()), "{late:?}");
    world.finish();
}

/// What counts is what Teams will make of an answer: one person's refusal is better than a carrier's trouble.
#[test]
fn of_several_answers_the_one_of_a_user_wins() {
    let mut world = from_teams();
    let mut caller = alice("500");
    let text = caller.request("INVITE");
    caller.send(&mut world, &text);
    let sent: Vec<Sent> = world.take().into_iter().filter(|sent| sent.what() == "INVITE").collect();
    for (invite, status) in sent.iter().zip([407, 486, 503]) {
        let user = format!("u{status}");
        let addr: &'static str = Box::leak(invite.to.to_string().into_boxed_str());
        let mut phone = Party::new(addr, Transport::Udp, &user, "");
        let text = phone.answer_text(&invite.text(), status, "");
        phone.send(&mut world, &text);
    }
    let last = world.take().into_iter().rfind(|sent| sent.to.to_string() == ALICE).unwrap();
    assert_eq!(last.status(), 486);
    world.finish();
}

#[test]
fn a_peer_that_says_one_thing_for_another_is_understood() {
    let mut world = speaking(|name, trunk| match name {
        "alice" => make_teams(trunk),
        "serial" => {
            let codes = Codes::new(vec![Code { what: 503, becomes: 404 }]);
            Arc::make_mut(&mut trunk.dialect).answers.from = codes;
        }
        _ => {}
    });
    let invite = alice("400").asks(&mut world, "INVITE");
    let mut first = Party::new("192.0.2.41:5060", Transport::Udp, "s", "");
    // 503 is one of its codes for the next target, but it does not mean that here.
    assert_eq!(first.answers(&mut world, &invite, 503, "").status(), 404);
    world.finish();
}

#[test]
fn a_refused_password_reaches_teams_inside_a_call_as_little_as_before_it() {
    let super::party::Call { mut world, mut caller, mut callee, .. } =
        super::party::set_up(from_teams(), alice("200"), bob(), "", "");
    let again = caller.asks(&mut world, "INVITE");
    assert_eq!(callee.answers(&mut world, &again, 407, "").status(), 503);
    caller.request("ACK");
    caller.cseq += 1;
    let again = caller.asks(&mut world, "INVITE");
    assert_eq!(
        callee.answers(&mut world, &again, 500, "").status(),
        500,
        "a session that is up is not moved elsewhere"
    );
}

#[test]
fn e22_a_503_with_retry_after_drops_the_connection_and_the_next_place_is_tried() {
    for (more, dropped) in [("Retry-After: 1\r\n", &[CARL][..]), ("", &[])] {
        let mut world = speaking(|name, trunk| {
            if name == "carl" {
                make_teams(trunk);
                let mut second = trunk.targets[0].clone();
                let addr = "192.0.2.33:5060".parse().unwrap();
                (second.host, second.literal) = ("192.0.2.33".into(), Some(addr));
                trunk.targets.push(second);
            }
        });
        let invite = alice("300").asks(&mut world, "INVITE");
        assert_eq!(invite.to.to_string(), CARL);
        let mut carl = Party::new(CARL, Transport::Tcp, "carl", "");
        let next = carl.answers(&mut world, &invite, 503, more);
        assert_eq!((next.what().as_str(), next.to.to_string().as_str()), ("INVITE", "192.0.2.33:5060"));
        let wanted: Vec<std::net::SocketAddr> = dropped.iter().map(|addr| addr.parse().unwrap()).collect();
        assert_eq!(world.dropped, wanted);
        // Health hears how long the peer wants to be left alone.
        let heard = world.heard.iter().map(|heard| heard.what).collect::<Vec<_>>();
        let wait = (!dropped.is_empty()).then(|| std::time::Duration::from_secs(1));
        assert_eq!(heard, [Outcome::Answered { status: 503, retry_after: wait }]);
        let mut second = Party::new("192.0.2.33:5060", Transport::Tcp, "carl", "");
        // What a user decides ends the call.
        assert_eq!(second.answers(&mut world, &next, 603, "").status(), 603);
        world.finish();
    }
}

#[test]
fn a_request_that_teams_could_not_follow_is_refused_by_the_edge() {
    for (method, more, status, wanted) in [
        ("INVITE", "Require: precondition, timer\r\n", 420, "Unsupported: precondition\r\n"),
        ("MESSAGE", "", 405, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, UPDATE, PRACK\r\n"),
        ("X-OWN", "", 405, "Allow: "),
    ] {
        let mut world = speaking(|name, trunk| match name {
            "alice" => trunk.kind = TrunkKind::Carrier,
            "bob" => make_teams(trunk),
            _ => {}
        });
        let mut caller = alice("200");
        caller.extra.push_str(more);
        if let Some(trunk) =
            Arc::make_mut(&mut Arc::make_mut(&mut world.edge).trunks).0.iter_mut().find(|trunk| &*trunk.name == "alice")
        {
            trunk.dialect = Arc::new(crate::trunk::Dialect::of_kind(TrunkKind::Carrier));
        }
        let answer = caller.asks(&mut world, method);
        assert_eq!(answer.status(), status, "{method}");
        assert!(answer.text().contains(wanted) && answer.to_tag().is_some(), "{}", answer.text());
        world.finish();
    }
}

#[test]
fn e14_no_sips_and_no_replaces_go_to_teams() {
    let mut world = speaking(|name, trunk| {
        if name == "bob" {
            make_teams(trunk);
        }
    });
    let mut caller = alice("200");
    caller.target = caller.target.replace("sip:", "sips:");
    caller.other = caller.other.replace("sip:", "sips:");
    caller.own = caller.own.replace("sip:", "sips:");
    caller.extra.push_str("P-Asserted-Identity: <sips:alice@192.0.2.10>\r\n");
    let invite = caller.asks(&mut world, "INVITE");
    let text = invite.text();
    assert!(!text.contains("sips:"), "{text}");
    assert!(invite.uri().starts_with("sip:200@"), "{text}");
    let ok = bob().answers(&mut world, &invite, 200, "");
    assert!(ok.header("To").unwrap().starts_with("<sips:200@"), "the caller's own names come back");

    // What would take the place of a call that nobody knows ends here.
    let mut caller = alice("200");
    caller.own = caller.own.replace("of-alice", "of-alicia");
    caller.call_id.push('2');
    caller.extra.push_str("Replaces: a;to-tag=b;from-tag=c\r\n");
    assert_eq!(caller.asks(&mut world, "INVITE").status(), 481);
}

#[test]
fn e09_teams_learns_the_name_of_the_site_that_it_asks_for() {
    let mut world = office(10);
    let edge = Arc::make_mut(&mut world.edge);
    own_all_legs(edge);
    for trunk in &mut Arc::make_mut(&mut edge.trunks).0 {
        if &*trunk.name == "echo" {
            make_teams(trunk);
        }
    }
    for (host, contact) in [(SITE, SITE), ("192.0.2.1", "192.0.2.1")] {
        let options = Request::new("OPTIONS", &format!("sip:{host}:5060;transport=udp"), host)
            .via(&format!("SIP/2.0/UDP {TEAMS};branch=z9hG4bKo{host}"));
        world.request(TEAMS, &options);
        let answer = world.take().remove(0);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("Contact").unwrap(), format!("<sip:{contact}:5060>"));
        assert_eq!(answer.header("Allow").unwrap(), "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER");
        assert_eq!(answer.header("Accept").unwrap(), "application/sdp");
        assert!(answer.header("X-MS-SBC").is_some());
    }
}

/// A user who has a phone at the PBX and one of Teams picks up the former.
#[test]
fn e24_teams_hears_that_the_call_was_completed_elsewhere() {
    let mut world = office(10);
    own_all_legs(Arc::make_mut(&mut world.edge));
    world.request(ALICE, &invite("+441632768402", "1"));
    let sent: Vec<Sent> = world.take().into_iter().filter(|sent| sent.what() == "INVITE").collect();
    let at = |addr: &str| sent.iter().find(|sent| sent.to.to_string() == addr).expect("it rings").clone();
    let (teams, pbx) = (at(TEAMS), at(BOB));
    Party::new(TEAMS, Transport::Udp, "teams", "").answers(&mut world, &teams, 180, "");
    let text = bob().answer_text(&pbx.text(), 200, "");
    bob().send(&mut world, &text);
    let cancel = world.take().into_iter().find(|sent| sent.what() == "CANCEL").expect("a CANCEL");
    assert_eq!(cancel.to.to_string(), TEAMS);
    assert_eq!(headers(&cancel.text(), "Reason"), ["SIP;cause=200;text=\"Call completed elsewhere\""]);
}

#[test]
fn e24_the_reason_of_a_callers_cancel_goes_on() {
    let mut world = from_teams();
    let mut caller = alice("200");
    let invite = caller.asks(&mut world, "INVITE");
    bob().answers(&mut world, &invite, 180, "");
    caller.extra.push_str("Reason: SIP;cause=487;text=\"gone\"\r\nReason: Q.850;cause=16\r\n");
    let cancel = caller.request("CANCEL").replace("1CANCEL", "1INVITE");
    caller.send(&mut world, &cancel);
    let cancel = world.take().into_iter().find(|sent| sent.what() == "CANCEL").expect("a CANCEL");
    assert_eq!(cancel.headers("Reason"), ["SIP;cause=487;text=\"gone\"", "Q.850;cause=16"]);
}
