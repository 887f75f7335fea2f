use super::hold::{Parties, Role};
use super::*;
use crate::sdp::{Direction, Stream};
use crate::sip::{Framing, Limits};
use crate::trunk::dialect::media::Holding;
use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
use proptest::prelude::*;

const HOLDS: [Hold; 4] = [Hold::None, Hold::Near, Hold::Far, Hold::Both];
const HOLDINGS: [Holding; 3] = [Holding::AsIs, Holding::Inactive, Holding::SendOnly];

/// Between a side that says hold as it likes and one that wants it to be said this way.
fn towards(to: Holding) -> Parties {
    Parties { from: Holding::AsIs, to, before: Hold::None, first: false }
}

fn from_teams(to: Holding) -> Parties {
    Parties { from: Holding::Inactive, ..towards(to) }
}

fn stream(direction: Direction) -> Stream {
    Stream { index: Some(0), written: direction, direction }
}

fn outline(direction: Direction) -> Outline {
    Outline::of(format!("m=audio 5000 RTP/AVP 8\r\na={}\r\n", direction.name()).as_bytes())
}

#[test]
fn offers_are_said_as_the_other_side_takes_them() {
    let teams = towards(Holding::Inactive);
    let held_by_pbx = |to| Parties { before: Hold::Far, ..from_teams(to) };
    for (parties, wanted) in [
        (towards(Holding::AsIs), [Inactive, SendOnly, RecvOnly, SendRecv]),
        (teams, [Inactive, Inactive, Inactive, SendRecv]),
        (Parties { first: true, ..teams }, [SendRecv; 4]),
        (Parties { before: Hold::Far, ..teams }, [Inactive, Inactive, Inactive, SendRecv]),
        (from_teams(Holding::AsIs), [Inactive, SendOnly, RecvOnly, SendRecv]),
        (from_teams(Holding::SendOnly), [SendOnly, SendOnly, RecvOnly, SendRecv]),
        // Teams only repeats that it is held by the other side.
        (held_by_pbx(Holding::AsIs), [RecvOnly, SendOnly, RecvOnly, SendRecv]),
        (held_by_pbx(Holding::SendOnly), [RecvOnly, SendOnly, RecvOnly, SendRecv]),
        (Parties { before: Hold::Both, ..from_teams(Holding::SendOnly) }, [SendOnly, SendOnly, RecvOnly, SendRecv]),
    ] {
        let passed = Direction::ALL.map(|direction| parties.passed(Role::Offer, stream(direction)));
        assert_eq!(passed, wanted, "{parties:?}");
    }
}

/// A side that is held asks for a new offer: it gets what the other would do if nobody held.
#[test]
fn an_offer_that_was_asked_for_is_a_fresh_one() {
    let held_by_pbx = |to| Parties { before: Hold::Far, ..from_teams(to) };
    for (parties, said, wanted) in [
        (held_by_pbx(Holding::AsIs), Inactive, SendRecv),
        (Parties { before: Hold::Both, ..from_teams(Holding::AsIs) }, Inactive, Inactive),
        (from_teams(Holding::SendOnly), Inactive, SendOnly),
        (towards(Holding::Inactive), SendOnly, Inactive),
        (towards(Holding::Inactive), SendRecv, SendRecv),
    ] {
        assert_eq!(parties.passed(Role::Asked, stream(said)), wanted, "{parties:?}");
    }
}

#[test]
fn who_holds_is_known_to_each_side_in_its_own_words() {
    let said = |direction| Some(outline(direction));
    assert_eq!(agreed(Hold::None, false, said(SendOnly), said(RecvOnly)), Hold::Near);
    assert_eq!(agreed(Hold::Near, false, said(SendRecv), said(Inactive)), Hold::Far);
    assert_eq!(agreed(Hold::Near, false, None, said(SendOnly)), Hold::Both);
    assert_eq!(agreed(Hold::Both, false, None, None), Hold::Both);
    assert_eq!(agreed(Hold::None, true, said(SendRecv), said(SendRecv)), Hold::None);
    let text = |direction: Direction| format!("m=audio 5000 RTP/AVP 8\r\na={}\r\n", direction.name());
    assert_eq!(offered(Hold::Far, text(SendOnly).as_bytes()), Hold::Both);
    assert_eq!(offered(Hold::Far, text(Inactive).as_bytes()), Hold::Far);
    assert_eq!(offered(Hold::Near, b""), Hold::Near);
}

