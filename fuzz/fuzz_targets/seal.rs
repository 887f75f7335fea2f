//! Any bytes as a token, as a Call-ID and as a record of the call store; and as the plain bytes of a token, as if a peer
//! had the key. What can be read can be sealed again and is the same; what is altered is refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trunkway::call::seal::{
    Bound, Content, Form, Freshness, Key, KeyRing, LegState, MAX_STORED_TEXT, MAX_TEXT, TokenRoom, name_of,
};
use trunkway::call::stored::StoreKey;

static RING: LazyLock<KeyRing> =
    LazyLock::new(|| KeyRing::new(Key::derive(&[1; 32]).unwrap(), Some(Key::derive(&[2; 16]).unwrap())).unwrap());

const HERE: Bound<'_> = Bound { call_id: b"call-1", trunk: 7 };
const THERE: Bound<'_> = Bound { call_id: b"call-2", trunk: 7 };
const ANY_AGE: Freshness = Freshness { now: 0, max_age: u32::MAX };

fuzz_target!(|bytes: &[u8]| {
    let mut scratch = Vec::new();
    assert!(RING.open(bytes, HERE, ANY_AGE, &mut scratch).is_err(), "made without the key");
    assert!(RING.open_call_id(bytes, &mut scratch).is_none(), "made without the key");
    assert!(RING.open_stored(bytes, HERE, ANY_AGE, &mut scratch).is_err(), "made without the key");
    assert!(!RING.open_routes(bytes, HERE, |_| panic!("made without the key")));
    plain(bytes);
    call_id(bytes);
    routes(bytes);
    store_key(bytes);
});

fn plain(bytes: &[u8]) {
    let mut texts = Vec::new();
    let Ok(state) = LegState::unpack(bytes, &mut texts) else { return };
    assert!(state.target.len() + state.routes.values().iter().map(|route| route.len() + 1).sum::<usize>() <= MAX_TEXT);
    let mut scratch = Vec::new();
    let (_, mut record) = RING.seal_stored(RING.current(), &state, HERE).unwrap();
    let (key, opened) = RING.open_stored(&record, HERE, ANY_AGE, &mut scratch).unwrap();
    assert_eq!((key, opened), (RING.current(), state));
    assert!(RING.open_stored(&record, THERE, ANY_AGE, &mut Vec::new()).is_err());
    alter(&mut record, bytes.len());
    assert!(RING.open_stored(&record, HERE, ANY_AGE, &mut Vec::new()).is_err());

    let mut text = Vec::new();
    if RING.seal_leg(RING.current(), &state, HERE, TokenRoom(254), &mut text).is_err() {
        assert!(text.is_empty());
        return;
    }
    let opened = RING.open(&text, HERE, ANY_AGE, &mut scratch).unwrap();
    assert_eq!(opened.content, Content::Leg(state));
    let at = bytes.len() % text.len();
    text[at] = if text[at] == b'x' { b'y' } else { b'x' };
    assert!(RING.open(&text, HERE, ANY_AGE, &mut Vec::new()).is_err());
}

fn call_id(near: &[u8]) {
    let (mut far, mut back) = (Vec::new(), Vec::new());
    let form = RING.seal_call_id(RING.current(), near, 3, &mut far).unwrap();
    let opened = RING.open_call_id(&far, &mut back).unwrap();
    assert_eq!((opened.leg, opened.form), (3, form));
    assert_eq!(back, *name_of(near));
    assert_eq!(form == Form::Whole, back == near);
    assert_eq!(RING.root_call_id(&far, 5), RING.root_call_id(near, 5), "legs of one call have one root");
}

/// The bytes, cut at line ends, as a route set.
fn routes(bytes: &[u8]) {
    let values: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let Ok(record) = RING.seal_routes(RING.current(), &values, HERE) else {
        assert!(bytes.len() > MAX_STORED_TEXT / 2);
        return;
    };
    let mut back = Vec::new();
    assert!(RING.open_routes(&record, HERE, |value| back.push(value.to_vec())));
    assert_eq!(back, values);
    assert!(!RING.open_routes(&record, THERE, |_| ()));
}

fn store_key(bytes: &[u8]) {
    let Some(key) = bytes.first_chunk() else { return };
    let key = StoreKey::from_bytes(*key);
    let mut text = Vec::new();
    RING.seal_store_key(RING.current(), key, HERE, TokenRoom(254), &mut text).unwrap();
    let mut scratch = Vec::new();
    assert_eq!(RING.open(&text, HERE, ANY_AGE, &mut scratch).unwrap().content, Content::StoreKey(key));
    assert!(RING.open(&text, THERE, ANY_AGE, &mut scratch).is_err());
}

fn alter(bytes: &mut [u8], at: usize) {
    let at = at % bytes.len();
    bytes[at] ^= 1;
}
