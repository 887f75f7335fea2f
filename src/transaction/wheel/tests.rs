//! The wheel against a sorted map, and its memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn wheel_at(millis: u64) -> Wheel {
    Wheel::new(Moment::from_millis(millis), 1_000_000)
}

fn advance(wheel: &mut Wheel, millis: u64) -> Vec<u32> {
    let mut due = Vec::new();
    wheel.advance(Moment::from_millis(millis), &mut due);
    due.into_iter().map(|due| due.id).collect()
}

#[test]
fn an_entry_is_at_most_one_tick_late_and_never_early() {
    for at in [0, 1, 9, 10, 11, 639, 640, 641, 40_959, 40_960, 40_961, 3_000_007, 999_999_999] {
        let mut wheel = wheel_at(0);
        wheel.arm(1, 0, Moment::from_millis(at));
        if at > 0 {
            assert_eq!(advance(&mut wheel, at - 1), [0; 0], "{at}");
        }
        assert_eq!(advance(&mut wheel, at + 9), [1], "{at}");
        assert!(wheel.is_empty());
    }
}

#[test]
fn times_that_have_passed_come_due_at_the_next_advance() {
    let mut wheel = wheel_at(123_456);
    wheel.arm(1, 0, Moment::from_millis(5));
    wheel.arm(2, 0, Moment::from_millis(123_450));
    let mut due = advance(&mut wheel, 123_456);
    due.sort_unstable();
    assert_eq!(due, [1, 2]);
}

#[test]
fn time_that_goes_back_changes_nothing() {
    let mut wheel = wheel_at(50_000);
    wheel.arm(1, 0, Moment::from_millis(60_000));
    assert_eq!(advance(&mut wheel, 10), [0; 0]);
    assert_eq!(advance(&mut wheel, 60_000), [1]);
}

#[test]
fn entries_beyond_the_last_level_come_due_at_the_end_of_time() {
    let mut wheel = wheel_at(0);
    wheel.arm(1, 0, Moment::from_millis(u64::MAX));
    assert_eq!(advance(&mut wheel, 1_000_000_000_000), [1]);
    wheel.arm(2, 0, Moment::from_millis(u64::MAX));
    assert_eq!(advance(&mut wheel, u64::MAX), [2]);
    let mut late = wheel_at(u64::MAX);
    late.arm(3, 0, Moment::START);
    assert_eq!(advance(&mut late, 0), [3]);
}

#[test]
fn fullness_is_told_and_arming_goes_on() {
    let mut wheel = Wheel::new(Moment::START, 2);
    wheel.arm(1, 0, Moment::from_millis(10));
    assert!(!wheel.is_full());
    wheel.arm(2, 0, Moment::from_millis(10));
    assert!(wheel.is_full());
    wheel.arm(3, 0, Moment::from_millis(10));
    assert_eq!(wheel.len(), 3);
    assert_eq!(advance(&mut wheel, 10).len(), 3);
    assert!(!wheel.is_full());
}

