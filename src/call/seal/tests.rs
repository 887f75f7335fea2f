//! Tokens and Call-IDs as the call path uses them; the packing of text has its tests beside it.

mod lengths;

use proptest::prelude::*;

use super::*;
use crate::call::stored::StoreKey;

const NOW: u32 = 30_000_000;
const FRESH: Freshness = Freshness { now: NOW, max_age: 24 * 60 };
const ANY_AGE: Freshness = Freshness { now: 0, max_age: u32::MAX };
const AMPLE: TokenRoom = TokenRoom(URI_LIMIT);
const TARGET: &[u8] =
    b"sip:api-du-a-usea.pstnhub.microsoft.com:443;x-i=b0a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d;x-c=9d2b6c1e/d/8/0b";
const ROUTE: &[u8] = b"<sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>";
const HERE: Bound<'_> = Bound { call_id: b"9d2b6c1e5f404a3b8c7d6e5f4a3b2c1d", trunk: 0x0102_0304 };

fn ring(current: u8, other: Option<u8>) -> KeyRing {
    let key = |byte| Key::derive(&[byte; 32]).unwrap();
    KeyRing::new(key(current), other.map(key)).unwrap()
}

fn state<'a>() -> LegState<'a> {
    LegState {
        near: Side::Caller { leg: 2 },
        hold: Hold::Far,
        created: NOW,
        far: 0xa1b2_c3d4,
        tenant: Some(1),
        site: Some(u32::MAX),
        engine: Some(3),
        cseq_offset: -40,
        target: TARGET,
        routes: Routes::of([ROUTE]).unwrap(),
        ..LegState::default()
    }
}

fn token(ring: &KeyRing, state: &LegState<'_>, bound: Bound<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    ring.seal_leg(ring.current(), state, bound, AMPLE, &mut out).unwrap();
    out
}

fn opening(ring: &KeyRing, text: &[u8], bound: Bound<'_>, freshness: Freshness) -> Result<(), OpenError> {
    ring.open(text, bound, freshness, &mut Vec::new()).map(|_| ())
}

fn far_call_id(ring: &KeyRing, near: &[u8], leg: u16) -> Vec<u8> {
    let mut out = Vec::new();
    ring.seal_call_id(ring.current(), near, leg, &mut out).unwrap();
    out
}

/// May stand in a user part and in a Call-ID unescaped.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[test]
fn token_gives_back_the_state_where_it_belongs() {
    let ring = ring(1, None);
    let text = token(&ring, &state(), HERE);
    assert!(is_plain(&text));
    assert_eq!(text, token(&ring, &state(), HERE), "a retransmission has the same Contact");
    let mut scratch = b"of the request before".to_vec();
    let opened = ring.open(&text, HERE, FRESH, &mut scratch).unwrap();
    assert_eq!(opened, Opened { key: ring.current(), content: Content::Leg(state()) });
}

#[test]
fn requests_of_either_side_find_the_other_after_a_restart() {
    const PBX: u32 = 1;
    const TEAMS: u32 = 2;
    let caller_id = b"a84b4c76e66710@pbx.example.net";
    let pbx =
        LegState { far: PBX, near: Side::Callee, target: b"sip:4001@192.0.2.7", routes: Routes::default(), ..state() };
    let teams = LegState { far: TEAMS, near: Side::Caller { leg: 3 }, ..state() };
    let (callee_id, to_callee, to_caller) = {
        let edge = ring(1, None);
        let callee_id = far_call_id(&edge, caller_id, 3);
        // In the Contact of the INVITE that goes out, and in that of the answer that comes back.
        let to_callee = token(&edge, &pbx, Bound { call_id: &callee_id, trunk: TEAMS });
        let to_caller = token(&edge, &teams, Bound { call_id: caller_id, trunk: PBX });
        (callee_id, to_callee, to_caller)
    };
    let edge = ring(1, None);
    let (mut scratch, mut other, mut far_id) = (Vec::new(), Vec::new(), Vec::new());
    let there = edge.open(&to_caller, Bound { call_id: caller_id, trunk: PBX }, FRESH, &mut scratch).unwrap();
    assert_eq!(there.content, Content::Leg(teams));
    let Side::Caller { leg } = teams.near else { panic!("the PBX called") };
    edge.seal_call_id(there.key, caller_id, leg, &mut far_id).unwrap();
    assert_eq!(far_id, callee_id);
    let opened = edge.open(&to_callee, Bound { call_id: &callee_id, trunk: TEAMS }, FRESH, &mut other).unwrap();
    assert_eq!(opened.content, Content::Leg(pbx));
    edge.open_call_id(&callee_id, &mut far_id).unwrap();
    assert_eq!(far_id, caller_id);
    // The tokens do not serve each other's side.
    assert!(opening(&edge, &to_callee, Bound { call_id: caller_id, trunk: PBX }, FRESH).is_err());
}

