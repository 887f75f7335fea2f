//! Tests of the board: lifetimes, changes, and that nothing depends on the order of events.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::presence::merge::tests::{any_presence, any_report};
use crate::presence::state::UserState;

const DND: Presence = Presence::DoNotDisturb;
const USER: UserKey = UserKey(7);

fn at(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1_000)
}

fn line(presence: Presence) -> Report {
    Report::Line { presence, conference: false }
}

fn plain(presence: Presence) -> Merged {
    Merged { presence, conference: false }
}

/// A board with a user, and what it says.
struct Stage {
    board: Board,
    out: Vec<Change>,
}

impl Stage {
    fn new() -> Self {
        let (mut board, mut out) = (Board::new(), Vec::new());
        board.set_user(Moment::START, USER, DND, &mut out);
        assert_eq!((out.as_slice(), board.merged(USER)), (&[][..], Some(Merged::default())));
        Self { board, out }
    }

    fn report(&mut self, now: u64, source: Source, report: Report, until: Option<u64>) -> &mut Self {
        self.board.report(at(now), USER, source, report, until.map(at), &mut self.out);
        self
    }

    /// The presences that users changed to since the last look.
    fn changes(&mut self) -> Vec<Presence> {
        self.out.drain(..).map(|change| change.merged.presence).collect()
    }

    fn time(&mut self, now: u64) -> Vec<Presence> {
        self.board.handle_time(at(now), &mut self.out);
        self.changes()
    }
}

#[test]
fn only_changes_are_told() {
    let mut stage = Stage::new();
    stage.report(1, Source::Line(0), line(Presence::Available), None);
    stage.report(2, Source::Line(0), line(Presence::Available), None);
    assert_eq!(stage.changes(), [Presence::Available]);
    stage.report(3, Source::Calls, line(Presence::Busy), None);
    stage.report(4, Source::Line(0), line(Presence::Busy), None);
    stage.report(5, Source::Calls, line(Presence::Available), None);
    assert_eq!(stage.changes(), [Presence::Busy]);
    stage.report(6, Source::PbxPresence, Report::User(UserState::Absent), None);
    assert_eq!(stage.changes(), [Presence::Away]);
    assert_eq!(stage.board.counts().changes, 3);
}

#[test]
fn a_source_whose_lifetime_ends_counts_as_unknown() {
    let mut stage = Stage::new();
    stage.report(0, Source::Line(0), line(Presence::Busy), Some(60));
    stage.report(0, Source::Line(1), line(Presence::Available), Some(90));
    assert_eq!(stage.changes(), [Presence::Busy]);
    assert_eq!(stage.time(59), []);
    assert_eq!(stage.time(61), [Presence::Available]);
    assert_eq!(stage.time(91), [Presence::Unknown]);
    assert_eq!(stage.board.next_wake(), None);
    let lost: Vec<_> = stage.board.sources(USER).iter().map(|known| (known.report, known.until)).collect();
    assert_eq!(lost, [(None, None), (None, None)]);
    assert_eq!(stage.board.counts().expired, 2);
    // It comes back when it is heard of again.
    stage.report(100, Source::Line(0), line(Presence::Busy), Some(160));
    assert_eq!(stage.changes(), [Presence::Busy]);
}

#[test]
fn a_lifetime_is_that_of_the_last_report() {
    let mut stage = Stage::new();
    stage.report(0, Source::Line(0), line(Presence::Busy), Some(60));
    stage.report(50, Source::Line(0), line(Presence::Busy), Some(110));
    assert_eq!(stage.changes(), [Presence::Busy]);
    assert_eq!(stage.time(109), []);
    assert_eq!(stage.time(111), [Presence::Unknown]);
    // A shorter one ends sooner than the one before would have.
    stage.report(200, Source::Line(0), line(Presence::Busy), Some(900));
    stage.report(201, Source::Line(0), line(Presence::Busy), Some(210));
    assert_eq!(stage.changes(), [Presence::Busy]);
    assert_eq!(stage.time(211), [Presence::Unknown]);
    // One that has passed is lost at once.
    stage.report(300, Source::Line(0), line(Presence::Busy), Some(299));
    assert_eq!(stage.changes(), []);
    assert_eq!(stage.board.merged(USER), Some(Merged::default()));
}

