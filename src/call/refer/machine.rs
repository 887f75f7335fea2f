//! A transfer that the edge carries out for a peer: RFC 3515 on the referrer's leg, RFC 3725 between the other two.
//!
//! It knows neither messages nor sockets: `(now, event) -> actions`.
//!
//! ```text
//!               target answers           other side takes it
//! REFER -> Calling ----------> Changing --------------------> Joined -> Over
//!             |                 ^    | 491                      |  referrer's BYE, or 32 s
//!             | target refuses  |    v                          |
//!             v              time  Waiting                      |
//!            Over                                               Over
//! ```
//! The *referrer* sent the REFER, the *other* side of its call is transferred, the *target* is called. Whoever leaves
//! before the two are joined ends the transfer; the first call lives on where both of its sides are there.

use std::time::Duration;

use smallvec::SmallVec;

use crate::transaction::Moment;

/// How long the referrer has to hang up once it knows that the transfer has worked.
pub const PATIENCE: Duration = Duration::from_secs(32);

/// How often a re-INVITE that met another one (491) is sent again.
pub const RETRIES: u8 = 5;

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The target is being called.
    Calling,
    /// The target has answered; the other side is being told so by re-INVITE.
    Changing,
    /// The other side has a re-INVITE of its own under way: the edge's is sent again a little later.
    Waiting,
    /// The two talk; the referrer is to hang up.
    Joined,
    Over,
}

/// Something that happens to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A provisional answer of the target's.
    Progress(u16),
    /// The target has answered with 2xx.
    Answered,
    /// The target refused, could not be reached or was silent.
    Refused(u16),
    /// The other side has taken the target's description.
    Changed,
    /// It has not.
    NotChanged(u16),
    /// A BYE of the referrer's.
    ReferrerLeft,
    /// A BYE of the other side's.
    OtherLeft,
    /// A BYE of the target's.
    TargetLeft,
    /// The referrer wants no more NOTIFYs: it refused one.
    NotifyRefused,
    /// The time that [`Machine::next_timeout`] named has come.
    Due,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell the referrer how far it is; the last of these ends its subscription.
    Notify {
        status: u16,
        last: bool,
    },
    /// Call the target.
    Call,
    /// Give up the call to the target: CANCEL.
    Cancel,
    /// Send the other side a re-INVITE with the target's description.
    Change,
    /// From now on the target is the other side's peer.
    Join,
    HangUpReferrer,
    HangUpOther,
    HangUpTarget,
}

/// What one event asks for, in order.
pub type Actions = SmallVec<[Action; 4]>;

/// One transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    state: State,
    timer: Option<Moment>,
    retries: u8,
    /// The referrer has hung up already, as some do once they have their 202.
    alone: bool,
    /// The referrer gets NOTIFYs.
    notifying: bool,
}

impl Machine {
    /// Begins a transfer: the REFER has been accepted. `notifying`: the referrer wants to be told of it.
    pub fn begin(notifying: bool) -> (Self, Actions) {
        let mut machine = Self { state: State::Calling, timer: None, retries: 0, alone: false, notifying };
        let mut actions = Actions::new();
        machine.notify(100, false, &mut actions);
        actions.push(Action::Call);
        (machine, actions)
    }

