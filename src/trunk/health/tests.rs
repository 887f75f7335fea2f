//! Every transition as a row, and what holds for any run of events.

use std::time::Duration;

use proptest::prelude::*;

use super::machine::SHORTEST_GAP;
use super::settings::LONGEST_WAIT;
use super::*;
use crate::transaction::Moment;
use crate::trunk::TrunkKind;

/// A target that is asked once a minute, and one that nobody asks.
fn asked() -> Settings {
    Settings::of_kind(TrunkKind::Teams)
}

fn unasked() -> Settings {
    Settings::of_kind(TrunkKind::Carrier)
}

const fn at(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1_000)
}

const fn answer(by: By, status: u16) -> Event {
    Event { by, what: Outcome::Answered { status, retry_after: None } }
}

const fn wait(by: By, seconds: u64) -> Event {
    Event { by, what: Outcome::Answered { status: 503, retry_after: Some(Duration::from_secs(seconds)) } }
}

const fn failed(by: By, what: Outcome) -> Event {
    Event { by, what }
}

const SILENT: Event = failed(By::Options, Outcome::Silent);
const REFUSED: Event = failed(By::Options, Outcome::NotSent(LinkFault::Refused));
const CLOSED: Event = failed(By::Options, Outcome::NotSent(LinkFault::Closed));
const OK: Event = answer(By::Options, 200);
const CALL_SILENT: Event = failed(By::Call, Outcome::Silent);
const CALL_NOT_SENT: Event = failed(By::Call, Outcome::NotSent(LinkFault::Unknown));

/// A machine with the last event handled, and what that changed.
fn after(settings: &Settings, events: &[(u64, Event)]) -> (Health, Option<Change>) {
    let mut health = Health::new(settings, at(0), Duration::ZERO, 0);
    let mut change = None;
    for &(seconds, event) in events {
        let now = at(seconds);
        health.handle_time(now, settings);
        change = health.handle(now, event, settings, u32::MAX);
    }
    (health, change)
}

/// What the row is about, events with their seconds, the state and the words that follow, the change of the last event.
type Row<'a> = (&'a str, &'a [(u64, Event)], State, &'a str, Option<(State, State)>);

