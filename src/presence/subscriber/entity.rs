//! What one notifier has told: documents are put together by their versions (RFC 4235 sections 4.2 and 4.3).

use smallvec::SmallVec;

use super::list::ListState;
use super::names::Names;
use crate::presence::dialog_info::{Completeness, Dialog, DialogInfo, DialogState, Direction};
use crate::presence::{Presence, Report};

/// Dialogs of a line that are kept apart; more are left out.
const MAX_DIALOGS: usize = 64;

/// The state behind a subscription's dialog.
#[derive(Debug)]
pub(super) enum Entity {
    Line(LineState),
    /// The `presence` package: each document is whole.
    Person(Option<Report>),
    List(Box<ListState>),
}

impl Entity {
    /// What is known; `None`: nothing yet, or it is many lines.
    pub(super) fn report(&self) -> Option<Report> {
        match self {
            Self::Line(line) => line.report(),
            Self::Person(report) => *report,
            Self::List(_) => None,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Line(line) => line.heap_bytes(),
            Self::Person(_) => 0,
            Self::List(list) => size_of::<ListState>() + list.heap_bytes(),
        }
    }
}

/// Whether a document could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// The state is that of the newest document.
    Whole,
    /// A document is missing or came late: what was known is kept, and full state must be asked for.
    Gap,
}

/// Versions of a notifier's documents: which may be used, and which are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    last: Option<u32>,
    /// The newest version that was seen and could not be used.
    missed: Option<u32>,
    /// The notifier does not count properly: the order of its requests is all there is to go by.
    useless: bool,
}

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Whether the document's content is taken.
    pub(super) take: bool,
    pub(super) applied: Applied,
}

impl Versions {
    /// Judges a document; `asked`: full state was asked for and this may be the answer, so that a full document counts
    /// whatever its number is.
    pub(super) fn step(&mut self, version: Option<u32>, full: bool, asked: bool) -> Step {
        const WHOLE: Step = Step { take: true, applied: Applied::Whole };
        let Some(version) = version.filter(|_| !self.useless) else {
            self.missed = self.missed.filter(|_| !full);
            return WHOLE;
        };
        let newer = self.last.is_none_or(|last| version > last);
        let follows = self.last.is_some_and(|last| last.checked_add(1) == Some(version));
        // An answer that is partial all the same is from a notifier that knows nothing else.
        if asked && (full || self.last.is_none()) {
            self.useless = !newer;
            *self = Self { last: Some(version), missed: None, useless: self.useless };
            return WHOLE;
        }
        let take = if full { newer } else { follows };
        if take {
            self.last = Some(version);
            self.missed = self.missed.filter(|&missed| missed > version);
        } else {
            self.missed = self.missed.max(Some(version)).filter(|&missed| self.last.is_none_or(|last| missed > last));
        }
        let whole = take && self.missed.is_none();
        Step { take, applied: if whole { Applied::Whole } else { Applied::Gap } }
    }
}

/// The dialogs of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct LineState {
    versions: Versions,
    /// Whether anything was told at all.
    known: bool,
    dialogs: SmallVec<[(u64, Doing); 1]>,
}

/// What a dialog means for the line, by the reference page `presence.md`; the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    /// It rings.
    Ringing,
    /// A call is placed or up, held ones among them.
    Talking,
    Conferring,
}

impl Doing {
    /// `None`: the dialog is over. One that does not say who began it counts as an incoming call: a phone that rings
    /// must not make its user busy.
    fn of(dialog: &Dialog) -> Option<Self> {
        match dialog.state {
            DialogState::Trying | DialogState::Proceeding | DialogState::Early => {
                Some(if dialog.direction == Some(Direction::Initiator) { Self::Talking } else { Self::Ringing })
            }
            DialogState::Confirmed => Some(if dialog.is_conference() { Self::Conferring } else { Self::Talking }),
            DialogState::Terminated => None,
        }
    }
}

impl LineState {
    /// Takes a document.
    pub(super) fn apply(&mut self, info: &DialogInfo, asked: bool, names: &Names) -> Applied {
        let full = info.completeness == Completeness::Full;
        let step = self.versions.step(info.version, full, asked);
        if !step.take {
            return step.applied;
        }
        self.known = true;
        if full {
            self.dialogs.clear();
        }
        for dialog in &info.dialogs {
            self.put(names.short(&dialog.id), Doing::of(dialog));
        }
        if self.dialogs.is_empty() {
            // The memory of a busy hour goes back.
            self.dialogs = SmallVec::new();
        }
        step.applied
    }

    /// Takes a NOTIFY without a document, which is how some PBXs say that there is no dialog. Where a call was known that
    /// is not believed before it was asked.
    pub(super) fn apply_nothing(&mut self, asked: bool, names: &Names) -> Applied {
        if !asked && !self.dialogs.is_empty() {
            return Applied::Gap;
        }
        self.apply(&DialogInfo::default(), asked, names)
    }

