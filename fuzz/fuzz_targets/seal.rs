//! Any bytes as a token and as a Call-ID; and as the plain bytes of a token, as if a peer had the key. What can be read
//! can be sealed again and is the same; what is altered is refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trunkway::call::seal::{Bound, Content, Freshness, Key, KeyRing, LegState, MAX_CALL_ID, MAX_TEXT, TokenRoom};

static RING: LazyLock<KeyRing> =
    LazyLock::new(|| KeyRing::new(Key::derive(&[1; 32]).unwrap(), Some(Key::derive(&[2; 16]).unwrap())).unwrap());

const HERE: Bound<'_> = Bound { call_id: b"call-1", trunk: 7 };
const ANY_AGE: Freshness = Freshness { now: 0, max_age: u32::MAX };

fuzz_target!(|bytes: &[u8]| {
    let mut scratch = Vec::new();
    assert!(RING.open(bytes, HERE, ANY_AGE, &mut scratch).is_err(), "made without the key");
    assert!(RING.open_call_id(bytes, &mut scratch).is_none(), "made without the key");
    plain(bytes);
    call_id(bytes);
});

fn plain(bytes: &[u8]) {
    let mut texts = Vec::new();
    let Ok(state) = LegState::unpack(bytes, &mut texts) else { return };
    assert!(state.target.len() + state.routes.values().iter().map(|route| route.len() + 1).sum::<usize>() <= MAX_TEXT);
    let mut text = Vec::new();
    if RING.seal_leg(RING.current(), &state, HERE, TokenRoom(254), &mut text).is_err() {
        assert!(text.is_empty());
        return;
    }
    let mut scratch = Vec::new();
    let opened = RING.open(&text, HERE, ANY_AGE, &mut scratch).unwrap();
    assert_eq!(opened.content, Content::Leg(state));
    let at = bytes.len() % text.len();
    text[at] = if text[at] == b'x' { b'y' } else { b'x' };
    assert!(RING.open(&text, HERE, ANY_AGE, &mut Vec::new()).is_err());
}

fn call_id(near: &[u8]) {
    let (mut far, mut back) = (Vec::new(), Vec::new());
    match RING.seal_call_id(RING.current(), near, 3, &mut far) {
        Ok(()) => {
            assert_eq!(RING.open_call_id(&far, &mut back).map(|sealed| sealed.leg), Some(3));
            assert_eq!(back, near);
        }
        Err(_) => assert!(near.len() > MAX_CALL_ID || near.iter().any(|byte| !matches!(byte, 0 | 0x20..=0x7e))),
    }
}