#[track_caller]
fn check(settings: &Settings, rows: &[Row<'_>]) {
    for (about, events, state, words, change) in rows {
        let (health, last) = after(settings, events);
        assert_eq!((health.state(), health.reason().to_string().as_str()), (*state, *words), "{about}");
        assert_eq!(last.map(|change| (change.from, change.to)), *change, "{about}");
        assert!(last.is_none_or(|last| last.reason == health.reason()), "{about}");
    }
}

#[test]
fn transitions_of_a_target_that_is_asked() {
    use State::{Down, Suspect, Up};
    #[rustfmt::skip]
    check(&asked(), &[
        ("nothing heard",            &[],                                     Up,      "nothing heard of it yet", None),
        ("first answer",             &[(0, OK)],                              Up,      "answered OPTIONS with 200", None),
        ("a refusal is an answer",   &[(0, answer(By::Options, 405))],        Up,      "answered OPTIONS with 405", None),
        ("408 is none",              &[(0, answer(By::Options, 408))],        Suspect, "answered OPTIONS with 408", Some((Up, Suspect))),
        ("503 is none",              &[(0, answer(By::Options, 503))],        Suspect, "answered OPTIONS with 503", Some((Up, Suspect))),
        ("503 for no time",          &[(0, wait(By::Options, 0))],            Suspect, "answered OPTIONS with 503", Some((Up, Suspect))),
        ("missed once",              &[(0, SILENT)],                          Suspect, "left OPTIONS without an answer", Some((Up, Suspect))),
        ("missed twice",             &[(0, SILENT), (5, SILENT)],             Down,    "left OPTIONS without an answer, 2 times in a row", Some((Suspect, Down))),
        ("missed three times",       &[(0, SILENT), (5, SILENT), (15, SILENT)], Down,  "left OPTIONS without an answer, 3 times in a row", None),
        ("missed, answered, missed", &[(0, SILENT), (5, OK), (65, SILENT)],   Suspect, "left OPTIONS without an answer", Some((Up, Suspect))),
        ("suspect answers",          &[(0, SILENT), (5, OK)],                 Up,      "answered OPTIONS with 200", Some((Suspect, Up))),
        ("down answers",             &[(0, REFUSED), (5, OK)],                Up,      "answered OPTIONS with 200", Some((Down, Up))),
        ("refused counts at once",   &[(0, REFUSED)],                         Down,    "OPTIONS could not be sent: the connection was refused", Some((Up, Down))),
        ("so does TLS",              &[(0, failed(By::Options, Outcome::NotSent(LinkFault::Tls)))],
                                                                              Down,    "OPTIONS could not be sent: the TLS handshake failed", Some((Up, Down))),
        ("a connection that ended does not", &[(0, CLOSED)],                  Suspect, "OPTIONS could not be sent: the connection ended", Some((Up, Suspect))),
        ("no address",               &[(0, failed(By::Options, Outcome::Unresolved))],
                                                                              Suspect, "its name leads to no address", Some((Up, Suspect))),
        ("suspect is refused",       &[(0, SILENT), (5, REFUSED)],            Down,    "OPTIONS could not be sent: the connection was refused", Some((Suspect, Down))),
        ("it asks to be left alone", &[(0, wait(By::Options, 30))],           Down,    "answered OPTIONS with 503 and asked to be left alone for 30 s", Some((Up, Down))),
        ("and is, whatever it says", &[(0, wait(By::Call, 30)), (5, OK)],     Down,    "answered a call with 503 and asked to be left alone for 30 s", None),
        ("until the time is over",   &[(0, wait(By::Call, 30)), (30, OK)],    Up,      "answered OPTIONS with 200", Some((Down, Up))),
        ("no longer than is sound",  &[(0, wait(By::Call, 86_400)), (300, OK)], Up,    "answered OPTIONS with 200", Some((Down, Up))),
        ("its refusals of calls meanwhile are no news", &[(0, wait(By::Call, 30)), (5, answer(By::Call, 503))],
                                                                              Down,    "answered a call with 503 and asked to be left alone for 30 s", None),
        ("a call refused",           &[(0, OK), (1, answer(By::Call, 503))],  Suspect, "answered a call with 503", Some((Up, Suspect))),
        ("a call left unanswered",   &[(0, OK), (1, CALL_SILENT)],            Suspect, "left a call without an answer", Some((Up, Suspect))),
        ("calls and OPTIONS count together", &[(0, OK), (1, CALL_SILENT), (2, SILENT)],
                                                                              Down,    "left OPTIONS without an answer, 2 times in a row", Some((Suspect, Down))),
        ("a call that does not leave", &[(0, OK), (1, CALL_NOT_SENT)],        Down,    "a call could not be sent: the transport failed", Some((Up, Down))),
        ("a call answered",          &[(0, SILENT), (1, answer(By::Call, 486))], Up,   "answered a call with 486", Some((Suspect, Up))),
        ("408 to a call comes from farther on", &[(0, SILENT), (1, answer(By::Call, 408))], Up, "answered a call with 408", Some((Suspect, Up))),
    ]);
}

#[test]
fn transitions_of_a_target_that_nobody_asks() {
    use State::{Down, Suspect, Up};
    #[rustfmt::skip]
    check(&unasked(), &[
        ("a call unanswered",      &[(0, CALL_SILENT)],                           Suspect, "left a call without an answer", Some((Up, Suspect))),
        ("two calls unanswered",   &[(0, CALL_SILENT), (1, CALL_SILENT)],         Down,    "left a call without an answer, 2 times in a row", Some((Suspect, Down))),
        ("a call answered",        &[(0, CALL_SILENT), (1, answer(By::Call, 100))], Up,    "answered a call with 100", Some((Suspect, Up))),
        ("a call that does not leave", &[(0, CALL_NOT_SENT)],                     Down,    "a call could not be sent: the transport failed", Some((Up, Down))),
        ("tried last, it answers", &[(0, CALL_NOT_SENT), (1, answer(By::Call, 200))], Up,  "answered a call with 200", Some((Down, Up))),
        ("tried again in its place", &[(0, CALL_NOT_SENT), (5, CALL_SILENT)],     Down,    "left a call without an answer, 2 times in a row", Some((Suspect, Down))),
        ("it asks to be left alone", &[(0, wait(By::Call, 30)), (29, answer(By::Call, 200))],
                                                                                  Down,    "answered a call with 503 and asked to be left alone for 30 s", None),
        ("and has been",           &[(0, wait(By::Call, 30)), (30, answer(By::Call, 200))], Up, "answered a call with 200", Some((Suspect, Up))),
    ]);
    let (mut health, _) = after(&unasked(), &[(0, CALL_NOT_SENT)]);
    let due = health.handle_time(at(5), &unasked());
    assert_eq!((due.ask, due.change.map(|change| (change.from, change.to))), (false, Some((Down, Suspect))));
    assert_eq!(health.reason().to_string(), "left alone long enough to be tried again");
}

#[test]
fn thresholds_and_codes_are_settings() {
    use State::{Down, Suspect, Up};
    let settings = Settings { down_after: 1, up_after: 3, alive: Alive::Listed(vec![200, 503]), ..asked() };
    #[rustfmt::skip]
    check(&settings, &[
        ("one is enough",      &[(0, SILENT)],                     Down, "left OPTIONS without an answer", Some((Up, Down))),
        ("404 is not listed",  &[(0, answer(By::Options, 404))],   Down, "answered OPTIONS with 404", Some((Up, Down))),
        ("503 is listed",      &[(0, wait(By::Options, 30))],      Up,   "answered OPTIONS with 503", None),
        ("once is not enough", &[(0, SILENT), (5, OK)],            Down, "answered OPTIONS with 200 again, 1 of 3 times", None),
        ("nor is twice",       &[(0, SILENT), (5, OK), (10, OK)],  Down, "answered OPTIONS with 200 again, 2 of 3 times", None),
        ("three times are",    &[(0, SILENT), (5, OK), (10, OK), (15, OK)], Up, "answered OPTIONS with 200", Some((Down, Up))),
        ("in a row",           &[(0, SILENT), (5, OK), (10, SILENT), (15, OK)], Down, "answered OPTIONS with 200 again, 1 of 3 times", None),
    ]);
    let patient = Settings { down_after: 3, ..asked() };
    check(
        &patient,
        &[(
            "two are not enough",
            &[(0, SILENT), (5, SILENT)],
            Suspect,
            "left OPTIONS without an answer, 2 times in a row",
            None,
        )],
    );
}

/// The seconds at which a target is asked whose OPTIONS all meet with `event`, without jitter.
fn rounds(settings: &Settings, event: Event, count: usize) -> Vec<u64> {
    let mut health = Health::new(settings, at(0), Duration::ZERO, 0);
    let mut seconds = Vec::new();
    while seconds.len() < count {
        let now = health.next_wake().expect("it is asked for ever");
        assert!(health.handle_time(now, settings).ask);
        assert_eq!(health.next_wake(), None, "the round is under way");
        seconds.push(now.as_millis() / 1_000);
        health.handle(now, event, settings, u32::MAX);
    }
    seconds
}

#[test]
fn a_target_is_asked_at_its_interval_and_sooner_when_it_fails_but_ever_more_rarely() {
    assert_eq!(rounds(&asked(), OK, 4), [0, 60, 120, 180]);
    assert_eq!(rounds(&asked(), SILENT, 8), [0, 5, 15, 35, 75, 135, 195, 255]);
    let often = Settings { interval: Some(Duration::from_secs(1)), ..asked() };
    assert_eq!(rounds(&often, OK, 3), [0, 1, 2]);
    assert_eq!(rounds(&often, SILENT, 4), [0, 1, 2, 3]);
    assert_eq!(rounds(&asked(), wait(By::Options, 90), 3), [0, 90, 180]);
    assert_eq!(Health::new(&unasked(), at(0), Duration::ZERO, 7).next_wake(), None, "nobody asks it");
}

#[test]
fn a_call_that_fails_has_the_target_asked_at_once_but_not_again_and_again() {
    let settings = asked();
    let (mut health, _) = after(&settings, &[(0, OK), (20, CALL_SILENT)]);
    assert_eq!(health.next_wake(), Some(at(20)));
    assert!(health.handle_time(at(20), &settings).ask);
    health.handle(at(21), CALL_SILENT, &settings, u32::MAX);
    assert_eq!(health.next_wake(), None, "it is being asked");
    health.handle(at(22), SILENT, &settings, u32::MAX);
    let planned = health.next_wake();
    assert_eq!(planned, Some(at(25)));
    health.handle(at(23), CALL_SILENT, &settings, u32::MAX);
    assert_eq!(health.next_wake(), planned);
}

#[test]
fn jitter_only_shortens_and_the_first_questions_are_spread() {
    let settings = asked();
    for (draw, millis) in [(0, 54_000), (u32::MAX, 60_000)] {
        let mut health = Health::new(&settings, at(0), Duration::ZERO, 0);
        health.handle_time(at(0), &settings);
        health.handle(at(0), OK, &settings, draw);
        assert_eq!(health.next_wake(), Some(Moment::from_millis(millis)));
    }
    let first = |draw| Health::new(&settings, at(7), Duration::from_secs(10), draw).next_wake();
    assert_eq!((first(0), first(u32::MAX)), (Some(at(7)), Some(at(17))));
}

#[test]
fn other_settings_keep_what_is_known() {
    let (mut health, _) = after(&asked(), &[(0, REFUSED)]);
    health.follow(at(10), &unasked(), u32::MAX);
    assert_eq!(health.state(), State::Down);
    let due = health.handle_time(health.next_wake().expect("it is tried again some day"), &unasked());
    assert_eq!((due.ask, health.state()), (false, State::Suspect));
    health.follow(at(100), &asked(), u32::MAX);
    assert!(health.handle_time(health.next_wake().expect("it is asked again"), &asked()).ask);
}

#[test]
fn the_table_knows_states_and_takes_what_it_does_not_know_for_up() {
    let loaded = crate::config::load_str(
        "t",
        "[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n\
         [trunk.a]\nkind = \"pbx\"\nlisten = \"l\"\ntargets = [\"udp:127.0.0.2:5060\", \"udp:127.0.0.3:5060\"]\n",
        std::path::Path::new("."),
    )
    .unwrap();
    let trunk = loaded.trunks.0[0].id;
    let table = Table::new(&loaded.trunks, &[]);
    assert_eq!(table.settings(trunk), Some(&Settings::of_kind(TrunkKind::Pbx)));
    table.set(trunk, 1, State::Down);
    table.set(trunk, 9, State::Down);
    let states = [0, 1, 2, 9].map(|target| table.state(trunk, target));
    assert_eq!(states, [State::Up, State::Down, State::Up, State::Up]);
    table.set(trunk, 1, State::Suspect);
    assert_eq!(table.state(trunk, 1), State::Suspect);
    assert_eq!(Table::default().state(trunk, 0), State::Up);
}

fn events() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        (100u16..700).prop_map(|status| Outcome::Answered { status, retry_after: None }),
        (0u64..100_000)
            .prop_map(|seconds| Outcome::Answered { status: 503, retry_after: Some(Duration::from_secs(seconds)) }),
        Just(Outcome::Silent),
        Just(Outcome::Unresolved),
        Just(Outcome::NotSent(LinkFault::Refused)),
        Just(Outcome::NotSent(LinkFault::Closed)),
    ];
    (any::<bool>(), outcome)
        .prop_map(|(options, what)| Event { by: if options { By::Options } else { By::Call }, what })
}

