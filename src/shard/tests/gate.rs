//! New calls that the edge as a whole refuses: while it drains, when there is too much to do, and when a trunk begins
//! more than it may.

use std::sync::Arc;

use super::office::{office, outgoing};
use super::world::{BOB, World};
use crate::trunk::guard::Pace;

/// Places so many calls at once, and gives how many were refused with 503.
fn refused(world: &mut World, calls: std::ops::Range<u32>) -> usize {
    let one = |id: u32| {
        world.request(BOB, &outgoing("+12125550100", &id.to_string()));
        world.take().iter().filter(|sent| sent.status() == 503).count()
    };
    calls.map(one).sum()
}

#[test]
fn a_share_of_new_calls_is_shed_and_calls_for_help_are_not() {
    for (percent, least, most) in [(0, 0, 0), (25, 60, 140), (100, 400, 400)] {
        let mut world = office(1_000);
        world.edge.gate.set_shed_percent(percent);
        let shed = refused(&mut world, 0..400);
        assert!((least..=most).contains(&shed), "{percent} %: {shed} of 400");
        assert_eq!(world.counts.shed as usize, shed);
        world.request(BOB, &outgoing("999", "help"));
        assert!(world.take().iter().all(|sent| sent.status() != 503));
    }
}

#[test]
fn who_calls_again_under_the_same_call_id_is_shed_again() {
    let mut world = office(1_000);
    world.edge.gate.set_shed_percent(50);
    let first: Vec<usize> = (0..50).map(|id| refused(&mut world, id..id + 1)).collect();
    let mut other = office(1_000);
    other.edge.gate.set_shed_percent(50);
    let second: Vec<usize> = (0..50).map(|id| refused(&mut other, id..id + 1)).collect();
    assert_eq!(first, second);
    assert!(first.contains(&0) && first.contains(&1));
}

#[test]
fn a_trunk_that_begins_more_than_it_may_is_told_to_wait() {
    let mut world = office(1_000);
    let trunks = world.edge.trunks.0.len();
    Arc::make_mut(&mut world.edge).paces = (0..trunks).map(|_| Pace::new(10)).collect();
    assert_eq!(refused(&mut world, 0..30), 20);
    assert_eq!(world.counts.over_trunk_pace, 20);
    world.request(BOB, &outgoing("999", "help"));
    assert!(world.take().iter().all(|sent| sent.status() != 503), "a call for help passes");
    world.now = world.now + std::time::Duration::from_secs(1);
    assert_eq!(refused(&mut world, 100..110), 0, "a second later");
}