#[test]
fn each_reason_to_refuse_has_its_error() {
    let ring = ring(1, None);
    let text = token(&ring, &state(), HERE);
    let open = |text: &[u8], bound| opening(&ring, text, bound, FRESH);
    assert_eq!(open(&text, HERE), Ok(()));

    assert_eq!(open(&text, Bound { call_id: b"another", ..HERE }), Err(OpenError::OtherDialog));
    assert_eq!(open(&text, Bound { trunk: 5, ..HERE }), Err(OpenError::OtherTrunk));
    let altered = |at: usize, to: u8| {
        let mut text = text.clone();
        text[at] = to;
        text
    };
    let middle = text.len() / 2;
    let other = if text[middle] == b'x' { b'y' } else { b'x' };
    assert_eq!(open(&altered(middle, other), HERE), Err(OpenError::Altered));
    assert_eq!(open(&altered(0, b'C'), HERE), Err(OpenError::UnknownVersion(2)));
    assert_eq!(open(&altered(0, b'9'), HERE), Err(OpenError::NotSealed), "no such kind");
    let old = Freshness { now: NOW + 61, max_age: 60 };
    assert_eq!(opening(&ring, &text, HERE, old), Err(OpenError::TooOld(61)));
    assert_eq!(opening(&ring, &text, HERE, Freshness { now: NOW + 60, ..old }), Ok(()));
    let behind = Freshness { now: NOW - 10, max_age: 0 };
    assert_eq!(opening(&ring, &text, HERE, behind), Ok(()), "made by a node whose clock is ahead");
    let stranger = super::tests::ring(9, None);
    assert_eq!(opening(&stranger, &text, HERE, FRESH), Err(OpenError::UnknownKey(ring.current())));
    for user in ["", "B", "bob", "+442071838750", "alice.with.a.rather.long.name.that.goes.on.and.on", "B1234567890"] {
        assert_eq!(open(user.as_bytes(), HERE), Err(OpenError::NotSealed), "{user}");
    }
}

#[test]
fn it_is_the_cipher_that_refuses_and_not_the_hints() {
    let ring = ring(1, None);
    let key = ring.key(ring.current()).unwrap();
    let text = token(&ring, &state(), HERE);
    let twin =
        (0..).map(|at: u32| at.to_string()).find(|id| key.hint(id.as_bytes()) == key.hint(HERE.call_id)).unwrap();
    let there = Bound { call_id: twin.as_bytes(), ..HERE };
    assert_eq!(opening(&ring, &text, there, FRESH), Err(OpenError::Altered));
    let hint = |trunk: u32| key.hint(&trunk.to_be_bytes());
    let trunk = (0..).find(|&trunk| trunk != HERE.trunk && hint(trunk) == hint(HERE.trunk)).unwrap();
    assert_eq!(opening(&ring, &text, Bound { trunk, ..HERE }, FRESH), Err(OpenError::Altered));
}

#[test]
fn a_sealed_call_id_is_no_token_and_the_other_way_round() {
    let ring = ring(1, None);
    let call_id = far_call_id(&ring, b"a", 0);
    assert_eq!(opening(&ring, &call_id, HERE, FRESH), Err(OpenError::NotSealed));
    assert_eq!(ring.open_call_id(&token(&ring, &state(), HERE), &mut Vec::new()), None);
    // Nor is the ciphertext of one a text of the other kind.
    let mut posing = token(&ring, &state(), HERE);
    posing[0] = call_id[0];
    assert_eq!(ring.open_call_id(&posing, &mut Vec::new()), None);
    posing[0] = b'R';
    assert_eq!(opening(&ring, &posing, HERE, FRESH), Err(OpenError::Altered), "a leg as a store key");
}

