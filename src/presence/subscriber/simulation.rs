//! A PBX that loses, repeats, forks, forgets and dies: in the end the line is told as it is, or as unknown.

use proptest::prelude::*;

use super::tests::{ALICE, AVAILABLE, BUSY, HUNG_UP, LINE, SETTINGS, TALKS, World, full, partial};
use super::*;
use crate::presence::Report;
use crate::presence::agent::{Ask, Outcome};

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A call begins or ends on the notifier.
    Toggle {
        notifier: usize,
    },
    /// The next so many NOTIFYs get lost.
    Lose {
        notifies: u8,
    },
    /// The next so many SUBSCRIBEs are not answered, though the PBX may have taken them.
    Deafen {
        answers: u8,
    },
    /// The PBX forgets all subscriptions.
    Forget,
    /// It ends one with a reason.
    End {
        notifier: usize,
        reason: &'static str,
    },
    /// It says the last thing again, with its old numbers.
    Repeat {
        notifier: usize,
    },
    /// It begins to count its versions anew.
    Recount {
        notifier: usize,
    },
    Wait {
        seconds: u16,
    },
}

/// One notifier's side of a dialog.
struct Dialog {
    ask: Ask,
    tag: String,
    cseq: u32,
    version: u32,
    ends: Moment,
    last: String,
}

struct Pbx {
    world: World,
    /// How many notifiers answer a SUBSCRIBE.
    forks: usize,
    talks: Vec<bool>,
    dialogs: Vec<Dialog>,
    lose: u8,
    deaf: u8,
    tags: u32,
}

impl Pbx {
    fn new(forks: usize, seed: u64) -> Self {
        let mut world = World::new(SETTINGS, seed);
        world.set(LINE, Some("401"));
        Self { world, forks, talks: vec![false; forks], dialogs: vec![], lose: 0, deaf: 0, tags: 0 }
    }

    fn notify(&mut self, place: usize, rest: String) {
        let dialog = &mut self.dialogs[place];
        let left = dialog.ends.since(self.world.now).as_secs();
        let rest = rest.replacen("active", &format!("active;expires={left}"), 1);
        dialog.cseq += 1;
        dialog.last = rest.clone();
        let (ask, tag, cseq) = (dialog.ask.clone(), dialog.tag.clone(), dialog.cseq);
        // The first words of one notifier among several are not lost: nobody could know that it is there.
        if self.lose > 0 && (self.forks == 1 || cseq > 1) {
            self.lose -= 1;
            return;
        }
        let status = self.world.notify(&ask, &tag, cseq, &rest);
        assert!(matches!(status, 200 | 481), "{status}");
        if status == 481 {
            self.dialogs.remove(place);
        }
    }

    fn whole(&mut self, place: usize) {
        let number = place % self.forks;
        let rest = full(self.dialogs[place].version, if self.talks[number] { TALKS } else { "" });
        self.dialogs[place].version += 1;
        self.notify(place, rest);
    }

    /// Answers what the edge has asked, and lets time pass in small steps.
    fn pass(&mut self, seconds: u16) {
        for _ in 0..seconds {
            self.world.pass(Duration::from_secs(1));
            let now = self.world.now;
            self.dialogs.retain(|dialog| dialog.ends > now);
            for (_, ask) in std::mem::take(&mut self.world.asks) {
                self.answer(&ask);
            }
        }
    }

