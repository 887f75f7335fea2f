//! REFER and Replaces as Teams sends them: to the proxy that it names, byte for byte, under the tenant's name.

use super::super::super::office::{SITE, TEAMS, office};
use super::super::super::wire::{Sent, param};
use super::super::super::world::{BOB, World, own_all_legs};
use super::super::party::{Call, Party, set_up, uri};
use super::{only, progress};
use crate::sip::Transport;
use crate::trunk::{Dialect, TrunkKind};

/// Teams' proxy, which is another machine than the target of the trunk.
const PROXY: &str = "192.0.2.81:5061";
const ROUTE: &str = "<sip:sip-du-a-eu.pstnhub.microsoft.com:5061;lr>";
const CONTACT: &str =
    "sip:api-du-a-uswe2.pstnhub.microsoft.com:443;x-i=00000000-0000-4000-8000-00000000000b;x-c=9d2b/d/8/0b";
const REFERRED_BY: &str = "<sip:sip.pstnhub.microsoft.com:5061;x-m=8:orgid:bbbbbbbb-cccc-4ddd-8eee-ffffffffffff;\
    x-t=66666666-7777-4888-8999-aaaaaaaaaaaa;x-ti=0a0b0c0d-0000-4000-8000-000000000014;x-tt=aHR0cHM6Ly9hcGkuZXhhbXBsZS5p%3D>";

/// The office, where `echo` is Teams and `bob` the PBX.
fn teams_world() -> World {
    let mut world = office(1_000);
    let edge = std::sync::Arc::make_mut(&mut world.edge);
    own_all_legs(edge);
    for trunk in &mut std::sync::Arc::make_mut(&mut edge.trunks).0 {
        let kind = match &*trunk.name {
            "echo" => TrunkKind::Teams,
            "bob" => TrunkKind::Pbx,
            _ => continue,
        };
        (trunk.kind, trunk.dialect) = (kind, Dialect::of_kind(kind).into());
    }
    world.know("sip-du-a-eu.pstnhub.microsoft.com", &[PROXY]);
    world
}

fn teams(user: &str, call_id: &str) -> Party {
    let mut teams = Party::new(TEAMS, Transport::Udp, user, "");
    (teams.contact, teams.call_id) = (CONTACT.to_owned(), call_id.to_owned());
    teams.target = format!("sip:+441632768402@{SITE}:5061;user=phone");
    teams.other = format!("<sip:+441632768402@{SITE}:5061;user=phone>");
    teams.own = format!("<sip:{user}@sip.pstnhub.microsoft.com:5061;user=phone>;tag=of-{call_id}");
    teams.extra = "ALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n".to_owned();
    teams
}

/// A call of Teams' to the PBX.
fn call() -> Call {
    let record_route = format!("RECORD-ROUTE: {ROUTE}\r\n");
    let mut pbx = Party::new(BOB, Transport::Udp, "402", "");
    pbx.extra.push_str("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE\r\n");
    // The user lives on both sides: only the PBX rings here.
    set_up(teams_world(), teams("+441632768499", "9d2b6c1e5f404a3b8c7d6e5f4a3b2c1d"), pbx, &record_route, "")
}

/// What Teams refers to: a user of its own without a user part, or a number of the telephone network.
fn targets() -> [String; 2] {
    let user =
        format!("<sip:sip.pstnhub.microsoft.com:5061;transport=tls;x-m=8:orgid:1-2;x-t=3;x-i={}>", "f".repeat(330));
    [user, "<sip:+14255550199@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls>".to_owned()]
}

fn refer(world: &mut World, party: &mut Party, refer_to: &str) -> Vec<Sent> {
    let plain = party.extra.clone();
    party.extra = format!("REFER-TO: {refer_to}\r\nREFERRED-BY: {REFERRED_BY}\r\n");
    let text = party.request("REFER");
    party.extra = plain;
    // From another address of Microsoft's, over another connection, it is the same dialog.
    world.arrive(Transport::Udp, TEAMS.parse().unwrap(), text.as_bytes());
    world.take()
}

#[track_caller]
fn told(world: &mut World, sent: &[Sent], wanted: &[&str]) {
    let notifies: Vec<_> = sent.iter().filter(|sent| sent.what() == "NOTIFY").collect();
    assert_eq!(notifies.iter().map(|notify| progress(notify)).collect::<Vec<_>>(), wanted);
    for notify in notifies {
        assert_eq!((notify.to.to_string().as_str(), notify.uri().as_str()), (PROXY, CONTACT));
        assert_eq!(notify.headers("Route"), [ROUTE]);
        assert!(uri(&notify.header("Contact").unwrap()).contains(&format!("@{SITE}")), "{}", notify.text());
        let text = teams("x", "x").answer_text(&notify.text(), 200, "");
        world.udp(PROXY, &text);
    }
}

