//! Meters and tickets alone: what passes, what does not, and that everything is given back.

use proptest::prelude::*;

use super::*;
use crate::call::command::Counts;
use crate::call::edge::Edge;
use crate::transaction::Moment;
use crate::trunk::{CallLimits, CallRate, TrunkId};

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

/// Enters and gives what the limits say.
fn enter(meter: &Meter, limits: &CallLimits, way: Way, now: u64) -> Result<Option<Key>, Key> {
    meter.enter(Some(limits), way, false, at(now)).map(|entered| entered.soft)
}

#[test]
fn directions_are_limited_apart_and_together() {
    let limits = CallLimits {
        max_calls: Some(3),
        max_calls_in: Some(2),
        max_calls_out: Some(2),
        soft_percent: 100,
        ..CallLimits::default()
    };
    let meter = Meter::new(Scope::Trunk, "t".into());
    let mut ways = Vec::new();
    for (way, wanted) in [
        (Way::In, Ok(())),
        (Way::In, Ok(())),
        (Way::In, Err(Key::MaxCallsIn)),
        (Way::Out, Ok(())),
        (Way::Out, Err(Key::MaxCalls)),
    ] {
        let entered = enter(&meter, &limits, way, 0).map(drop);
        assert_eq!(entered, wanted, "{way:?}");
        ways.extend(entered.is_ok().then_some(way));
    }
    assert_eq!((meter.used(), meter.refused().refused), ((2, 1), 2));
    ways.into_iter().for_each(|way| meter.leave(way));
    assert_eq!(meter.used(), (0, 0));
}

#[test]
fn what_is_to_pass_in_any_case_passes_and_is_counted() {
    let limits =
        CallLimits { max_calls: Some(0), rate: Some(CallRate { per_second: 1, burst: 1 }), ..CallLimits::default() };
    let meter = Meter::new(Scope::Trunk, "t".into());
    for calls in 1..=3 {
        assert!(meter.enter(Some(&limits), Way::In, true, at(0)).is_ok());
        assert_eq!(meter.used(), (calls, 0));
    }
    assert_eq!(meter.refused(), Refused::default());
}

#[test]
fn the_soft_threshold_is_told_of_once_on_the_way_up() {
    let limits = CallLimits { max_calls: Some(10), soft_percent: 80, ..CallLimits::default() };
    let meter = Meter::new(Scope::Trunk, "t".into());
    let soft: Vec<usize> = (1..=10).filter(|_| enter(&meter, &limits, Way::In, 0) == Ok(Some(Key::MaxCalls))).collect();
    assert_eq!(soft, [8]);
    meter.leave(Way::In);
    meter.leave(Way::In);
    meter.leave(Way::In);
    assert_eq!(enter(&meter, &limits, Way::In, 0), Ok(Some(Key::MaxCalls)), "again after it was below");
    assert_eq!(meter.refused().soft, 2);
}

#[test]
fn warnings_of_one_meter_are_a_minute_apart() {
    let meter = Meter::new(Scope::Trunk, "t".into());
    let told: Vec<_> = [0, 1_000, 59_999, 60_000, 60_001].into_iter().filter(|&now| meter.may_warn(at(now))).collect();
    assert_eq!(told, [0, 60_000]);
}

#[test]
fn a_call_that_another_limit_refuses_costs_no_rate() {
    let limits = CallLimits { rate: Some(CallRate { per_second: 1, burst: 1 }), ..CallLimits::default() };
    let meter = Meter::new(Scope::Trunk, "t".into());
    assert!(enter(&meter, &limits, Way::In, 10_000).is_ok());
    meter.refund(Some(&limits));
    assert!(enter(&meter, &limits, Way::In, 10_000).is_ok());
    assert_eq!(enter(&meter, &limits, Way::In, 10_000), Err(Key::MaxCallsPerSecond));
}

#[test]
fn a_refusal_says_what_the_limit_asks_for() {
    let full = |status, retry_after| Full {
        scope: Scope::Site,
        name: "contoso.example.net".into(),
        key: Key::MaxCallsOut,
        status,
        retry_after,
    };
    assert_eq!(full(503, 5).to_string(), "site contoso.example.net max_calls_out");
    let refusal = full(503, 5).refusal();
    assert_eq!(
        (refusal.status, refusal.reason, &*refusal.headers),
        (503, "Service Unavailable", &b"Retry-After: 5\r\n"[..])
    );
    assert_eq!(full(486, 0).refusal(), Refusal::new(486, "Busy Here"));
}