#[test]
fn answers_are_what_the_side_that_gets_them_asked_for() {
    let first = |parties: Parties| Parties { first: true, ..parties };
    let teams_holds_too = |to| Parties { before: Hold::Near, ..from_teams(to) };
    for (parties, offer, answer, wanted) in [
        // The PBX holds, Teams says what it was asked.
        (from_teams(Holding::AsIs), SendOnly, Inactive, RecvOnly),
        (from_teams(Holding::AsIs), RecvOnly, Inactive, SendOnly),
        (from_teams(Holding::AsIs), Inactive, Inactive, Inactive),
        (teams_holds_too(Holding::AsIs), SendOnly, Inactive, Inactive),
        // It resumes; Teams still holds.
        (from_teams(Holding::AsIs), SendRecv, SendRecv, SendRecv),
        (teams_holds_too(Holding::AsIs), SendRecv, Inactive, Inactive),
        (teams_holds_too(Holding::SendOnly), SendRecv, Inactive, SendOnly),
        // Teams holds; whatever the PBX says to that.
        (towards(Holding::Inactive), Inactive, RecvOnly, Inactive),
        (towards(Holding::Inactive), Inactive, SendRecv, Inactive),
        (towards(Holding::Inactive), Inactive, Inactive, Inactive),
        // Teams resumes; the PBX still holds.
        (towards(Holding::Inactive), SendRecv, SendOnly, Inactive),
        (towards(Holding::Inactive), SendRecv, RecvOnly, Inactive),
        (towards(Holding::Inactive), SendRecv, SendRecv, SendRecv),
        // A call that the PBX begins on hold, and one that it answers by an announcement.
        (first(from_teams(Holding::AsIs)), SendOnly, SendRecv, RecvOnly),
        (first(from_teams(Holding::AsIs)), RecvOnly, SendRecv, SendOnly),
        (first(from_teams(Holding::AsIs)), Inactive, SendRecv, Inactive),
        (first(towards(Holding::Inactive)), SendRecv, SendOnly, SendRecv),
        (first(towards(Holding::Inactive)), SendRecv, Inactive, Inactive),
    ] {
        let passed = parties.passed(Role::Answer(outline(offer)), stream(answer));
        assert_eq!(passed, wanted, "{parties:?}: {answer:?} to {offer:?}");
    }
    assert_eq!(towards(Holding::Inactive).passed(Role::Reply, stream(SendOnly)), Inactive);
    assert_eq!(from_teams(Holding::SendOnly).passed(Role::Reply, stream(Inactive)), Inactive);
}

/// All exchanges there can be: an offer is made, shown to the other side, answered within what it was shown.
#[test]
fn no_exchange_breaks_the_rules_of_either_side() {
    let mut count = 0;
    for (from, to) in HOLDINGS.into_iter().flat_map(|from| HOLDINGS.map(|to| (from, to))) {
        for before in HOLDS {
            for (first, offer) in [false, true].into_iter().flat_map(|first| Direction::ALL.map(|it| (first, it))) {
                let there = Parties { from, to, before, first };
                let shown = there.passed(Role::Offer, stream(offer));
                let knows = |side, said| side != Holding::Inactive || matches!(said, Inactive | SendRecv);
                let answers = Direction::ALL.into_iter().filter(|it| it.within(shown) == *it && knows(to, *it));
                for answer in answers.filter(|_| knows(from, offer)) {
                    let back = Parties { from: to, to: from, before: before.turned(), first };
                    let passed = back.passed(Role::Answer(outline(offer)), stream(answer));
                    let exchange = format!("{there:?}: {offer:?} as {shown:?}, {answer:?} as {passed:?}");
                    assert_eq!(passed.within(offer), passed, "{exchange}");
                    for (side, seen) in [(to, shown), (from, passed)] {
                        assert!(knows(side, seen), "{exchange}");
                    }
                    if (from, to) == (Holding::AsIs, Holding::AsIs) {
                        assert_eq!((shown, passed), (offer, answer), "{exchange}");
                    }
                    count += 1;
                }
            }
        }
    }
    assert!(count > 400, "{count}");
}