#[test]
fn rotation_keeps_calls_up_and_ends_what_is_two_keys_old() {
    let (old, rotated, later) = (ring(1, None), ring(2, Some(1)), ring(3, Some(2)));
    let text = token(&old, &state(), HERE);
    let call_id = far_call_id(&old, b"call@pbx", 1);
    let mut scratch = Vec::new();
    let opened = rotated.open(&text, HERE, FRESH, &mut scratch).unwrap();
    assert_eq!(opened.key, old.current());
    // Both directions still agree on the Call-ID, whichever key is the current one.
    let mut again = Vec::new();
    rotated.seal_call_id(opened.key, b"call@pbx", 1, &mut again).unwrap();
    assert_eq!(again, call_id);
    let mut near = Vec::new();
    let found = rotated.open_call_id(&call_id, &mut near).unwrap();
    assert_eq!(
        (found, near.as_slice()),
        (SealedCallId { key: opened.key, leg: 1, form: Form::Whole }, b"call@pbx".as_slice())
    );

    assert_eq!(opening(&later, &text, HERE, FRESH), Err(OpenError::UnknownKey(old.current())));
    assert_eq!(later.open_call_id(&call_id, &mut near), None);
    let gone = later.seal_call_id(old.current(), b"call@pbx", 1, &mut again);
    assert_eq!(gone, Err(CallIdError::UnknownKey(old.current())));
    let gone = later.seal_leg(old.current(), &state(), HERE, AMPLE, &mut again);
    assert_eq!(gone, Err(SealError::UnknownKey(old.current())));
    assert_eq!(rotated.ids().collect::<Vec<_>>(), [rotated.current(), old.current()]);
}

#[test]
fn keys_are_shown_by_their_ids_only() {
    let random = [0xab; 32];
    let ring = KeyRing::new(Key::derive(&random).unwrap(), Some(Key::derive(&[0xcd; 16]).unwrap())).unwrap();
    let ids: Vec<_> = ring.ids().map(|id| id.to_string()).collect();
    assert_eq!(
        format!("{ring:?}"),
        format!("KeyRing {{ current: KeyId({}), other: Some(KeyId({})) }}", ids[0], ids[1])
    );
    assert_eq!(format!("{:?}", Key::derive(&random).unwrap()), format!("Key {{ id: KeyId({}), .. }}", ids[0]));
    assert_eq!(Key::derive(&[1; 15]).unwrap_err(), KeyError::TooShort);
    let twice = KeyRing::new(Key::derive(&random).unwrap(), Some(Key::derive(&random).unwrap()));
    assert_eq!(twice.unwrap_err(), KeyError::SameId);
    assert_ne!(subkey(&random, "one").unwrap(), subkey(&random, "two").unwrap());
}

#[test]
fn store_key_is_short_and_bound_like_a_state() {
    let ring = ring(1, None);
    let mut text = Vec::new();
    let key = StoreKey { call: 7, item: u64::MAX };
    ring.seal_store_key(ring.current(), key, HERE, AMPLE, &mut text).unwrap();
    assert_eq!((text.len(), is_plain(&text)), (48, true));
    let mut scratch = Vec::new();
    let opened = ring.open(&text, HERE, FRESH, &mut scratch).unwrap();
    assert_eq!(opened.content, Content::StoreKey(key));
    assert!(opening(&ring, &text, Bound { call_id: b"another", ..HERE }, FRESH).is_err());
    let tight = ring.seal_store_key(ring.current(), key, HERE, TokenRoom(47), &mut Vec::new());
    assert_eq!(tight, Err(SealError::DoesNotFit(48)));
}