#[test]
fn what_is_lost_or_forgotten_counts_no_more() {
    let mut stage = Stage::new();
    stage.report(0, Source::Line(0), line(Presence::Busy), None);
    stage.report(0, Source::Feed(1), line(Presence::Available), None);
    stage.board.lose(at(1), USER, Source::Line(0), &mut stage.out);
    stage.board.lose(at(1), USER, Source::Line(9), &mut stage.out);
    assert_eq!(stage.changes(), [Presence::Busy, Presence::Available]);
    assert_eq!(stage.board.sources(USER).len(), 2);
    stage.board.forget(at(2), USER, Source::Feed(1), &mut stage.out);
    assert_eq!(stage.changes(), [Presence::Unknown]);
    assert_eq!(stage.board.counts().sources, 1);
}

#[test]
fn other_settings_of_a_user_merge_again() {
    let mut stage = Stage::new();
    stage.report(0, Source::PbxPresence, Report::User(UserState::NotAvailable), None);
    stage.board.set_user(at(1), USER, Presence::Away, &mut stage.out);
    stage.board.set_user(at(2), USER, Presence::Away, &mut stage.out);
    assert_eq!(stage.changes(), [DND, Presence::Away]);
    assert_eq!(stage.board.counts().users, 1);
}

#[test]
fn a_user_who_goes_leaves_nothing() {
    let mut stage = Stage::new();
    stage.report(0, Source::Line(0), line(Presence::Busy), Some(60));
    stage.board.remove_user(USER);
    stage.board.remove_user(USER);
    assert_eq!((stage.board.merged(USER), stage.board.sources(USER)), (None, &[][..]));
    let Counts { users, sources, by_presence, .. } = stage.board.counts();
    assert_eq!((users, sources, by_presence), (0, 0, [0; 6]));
    stage.changes();
    // Neither what comes late nor the time that was set for what was known does harm.
    stage.report(1, Source::Line(0), line(Presence::Busy), None);
    assert_eq!(stage.board.counts().refused, 1);
    stage.board.set_user(at(2), USER, DND, &mut stage.out);
    assert_eq!(stage.time(100), []);
}

#[test]
fn there_is_room_for_so_many_sources_and_the_lost_make_way() {
    let mut stage = Stage::new();
    for id in 0..100 {
        stage.report(u64::from(id), Source::Published(id), line(Presence::Available), None);
    }
    assert_eq!(stage.board.sources(USER).len(), MAX_SOURCES);
    assert_eq!(stage.board.counts().refused, 100 - MAX_SOURCES as u64);
    stage.board.lose(at(100), USER, Source::Published(3), &mut stage.out);
    stage.report(101, Source::Published(200), line(Presence::Busy), None);
    assert_eq!(stage.board.merged(USER), Some(plain(Presence::Busy)));
    assert_eq!(stage.board.counts().sources, MAX_SOURCES);
    assert!(stage.board.sources(USER).iter().all(|known| known.source != Source::Published(3)));
}

#[test]
fn the_users_of_each_presence_are_counted() {
    let (mut board, mut out) = (Board::new(), Vec::new());
    for user in 0..10 {
        board.set_user(at(0), UserKey(user), DND, &mut out);
        let presence = if user < 3 { Presence::Busy } else { Presence::Available };
        board.report(at(1), UserKey(user), Source::Calls, line(presence), None, &mut out);
    }
    let Counts { users, by_presence, .. } = board.counts();
    assert_eq!((users, by_presence), (10, [0, 0, 7, 3, 0, 0]));
}

#[test]
fn a_user_costs_little() {
    assert!(size_of::<User>() <= 96, "{} bytes", size_of::<User>());
}