#[test]
fn who_holds_is_known_from_what_passes() {
    let teams = from_teams(Holding::AsIs);
    let pbx = towards(Holding::Inactive);
    let answer = |offer| Role::Answer(outline(offer));
    let at = |parties: Parties, before| Parties { before, ..parties };
    for (parties, role, said, wanted) in [
        (pbx, Role::Offer, SendOnly, Hold::Near),
        (pbx, Role::Offer, Inactive, Hold::Near),
        (pbx, Role::Offer, RecvOnly, Hold::None),
        (at(pbx, Hold::Both), Role::Offer, SendRecv, Hold::Far),
        // A refresh of the side that is held; that side holds as well.
        (at(teams, Hold::Far), Role::Offer, Inactive, Hold::Far),
        (at(teams, Hold::Both), Role::Offer, Inactive, Hold::Both),
        (at(pbx, Hold::Far), Role::Offer, SendOnly, Hold::Both),
        // An answer tells of both sides.
        (teams, answer(SendOnly), Inactive, Hold::Far),
        (at(teams, Hold::Far), answer(SendRecv), SendRecv, Hold::None),
        (at(teams, Hold::Both), answer(SendRecv), Inactive, Hold::Near),
        (at(pbx, Hold::Near), answer(SendRecv), SendOnly, Hold::Near),
        (at(pbx, Hold::Both), answer(SendRecv), SendOnly, Hold::Near),
        (pbx, answer(Inactive), RecvOnly, Hold::Far),
        // Nobody holds a call that only begins, but who answers so.
        (Parties { first: true, ..pbx }, Role::Offer, SendOnly, Hold::None),
        (Parties { first: true, ..pbx }, answer(SendRecv), SendOnly, Hold::None),
        (Parties { first: true, ..pbx }, answer(SendRecv), Inactive, Hold::Near),
    ] {
        assert_eq!(parties.after(role, Some(outline(said))), wanted, "{parties:?} {role:?} {said:?}");
    }
    assert_eq!(at(pbx, Hold::Both).after(Role::Reply, None), Hold::Both, "no description, no news");
}

/// What a description becomes between two sides.
fn passed(sdp: &str, parties: Parties, role: Role, spoken: Option<&str>) -> String {
    let text = format!("INVITE sip:a@b SIP/2.0\r\nContent-Type: application/sdp\r\n\r\n{sdp}");
    let message = Message::parse(text.into_bytes().into(), Framing::Datagram, &Limits::default()).unwrap();
    let Some(part) = Parts::of(&message).find(Kind::Sdp).copied() else { return sdp.to_owned() };
    let mut edits = Edits::new();
    convert(message.at(part.content), part.content.start, parties, role, spoken.map(str::as_bytes), &mut edits);
    let out = edits.apply(&message);
    String::from_utf8(out[usize::from(message.body_span().start)..].to_vec()).unwrap()
}

fn vector(name: &str) -> Option<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/teams-vectors").join(name);
    let text = std::fs::read_to_string(path).ok()?;
    let body = text.replace("\r\n", "\n").split_once("\n\n")?.1.replace('\n', "\r\n");
    Some(body)
}

/// Teams' own hold, to a PBX that wants `sendonly` and back.
#[test]
fn the_hold_of_the_vectors_changes_in_one_line_only() {
    let Some(hold) = vector("tv13.sip") else { return };
    let shown = passed(&hold, from_teams(Holding::SendOnly), Role::Offer, None);
    assert_eq!(shown, hold.replace("a=inactive", "a=sendonly"));
    assert_eq!(passed(&hold, from_teams(Holding::AsIs), Role::Offer, None), hold);
    let answer = hold.replace("a=inactive", "a=recvonly");
    let offer = Role::Answer(Outline::of(hold.as_bytes()));
    assert_eq!(passed(&answer, Parties { from: Holding::SendOnly, ..towards(Holding::Inactive) }, offer, None), hold);
    // The same description as another side would send it to hold.
    for line in ["a=sendonly", "a=recvonly"] {
        let other = hold.replace("a=inactive", line);
        assert_eq!(passed(&other, towards(Holding::Inactive), Role::Offer, None), hold);
    }
    let old = hold.replace("c=IN IP4 52.114.100.7", "c=IN IP4 0.0.0.0").replace("a=inactive\r\n", "");
    let spoken = hold.replace("a=inactive", "a=sendrecv");
    assert_eq!(passed(&old, towards(Holding::Inactive), Role::Offer, Some(&spoken)), hold);
    let by_origin = hold.replace("c=IN IP4 52.114.100.7", "c=IN IP4 127.0.0.1");
    assert_eq!(passed(&old, towards(Holding::Inactive), Role::Offer, None), by_origin, "nothing else is known");
    assert_eq!(passed(&old, towards(Holding::AsIs), Role::Offer, None), old);
}

