//! What a caller is shown of several early dialogs, and what of silence.

use std::sync::Arc;
use std::time::Duration;

use super::super::wire::Sent;
use super::super::world::{ALICE, BOB, World};
use super::party::{Party, described, make_teams, speaking};
use crate::sip::Transport;
use crate::trunk::dialect::early::Ringing;

fn alice() -> Party {
    Party::new(ALICE, Transport::Udp, "alice", "200")
}

/// One phone behind Teams: its own tag and Contact.
fn phone(tag: &str) -> Party {
    let mut phone = Party::new(BOB, Transport::Udp, "bob", "");
    phone.own = format!("<sip:bob@{BOB}>;tag={tag}");
    phone.contact = format!("sip:{tag}@{BOB}");
    phone
}

fn world(ringing: Ringing) -> World {
    speaking(|name, trunk| match name {
        "alice" => Arc::make_mut(&mut trunk.dialect).early.ringing = ringing,
        "bob" => make_teams(trunk),
        _ => {}
    })
}

/// What the caller gets of an 18x of a phone, as `status tag`, with `+` for a body.
fn rings(world: &mut World, invite: &Sent, tag: &str, status: u16, media: bool) -> Option<String> {
    let mut phone = phone(tag);
    let text = phone.answer_text(&invite.text(), status, "");
    phone.send(world, &if media { described(&text) } else { text });
    let sent = world.take();
    assert!(sent.len() <= 1, "{sent:?}");
    sent.first().map(|sent| {
        assert_eq!(sent.to.to_string(), ALICE);
        let text = sent.text();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(sent.header("Content-Length").unwrap(), body.len().to_string());
        assert_eq!(sent.header("Content-Type").is_some(), !body.is_empty());
        let media = if body.is_empty() { "" } else { "+" };
        format!("{} {}{media}", sent.status(), sent.to_tag().unwrap())
    })
}

/// Trace TV07 to TV09: two phones ring, the media comes in a third early dialog, a phone that rang answers.
#[test]
fn e18_each_policy_shows_its_part_and_the_200_may_be_of_any_early_dialog() {
    for (ringing, wanted) in [
        (Ringing::Pass, ["180 a", "180 b", "183 c+", "-", "-"]),
        (Ringing::First, ["180 a", "-", "183 c+", "-", "-"]),
        (Ringing::To180, ["180 a", "180 b", "180 c", "180 b", "-"]),
        (Ringing::Only180, ["180 a", "180 b", "180 c", "-", "-"]),
    ] {
        for answers in ["b", "c", "new"] {
            let mut world = world(ringing);
            let mut caller = alice();
            let invite = caller.asks(&mut world, "INVITE");
            let shown = [("a", 180, false), ("b", 180, false), ("c", 183, true), ("b", 180, false), ("c", 183, false)]
                .map(|(tag, status, media)| rings(&mut world, &invite, tag, status, media));
            let shown = shown.each_ref().map(|shown| shown.as_deref().unwrap_or("-"));
            // The second 183 of the dialog with the media is shown where all are.
            let mut wanted = wanted;
            if matches!(ringing, Ringing::Pass | Ringing::First) {
                wanted[4] = "183 c";
            }
            assert_eq!(shown, wanted, "{ringing:?}");
            let mut phone = phone(answers);
            let ok = phone.answers(&mut world, &invite, 200, "");
            assert_eq!((ok.status(), ok.to_tag().as_deref()), (200, Some(answers)));
            caller.learns(&ok);
            assert_eq!(caller.asks(&mut world, "ACK").uri(), phone.contact);
            phone.agrees_with(&mut world, &mut caller, "BYE");
            world.finish();
        }
    }
}

#[test]
fn a_183_that_becomes_a_180_keeps_its_dialog() {
    let mut world = world(Ringing::To180);
    let mut caller = alice();
    let invite = caller.asks(&mut world, "INVITE");
    let mut phone = phone("c");
    let text = described(&phone.answer_text(&invite.text(), 183, "Content-Disposition: session\r\nX-Own: 1\r\n"));
    phone.send(&mut world, &text);
    let ringing = world.take().remove(0);
    assert!(ringing.text().starts_with("SIP/2.0 180 Ringing\r\n"), "{}", ringing.text());
    assert!(ringing.header("Content-Disposition").is_none() && ringing.header("X-Own").is_some());
    assert!(ringing.header("Contact").unwrap().contains("@192.0.2.1"), "{}", ringing.text());
    assert_eq!(world.counts.early_withheld, 0);
}

fn slow(said: Option<u16>) -> (World, Party, Sent) {
    let mut world = speaking(|name, trunk| {
        if name == "alice" {
            make_teams(trunk);
        }
    });
    let mut caller = alice();
    let invite = caller.asks(&mut world, "INVITE");
    if let Some(status) = said {
        let mut bob = phone("b");
        let text = bob.answer_text(&invite.text(), status, "");
        bob.send(&mut world, &text);
        world.take();
    }
    (world, caller, invite)
}

#[test]
fn e23_teams_hears_that_somebody_is_there_before_it_tries_elsewhere() {
    let (mut world, mut caller, invite) = slow(Some(100));
    world.pass(6_900);
    assert!(world.take().iter().all(|sent| sent.to.to_string() != ALICE));
    world.pass(200);
    let progress = world.take().into_iter().find(|sent| sent.to.to_string() == ALICE).expect("a sign of life");
    let text = progress.text();
    assert!(
        text.starts_with("SIP/2.0 183 Session Progress\r\n") && text.ends_with("Content-Length: 0\r\n\r\n"),
        "{text}"
    );
    assert_eq!(progress.header("Contact").as_deref(), Some("<sip:192.0.2.1:5060>"));
    assert!(progress.header("Allow").is_some() && progress.header("X-MS-SBC").is_some() && progress.to_tag().is_some());
    // The phone rings at last, and answers, in a dialog of its own.
    assert_eq!(rings(&mut world, &invite, "b", 180, false).as_deref(), Some("180 b"));
    let mut bob = phone("b");
    let ok = bob.answers(&mut world, &invite, 200, "");
    caller.learns(&ok);
    caller.asks(&mut world, "ACK");
    assert_eq!(world.counts.progress, 1);
    world.pass(30_000);
    assert!(world.take().iter().all(|sent| sent.status() != 183));
    caller.agrees_with(&mut world, &mut bob, "BYE");
    world.finish();
}

#[test]
fn nobody_is_told_of_a_far_side_that_is_silent_or_rings_already() {
    for said in [None, Some(180), Some(486)] {
        let (mut world, _, _) = slow(said);
        world.pass(Duration::from_secs(20).as_millis() as u64);
        assert!(world.take().iter().all(|sent| sent.status() != 183), "{said:?}");
        assert_eq!(world.counts.progress, 0);
        world.finish();
    }
}
