use bytes::Bytes;

use super::*;
use crate::sip::{Message, Refresher, SessionExpires};
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Session;

const NOW: Moment = Moment::from_millis(5_000);

fn after(seconds: u64) -> Moment {
    NOW + Duration::from_secs(seconds)
}

fn running(interval: u32, own: bool) -> SessionTimer {
    let mut timer = SessionTimer::default();
    timer.agree(NOW, Some(Agreed { interval, own }));
    timer
}

fn refusal(status: u16) -> Refusal {
    Refusal { status, retry_after: None, min_se: None, owns_call_id: false, draw: 0 }
}

/// A timer whose refresh was sent at half its interval.
fn refreshing(interval: u32) -> (SessionTimer, Moment) {
    let mut timer = running(interval, true);
    let now = timer.next_timeout().unwrap();
    assert_eq!(timer.handle_timeout(now), Some(Act::Refresh));
    (timer, now)
}

#[test]
fn a_timer_runs_to_half_the_interval_or_almost_to_its_end() {
    for (interval, own, at, act) in [
        (1_800, true, 900, Act::Refresh),
        (90, true, 45, Act::Refresh),
        (91, true, 45, Act::Refresh),
        // The margin: 32 s, or a third of a short interval.
        (1_800, false, 1_768, Act::Expire),
        (3_600, false, 3_568, Act::Expire),
        (96, false, 64, Act::Expire),
        (90, false, 60, Act::Expire),
        (30, false, 20, Act::Expire),
    ] {
        let mut timer = running(interval, own);
        let due = timer.next_timeout().unwrap();
        assert_eq!(due.since(NOW).as_secs(), at, "{interval} {own}");
        assert_eq!(timer.handle_timeout(due - Duration::from_millis(1)), None);
        assert_eq!(timer.handle_timeout(due), Some(act), "{interval} {own}");
        assert_eq!(timer.is_running(), act == Act::Refresh);
    }
}

#[test]
fn a_refresh_starts_the_timer_anew_and_a_2xx_without_one_ends_it() {
    for own in [true, false] {
        let mut timer = running(1_800, own);
        timer.agree(after(800), Some(Agreed { interval: 600, own: !own }));
        let wanted = if own { after(800 + 568) } else { after(1_100) };
        assert_eq!(timer.next_timeout(), Some(wanted));
        timer.agree(after(900), None);
        assert_eq!((timer.next_timeout(), timer.handle_timeout(after(9_000))), (None, None));
    }
    let mut timer = SessionTimer::default();
    timer.agree(NOW, Some(Agreed { interval: 0, own: true }));
    assert!(!timer.is_running());
}

#[test]
fn a_refresh_without_an_answer_is_waited_for_until_the_end() {
    let (mut timer, sent) = refreshing(1_800);
    assert_eq!(timer.next_timeout(), Some(after(1_768)));
    assert_eq!(timer.handle_timeout(sent + Duration::from_secs(100)), None, "it is not sent twice");
    assert_eq!(timer.handle_timeout(after(1_768)), Some(Act::Expire));
    assert_eq!(timer.handle_timeout(after(1_800)), None);
}

#[test]
fn answers_to_a_refresh_decide() {
    let retry = |seconds| Refusal { retry_after: Some(seconds), ..refusal(500) };
    for (interval, refused, act, next) in [
        (1_800, refusal(408), Some(Act::Expire), None),
        (1_800, refusal(481), Some(Act::Expire), None),
        // 868 s are left: it is tried again after half of them.
        (1_800, refusal(503), None, Some(900_000 + 434_000)),
        (1_800, refusal(488), None, Some(900_000 + 434_000)),
        (1_800, retry(10), None, Some(910_000)),
        (1_800, retry(0), None, Some(905_000)),
        // Not before the end: that comes first.
        (1_800, retry(4_000), None, Some(1_768_000)),
        (90, Refusal { draw: 13, ..refusal(491) }, None, Some(45_130)),
        (90, Refusal { owns_call_id: true, draw: 13, ..refusal(491) }, None, Some(45_000 + 2_230)),
        (90, Refusal { min_se: Some(300), ..refusal(422) }, Some(Act::Refresh), Some(60_000)),
        (90, refusal(422), None, Some(45_000 + 7_500)),
        (90, Refusal { min_se: Some(90), ..refusal(422) }, None, Some(45_000 + 7_500)),
    ] {
        let (mut timer, now) = refreshing(interval);
        assert_eq!(timer.handle_refusal(now, &refused), act, "{refused:?}");
        let at = timer.next_timeout().map(|at| at.since(NOW).as_millis());
        assert_eq!(at, next, "{refused:?}");
        assert_eq!(timer.handle_refusal(now, &refusal(408)).is_some(), act == Some(Act::Refresh), "only once");
    }
}

