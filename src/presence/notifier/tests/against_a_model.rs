//! The notifier and a watcher with a lossy network between them: when all is quiet, the watcher knows the truth.

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The user's state changes.
    Show(u8),
    /// So many milliseconds pass.
    Wait(u16),
    /// The oldest NOTIFY under way arrives and is answered; the answer comes back.
    Deliver,
    /// The oldest NOTIFY arrives and its answer is a 503: the watcher has not taken it.
    Refuse,
    /// The agent has no room.
    Full,
    /// The watcher refreshes.
    Refresh,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..5).prop_map(Step::Show),
        3 => (0u16..3_000).prop_map(Step::Wait),
        4 => Just(Step::Deliver),
        1 => Just(Step::Refuse),
        1 => Just(Step::Full),
        1 => Just(Step::Refresh),
    ];
    proptest::collection::vec(step, 0..80)
}

fn view(number: u8) -> View {
    let states = [Presence::Available, Presence::Busy, Presence::DoNotDisturb, Presence::Away, Presence::Offline];
    View::of_pbx(states[usize::from(number)], false)
}

/// What a watcher has taken in.
#[derive(Default)]
struct Watcher {
    seen: Vec<u8>,
    cseq: u32,
    version: Option<u32>,
    tag: String,
    next_cseq: u32,
}

impl Watcher {
    /// Takes a NOTIFY; numbers count strictly up.
    fn take(&mut self, ask: &Ask) {
        assert!(ask.cseq > self.cseq, "CSeq {} after {}", ask.cseq, self.cseq);
        self.cseq = ask.cseq;
        let document = dialog_info::read(body(ask), 65_536).unwrap();
        assert!(document.version > self.version, "version {:?} after {:?}", document.version, self.version);
        self.version = document.version;
        self.seen = body(ask).to_vec();
    }
}

struct World {
    place: Place,
    watcher: Watcher,
    under_way: Vec<Ask>,
    /// When each NOTIFY left, with whether a SUBSCRIBE had asked for it.
    sent: Vec<Moment>,
    asked: usize,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            place: Place::new(),
            watcher: Watcher::default(),
            under_way: Vec::new(),
            sent: Vec::new(),
            asked: 1,
        };
        let out = world.place.subscribe(&Wanted { event: "dialog", more: "Expires: 3600\n", ..Wanted::default() });
        world.watcher.tag = answers(&out)[0].to_tag.clone().unwrap();
        world.watcher.next_cseq = 2;
        world.hear(&out);
        world
    }

    fn hear(&mut self, out: &[Order]) {
        for ask in asks(out) {
            self.sent.push(self.place.now);
            self.under_way.push(ask);
            assert!(self.under_way.len() <= 1, "one NOTIFY at a time");
        }
    }

    /// Lets time pass from one wake-up to the next, so that each NOTIFY has its own time.
    fn wait(&mut self, duration: Duration) {
        let end = self.place.now + duration;
        while let Some(at) = self.place.notifier.next_wake().filter(|&at| at <= end) {
            let out = self.place.wait(at.since(self.place.now));
            self.hear(&out);
        }
        self.place.now = end;
    }

    fn step(&mut self, step: Step) {
        let out = match step {
            Step::Show(number) => self.place.show(view(number)),
            Step::Wait(millis) => return self.wait(Duration::from_millis(millis.into())),
            Step::Deliver | Step::Refuse | Step::Full => {
                let Some(ask) = self.under_way.pop() else { return };
                let outcome = match step {
                    Step::Deliver => {
                        self.watcher.take(&ask);
                        answered(200, "")
                    }
                    Step::Refuse => answered(503, "Retry-After: 2\n"),
                    _ => Outcome::Full,
                };
                self.place.reply(&ask, outcome)
            }
            Step::Refresh => {
                let (to_tag, cseq) = (self.watcher.tag.clone(), self.watcher.next_cseq);
                self.watcher.next_cseq += 1;
                self.asked += 1;
                let more = "Expires: 3600\n";
                self.place.subscribe(&Wanted { event: "dialog", to_tag, cseq, more, ..Wanted::default() })
            }
        };
        self.hear(&out);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_quiet_the_watcher_has_seen_the_newest_state(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        for _ in 0..20 {
            world.step(Step::Deliver);
            world.step(Step::Wait(3_000));
        }
        let truth = world.place.notifier.view(world.place.alice).map_or(Presence::Unknown, |view| view.presence);
        let seen = dialog_info::read(&world.watcher.seen, 65_536).unwrap();
        let shown = seen.dialogs.iter().any(|dialog| dialog.state == dialog_info::DialogState::Confirmed);
        prop_assert_eq!(shown, Lamp::default().lit(truth));
        prop_assert!(world.under_way.is_empty());
        // Of NOTIFYs closer than the interval, each second one was owed to a SUBSCRIBE.
        let close = world.sent.windows(2).filter(|two| two[1].since(two[0]) < Duration::from_secs(1)).count();
        prop_assert!(close <= world.asked, "{close} of {} came too soon, {} were asked for", world.sent.len(), world.asked);
        prop_assert_eq!(world.place.notifier.watchers(world.place.alice), 1);
    }
}