    fn put(&mut self, id: u64, doing: Option<Doing>) {
        let place = self.dialogs.iter().position(|&(known, _)| known == id);
        match (place, doing) {
            (Some(place), None) => drop(self.dialogs.swap_remove(place)),
            (Some(place), Some(doing)) => {
                if let Some(dialog) = self.dialogs.get_mut(place) {
                    dialog.1 = doing;
                }
            }
            (None, Some(doing)) if self.dialogs.len() < MAX_DIALOGS => self.dialogs.push((id, doing)),
            (None, _) => {}
        }
    }

    /// What the line comes to; `None`: nothing was told yet.
    pub(super) fn report(&self) -> Option<Report> {
        let doing = self.dialogs.iter().map(|&(_, doing)| doing).max();
        let presence = if doing >= Some(Doing::Talking) { Presence::Busy } else { Presence::Available };
        self.known.then_some(Report::Line { presence, conference: doing == Some(Doing::Conferring) })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        if self.dialogs.spilled() { self.dialogs.capacity() * size_of::<(u64, Doing)>() } else { 0 }
    }
}

/// The greater of what two notifiers say of one line (rule 1).
pub(super) fn greater(first: Report, second: Report) -> Report {
    match (first, second) {
        (Report::Line { presence, conference }, Report::Line { presence: other, conference: too }) => {
            Report::Line { presence: presence.max(other), conference: conference || too }
        }
        _ => first.max_by_rule(second),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        Names::new([1, 2])
    }

    fn info(version: impl Into<Option<u32>>, full: bool, dialogs: Vec<Dialog>) -> DialogInfo {
        let completeness = if full { Completeness::Full } else { Completeness::Partial };
        DialogInfo { version: version.into(), completeness, entity: String::new(), dialogs }
    }

    fn dialog(id: &str, direction: Option<Direction>, state: DialogState) -> Dialog {
        Dialog { direction, ..Dialog::new(id, state) }
    }

    const fn line(presence: Presence, conference: bool) -> Option<Report> {
        Some(Report::Line { presence, conference })
    }

    #[test]
    fn dialogs_come_to_presence_by_the_table() {
        use DialogState::{Confirmed, Early, Proceeding, Terminated, Trying};
        let (placed, called) = (Some(Direction::Initiator), Some(Direction::Recipient));
        let (busy, available) = (line(Presence::Busy, false), line(Presence::Available, false));
        for (dialogs, wanted) in [
            (vec![], available),
            (vec![(placed, Trying)], busy),
            (vec![(placed, Proceeding)], busy),
            (vec![(placed, Early)], busy),
            (vec![(called, Trying)], available),
            (vec![(called, Early)], available),
            (vec![(None, Early)], available),
            (vec![(placed, Confirmed)], busy),
            (vec![(called, Confirmed)], busy),
            (vec![(None, Confirmed)], busy),
            (vec![(placed, Terminated)], available),
            (vec![(called, Early), (placed, Confirmed)], busy),
            (vec![(placed, Terminated), (called, Early)], available),
        ] {
            let list = dialogs.iter().enumerate();
            let list = list.map(|(at, &(direction, state))| dialog(&at.to_string(), direction, state)).collect();
            let mut state = LineState::default();
            assert_eq!(state.report(), None);
            assert_eq!(state.apply(&info(0, true, list), false, &names()), Applied::Whole);
            assert_eq!(state.report(), wanted, "{dialogs:?}");
        }
    }

    #[test]
    fn held_calls_are_busy_and_a_focus_makes_a_conference() {
        let mut held = dialog("a", Some(Direction::Initiator), DialogState::Confirmed);
        held.local.rendering = Some(false);
        let mut state = LineState::default();
        state.apply(&info(0, true, vec![held]), false, &names());
        assert_eq!(state.report(), line(Presence::Busy, false));
        let mut joined = dialog("b", None, DialogState::Confirmed);
        joined.remote.focus = true;
        state.apply(&info(1, false, vec![joined.clone()]), false, &names());
        assert_eq!(state.report(), line(Presence::Busy, true));
        joined.state = DialogState::Terminated;
        state.apply(&info(2, false, vec![joined]), false, &names());
        assert_eq!(state.report(), line(Presence::Busy, false));
    }

    #[test]
    fn a_gap_or_an_older_version_keeps_what_is_known_and_asks() {
        let up = || vec![dialog("a", None, DialogState::Confirmed)];
        let (busy, available) = (line(Presence::Busy, false), line(Presence::Available, false));
        let mut state = LineState::default();
        for (version, full, dialogs, asked, applied, report) in [
            (Some(0), true, vec![], false, Applied::Whole, available),
            // A gap.
            (Some(2), false, up(), false, Applied::Gap, available),
            (Some(3), false, up(), false, Applied::Gap, available),
            // The full state that was asked for.
            (Some(4), true, up(), true, Applied::Whole, busy),
            // Late and repeated ones.
            (Some(3), true, vec![], false, Applied::Gap, busy),
            (Some(4), false, vec![], false, Applied::Gap, busy),
            (Some(5), false, vec![dialog("a", None, DialogState::Terminated)], false, Applied::Whole, available),
            // The notifier begins to count anew: after an answer to the question it is not judged by numbers again.
            (Some(0), true, up(), false, Applied::Gap, available),
            (Some(0), true, up(), true, Applied::Whole, busy),
            (Some(0), true, vec![], false, Applied::Whole, available),
            (None, false, up(), false, Applied::Whole, busy),
        ] {
            assert_eq!(state.apply(&info(version, full, dialogs), asked, &names()), applied, "{version:?} {full}");
            assert_eq!(state.report(), report, "{version:?} {full}");
        }
    }

    #[test]
    fn partial_state_first_is_a_gap_unless_it_is_all_there_is() {
        let ringing = || vec![dialog("a", Some(Direction::Recipient), DialogState::Early)];
        let mut state = LineState::default();
        assert_eq!(state.apply(&info(7, false, ringing()), false, &names()), Applied::Gap);
        assert_eq!(state.report(), None);
        assert_eq!(state.apply(&info(8, false, ringing()), true, &names()), Applied::Whole);
        assert_eq!(state.report(), line(Presence::Available, false));
    }

    #[test]
    fn dialogs_are_bounded() {
        let many = (0..1_000).map(|id| dialog(&id.to_string(), None, DialogState::Confirmed)).collect();
        let mut state = LineState::default();
        state.apply(&info(0, true, many), false, &names());
        assert_eq!(state.dialogs.len(), MAX_DIALOGS);
        state.apply(&info(1, true, vec![]), false, &names());
        assert_eq!(state.heap_bytes(), 0);
    }

    /// What a line does over time: at each step one of four dialogs changes.
    #[derive(Clone, Debug)]
    struct Story(Vec<(u8, u8)>);

    impl Story {
        fn state(code: u8) -> (Option<Direction>, DialogState) {
            match code {
                0 => (None, DialogState::Terminated),
                1 => (Some(Direction::Recipient), DialogState::Early),
                2 => (Some(Direction::Initiator), DialogState::Trying),
                _ => (None, DialogState::Confirmed),
            }
        }

        /// The codes of all four dialogs after so many steps.
        fn at(&self, version: usize) -> [u8; 4] {
            let mut codes = [0; 4];
            self.0.iter().take(version).for_each(|&(which, code)| codes[usize::from(which)] = code);
            codes
        }

        fn document(&self, version: usize, full: bool) -> DialogInfo {
            let make = |which: usize, code: u8| {
                let (direction, state) = Self::state(code);
                dialog(&which.to_string(), direction, state)
            };
            let dialogs = if full {
                self.at(version).into_iter().enumerate().map(|(which, code)| make(which, code)).collect()
            } else {
                let step = version.checked_sub(1).and_then(|step| self.0.get(step));
                step.map(|&(which, code)| make(usize::from(which), code)).into_iter().collect()
            };
            info(version as u32, full, dialogs)
        }

        fn truth(&self, version: usize) -> Option<Report> {
            let talks = self.at(version).iter().any(|&code| code >= 2);
            line(if talks { Presence::Busy } else { Presence::Available }, false)
        }
    }

    proptest! {
        /// Whatever order documents come in, doubled or lost: either the state is that of the newest one seen, or full
        /// state is asked for, and the answer makes it right.
        #[test]
        fn any_order_of_documents_ends_right_or_asks(
            steps in proptest::collection::vec((0..4_u8, 0..4_u8), 1..24),
            order in proptest::collection::vec((0..25_usize, any::<bool>()), 1..60),
        ) {
            let story = Story(steps);
            let mut state = LineState::default();
            let mut newest = None;
            let mut asks = false;
            for (version, full) in order {
                let version = version.min(story.0.len());
                newest = newest.max(Some(version));
                asks = state.apply(&story.document(version, full), false, &names()) == Applied::Gap;
                if !asks {
                    prop_assert_eq!(state.report(), story.truth(newest.unwrap()));
                }
            }
            if asks {
                let last = story.0.len();
                prop_assert_eq!(state.apply(&story.document(last, true), true, &names()), Applied::Whole);
                prop_assert_eq!(state.report(), story.truth(last));
            }
        }
    }
}