    /// How far it has come.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether nothing more can happen.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether the referrer's call is still the other side's: nothing is joined yet.
    pub const fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling | State::Changing | State::Waiting)
    }

    /// Whether the referrer has hung up before the transfer was through.
    pub const fn is_alone(&self) -> bool {
        self.alone
    }

    /// When [`Event::Due`] is wanted.
    pub const fn next_timeout(&self) -> Option<Moment> {
        self.timer
    }

    /// Handles one event. `chance` is random: it spreads the time of another try.
    pub fn handle(&mut self, now: Moment, event: Event, chance: u64) -> Actions {
        let mut actions = Actions::new();
        match (self.state, event) {
            (State::Over, _) => {}
            (_, Event::NotifyRefused) => self.notifying = false,
            (State::Calling, Event::Progress(status)) if status > 100 => self.notify(status, false, &mut actions),
            (State::Calling, Event::Answered) => self.change(&mut actions),
            (State::Calling, Event::Refused(status)) => self.fail(status, &mut actions),
            (State::Changing, Event::Changed) => self.join(now, &mut actions),
            (State::Changing, Event::NotChanged(491)) if self.retries < RETRIES => {
                self.retries += 1;
                self.state = State::Waiting;
                // RFC 3261 section 14.1: 2.1 to 4 seconds, which is more than the other's at the most.
                self.timer = Some(now + Duration::from_millis(2_100 + chance % 1_900));
            }
            (State::Changing, Event::NotChanged(status)) => {
                actions.push(Action::HangUpTarget);
                if matches!(status, 408 | 481) {
                    self.lose_other(status, &mut actions);
                } else {
                    self.fail(status, &mut actions);
                }
            }
            (State::Waiting, Event::Due) => self.change(&mut actions),
            (State::Calling | State::Changing | State::Waiting, Event::OtherLeft) => {
                let calling = self.state == State::Calling;
                actions.push(if calling { Action::Cancel } else { Action::HangUpTarget });
                self.notify(487, true, &mut actions);
                self.end();
            }
            (State::Changing | State::Waiting, Event::TargetLeft) => {
                // It answered, so that the transfer has worked and the call that came of it is over.
                self.notify(200, true, &mut actions);
                self.leave_referrer(&mut actions);
                actions.push(Action::HangUpOther);
                self.end();
            }
            (State::Calling | State::Changing | State::Waiting, Event::ReferrerLeft) => self.alone = true,
            (State::Joined, Event::ReferrerLeft) => self.end(),
            (State::Joined, Event::Due | Event::OtherLeft | Event::TargetLeft) => {
                actions.push(Action::HangUpReferrer);
                self.end();
            }
            _ => {}
        }
        actions
    }

    fn notify(&mut self, status: u16, last: bool, actions: &mut Actions) {
        if self.notifying {
            actions.push(Action::Notify { status, last });
        }
    }

    fn change(&mut self, actions: &mut Actions) {
        (self.state, self.timer) = (State::Changing, None);
        actions.push(Action::Change);
    }

    fn join(&mut self, now: Moment, actions: &mut Actions) {
        self.notify(200, true, actions);
        actions.push(Action::Join);
        if self.alone {
            return self.end();
        }
        (self.state, self.timer) = (State::Joined, Some(now + PATIENCE));
    }

    /// The transfer has come to nothing: the first call lives on, if there still is one.
    fn fail(&mut self, status: u16, actions: &mut Actions) {
        self.notify(status, true, actions);
        if self.alone {
            actions.push(Action::HangUpOther);
        }
        self.end();
    }

    /// The other side has gone without a word: there is nobody left for the referrer to talk to.
    fn lose_other(&mut self, status: u16, actions: &mut Actions) {
        self.notify(status, true, actions);
        self.leave_referrer(actions);
        self.end();
    }

    fn leave_referrer(&self, actions: &mut Actions) {
        if !self.alone {
            actions.push(Action::HangUpReferrer);
        }
    }

    fn end(&mut self) {
        (self.state, self.timer) = (State::Over, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(1_000);

    fn words(actions: &Actions) -> String {
        let word = |action: &Action| match action {
            Action::Notify { status, last: false } => format!("{status}"),
            Action::Notify { status, last: true } => format!("{status}!"),
            other => format!("{other:?}"),
        };
        actions.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn in_state(state: State, alone: bool) -> Machine {
        let (mut machine, begun) = Machine::begin(true);
        assert_eq!(words(&begun), "100 Call");
        if alone {
            machine.handle(NOW, Event::ReferrerLeft, 0);
        }
        let events: &[Event] = match state {
            State::Calling => &[],
            State::Changing => &[Event::Answered],
            State::Waiting => &[Event::Answered, Event::NotChanged(491)],
            State::Joined => &[Event::Answered, Event::Changed],
            State::Over => &[Event::Refused(486)],
        };
        for event in events {
            machine.handle(NOW, *event, 0);
        }
        assert_eq!(machine.state(), state);
        machine
    }

    const ALL: [Event; 12] = [
        Event::Progress(100),
        Event::Progress(180),
        Event::Answered,
        Event::Refused(486),
        Event::Changed,
        Event::NotChanged(491),
        Event::NotChanged(488),
        Event::NotChanged(481),
        Event::ReferrerLeft,
        Event::OtherLeft,
        Event::TargetLeft,
        Event::Due,
    ];

    /// One row for each state, one cell for each event: what is done, and the state after it where that is another.
    #[test]
    fn every_state_knows_what_each_event_means() {
        use State::{Calling, Changing, Joined, Over, Waiting};
        let ended = "HangUpTarget 488!";
        let left = "HangUpTarget 487!";
        let lost = "HangUpTarget 481! HangUpReferrer";
        #[rustfmt::skip]
        let table: [(State, [(&str, State); 12]); 5] = [
            (Calling, [("", Calling), ("180", Calling), ("Change", Changing), ("486!", Over), ("", Calling), ("", Calling),
                ("", Calling), ("", Calling), ("", Calling), ("Cancel 487!", Over), ("", Calling), ("", Calling)]),
            (Changing, [("", Changing), ("", Changing), ("", Changing), ("", Changing), ("200! Join", Joined), ("", Waiting),
                (ended, Over), (lost, Over), ("", Changing), (left, Over), ("200! HangUpReferrer HangUpOther", Over), ("", Changing)]),
            (Waiting, [("", Waiting), ("", Waiting), ("", Waiting), ("", Waiting), ("", Waiting), ("", Waiting),
                ("", Waiting), ("", Waiting), ("", Waiting), (left, Over), ("200! HangUpReferrer HangUpOther", Over), ("Change", Changing)]),
            (Joined, [("", Joined), ("", Joined), ("", Joined), ("", Joined), ("", Joined), ("", Joined),
                ("", Joined), ("", Joined), ("", Over), ("HangUpReferrer", Over), ("HangUpReferrer", Over), ("HangUpReferrer", Over)]),
            (Over, [("", Over); 12]),
        ];
        for (state, cells) in table {
            for (event, (wanted, next)) in ALL.into_iter().zip(cells) {
                let mut machine = in_state(state, false);
                let actions = machine.handle(NOW, event, 0);
                assert_eq!((words(&actions).as_str(), machine.state()), (wanted, next), "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn whoever_is_left_alone_is_hung_up_on() {
        let mut machine = in_state(State::Calling, true);
        assert_eq!(words(&machine.handle(NOW, Event::Refused(404), 0)), "404! HangUpOther");
        let mut machine = in_state(State::Changing, true);
        assert_eq!(words(&machine.handle(NOW, Event::NotChanged(488), 0)), "HangUpTarget 488! HangUpOther");
        let mut machine = in_state(State::Changing, true);
        assert_eq!(words(&machine.handle(NOW, Event::NotChanged(408), 0)), "HangUpTarget 408!");
        let mut machine = in_state(State::Changing, true);
        assert_eq!(words(&machine.handle(NOW, Event::Changed, 0)), "200! Join");
        assert!(machine.is_over() && machine.next_timeout().is_none());
    }

    #[test]
    fn a_referrer_that_does_not_hang_up_is_hung_up_on_after_32_seconds() {
        let machine = in_state(State::Joined, false);
        assert_eq!(machine.next_timeout(), Some(NOW + Duration::from_secs(32)));
        assert!(!machine.is_pending());
    }

    #[test]
    fn a_re_invite_that_met_another_is_sent_again_a_few_times() {
        let mut machine = in_state(State::Changing, false);
        for retry in 0..u64::from(RETRIES) {
            assert_eq!(words(&machine.handle(NOW, Event::NotChanged(491), retry * 1_000_003)), "");
            let wait = machine.next_timeout().unwrap().since(NOW).as_millis();
            assert!((2_100..4_000).contains(&wait), "{wait}");
            assert_eq!(words(&machine.handle(NOW, Event::Due, 0)), "Change");
        }
        assert_eq!(words(&machine.handle(NOW, Event::NotChanged(491), 0)), "HangUpTarget 491!");
    }

    #[test]
    fn who_wants_no_notify_gets_none() {
        let (mut machine, begun) = Machine::begin(false);
        assert_eq!(words(&begun), "Call");
        assert_eq!(words(&machine.handle(NOW, Event::Progress(180), 0)), "");
        let mut machine = in_state(State::Calling, false);
        machine.handle(NOW, Event::NotifyRefused, 0);
        assert_eq!(words(&machine.handle(NOW, Event::Answered, 0)), "Change");
        assert_eq!(words(&machine.handle(NOW, Event::Changed, 0)), "Join");
    }
}