#[test]
fn a_422_makes_later_refreshes_ask_for_more() {
    let (mut timer, now) = refreshing(90);
    timer.handle_refusal(now, &Refusal { min_se: Some(300), ..refusal(422) });
    assert_eq!((timer.interval(), timer.least()), (300, 300));
    timer.agree(now, Some(Agreed { interval: 300, own: true }));
    assert_eq!(timer.interval(), 300);
}

#[test]
fn a_refresh_is_postponed_while_another_request_is_under_way() {
    let (mut timer, now) = refreshing(1_800);
    timer.postpone(now);
    assert_eq!(timer.next_timeout(), Some(now + POSTPONED));
    assert_eq!(timer.handle_timeout(now + POSTPONED), Some(Act::Refresh));
}

#[test]
fn pauses_after_a_glare_are_those_of_rfc_3261() {
    for draw in (0..1_000).chain([u64::MAX]) {
        let (own, other) = (glare_pause(true, draw).as_millis(), glare_pause(false, draw).as_millis());
        assert!((2_100..=4_000).contains(&own) && own % 10 == 0, "{own}");
        assert!((0..=2_000).contains(&other) && other % 10 == 0, "{other}");
    }
    assert_eq!(glare_pause(true, 190).as_millis(), 4_000);
    assert_eq!(glare_pause(false, 200).as_millis(), 2_000);
}

fn message(start: &str, lines: &str) -> Message {
    Message::reread(&Bytes::from(format!("{start}\r\nVia: SIP/2.0/UDP e\r\n{lines}\r\n"))).unwrap()
}

fn request(lines: &str) -> Message {
    message("INVITE sip:a@b SIP/2.0", lines)
}

/// RFC 4028 section 9, table 2, and what the edge makes of the choice that it leaves.
#[test]
fn the_refresher_is_chosen_by_the_table_of_rfc_4028() {
    let session = Session::of_kind(TrunkKind::Carrier);
    let (uac, uas) = (Some(Refresher::Uac), Some(Refresher::Uas));
    for (lines, wanted) in [
        ("", None),
        ("Supported: 100rel\r\n", None),
        ("Session-Expires: 900\r\n", Some((900, uas))),
        ("Session-Expires: 900;refresher=uas\r\n", Some((900, uas))),
        ("Supported: timer\r\n", Some((1_800, uac))),
        ("Supported: timer\r\nMin-SE: 3000\r\n", Some((3_000, uac))),
        ("Supported: timer\r\nSession-Expires: 3600\r\nMin-SE: 300\r\n", Some((3_600, uac))),
        ("Supported: timer\r\nSession-Expires: 900;refresher=uac\r\n", Some((900, uac))),
        ("Require: timer\r\nSession-Expires: 900;refresher=uas\r\n", Some((900, uas))),
    ] {
        let accepted = accept(&session, &request(lines));
        assert_eq!(accepted, wanted.map(|(seconds, refresher)| SessionExpires { seconds, refresher }), "{lines}");
    }
}

#[test]
fn only_who_knows_of_timers_is_told_that_an_interval_is_too_small() {
    let session = Session { min: 300, ..Session::of_kind(TrunkKind::Carrier) };
    for (lines, wanted) in [
        ("Supported: timer\r\nSession-Expires: 299\r\n", true),
        ("Supported: timer\r\nSession-Expires: 300\r\n", false),
        ("Session-Expires: 299\r\n", false),
        ("Supported: timer\r\n", false),
    ] {
        assert_eq!(too_small(&session, &request(lines)), wanted, "{lines}");
    }
}

#[test]
fn a_2xx_settles_who_refreshes_by_whose_request_it_answers() {
    for (lines, of_uas, of_uac) in [
        ("", None, None),
        ("Session-Expires: 1800;refresher=uas\r\n", Some(false), Some(true)),
        ("Session-Expires: 1800;refresher=uac\r\n", Some(true), Some(false)),
        ("Session-Expires: 1800\r\n", Some(true), Some(true)),
    ] {
        let response = message("SIP/2.0 200 OK", lines);
        let own = |agreed: Option<Agreed>| {
            assert!(agreed.is_none_or(|agreed| agreed.interval == 1_800));
            agreed.map(|agreed| agreed.own)
        };
        assert_eq!((own(agreed_by_uas(&response)), own(agreed_by_uac(&response))), (of_uas, of_uac), "{lines}");
    }
}

#[test]
fn the_edge_asks_the_side_to_refresh_and_for_what_a_422_asked() {
    let session = Session::of_kind(TrunkKind::Teams);
    assert_eq!(offer(&session, 0), SessionExpires { seconds: 1_800, refresher: Some(Refresher::Uas) });
    assert_eq!(offer(&session, 3_600).seconds, 3_600);
}
