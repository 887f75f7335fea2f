//! Session descriptions: what is read of them, and what is changed.

use std::ops::Range;

use trunkway::sdp::{self, Direction, Lines, MAX_STREAMS, Outline};

use crate::assert_in_order;

const ADDRESS: &[u8] = b"IN IP4 203.0.113.77";

/// Reads the bytes behind the first as a description, and gives its streams the directions that the first asks for.
///
/// # Panics
/// When a change lies outside, overlaps another, is made again the next time, or touches anything else.
pub fn check(bytes: &[u8]) {
    let Some((&plan, sdp)) = bytes.split_first() else { return };
    let values: Vec<&[u8]> = Lines::new(sdp).map(|line| line.value).collect();
    assert_in_order(sdp, &values);
    assert!(sdp::is_hold(sdp) != sdp::direction(sdp).receives());
    assert!(!sdp::unchanged(sdp, sdp) || sdp::same_version(sdp, sdp));
    let wanted = |index: Option<usize>| Direction::ALL[usize::from(plan >> (2 * (index.unwrap_or(0) % 4))) & 3];
    let once =
        changed(sdp, |put| sdp::rewrite(sdp, |it| wanted(it.index), Some(ADDRESS), |range, text| put(range, text)));
    let again =
        changed(&once, |put| sdp::rewrite(&once, |it| wanted(it.index), Some(ADDRESS), |range, text| put(range, text)));
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&once));
    assert_eq!(left(&once), left(sdp));
    let (before, after) = (Outline::of(sdp), Outline::of(&once));
    for index in 0..MAX_STREAMS {
        assert_eq!(before.stream(index).is_some(), after.stream(index).is_some());
    }
    check_surplus(sdp);
}

/// Lines that no rule touches.
fn left(sdp: &[u8]) -> Vec<&[u8]> {
    let touched = |line: &sdp::Line<'_>| {
        let attribute = line.attribute().map(|(name, _)| name);
        line.kind == b'c' || attribute.is_some_and(|name| name == b"rtcp" || Direction::named(name).is_some())
    };
    Lines::new(sdp).filter(|line| !touched(line)).map(|line| line.value).collect()
}

fn check_surplus(sdp: &[u8]) {
    for ice in [false, true] {
        let slim = changed(sdp, |put| sdp::surplus(sdp, ice, |range| put(range, &[])));
        assert!(slim.len() <= sdp.len());
        let crypto = |sdp| Lines::new(sdp).filter(|line| line.value.starts_with(b"crypto")).count();
        assert!(crypto(&slim[..]) >= crypto(sdp));
        let streams = |sdp| Lines::new(sdp).filter(|line| line.kind == b'm').count();
        assert!(streams(&slim[..]) >= streams(sdp));
        assert_eq!(Outline::of(&slim).has_ice() && ice, false);
    }
}

/// The text with all changes made.
fn changed(text: &[u8], changes: impl FnOnce(&mut dyn FnMut(Range<usize>, &[&[u8]]))) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    changes(&mut |range, parts| {
        assert!(range.start >= at && range.end >= range.start && range.end <= text.len(), "{range:?} behind {at}");
        out.extend_from_slice(&text[at..range.start]);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        at = range.end;
    });
    out.extend_from_slice(&text[at..]);
    out
}