#[test]
fn an_entry_takes_24_bytes_and_a_burst_gives_its_memory_back() {
    assert_eq!(size_of::<Entry>(), 24);
    let mut wheel = wheel_at(0);
    for id in 0..100_000 {
        wheel.arm(id, 0, Moment::from_millis(1_000 + u64::from(id % 500)));
    }
    for id in 0..10 {
        wheel.arm(id, 1, Moment::from_millis(3_600_000));
    }
    let burst = wheel.heap_bytes();
    assert!(burst >= 100_010 * 24);
    assert_eq!(advance(&mut wheel, 2_000).len(), 100_000);
    assert!(wheel.heap_bytes() < burst / 100, "{} of {burst}", wheel.heap_bytes());
    let mut due = advance(&mut wheel, 3_600_000);
    due.sort_unstable();
    assert_eq!(due, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_steady_load_holds_its_memory_still() {
    let mut wheel = wheel_at(0);
    let mut due = Vec::new();
    let mut settled = 0;
    for step in 0..20_000u64 {
        let now = Moment::from_millis(step * 10);
        for id in 0..4 {
            wheel.arm(id, 0, now + Duration::from_millis(5_000));
        }
        due.clear();
        wheel.advance(now, &mut due);
        if step == 1_000 {
            settled = wheel.heap_bytes();
        }
        assert!(step < 1_000 || wheel.heap_bytes() == settled);
    }
}

#[test]
fn alarm_arms_only_for_earlier_times() {
    let at = Moment::from_millis;
    let mut alarm = Alarm::default();
    assert_eq!(alarm.cover(at(0), None), None);
    assert_eq!(alarm.cover(at(0), Some(at(500))), Some(at(500)));
    assert_eq!(alarm.cover(at(1), Some(at(900))), None);
    assert_eq!(alarm.cover(at(2), Some(at(300))), Some(at(300)));
    alarm.handle_due(at(300));
    assert_eq!(alarm.cover(at(300), Some(at(9_000))), Some(at(9_000)));
    // The entry for 500 is still in the wheel; it must not hide the one for 9000.
    alarm.handle_due(at(500));
    assert_eq!(alarm.cover(at(500), Some(at(9_000))), None);
}

#[test]
fn alarm_gets_to_far_deadlines_in_steps() {
    let deadline = Moment::from_millis(181_000);
    let mut alarm = Alarm::default();
    let mut now = Moment::START;
    let mut steps = 0;
    while let Some(at) = alarm.cover(now, Some(deadline)) {
        now = at;
        steps += 1;
        if now == deadline {
            break;
        }
        alarm.handle_due(now);
    }
    assert_eq!((now, steps), (deadline, 6));
}

#[derive(Clone, Debug)]
enum Operation {
    Advance(u64),
    Arm(u64),
    ToNextWake,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => (0..2_000u64).prop_map(Operation::Arm),
        2 => (0..400_000u64).prop_map(Operation::Arm),
        1 => (0..100_000_000u64).prop_map(Operation::Arm),
        2 => (0..300u64).prop_map(Operation::Advance),
        1 => (0..200_000u64).prop_map(Operation::Advance),
        4 => Just(Operation::ToNextWake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn does_what_a_sorted_map_does(
        start in 0..10_000_000_000u64,
        operations in prop::collection::vec(operation(), 0..200),
    ) {
        let mut now = start;
        let mut wheel = wheel_at(start);
        // By due tick, as the contract rounds it.
        let mut model: BTreeMap<(u64, u32), ()> = BTreeMap::new();
        for (id, operation) in (0u32..).zip(operations) {
            match operation {
                Operation::Arm(ahead) => {
                    wheel.arm(id, !id, Moment::from_millis(now + ahead));
                    model.insert(((now + ahead).div_ceil(TICK_MILLIS), id), ());
                    continue;
                }
                Operation::Advance(millis) => now += millis,
                Operation::ToNextWake => {
                    let first = model.keys().next().map(|&(tick, _)| tick * TICK_MILLIS);
                    let wake = wheel.next_wake().map(Moment::as_millis);
                    prop_assert_eq!(wake.is_some(), first.is_some());
                    let Some((wake, first)) = wake.zip(first) else { continue };
                    prop_assert!(wake <= first.max(now), "woke at {} for {}", wake, first);
                    now = now.max(wake);
                }
            }
            let mut due = Vec::new();
            wheel.advance(Moment::from_millis(now), &mut due);
            let mut expected = Vec::new();
            while let Some(entry) = model.first_entry().filter(|entry| entry.key().0 <= now / TICK_MILLIS) {
                expected.push(entry.remove_entry().0.1);
            }
            prop_assert!(due.iter().all(|due| due.generation == !due.id));
            let mut due: Vec<u32> = due.into_iter().map(|due| due.id).collect();
            due.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(due, expected);
            prop_assert_eq!(wheel.len(), model.len());
        }
        let mut wakes = 0;
        while let Some(wake) = wheel.next_wake() {
            wheel.advance(wake, &mut Vec::new());
            wakes += 1;
            prop_assert!(wakes <= model.len() * LEVELS, "next_wake does not get on");
        }
        prop_assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn large_slabs_shrink_without_losing_entries(count in 1_000..6_000u32, kept in 0..200u32, seed: u64) {
        let mut wheel = wheel_at(seed % 1_000_000);
        let base = seed % 1_000_000;
        for id in 0..count {
            let far = if id < kept { 10_000 + (seed.wrapping_mul(u64::from(id) + 1) % 9_000_000) } else { 0 };
            wheel.arm(id, 0, Moment::from_millis(base + far + u64::from(id % 100)));
        }
        let first = advance(&mut wheel, base + 200);
        prop_assert_eq!(first.len() + wheel.len(), count as usize);
        let mut rest = advance(&mut wheel, base + 20_000_000);
        rest.extend(first);
        rest.sort_unstable();
        prop_assert_eq!(rest, (0..count).collect::<Vec<_>>());
    }
}