#[test]
fn meters_are_found_by_name_and_go_with_it() {
    let meters = Meters::default();
    let first = meters.meter(Scope::Trunk, "a");
    assert!(Arc::ptr_eq(&first, &meters.meter(Scope::Trunk, "a")));
    assert!(!Arc::ptr_eq(&first, &meters.meter(Scope::Tenant, "a")));
    meters.keep(&Edge::default());
    assert!(meters.find(Scope::Trunk, "a").is_some(), "somebody holds it");
    drop(first);
    meters.keep(&Edge::default());
    assert!(meters.find(Scope::Trunk, "a").is_none());
}

/// What may happen to the calls of a test.
#[derive(Clone, Debug)]
enum Act {
    Begin { from: u16, emergency: bool },
    Send { call: usize, to: u16 },
    Leave { call: usize, keep: u16 },
    End { call: usize },
    Pass { millis: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_u16..3, prop::bool::weighted(0.1)).prop_map(|(from, emergency)| Act::Begin { from, emergency }),
        4 => (0_usize..8, 0_u16..3).prop_map(|(call, to)| Act::Send { call, to }),
        1 => (0_usize..8, 0_u16..3).prop_map(|(call, keep)| Act::Leave { call, keep }),
        2 => (0_usize..8).prop_map(|call| Act::End { call }),
        1 => (0_u64..2_000).prop_map(|millis| Act::Pass { millis }),
    ]
}

/// Three trunks of the same limits.
const CONFIG: &str = r#"
[node]
name = "n"
[[listen]]
name = "udp"
bind = "udp:192.0.2.1:5060"
[limits_profile.all]
max_calls = 4
max_calls_in = 3
max_calls_per_second = 2
max_calls_burst = 3
[trunk.t0]
kind = "carrier"
listen = "udp"
targets = ["192.0.2.2"]
limits = "all"
[trunk.t1]
kind = "carrier"
listen = "udp"
targets = ["192.0.2.3"]
limits = "all"
[trunk.t2]
kind = "carrier"
listen = "udp"
targets = ["192.0.2.4"]
limits = "all"
"#;

fn edge() -> Edge {
    let loaded = crate::config::load_str("limits", CONFIG, std::path::Path::new(".")).unwrap();
    let mut edge = Edge::default();
    edge.trunks = Arc::new(loaded.trunks);
    edge
}

proptest! {
    /// Whatever calls do, no limit is passed but by calls for help, the meters say what the tickets hold, and nothing is
    /// left when all are over.
    #[test]
    fn tickets_and_meters_agree(acts in prop::collection::vec(act(), 0..200)) {
        let edge = edge();
        let meters = edge.gate.meters();
        let mut calls: Vec<(Ticket, bool)> = Vec::new();
        let (mut now, mut counts) = (at(0), Counts::default());
        for act in acts {
            match act {
                Act::Begin { from, emergency } => {
                    let ask = Ask {
                        edge: &edge, now, from: TrunkId(from), tenant: None, site: None, caller: b"", called: b"", emergency,
                    };
                    let ticket = Ticket::admit(&ask, &mut counts);
                    prop_assert!(ticket.is_ok() || !emergency);
                    calls.extend(ticket.ok().map(|ticket| (ticket, emergency)));
                }
                Act::Send { call, to } => {
                    if let Some((ticket, emergency)) = calls.get_mut(call) {
                        let entered = ticket.enter(&edge, TrunkId(to), (*emergency, now), &mut counts);
                        prop_assert!(entered.is_ok() || !*emergency);
                    }
                }
                Act::Leave { call, keep } => {
                    if let Some((ticket, _)) = calls.get_mut(call) {
                        ticket.leave(|trunk| trunk == TrunkId(keep));
                    }
                }
                Act::End { call } => if call < calls.len() {
                    calls.swap_remove(call);
                },
                Act::Pass { millis } => now = now + std::time::Duration::from_millis(millis),
            }
            for trunk in &edge.trunks.0 {
                let (came, went) = meters.find(Scope::Trunk, &trunk.name).map_or((0, 0), |meter| meter.used());
                let held = calls.iter().flat_map(|(ticket, _)| ticket.names()).filter(|(_, name)| **name == *trunk.name);
                prop_assert_eq!(held.count(), (came + went) as usize);
                let helped = calls.iter().any(|(_, emergency)| *emergency);
                prop_assert!(helped || came <= 3 && came + went <= 4);
            }
        }
        calls.clear();
        for meter in meters.all(Scope::Trunk) {
            prop_assert_eq!(meter.used(), (0, 0));
        }
    }
}