    fn answer(&mut self, ask: &Ask) {
        let deaf = self.deaf > 0;
        self.deaf = self.deaf.saturating_sub(1);
        let tag = ask.to.split_once(";tag=").map(|(_, tag)| tag.to_owned());
        let known = self.dialogs.iter().position(|dialog| Some(&dialog.tag) == tag.as_ref());
        let ends = self.world.now + Duration::from_secs(600);
        match (tag, known) {
            (Some(_), None) if !deaf => return self.world.reply(ask, 481, ""),
            (Some(_), Some(place)) => {
                self.dialogs[place].ends = ends;
                if !deaf {
                    self.world.reply(ask, 200, "Expires: 600\r\n");
                }
                self.whole(place);
            }
            (None, _) => {
                // Notifiers of earlier attempts are forgotten: their dialogs have no place in the numbering of these.
                self.dialogs.clear();
                if !deaf {
                    self.world.reply(ask, 200, "Expires: 600\r\n");
                }
                for _ in 0..self.forks {
                    self.tags += 1;
                    let tag = format!("n{}", self.tags);
                    self.dialogs.push(Dialog { ask: ask.clone(), tag, cseq: 0, version: 0, ends, last: String::new() });
                }
                for place in (0..self.forks).rev() {
                    if place < self.dialogs.len() {
                        self.whole(place);
                    }
                }
            }
            _ => {}
        }
        if deaf {
            self.world.outcome(ask, Outcome::Timeout);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Toggle { notifier } => {
                let notifier = notifier % self.forks;
                self.talks[notifier] = !self.talks[notifier];
                // Where one is gone, the numbering does not hold: what is left is told by whole documents.
                if self.dialogs.len() == self.forks {
                    let version = self.dialogs[notifier].version;
                    self.dialogs[notifier].version += 1;
                    let rest = partial(version, if self.talks[notifier] { TALKS } else { HUNG_UP });
                    self.notify(notifier, rest);
                }
            }
            Event::Lose { notifies } => self.lose = notifies,
            Event::Deafen { answers } => self.deaf = answers,
            Event::Forget => self.dialogs.clear(),
            Event::End { notifier, reason } => {
                if let Some(dialog) = self.dialogs.get_mut(notifier) {
                    dialog.cseq += 1;
                    let rest = format!("Subscription-State: terminated;reason={reason}\r\nContent-Length: 0\r\n\r\n");
                    let (ask, tag, cseq) = (dialog.ask.clone(), dialog.tag.clone(), dialog.cseq);
                    self.world.notify(&ask, &tag, cseq, &rest);
                }
                self.dialogs.clear();
            }
            Event::Repeat { notifier } => {
                if let Some(dialog) = self.dialogs.get(notifier).filter(|dialog| !dialog.last.is_empty()) {
                    let (ask, tag, cseq) = (dialog.ask.clone(), dialog.tag.clone(), dialog.cseq);
                    let status = self.world.notify(&ask, &tag, cseq.saturating_sub(1).max(1), &dialog.last.clone());
                    assert!(matches!(status, 200 | 481 | 500), "{status}");
                }
            }
            Event::Recount { notifier } => {
                if let Some(dialog) = self.dialogs.get_mut(notifier) {
                    dialog.version = 0;
                }
            }
            Event::Wait { seconds } => self.pass(seconds),
        }
    }

    fn last_told(&self) -> Option<Report> {
        self.world.told.last().and_then(|told| told.report)
    }
}

fn event() -> impl Strategy<Value = Event> {
    let reason = prop_oneof![Just("deactivated"), Just("probation"), Just("timeout"), Just("giveup"), Just("odd")];
    prop_oneof![
        4 => (0..3_usize).prop_map(|notifier| Event::Toggle { notifier }),
        1 => (1..4_u8).prop_map(|notifies| Event::Lose { notifies }),
        1 => (1..4_u8).prop_map(|answers| Event::Deafen { answers }),
        1 => Just(Event::Forget),
        1 => (0..3_usize, reason).prop_map(|(notifier, reason)| Event::End { notifier, reason }),
        1 => (0..3_usize).prop_map(|notifier| Event::Repeat { notifier }),
        1 => (0..3_usize).prop_map(|notifier| Event::Recount { notifier }),
        3 => (1..900_u16).prop_map(|seconds| Event::Wait { seconds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever has happened, once the PBX is well for a while the line is told as it is; and once it is dead, as unknown.
    #[test]
    fn the_line_is_told_as_it_is_in_the_end(
        forks in 1..4_usize,
        seed in any::<u64>(),
        events in proptest::collection::vec(event(), 1..30),
    ) {
        let mut pbx = Pbx::new(forks, seed);
        pbx.pass(2);
        events.into_iter().for_each(|event| pbx.happen(event));
        (pbx.lose, pbx.deaf) = (0, 0);
        // A back-off that has begun, then a whole interval with its refresh.
        pbx.pass(1_800);
        let busy = pbx.talks.contains(&true);
        prop_assert_eq!(pbx.last_told(), Some(if busy { BUSY } else { AVAILABLE }), "{:?}", pbx.world.told.last());
        prop_assert!(pbx.world.told.iter().all(|told| (told.user, told.source) == (ALICE, Source::Line(0))));
        // Silence.
        pbx.world.pass(Duration::from_secs(700));
        prop_assert_eq!(pbx.last_told(), None);
        prop_assert_eq!(pbx.world.subscriber.counts().up, 0);
        pbx.world.set(LINE, None);
        pbx.world.pass(Duration::from_secs(1_000));
        prop_assert!(pbx.world.subscriber.subscriptions.is_empty());
    }
}