#[test]
fn call_id_of_the_far_leg_tells_nothing_of_the_near_one() {
    let ring = ring(1, None);
    let near = b"0123456789abcdef0123456789abcdef@pbx.inside.example.net";
    let far = far_call_id(&ring, near, 0);
    assert!(is_plain(&far), "words of RFC 3261 section 25.1");
    assert_eq!(far, far_call_id(&ring, near, 0));
    assert_ne!(far, far_call_id(&ring, near, 1), "another branch of the call");
    let shown: Vec<u8> = far.to_ascii_lowercase();
    for part in ["pbx", "inside", "example", "0123"] {
        assert!(memchr::memmem::find(&shown, part.as_bytes()).is_none(), "{part} in {}", far.escape_ascii());
    }
    let mut back = Vec::new();
    assert_eq!(
        ring.open_call_id(&far, &mut back),
        Some(SealedCallId { key: ring.current(), leg: 0, form: Form::Whole })
    );
    assert_eq!(back, near);
    for other in [&near[..], b"h", b"", b"hAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(ring.open_call_id(other, &mut back), None);
    }
}

#[test]
fn each_pass_of_a_hairpin_has_its_call_id_and_opens_to_the_one_before() {
    let ring = ring(1, None);
    let mut legs = vec![b"5b2f0a1c-3d4e-4f60-a1b2-c3d4e5f60718".to_vec()];
    for _ in 0..5 {
        legs.push(far_call_id(&ring, legs.last().unwrap(), 0));
    }
    assert_eq!(legs.iter().map(Vec::len).collect::<Vec<_>>(), [36, 48, 76, 104, 132, 53], "a long one by its digest");
    for (pass, pair) in legs.windows(2).enumerate() {
        let mut before = Vec::new();
        let opened = ring.open_call_id(&pair[1], &mut before).unwrap();
        assert_eq!(before, *name_of(&pair[0]));
        assert_eq!(opened.form, if pass == 4 { Form::Digest } else { Form::Whole });
        assert_eq!(ring.root_call_id(&pair[0], 9), legs[0], "all legs have one root");
    }
    assert_eq!(ring.root_call_id(&legs[3], 2), legs[1]);
}

#[test]
fn call_ids_up_to_the_limit_are_sealed_whole_and_longer_ones_by_a_digest() {
    let ring = ring(1, None);
    let mut far = Vec::new();
    // Nothing of it has a short form.
    let near: Vec<u8> = (0..MAX_CALL_ID).map(|at| b"!~*'%.`+"[(at * at / 3 + at * 5) % 8]).collect();
    let form = ring.seal_call_id(ring.current(), &near, u16::MAX, &mut far).unwrap();
    assert!(form == Form::Whole && far.len() <= 200, "{}", far.len());
    let mut back = Vec::new();
    assert_eq!(ring.open_call_id(&far, &mut back).map(|sealed| sealed.leg), Some(u16::MAX));
    assert_eq!(back, near);
    // Bytes that are no words are longer when packed; and none may pass for a digest.
    let odd: Vec<u8> = (0..100).map(|at| 0x80 | (at * 37) as u8).collect();
    let posing = name_of(&odd).into_owned();
    for long in [vec![b'0'; MAX_CALL_ID + 1], vec![b'0'; 8_192], odd, posing] {
        far.clear();
        assert_eq!(ring.seal_call_id(ring.current(), &long, 3, &mut far), Ok(Form::Digest));
        assert!(is_plain(&far) && far.len() <= 60);
        let opened = ring.open_call_id(&far, &mut back);
        assert_eq!(opened, Some(SealedCallId { key: ring.current(), leg: 3, form: Form::Digest }));
        assert_eq!(back, *name_of(&long));
        assert_eq!(ring.root_call_id(&far, 4), ring.root_call_id(&long, 4), "both legs have one root");
        let mut neighbour = long.clone();
        neighbour[9] ^= 1;
        assert_ne!(name_of(&neighbour), name_of(&long));
    }
}

