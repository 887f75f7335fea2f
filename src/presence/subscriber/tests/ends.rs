//! Refusals, silence, and ends of subscriptions.

use super::*;

#[test]
fn a_pbx_that_dies_leaves_nothing_behind() {
    let (mut world, ask) = World::up();
    world.notify(&ask, "n1", 2, &partial(1, TALKS));
    let mut asks = 0;
    for _ in 0..HOUR.as_secs() + 60 {
        world.pass(SECOND);
        for (_, ask) in std::mem::take(&mut world.asks) {
            asks += 1;
            world.outcome(&ask, Outcome::Timeout);
        }
    }
    assert_eq!(world.told.last().map(|told| told.report), Some(None));
    assert!((3..60).contains(&asks), "{asks}");
    assert_eq!(world.subscriber.counts().up, 0);
    // It comes back.
    let ask = world.next_ask(HOUR).unwrap().1;
    assert_eq!(ask.to, "<sip:401@{target}>");
    world.reply(&ask, 200, "Expires: 3600\r\n");
    assert_eq!(world.notify(&ask, "n2", 1, &full(0, "")), 200);
    assert_eq!(world.told.last().unwrap().report, Some(AVAILABLE));
}

#[test]
fn refusals_of_the_first_subscribe_wait_as_long_as_they_deserve() {
    let secs = Duration::from_secs;
    for (status, lines, least, most) in [
        (423, "Min-Expires: 7200\r\n", secs(0), secs(1)),
        (423, "Min-Expires: 60\r\n", secs(200), secs(400)),
        (423, "", secs(200), secs(400)),
        (423, "Min-Expires: 4000000\r\n", secs(200), secs(400)),
        (489, "", secs(2_600), secs(4_600)),
        (403, "", secs(200), secs(400)),
        (404, "", secs(200), secs(400)),
        (401, "", secs(200), secs(400)),
        (603, "", secs(200), secs(400)),
        (500, "", secs(1), secs(3)),
        (503, "Retry-After: 120\r\n", secs(120), secs(133)),
        (480, "", secs(1), secs(3)),
        (481, "", secs(0), secs(1)),
    ] {
        let (mut world, first) = World::asked(LINE);
        let began = world.now;
        world.reply(&first, status, lines);
        let (at, ask) = world.next_ask(most).unwrap_or_else(|| panic!("{status}: nothing within {most:?}"));
        assert!(at.since(began) >= least, "{status}: {:?}", at.since(began));
        assert_ne!(ask.call_id, first.call_id, "{status}");
        let raised = status == 423 && lines.contains("7200");
        assert_eq!(header(&ask, "Expires"), Some(if raised { "7200" } else { "3600" }), "{status}");
    }
}

#[test]
fn back_off_doubles_and_ends_with_success() {
    let (mut world, mut ask) = World::asked(LINE);
    let mut waits = Vec::new();
    for _ in 0..12 {
        let began = world.now;
        world.outcome(&ask, Outcome::Timeout);
        assert_eq!(world.word(), "resting");
        let (at, next) = world.next_ask(MINUTE * 7).unwrap();
        waits.push(at.since(began));
        ask = next;
    }
    assert!(waits[0] < SECOND * 3 && waits[4] > SECOND * 20, "{waits:?}");
    assert!(waits.iter().all(|&wait| wait <= MINUTE * 7) && waits[11] >= MINUTE * 3, "{waits:?}");
    world.reply(&ask, 200, "Expires: 3600\r\n");
    world.notify(&ask, "n1", 1, &full(0, ""));
    world.pass(MINUTE * 2);
    let began = world.now;
    world.notify(&ask, "n1", 2, &terminated(";reason=deactivated"));
    world.pass(SECOND);
    assert_eq!(world.asks.len(), 1);
    assert!(world.asks[0].0.since(began) <= SECOND);
}

#[test]
fn an_accepted_subscription_without_a_notify_begins_anew() {
    let (mut world, first) = World::asked(LINE);
    world.reply(&first, 200, "Expires: 3600\r\n");
    world.pass(SECOND * 31);
    assert!(world.asks.is_empty());
    world.pass(SECOND * 5);
    assert_ne!(world.ask().call_id, first.call_id);
    assert!(world.told.is_empty());
}

