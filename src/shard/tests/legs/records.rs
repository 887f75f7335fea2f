//! What is told of calls that came to nothing.

use super::super::world::{ALICE, BOB, World};
use super::party::{Party, owned};
use crate::call::CallRecord;
use crate::call::record::Outcome;
use crate::sip::Transport;
use crate::trunk::TrunkKind;

fn alice(called: &str) -> Party {
    Party::new(ALICE, Transport::Udp, "alice", called)
}

/// The only record, and how often its outcome was counted.
#[track_caller]
fn told(world: &World) -> CallRecord {
    let [record] = &world.records[..] else { panic!("{:?}", world.records) };
    let kind = record.to.as_ref().map_or(record.from.kind, |to| to.kind);
    let count = |name, of: TrunkKind| {
        let mut rows = world.counts.calls_ended.iter();
        rows.find(|row| (row.0, row.1) == (name, of)).map(|row| row.2)
    };
    assert_eq!(count(record.outcome.name(), kind), Some(1));
    record.clone()
}

fn refused(status: u16, more: &str) -> World {
    let mut world = owned();
    let mut caller = alice("200");
    let sent = caller.asks(&mut world, "INVITE");
    let mut bob = Party::new(BOB, Transport::Udp, "bob", "");
    bob.answers(&mut world, &sent, status, more);
    world
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let world = refused(404, "Reason: Q.850;cause=1;text=\"b0a1;511404;not here\"\r\n");
    let record = told(&world);
    assert_eq!((record.outcome, record.status, record.lasted), (Outcome::Refused, 404, None));
    assert_eq!(&*record.reason, "Q.850;cause=1;text=\"b0a1;511404;not here\"");
    assert!(record.meaning.unwrap().contains("nobody with this number"));
    assert_eq!((&*record.from.trunk, &*record.to.unwrap().trunk), ("alice", "bob"));
    assert_eq!(&*record.call_id, format!("alice-200@{ALICE}"));
    world.finish_without_calls();
}

#[test]
fn a_warning_will_do_where_no_reason_is_given() {
    let record = told(&refused(488, "Warning: 399 teams \"SrtpEncryptionRequired\"\r\n"));
    assert!(record.reason.contains("SrtpEncryptionRequired") && record.meaning.unwrap().contains("SRTP"));
}

#[test]
fn text_of_a_peer_cannot_break_a_line_of_the_log() {
    let record = told(&refused(480, &format!("Reason: SIP;text=\"a\r\n b\tc{}\"\r\n", "x".repeat(900))));
    assert!(record.reason.len() <= 256 && !record.reason.contains(['\r', '\n', '\t']), "{}", record.reason);
}

#[test]
fn a_challenge_is_no_end() {
    let world = refused(407, "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n");
    assert!(world.records.is_empty());
}

#[test]
fn silence_is_told_of_as_that() {
    let mut world = owned();
    let mut caller = alice("200");
    caller.asks(&mut world, "INVITE");
    world.pass(40_000);
    assert_eq!((told(&world).outcome, told(&world).status), (Outcome::Unreachable, 408));
    world.finish_without_calls();
}

#[test]
fn a_call_that_fails_over_is_told_of_once() {
    let mut world = owned();
    let mut caller = alice("400");
    let mut sent = caller.asks(&mut world, "INVITE");
    for addr in ["192.0.2.41:5060", "192.0.2.42:5060", "192.0.2.43:5060"] {
        sent = Party::new(addr, Transport::Udp, "x", "").answers(&mut world, &sent, 480, "");
    }
    let record = told(&world);
    assert_eq!((record.outcome, record.status, &*record.to.unwrap().trunk), (Outcome::Refused, 480, "serial"));
    world.finish_without_calls();
}

#[test]
fn a_call_that_was_given_up_is_told_of_as_that() {
    let mut world = owned();
    let mut caller = alice("200");
    let sent = caller.asks(&mut world, "INVITE");
    let mut bob = Party::new(BOB, Transport::Udp, "bob", "");
    bob.answers(&mut world, &sent, 180, "");
    let cancel = caller.request("CANCEL").replace("1CANCEL\r\n", "1INVITE\r\n");
    caller.send(&mut world, &cancel);
    world.take();
    let text = bob.answer_text(&sent.text(), 487, "");
    bob.send(&mut world, &text);
    assert_eq!((told(&world).outcome, told(&world).status), (Outcome::Cancelled, 487));
    world.finish_without_calls();
}

#[test]
fn what_the_edge_lets_not_pass_is_told_of() {
    let mut world = owned();
    let mut caller = alice("999");
    assert_eq!(caller.asks(&mut world, "INVITE").status(), 404);
    let record = told(&world);
    assert_eq!((record.outcome, record.status, record.to), (Outcome::NotPassed, 404, None));
    world.finish_without_calls();
}