#[test]
fn state_that_does_not_fit_says_so() {
    let ring = ring(1, None);
    let whole = token(&ring, &state(), HERE).len();
    let mut out = b"sip:".to_vec();
    let refused = ring.seal_leg(ring.current(), &state(), HERE, TokenRoom(whole - 1), &mut out);
    assert_eq!((refused, out.as_slice()), (Err(SealError::DoesNotFit(whole)), &b"sip:"[..]));
    ring.seal_leg(ring.current(), &state(), HERE, TokenRoom(whole), &mut out).unwrap();
    assert_eq!(out.len(), 4 + whole);
    let many: Vec<u8> =
        (1..300_u32).map(|at| b"!~*'%.`+"[(at.pow(3).wrapping_mul(0x9e37_79b1) >> 29) as usize]).collect();
    let refused =
        ring.seal_leg(ring.current(), &LegState { target: &many, ..state() }, HERE, TokenRoom(9_999), &mut out);
    assert!(matches!(refused, Err(SealError::DoesNotFit(len)) if len > URI_LIMIT), "what is sealed can be opened");
    let long = vec![b'a'; MAX_TEXT + 1];
    let refused = ring.seal_leg(ring.current(), &LegState { target: &long, ..state() }, HERE, AMPLE, &mut out);
    assert!(matches!(refused, Err(SealError::DoesNotFit(len)) if len > MAX_TEXT));
    let refused = ring.seal_leg(ring.current(), &LegState { target: b"sip:\0@b", ..state() }, HERE, AMPLE, &mut out);
    assert_eq!(refused, Err(SealError::Nul));
    assert_eq!(Routes::of([ROUTE; MAX_ROUTES + 1]), Err(TooManyRoutes));
    let many = LegState { routes: Routes::of([ROUTE; 8]).unwrap(), ..state() };
    assert!(token(&ring, &many, HERE).len() < whole + 50, "the same again is told in few bytes");
}

/// What a call needs that was transferred: three texts more.
fn transferred<'a>() -> LegState<'a> {
    LegState {
        call_id: Some(b"a84b4c76e66710@pbx.example.net"),
        from_tag: Some(b"1928301774"),
        to_tag: Some(b"8321234356"),
        ..state()
    }
}

#[test]
fn names_of_the_far_leg_travel_and_a_token_without_them_is_as_before() {
    let ring = ring(7, None);
    let whole = transferred();
    let mut scratch = Vec::new();
    let text = token(&ring, &whole, HERE);
    let opened = ring.open(&text, HERE, FRESH, &mut scratch).unwrap();
    assert_eq!(opened.content, Content::Leg(whole));
    for state in [
        LegState { call_id: None, ..whole },
        LegState { from_tag: None, ..whole },
        LegState { to_tag: Some(b""), from_tag: None, ..whole },
    ] {
        let text = token(&ring, &state, HERE);
        let opened = ring.open(&text, HERE, FRESH, &mut scratch).unwrap();
        assert_eq!(opened.content, Content::Leg(state));
    }
    // A second byte that says nothing, or of what is not known yet, is of no version that this one reads.
    let mut plain = envelope::Buffer::new();
    whole.pack(&mut plain).unwrap();
    assert_eq!(plain[1], 7);
    for more in [0, 0x40, 0x80] {
        plain[1] = more;
        assert_eq!(LegState::unpack(&plain, &mut scratch), Err(Malformed));
    }
}

