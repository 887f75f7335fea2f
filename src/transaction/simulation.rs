//! Whole calls over lossy links: caller, stateful relay and callee, each with a transaction layer.
//!
//! ```text
//! caller (UAC core, client machines) -- hop 0 -- relay (server + client machines) -- hop 1 -- callee
//! ```
//!
//! The clock jumps from event to event, chance comes from a seed, so a run repeats to the letter.

mod actors;
mod layer;
mod network;
mod world;

use std::fmt::Write;

use proptest::prelude::*;

use actors::{Call, CalleeEnd, CallerEnd, Kind};
use network::Links;
use world::World;

const CALLS: u32 = 48;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_ends_on_both_sides_whatever_the_network_does(seed: u64, links in links()) {
        let world = run(seed, links);
        for call in &world.calls {
            check_ends(call, &links).map_err(|what| TestCaseError::fail(format!("{what}: {call:?}")))?;
        }
    }
}

#[test]
fn calls_on_sound_links_end_as_their_users_meant() {
    for reliable in [[false, false], [false, true], [true, false], [true, true]] {
        let links = Links { reliable, duplicate: 0.2, jitter_millis: 300, delay_millis: 20, ..Links::SOUND };
        for seed in 0..4 {
            for call in &run(seed, links).calls {
                check_as_meant(call);
            }
        }
    }
}

#[test]
fn one_seed_gives_one_log() {
    let links = Links { loss: 0.25, duplicate: 0.1, jitter_millis: 700, ..Links::SOUND };
    let log = |seed| {
        let mut text = String::new();
        for entry in &run(seed, links).log {
            writeln!(text, "{entry:?}").unwrap();
        }
        text
    };
    let first = log(4711);
    assert!(first.lines().count() > 1_000);
    assert_eq!(first, log(4711));
    assert_ne!(first, log(4712));
}

#[test]
fn loss_is_repaired_by_retransmission() {
    let links = Links { loss: 0.3, delay_millis: 40, ..Links::SOUND };
    let (mut answered, mut as_meant, mut retransmissions) = (0, 0, 0);
    for seed in 0..10 {
        let world = run(seed, links);
        retransmissions += world.retransmissions();
        for call in world.calls.iter().filter(|call| call.kind == Kind::Answered) {
            answered += 1;
            as_meant += u32::from(call.caller == Some(CallerEnd::Answered));
        }
    }
    assert!(answered > 50, "{answered}");
    assert!(retransmissions > 500, "{retransmissions}");
    // One call in a hundred may be lost for good at such loss; without retransmission most would be.
    assert!(as_meant * 100 >= answered * 97, "{as_meant} of {answered}");
}

fn links() -> impl Strategy<Value = Links> {
    (any::<[bool; 2]>(), 0..=30u32, 0..=15u32, 0..=5u32, 1..=150u64, 0..=1_000u64).prop_map(
        |(reliable, loss, duplicate, broken, delay_millis, jitter_millis)| Links {
            reliable,
            loss: f64::from(loss) / 100.0,
            duplicate: f64::from(duplicate) / 100.0,
            broken: f64::from(broken) / 100.0,
            delay_millis,
            jitter_millis,
        },
    )
}

/// Runs a number of calls to the end and checks that nothing is left over.
fn run(seed: u64, links: Links) -> World {
    let mut world = World::new(seed, links);
    for call in 0..CALLS {
        world.place_call(call);
    }
    world.run_to_end();
    for (layer, name) in world.layers.iter().zip(["caller", "relay", "callee"]) {
        assert_eq!(layer.transactions(), 0, "transactions left at the {name}");
        assert_eq!(layer.wheel_len(), 0, "entries left in the wheel of the {name}");
    }
    world
}

/// What must hold of a call however bad the links are.
fn check_ends(call: &Call, links: &Links) -> Result<(), &'static str> {
    let Some(caller) = call.caller else {
        return Err("no end at the caller");
    };
    if call.seen > 1 {
        return Err("a copy of the request was taken for a new one");
    }
    if call.seen == 1 && call.callee.is_none() {
        return Err("no end at the callee");
    }
    let broken = links.broken > 0.0 && links.reliable.contains(&true);
    match (caller, call.callee) {
        (CallerEnd::Answered, Some(CalleeEnd::Answered { .. })) => Ok(()),
        (CallerEnd::Answered, _) => Err("answered by nobody"),
        (CallerEnd::Done, Some(CalleeEnd::Done)) => Ok(()),
        (CallerEnd::Done, _) => Err("done by nobody"),
        (CallerEnd::Refused(status @ (486 | 487)), Some(CalleeEnd::Refused { status: sent, .. })) => {
            if status == sent {
                Ok(())
            } else {
                Err("another refusal than the callee's")
            }
        }
        (CallerEnd::Refused(486), _) => Err("busy without a callee"),
        (CallerEnd::Refused(503), _) if !broken => Err("a transport error on sound links"),
        (CallerEnd::TransportError, _) if !broken => Err("a transport error on sound links"),
        _ => Ok(()),
    }
}

/// What must hold of a call when nothing is lost.
fn check_as_meant(call: &Call) {
    let acked = true;
    let (caller, callee) = match call.kind {
        Kind::Answered => (CallerEnd::Answered, Some(CalleeEnd::Answered { acked })),
        Kind::Busy => (CallerEnd::Refused(486), Some(CalleeEnd::Refused { status: 486, acked })),
        Kind::Cancelled | Kind::NoAnswer => (CallerEnd::Refused(487), Some(CalleeEnd::Refused { status: 487, acked })),
        Kind::Dead => (CallerEnd::Refused(408), None),
        Kind::Options => (CallerEnd::Done, Some(CalleeEnd::Done)),
        Kind::OptionsDead => (CallerEnd::TimedOut, None),
    };
    assert_eq!(call.caller, Some(caller), "{call:?}");
    assert_eq!(call.callee, callee, "{call:?}");
}