fn settings() -> impl Strategy<Value = Settings> {
    (proptest::option::of(1u64..3_600), 1u8..5, 1u8..5).prop_map(|(interval, down_after, up_after)| Settings {
        interval: interval.map(Duration::from_secs),
        down_after,
        up_after,
        ..asked()
    })
}

/// A reason that fits its state.
fn fits(state: State, reason: Reason) -> bool {
    match state {
        State::Up => matches!(reason, Reason::Assumed | Reason::Answers { .. }),
        State::Suspect => matches!(reason, Reason::Fails { .. } | Reason::WaitOver),
        State::Down => matches!(reason, Reason::Fails { .. } | Reason::Waits { .. } | Reason::Returns { .. }),
    }
}

proptest! {
    /// Whatever happens: each state has its reason, each change is one, OPTIONS come no sooner than the least gap, and
    /// a target that answers from then on comes up within what its settings promise.
    #[test]
    fn states_have_reasons_questions_have_gaps_and_who_answers_comes_up(
        settings in settings(),
        run in proptest::collection::vec((0u64..40_000, events(), any::<u32>()), 0..60),
    ) {
        let mut health = Health::new(&settings, at(0), Duration::from_secs(5), 1);
        let mut now = at(0);
        let mut asked_at: Option<Moment> = None;
        let mut under_way = false;
        for (millis, event, draw) in run {
            now = now + Duration::from_millis(millis);
            let before = health.state();
            let due = health.handle_time(now, &settings);
            if due.ask {
                prop_assert!(settings.interval.is_some());
                prop_assert!(asked_at.is_none_or(|last| now - last >= SHORTEST_GAP));
                asked_at = Some(now);
            }
            for change in [due.change, health.handle(now, event, &settings, draw)].into_iter().flatten() {
                prop_assert_ne!(change.from, change.to);
                prop_assert!(fits(change.to, change.reason));
            }
            prop_assert!(fits(health.state(), health.reason()), "{:?} {:?}", health.state(), health.reason());
            prop_assert!(health.state() == before || health.since() == now);
            under_way = (under_way || due.ask) && event.by != By::Options;
            prop_assert!(settings.interval.is_none() || under_way || health.next_wake().is_some());
        }
        let begun = now;
        health.handle(now, failed(By::Options, Outcome::Silent), &settings, 0);
        let mut rounds = 0;
        while health.state() != State::Up {
            now = match settings.interval {
                Some(_) => health.next_wake().expect("it is asked").max(now),
                // Somebody calls.
                None => now + SHORTEST_GAP,
            };
            let by = if health.handle_time(now, &settings).ask { By::Options } else { By::Call };
            health.handle(now, answer(by, 200), &settings, 0);
            rounds += 1;
            prop_assert!(rounds < 1_000);
        }
        let interval = settings.interval.unwrap_or(SHORTEST_GAP);
        let promised = LONGEST_WAIT + interval * u32::from(settings.up_after + 1);
        prop_assert!(now - begun <= promised, "{:?} of {promised:?}", now - begun);
    }
}