#[test]
fn a_record_of_the_store_opens_where_its_token_does() {
    let ring = ring(1, None);
    let long = "x\0y".repeat(400);
    let routes = Routes::of([ROUTE, b"", b"<sip:\0;lr>"]).unwrap();
    let whole = LegState { target: long.as_bytes(), routes, ..transferred() };
    let (item, record) = ring.seal_stored(ring.current(), &whole, HERE).unwrap();
    assert_eq!(ring.seal_stored(ring.current(), &whole, HERE).unwrap(), (item, record.clone()), "kept once");
    let mut scratch = b"of before".to_vec();
    let open = |ring: &KeyRing, record: &[u8], bound, fresh, scratch: &mut Vec<u8>| {
        let (key, state) = ring.open_stored(record, bound, fresh, scratch)?;
        assert_eq!((key, state), (ring.current(), whole));
        Ok(())
    };
    assert_eq!(open(&ring, &record, HERE, FRESH, &mut scratch), Ok(()));
    let old = Freshness { now: NOW + 61, max_age: 60 };
    assert_eq!(open(&ring, &record, HERE, old, &mut scratch), Err(OpenError::TooOld(61)));
    for bound in [Bound { call_id: b"another", ..HERE }, Bound { trunk: 5, ..HERE }] {
        assert_eq!(open(&ring, &record, bound, FRESH, &mut scratch), Err(OpenError::Altered));
        assert_ne!(ring.seal_stored(ring.current(), &whole, bound).unwrap().0, item);
    }
    for at in 0..record.len() {
        let mut altered = record.clone();
        altered[at] ^= 1;
        assert!(open(&ring, &altered, HERE, FRESH, &mut scratch).is_err(), "{at}");
    }
    assert_eq!(
        open(&super::tests::ring(2, None), &record, HERE, FRESH, &mut scratch),
        Err(OpenError::UnknownKey(ring.current()))
    );
    for text in [&b"x\0yx\0y"[..], b"a84b4c76", b"pbx.example"] {
        assert!(memchr::memmem::find(&record, text).is_none(), "it shows {}", text.escape_ascii());
    }
    let too_long = vec![b'a'; MAX_STORED_TEXT + 1];
    let refused = ring.seal_stored(ring.current(), &LegState { target: &too_long, ..state() }, HERE);
    assert!(matches!(refused, Err(SealError::DoesNotFit(len)) if len > MAX_STORED_TEXT));
}

#[test]
fn a_route_set_is_kept_for_one_side_of_one_call() {
    let ring = ring(1, None);
    let (key, routes) = (ring.current(), [ROUTE, b"<sip:a;lr>"]);
    let record = ring.seal_routes(key, &routes, HERE).unwrap();
    let opened = |record: &[u8], bound| {
        let mut values = Vec::new();
        ring.open_routes(record, bound, |value| values.push(value.to_vec())).then_some(values)
    };
    assert_eq!(opened(&record, HERE), Some(routes.map(<[u8]>::to_vec).to_vec()));
    assert_eq!(opened(&record, Bound { trunk: 1, ..HERE }), None);
    let (_, leg) = ring.seal_stored(key, &state(), HERE).unwrap();
    assert_eq!(opened(&leg, HERE), None, "a state is no route set");
    assert!(ring.open_stored(&record, HERE, FRESH, &mut Vec::new()).is_err());
    let item = |id: &[u8], tag: &[u8]| ring.routes_item(key, id, tag).unwrap();
    assert_ne!(item(b"ab", b"c"), item(b"a", b"bc"));
    assert_ne!(ring.call_mark(key, b"a"), ring.call_mark(key, b"b"));
    assert_eq!(ring.call_mark(KeyId(!key.0), b"a"), None);
}

#[test]
fn what_version_1_writes_is_frozen() {
    let ring = ring(7, None);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let call_id = text(far_call_id(&ring, b"3848276298220188511@atlanta.example.com", 2));
    assert_eq!(call_id, "hys9leudNlnK5XoW9GXTgHVPeRMDzOR_SDb3bnv9Ezx0NMH0xIM45Tx0C8Hc");
    let leg = "ByqD31FVa-OCMWNxGviG_EXY0hituaBtJPhwgmrvyip4fRRHZDPIlcaNZQlVJcv9CmsfhxGieDHgdDapySDvMoeCuMMwbFg8VCg";
    assert_eq!(text(token(&ring, &state(), HERE)), leg);
}

/// What an endpoint or a proxy might put into Contact and Record-Route.
fn uri() -> impl Strategy<Value = String> {
    let user = prop_oneof![
        Just(String::new()),
        "\\+[1-9][0-9]{6,14}@",
        "[a-z]{1,12}@",
        "[0-9a-f]{32}@",
        "[A-Za-z0-9_.!~*'()&=+$,;?/-]{1,40}@",
    ];
    let host = prop_oneof![
        "[a-z]{1,12}(\\.[a-z0-9-]{1,15}){1,3}[a-z]",
        "(10|192|203)\\.[0-9]{1,3}\\.[0-9]{1,2}\\.[0-9]",
        "\\[2001:db8(:[0-9a-f]{1,4}){6}\\]",
        Just("api-du-a-uswe2.pstnhub.microsoft.com".to_owned()),
        Just("sip-du-a-eu.pstnhub.microsoft.com".to_owned()),
    ];
    let port = prop_oneof![Just(String::new()), ":[1-9][0-9]{2,4}"];
    let params = "(;transport=(udp|tcp|tls)|;lr(=on)?|;ftag=[A-Za-z0-9]{8,12}|;r2=on|;ob|;x-i=[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|;[a-z]{2,8}=[A-Za-z0-9%./+_-]{1,24}){0,4}";
    (user, host, port, params).prop_map(|(user, host, port, params)| format!("sip:{user}{host}{port}{params}"))
}