#[test]
fn the_proxy_that_sent_the_refer_gets_the_invite_byte_for_byte() {
    for refer_to in targets() {
        let Call { mut world, caller: mut teams_side, callee: mut pbx, .. } = call();
        let sent = refer(&mut world, &mut teams_side, &refer_to);
        assert_eq!(sent[0].status(), 202, "{}", sent[0].text());
        let id = format!("refer;id={}", teams_side.cseq);
        let notify = sent.iter().find(|sent| sent.what() == "NOTIFY").expect("a NOTIFY");
        assert_eq!(notify.header("Event"), Some(id));
        told(&mut world, &sent, &["100"]);
        let invite = only(&sent, "INVITE", PROXY).clone();
        assert_eq!(invite.uri(), refer_to.trim_matches(['<', '>']));
        assert_eq!(invite.header("Referred-By").as_deref(), Some(REFERRED_BY));
        assert_eq!(invite.header("Replaces"), None);
        assert!(uri(&invite.header("Contact").unwrap()).contains(&format!("@{SITE}")), "{}", invite.text());
        assert!(invite.header("From").unwrap().contains("+441632768402@"), "{}", invite.text());
        assert_eq!(param(&invite.header("From").unwrap(), "tag"), param(&pbx.own, "tag"));
        assert!(
            invite.header("Call-ID").unwrap() != teams_side.call_id && invite.header("Call-ID").unwrap() != pbx.call_id
        );

        let mut next = teams("", "next");
        let text = next.answer_text(&invite.text(), 180, &format!("RECORD-ROUTE: {ROUTE}\r\n"));
        world.udp(PROXY, &text);
        let sent = world.take();
        told(&mut world, &sent, &["180"]);
        let text = next.answer_text(&invite.text(), 200, &format!("RECORD-ROUTE: {ROUTE}\r\n"));
        world.udp(PROXY, &text);
        let sent = world.take();
        only(&sent, "ACK", PROXY);
        let change = only(&sent, "INVITE", BOB).clone();
        let text = pbx.answer_text(&change.text(), 200, "");
        pbx.send(&mut world, &text);
        let sent = world.take();
        told(&mut world, &sent, &["200!"]);
        let text = teams_side.request("BYE");
        world.udp(TEAMS, &text);
        assert_eq!(world.take()[0].status(), 200);

        // Both find each other without memory.
        world.restart();
        let again = pbx.asks(&mut world, "INVITE");
        assert_eq!((again.to.to_string().as_str(), again.uri().as_str()), (PROXY, CONTACT));
        assert_eq!(again.header("Call-ID").as_ref(), Some(&next.call_id));
        let text = next.answer_text(&again.text(), 200, "");
        world.udp(PROXY, &text);
        let ok = world.take().remove(0);
        pbx.learns(&ok);
        world.restart();
        let bye = next.asks(&mut world, "BYE");
        assert_eq!((bye.to, bye.header("Call-ID")), (BOB.parse().unwrap(), Some(pbx.call_id.clone())));
        assert_eq!(param(&bye.header("From").unwrap(), "tag"), param(&pbx.other, "tag"));
    }
}

#[test]
fn whoever_a_transfer_brings_is_in_the_call_and_whoever_left_is_not() {
    let Call { mut world, caller: mut teams_side, callee: mut pbx, .. } = call();
    let users = |world: &World| world.turns.last().map(|turn| (turn.up, turn.users.clone()));
    let bert = || Some("bert".into());
    assert_eq!(users(&world), Some((true, [None, bert()])));
    let cleo = "<sip:+441632768403@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls>";
    let sent = refer(&mut world, &mut teams_side, cleo);
    let invite = only(&sent, "INVITE", PROXY).clone();
    told(&mut world, &sent, &["100"]);
    let mut next = teams("+441632768403", "next");
    let text = next.answer_text(&invite.text(), 200, &format!("RECORD-ROUTE: {ROUTE}\r\n"));
    world.udp(PROXY, &text);
    let sent = world.take();
    let change = only(&sent, "INVITE", BOB).clone();
    let text = pbx.answer_text(&change.text(), 200, "");
    pbx.send(&mut world, &text);
    assert_eq!(users(&world), Some((true, [bert(), Some("cleo".into())])));
}