#[test]
fn a_refresh_that_fails_for_now_keeps_the_subscription() {
    for (status, lost) in [(481, true), (404, true), (403, true), (489, true), (500, false), (503, false), (408, false)]
    {
        let (mut world, first) = World::up();
        let refresh = world.next_ask(HOUR * 9 / 10);
        let refresh = refresh.unwrap().1;
        world.reply(&refresh, status, "");
        assert_eq!(world.word(), if lost { "resting" } else { "up" }, "{status}");
        if status == 403 || status == 404 || status == 489 {
            assert_eq!(world.reports(), [None], "{status}");
            continue;
        }
        let again = world.next_ask(SECOND * 4).unwrap().1;
        assert_eq!(again.call_id != first.call_id, lost, "{status}");
        assert_eq!((again.to.contains(";tag="), world.reports()), (!lost, vec![]), "{status}");
    }
}

#[test]
fn reasons_of_an_end_say_when_to_come_back() {
    let secs = Duration::from_secs;
    for (rest, least, most, told) in [
        (";reason=deactivated", secs(0), secs(1), vec![]),
        (";reason=timeout", secs(0), secs(1), vec![]),
        (";reason=probation", secs(1), secs(3), vec![]),
        (";reason=probation;retry-after=50", secs(50), secs(56), vec![]),
        (";reason=giveup;retry-after=20", secs(20), secs(23), vec![]),
        ("", secs(1), secs(3), vec![]),
        (";reason=odd", secs(1), secs(3), vec![]),
        (";reason=rejected", secs(200), secs(400), vec![None]),
        (";reason=noresource", secs(200), secs(400), vec![None]),
        (";reason=invariant", secs(2_600), secs(4_600), vec![Some(AVAILABLE)]),
    ] {
        let (mut world, first) = World::up();
        world.pass(MINUTE * 2);
        let ended = world.now;
        assert_eq!(world.notify(&first, "n1", 2, &terminated(rest)), 200);
        assert_eq!(world.reports(), told, "{rest}");
        let (at, ask) = world.next_ask(most).unwrap_or_else(|| panic!("{rest}: nothing within {most:?}"));
        assert!(at.since(ended) >= least, "{rest}: {:?}", at.since(ended));
        assert!(ask.call_id != first.call_id && !ask.to.contains("tag"), "{rest}");
        // The dialog is over.
        assert_eq!(world.notify(&first, "n1", 3, &full(9, TALKS)), 481, "{rest}");
    }
}

#[test]
fn what_was_said_before_an_end_holds_for_a_minute() {
    let (mut world, ask) = World::up();
    world.notify(&ask, "n1", 2, &partial(1, TALKS));
    world.reports();
    world.notify(&ask, "n1", 3, &terminated(";reason=timeout"));
    world.pass(SECOND * 59);
    assert!(world.reports().is_empty());
    world.pass(SECOND * 2);
    assert_eq!(world.reports(), [None]);
    // Where the subscription is up again in time, nothing is lost in between.
    let (mut world, ask) = World::up();
    world.notify(&ask, "n1", 2, &terminated(";reason=timeout"));
    world.pass(SECOND);
    let ask = world.ask();
    world.reply(&ask, 200, "Expires: 3600\r\n");
    world.notify(&ask, "n1", 1, &full(0, ""));
    world.pass(MINUTE * 2);
    assert_eq!(world.reports(), [Some(AVAILABLE)]);
}

#[test]
fn a_subscription_that_ends_before_it_begins() {
    let (mut world, ask) = World::asked(LINE);
    assert_eq!(world.notify(&ask, "n1", 1, &terminated(";reason=rejected")), 200);
    world.reply(&ask, 200, "Expires: 3600\r\n");
    assert_eq!((world.word(), world.told.len()), ("resting", 0));
    world.pass(MINUTE * 3);
    assert!(world.asks.is_empty());
    // With its state in the last words.
    let (mut world, ask) = World::asked(LINE);
    world.reply(&ask, 200, "Expires: 3600\r\n");
    assert_eq!(world.notify(&ask, "n1", 1, &info("terminated;reason=timeout", 0, "full", TALKS)), 200);
    assert_eq!(world.word(), "resting");
}

#[test]
fn a_pbx_that_ends_at_once_again_and_again_is_not_hammered() {
    let (mut world, mut ask) = World::asked(LINE);
    let began = world.now;
    let mut rounds = 0;
    while world.now.since(began) < HOUR {
        world.reply(&ask, 200, "Expires: 3600\r\n");
        world.notify(&ask, "n1", 1, &full(0, ""));
        world.notify(&ask, "n1", 2, &terminated(";reason=deactivated"));
        rounds += 1;
        ask = world.next_ask(MINUTE * 7).unwrap().1;
    }
    assert!(rounds < 40, "{rounds}");
}