/// The caller's leg, hold, created, far, tenant, site, engine, CSeq offset.
type Fields = (Option<u16>, u8, u32, u32, Option<u32>, Option<u32>, Option<u8>, i32);

/// Call-ID, From and To tag of the far leg.
type Names = (Option<String>, Option<String>, Option<String>);

#[derive(Clone, Debug)]
struct Owned {
    target: String,
    routes: Vec<String>,
    fields: Fields,
    names: Names,
}

impl Owned {
    fn state(&self) -> LegState<'_> {
        let (caller, hold, created, far, tenant, site, engine, cseq_offset) = self.fields;
        let hold = [Hold::None, Hold::Near, Hold::Far, Hold::Both][usize::from(hold)];
        let near = caller.map_or(Side::Callee, |leg| Side::Caller { leg });
        let routes = Routes::of(self.routes.iter().map(|route| route.as_bytes())).unwrap();
        let target = self.target.as_bytes();
        let [call_id, from_tag, to_tag] =
            [&self.names.0, &self.names.1, &self.names.2].map(|name| name.as_ref().map(|name| name.as_bytes()));
        LegState {
            near,
            hold,
            emergency: created & 1 != 0,
            created,
            far,
            tenant,
            site,
            engine,
            hidden: created % 2 == 1,
            cseq_offset,
            back_offset: cseq_offset.wrapping_mul(3) / 7,
            call_id,
            from_tag,
            to_tag,
            target,
            routes,
        }
    }
}

fn any_state() -> impl Strategy<Value = Owned> {
    let fields = (
        any::<Option<u16>>(),
        0_u8..4,
        any::<u32>(),
        any::<u32>(),
        any::<Option<u32>>(),
        any::<Option<u32>>(),
        any::<Option<u8>>(),
        any::<i32>(),
    );
    let routes = proptest::collection::vec(uri().prop_map(|uri| format!("<{uri}>")), 0..5);
    let tag = || proptest::option::weighted(0.2, "[A-Za-z0-9_.-]{0,24}");
    let names = (proptest::option::weighted(0.2, "[A-Za-z0-9@_.-]{0,60}"), tag(), tag());
    (uri(), routes, fields, names).prop_map(|(target, routes, fields, names)| Owned { target, routes, fields, names })
}