#[test]
fn when_the_proxy_is_silent_the_trunks_own_target_is_tried() {
    let Call { mut world, caller: mut teams_side, .. } = call();
    let sent = refer(&mut world, &mut teams_side, &targets()[1]);
    told(&mut world, &sent, &["100"]);
    let invite = only(&sent, "INVITE", PROXY).clone();
    world.fails(&invite);
    let sent = world.take();
    let next = only(&sent, "INVITE", TEAMS);
    assert_eq!(next.uri(), targets()[1].trim_matches(['<', '>']), "the Request-URI is Teams' own");
}

/// Call-queue pick-up: a new call takes the place of Teams' leg.
#[test]
fn an_invite_with_replaces_takes_the_place_of_teams_leg() {
    let Call { mut world, caller: old, callee: mut pbx, .. } = call();
    let mut new = teams("+441632768477", "1c2d3e4f5a6b4c7d8e9f0a1b2c3d4e5f");
    let tag = |value: &str| param(value, "tag").unwrap();
    let plain = new.extra.clone();
    new.extra = format!(
        "REPLACES: {};to-tag={};from-tag={}\r\nREQUIRE: replaces\r\nRECORD-ROUTE: {ROUTE}\r\n",
        old.call_id,
        tag(&old.other),
        tag(&old.own)
    );
    let change = new.asks(&mut world, "INVITE");
    new.extra = plain;
    assert_eq!((change.what().as_str(), change.to), ("INVITE", BOB.parse().unwrap()));
    assert_eq!((change.uri(), change.header("Call-ID")), (pbx.contact.clone(), Some(pbx.call_id.clone())));
    assert_eq!((change.header("Replaces"), change.header("Require")), (None, None));
    assert_eq!(tag(&change.header("From").unwrap()), tag(&pbx.other));
    assert_eq!(tag(&change.header("To").unwrap()), tag(&pbx.own));
    let text = pbx.answer_text(&change.text(), 200, "");
    pbx.send(&mut world, &text);
    let sent = world.take();
    let ok = only(&sent, "200", TEAMS);
    new.learns(ok);
    let bye = only(&sent, "BYE", PROXY);
    assert_eq!((bye.header("Call-ID"), bye.uri()), (Some(old.call_id.clone()), CONTACT.to_owned()));
    let text = old.clone().answer_text(&bye.text(), 200, "");
    world.udp(PROXY, &text);
    let ack = new.asks(&mut world, "ACK");
    assert_eq!((ack.uri(), ack.header("Call-ID")), (pbx.contact.clone(), Some(pbx.call_id.clone())));
    for restart in [false, true] {
        if restart {
            world.restart();
        }
        let info = new.asks(&mut world, "INVITE");
        assert_eq!((info.to, info.uri()), (BOB.parse().unwrap(), pbx.contact.clone()));
        let text = pbx.answer_text(&info.text(), 200, "");
        pbx.send(&mut world, &text);
        let ok = world.take().remove(0);
        new.learns(&ok);
        new.asks(&mut world, "ACK");
        let hold = pbx.asks(&mut world, "INVITE");
        assert_eq!((hold.to.to_string().as_str(), hold.header("Call-ID")), (PROXY, Some(new.call_id.clone())));
        assert_eq!(tag(&hold.header("To").unwrap()), tag(&new.own));
        let text = new.answer_text(&hold.text(), 200, "");
        world.udp(PROXY, &text);
        let ok = world.take().remove(0);
        pbx.learns(&ok);
        pbx.asks(&mut world, "ACK");
    }
    let bye = pbx.asks(&mut world, "BYE");
    assert_eq!((bye.to.to_string().as_str(), bye.header("Call-ID")), (PROXY, Some(new.call_id.clone())));
}

#[test]
fn replaces_of_no_call_of_ones_own_is_refused() {
    let Call { mut world, caller: old, callee: pbx, .. } = call();
    let tag = |value: &str| param(value, "tag").unwrap();
    let named = |call_id: &str, to: &str, from: &str| format!("Replaces: {call_id};to-tag={to};from-tag={from}\r\n");
    let known = named(&old.call_id, &tag(&old.other), &tag(&old.own));
    let of_pbx = named(&pbx.call_id, &tag(&pbx.other), &tag(&pbx.own));
    for (index, (replaces, status)) in [
        (named("nobody", "1", "2"), 481),
        (named(&old.call_id, &tag(&old.own), &tag(&old.other)), 481),
        (of_pbx, 403),
        (known.replace("\r\n", ";early-only\r\n"), 486),
        (format!("{known}{known}"), 400),
    ]
    .into_iter()
    .enumerate()
    {
        let mut new = teams("+441632768477", &format!("new{index}"));
        new.extra = replaces;
        let refused = new.asks(&mut world, "INVITE");
        assert_eq!(refused.status(), status, "{}", new.extra);
    }
    // Nothing has happened to the call.
    assert_eq!(world.counts.transferred, 0);
}