/// Something that happens to a source.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Report(Report, Option<u64>),
    Lose,
    Forget,
}

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Calls),
        (0_u8..3).prop_map(Source::Line),
        Just(Source::PbxPresence),
        (0_u32..2).prop_map(Source::Published),
        (0_u16..2).prop_map(Source::Feed),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (any_report(), proptest::option::of(1_u64..2_000)).prop_map(|(report, until)| Happening::Report(report, until)),
        1 => Just(Happening::Lose),
        1 => Just(Happening::Forget),
    ]
}

impl Stage {
    fn happen(&mut self, now: Moment, source: Source, happening: Happening) {
        let Self { board, out } = self;
        match happening {
            Happening::Report(report, until) => {
                board.report(now, USER, source, report, until.map(at), out);
            }
            Happening::Lose => board.lose(now, USER, source, out),
            Happening::Forget => board.forget(now, USER, source, out),
        }
    }
}

proptest! {
    /// The same last states give the same merge, whatever happened before and in which order they came.
    #[test]
    fn the_order_of_events_does_not_matter(
        before in vec((any_source(), any_happening()), 0..30),
        last in proptest::collection::btree_map(any_source(), any_report(), 0..8),
        seed in any::<usize>(),
    ) {
        let (mut one, mut other) = (Stage::new(), Stage::new());
        for &(source, happening) in &before {
            one.happen(at(1), source, happening);
        }
        let known: Vec<Source> = one.board.sources(USER).iter().map(|known| known.source).collect();
        for source in known.into_iter().filter(|source| !last.contains_key(source)) {
            one.happen(at(1), source, Happening::Lose);
        }
        for (&source, &report) in &last {
            one.happen(at(1), source, Happening::Report(report, None));
        }
        let mut turned: Vec<_> = last.iter().rev().collect();
        let turn = seed % turned.len().max(1);
        turned.rotate_left(turn);
        for (&source, &report) in turned {
            other.happen(at(1), source, Happening::Report(report, None));
        }
        let wanted = merge::merge(last.values().copied(), DND);
        prop_assert_eq!(one.board.merged(USER), Some(wanted));
        prop_assert_eq!(other.board.merged(USER), Some(wanted));
    }

    /// Changes tell the whole story: the last one is what the sources come to, and none repeats the one before.
    #[test]
    fn changes_are_the_history_of_the_merge(
        happenings in vec((any_source(), any_happening(), 0_u64..50), 1..40), not_available in any_presence(),
    ) {
        let mut stage = Stage::new();
        stage.board.set_user(at(0), USER, not_available, &mut stage.out);
        let (mut now, mut shown) = (0, Merged::default());
        for (source, happening, wait) in happenings {
            now += wait;
            stage.board.handle_time(at(now), &mut stage.out);
            stage.happen(at(now), source, happening);
            for change in stage.out.drain(..) {
                prop_assert_ne!(change.merged, shown);
                shown = change.merged;
            }
            let says = stage.board.sources(USER).iter().filter_map(|known| known.report);
            prop_assert_eq!(merge::merge(says, not_available), shown);
            prop_assert_eq!(stage.board.merged(USER), Some(shown));
        }
    }

    /// With a lifetime for each report, everybody is unknown in the end, by as many looks as `next_wake` asks for.
    #[test]
    fn lifetimes_always_end(happenings in vec((any_source(), any_report(), 1_u64..2_000, 0_u64..100), 1..40)) {
        let mut stage = Stage::new();
        let mut now = 0;
        for (source, report, lasts, wait) in happenings {
            now += wait;
            stage.board.handle_time(at(now), &mut stage.out);
            stage.report(now, source, report, Some(now + lasts));
        }
        let end = at(now + 2_000) + Duration::from_millis(10);
        let mut looks = 0;
        while let Some(wake) = stage.board.next_wake() {
            prop_assert!(wake <= end, "{wake:?} is behind {end:?}");
            stage.board.handle_time(wake, &mut stage.out);
            looks += 1;
            prop_assert!(looks < 1_000);
        }
        prop_assert_eq!(stage.board.merged(USER), Some(Merged::default()));
        prop_assert!(stage.board.sources(USER).iter().all(|known| known.report.is_none()));
    }
}