proptest! {
    #[test]
    fn any_state_fits_and_comes_back_or_goes_to_the_store(
        owned in any_state(),
        fqdn in "[a-z]{1,20}(\\.[a-z]{1,20}){1,2}",
        call_id in "[A-Za-z0-9.@-]{1,80}",
        trunk in any::<u32>(),
    ) {
        let ring = ring(1, None);
        let mut scratch = Vec::new();
        let state = owned.state();
        let rest = format!("{fqdn}:5061;transport=tls");
        let bound = Bound { call_id: call_id.as_bytes(), trunk };
        let room = TokenRoom::beside(rest.len());
        let mut uri = b"sip:".to_vec();
        match ring.seal_leg(ring.current(), &state, bound, room, &mut uri) {
            Ok(()) => {
                let fresh = Freshness { now: state.created, max_age: 0 };
                let opened = ring.open(&uri[4..], bound, fresh, &mut scratch).unwrap();
                prop_assert_eq!(opened.content, Content::Leg(state));
            }
            Err(SealError::DoesNotFit(len)) => {
                prop_assert!(len > room.0);
                prop_assert_eq!(&uri, b"sip:");
                ring.seal_store_key(ring.current(), StoreKey { call: 9, item: 9 }, bound, room, &mut uri).unwrap();
                let (_, record) = ring.seal_stored(ring.current(), &state, bound).unwrap();
                let fresh = Freshness { now: state.created, max_age: 0 };
                let (_, opened) = ring.open_stored(&record, bound, fresh, &mut scratch).unwrap();
                prop_assert_eq!(opened, state);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
        uri.push(b'@');
        uri.extend_from_slice(rest.as_bytes());
        prop_assert!(uri.len() <= URI_LIMIT);
        let read = crate::sip::Uri::parse(&uri).unwrap();
        prop_assert_eq!((read.host, read.port), (fqdn.as_bytes(), Some(5061)));
    }

    #[test]
    fn any_changed_character_is_refused(owned in any_state(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let ring = ring(1, Some(2));
        let mut text = Vec::new();
        prop_assume!(ring.seal_leg(ring.current(), &owned.state(), HERE, AMPLE, &mut text).is_ok());
        let mut altered = text.clone();
        *at.get_mut(&mut altered) = to;
        prop_assume!(altered != text);
        prop_assert!(opening(&ring, &altered, HERE, ANY_AGE).is_err());
        let shorter = &text[..at.index(text.len())];
        prop_assert!(opening(&ring, shorter, HERE, ANY_AGE).is_err());
    }

    #[test]
    fn any_other_place_is_refused(call_id in proptest::collection::vec(any::<u8>(), 0..300), trunk in any::<u32>()) {
        let ring = ring(1, None);
        let text = token(&ring, &state(), HERE);
        let bound = Bound { call_id: &call_id, trunk };
        prop_assume!(bound != HERE);
        let error = opening(&ring, &text, bound, FRESH).unwrap_err();
        prop_assert!(matches!(error, OpenError::OtherDialog | OpenError::OtherTrunk | OpenError::Altered));
        let (same_trunk, same_dialog) = (Bound { trunk: HERE.trunk, ..bound }, Bound { call_id: HERE.call_id, ..bound });
        prop_assert!(opening(&ring, &text, same_trunk, FRESH).is_err() || call_id == HERE.call_id);
        prop_assert!(opening(&ring, &text, same_dialog, FRESH).is_err() || trunk == HERE.trunk);
    }

    #[test]
    fn any_call_id_comes_back_and_any_change_is_refused(
        near in "[A-Za-z0-9.!%*_+`'~()<>:\\\\\"/\\[\\]?{}@-]{1,128}",
        leg in any::<u16>(),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let ring = ring(1, Some(2));
        let mut far = far_call_id(&ring, near.as_bytes(), leg);
        prop_assert!(is_plain(&far) && far.len() <= 200);
        let mut back = Vec::new();
        prop_assert_eq!(ring.open_call_id(&far, &mut back).map(|sealed| sealed.leg), Some(leg));
        prop_assert_eq!(&back, near.as_bytes());
        let unchanged = far.clone();
        *at.get_mut(&mut far) = to;
        prop_assume!(far != unchanged);
        prop_assert_eq!(ring.open_call_id(&far, &mut back), None);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let ring = ring(1, Some(2));
        let mut scratch = Vec::new();
        prop_assert!(ring.open(&bytes, HERE, FRESH, &mut scratch).is_err());
        prop_assert_eq!(ring.open_call_id(&bytes, &mut scratch), None);
        prop_assert!(ring.open_stored(&bytes, HERE, FRESH, &mut scratch).is_err());
        prop_assert!(!ring.open_routes(&bytes, HERE, |_| ()));
        if let Ok(state) = LegState::unpack(&bytes, &mut scratch) {
            prop_assert!(state.target.len() + state.routes.values().iter().map(|route| route.len() + 1).sum::<usize>() <= MAX_TEXT);
        }
        let text: Vec<u8> = bytes.iter().map(|byte| alphabet::character(*byte)).collect();
        prop_assert!(ring.open(&text, HERE, FRESH, &mut scratch).is_err());
        prop_assert_eq!(ring.open_call_id(&text, &mut scratch), None);
    }
}
