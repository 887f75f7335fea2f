//! Random sequences of events: no machine panics, comes back from the dead or stands still in time.

use std::time::Duration;

use proptest::prelude::*;

use super::tables::{Event, Machine};
use super::*;

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// An event at the present time.
    Event(Event),
    /// Time jumps to the machine's next timeout, plus so many milliseconds, and the timeout is handled.
    ToNextTimeout(u64),
    /// Time goes on and nothing is told.
    Wait(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => any::<u16>().prop_map(|status| Operation::Event(Event::Status(status % 800))),
        2 => (1..=6u16).prop_map(|class| Operation::Event(Event::Status(class * 100))),
        1 => Just(Operation::Event(Event::Abandon)),
        1 => Just(Operation::Event(Event::Ack)),
        1 => Just(Operation::Event(Event::Request)),
        1 => Just(Operation::Event(Event::Timeout)),
        1 => Just(Operation::Event(Event::TransportError)),
        4 => (0..50u64).prop_map(Operation::ToNextTimeout),
        2 => (0..40_000u64).prop_map(Operation::Wait),
    ]
}

fn timing() -> impl Strategy<Value = Timing> {
    prop_oneof![
        Just(Timing::default()),
        (0..2000u64, 0..8000u64, 0..8000u64).prop_map(|(t1, t2, t4)| Timing {
            t1: Duration::from_millis(t1),
            t2: Duration::from_millis(t2),
            t4: Duration::from_millis(t4),
            ..Timing::default()
        }),
        Just(Timing { t1: Duration::MAX, t2: Duration::MAX, t4: Duration::MAX, timer_c: Duration::MAX }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn machines_survive_any_sequence_of_events(
        operations in prop::collection::vec(operation(), 0..60),
        timing in timing(),
        reliable: bool,
    ) {
        run::<InviteClient>(&operations, &timing, reliable)?;
        run::<InviteServer>(&operations, &timing, reliable)?;
        run::<NonInviteClient>(&operations, &timing, reliable)?;
        run::<NonInviteServer>(&operations, &timing, reliable)?;
    }
}

fn run<M: Machine>(operations: &[Operation], timing: &Timing, reliable: bool) -> Result<(), TestCaseError> {
    let mut now = Moment::from_millis(5);
    let mut machine = M::begin(now, reliable, timing);
    let mut terminated = false;
    for &operation in operations {
        let event = match operation {
            Operation::Wait(millis) => {
                now = now + Duration::from_millis(millis);
                continue;
            }
            Operation::Event(event) => event,
            Operation::ToNextTimeout(late) => {
                let Some(next) = machine.next_timeout() else {
                    continue;
                };
                now = now.max(next) + Duration::from_millis(late);
                Event::Timeout
            }
        };
        let outcome = machine.handle(now, event, timing);
        let now_terminated = machine.state_name() == "Terminated";
        prop_assert_eq!(outcome.ended, now_terminated && !terminated, "ended is said once: {:?}", machine);
        if terminated {
            prop_assert!(now_terminated, "came back: {:?}", machine);
            prop_assert_eq!(&outcome.words, "", "acted after its end");
        }
        if now_terminated {
            prop_assert_eq!(machine.next_timeout(), None);
        }
        if event == Event::Timeout {
            let later = machine.next_timeout().is_none_or(|next| next > now);
            prop_assert!(later, "still due after its timeout was handled: {:?} at {:?}", machine, now);
        }
        terminated = now_terminated;
    }
    Ok(())
}