const LINES: [&str; 16] = [
    "a=sendonly",
    "a=recvonly",
    "a=inactive",
    "a=sendrecv",
    "c=IN IP4 0.0.0.0",
    "c=IN IP4 198.51.100.7",
    "c=IN IP6 ::",
    "m=audio 49600 RTP/SAVP 8",
    "m=video 49700 RTP/SAVP 96",
    "m=video 0 RTP/SAVP 96",
    "a=rtcp:49601 IN IP4 0.0.0.0",
    "a=rtcp-mux",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x|2^31",
    "b=AS:64",
    "junk",
    "a=",
];

fn any_sdp() -> impl Strategy<Value = String> {
    let line = (0..LINES.len(), 0usize..6)
        .prop_map(|(line, end)| format!("{}{}", LINES[line], ["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n\r\n"][end]));
    (proptest::collection::vec(line, 0..24), any::<bool>()).prop_map(|(lines, ends)| {
        let text = format!("v=0\r\no=- 1 1 IN IP4 203.0.113.5\r\ns=-\r\n{}", lines.concat());
        if ends { text } else { text.trim_end().to_owned() }
    })
}

fn is_touched(line: &str) -> bool {
    Direction::named(line.trim_start_matches("a=").as_bytes()).is_some()
        || line.starts_with("c=")
        || line.starts_with("a=rtcp:")
}

proptest! {
    /// Whatever a description looks like: what has become of it is left alone the next time, no other line changes, and a
    /// side that takes only `inactive` finds nothing else in streams that are on.
    #[test]
    fn conversion_is_done_once_and_touches_nothing_else(
        sdp in any_sdp(), to in 0usize..3, from in 0usize..3, before in 0usize..4, first: bool,
    ) {
        let parties = Parties { from: HOLDINGS[from], to: HOLDINGS[to], before: HOLDS[before], first };
        let once = passed(&sdp, parties, Role::Offer, None);
        prop_assert_eq!(&passed(&once, parties, Role::Offer, None), &once);
        let untouched = |text: &str| -> Vec<String> {
            let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty() && !is_touched(line));
            lines.map(str::to_owned).collect()
        };
        prop_assert_eq!(untouched(&once), untouched(&sdp));
        let outline = Outline::of(once.as_bytes());
        let streams = (0..).map_while(|index| outline.stream(index));
        if parties.to == Holding::Inactive {
            prop_assert!(!once.contains("0.0.0.0") && !once.contains("IP6 ::"), "{}", once);
            if !once.contains("m=video 0 ") {
                prop_assert!(streams.clone().all(|it| matches!(it, Inactive | SendRecv)), "{}", once);
            }
        }
        if parties.agree() {
            prop_assert_eq!(once, sdp);
        }
    }

    /// What the outline says of a stream is what the other side is shown of it.
    #[test]
    fn streams_are_told_apart_alike_in_outline_and_rewriting(sdp in any_sdp()) {
        let outline = Outline::of(sdp.as_bytes());
        let seen = std::cell::RefCell::new(Vec::new());
        sdp::rewrite(sdp.as_bytes(), |stream| {
            if let Some(index) = stream.index {
                seen.borrow_mut().push((index, stream.direction));
            }
            stream.written
        }, None, |_, _| unreachable!("nothing is to be changed"));
        for (index, direction) in seen.into_inner() {
            if index < crate::sdp::MAX_STREAMS {
                prop_assert_eq!(outline.stream(index), Some(direction), "{} of {}", index, sdp);
            }
        }
    }
}
