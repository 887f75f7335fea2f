//! What sealing and opening cost: time, and blocks of memory, of which there are none once buffers have grown.
//! `cargo bench --bench seal [-- ROUNDS [NAME]]`; few rounds of one name are for counting instructions.

#[path = "support/allocations.rs"]
mod allocations;

use std::hint::black_box;
use std::time::Instant;

use trunkway::call::seal::{Bound, Freshness, Hold, Key, KeyRing, LegState, Routes, Side, TokenRoom};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const TEAMS: &[u8] = b"sip:api-du-a-uswe2.pstnhub.microsoft.com:443;x-i=b0a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d;x-c=c0ffee11c0ffee22c0ffee33c0ffee4d/s/1/0a1b2c3d4e5f60718293a4b5c6d7e8f9";
const TEAMS_ROUTE: &[u8] = b"<sip:sip-du-a-us.pstnhub.microsoft.com:5061;transport=tls;lr>";
const PBX: &[u8] = b"sip:+442071838750@10.20.30.40:5060;transport=udp";
const ROUTES: [&[u8]; 2] =
    [b"<sip:203.0.113.10;r2=on;lr;ftag=gK0c6d8a2b>", b"<sip:10.0.0.1;transport=tcp;r2=on;lr;ftag=gK0c6d8a2b>"];
const CALL_ID: &[u8] = b"5b2f0a1c3d4e4f60a1b2c3d4e5f60718@pbx.example.net";
const HERE: Bound<'_> = Bound { call_id: CALL_ID, trunk: 7 };
const FRESH: Freshness = Freshness { now: 30_000_000, max_age: 1_440 };

fn state<'a>(target: &'a [u8], routes: &[&'a [u8]]) -> LegState<'a> {
    LegState {
        near: Side::Caller { leg: 1 },
        hold: Hold::None,
        created: FRESH.now,
        far: 0xa1b2_c3d4,
        tenant: Some(0x0102_0304),
        site: Some(0x0506_0708),
        engine: Some(1),
        cseq_offset: 17,
        target,
        routes: Routes::of(routes.iter().copied()).unwrap(),
        ..LegState::default()
    }
}

fn main() {
    // Cargo itself gives `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(200_000);
    let only = arguments.next();
    let ring = KeyRing::new(Key::derive(&[1; 32]).unwrap(), Some(Key::derive(&[2; 32]).unwrap())).unwrap();
    let run = |name: &str, action: &mut dyn FnMut()| {
        if only.as_deref().is_some_and(|only| only != name) {
            return;
        }
        action();
        let start = Instant::now();
        let (blocks, ()) = allocations::during(|| (0..rounds).for_each(|_| action()));
        let each = start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds);
        assert_eq!(blocks, 0, "{name} asks for memory");
        println!("{name:<22} {each:>8.0} ns");
    };
    for (name, target, routes) in
        [("teams", TEAMS, &[TEAMS_ROUTE][..]), ("pbx", PBX, &[]), ("pbx-behind-proxies", PBX, &ROUTES)]
    {
        let state = state(target, routes);
        let (mut text, mut scratch) = (Vec::new(), Vec::new());
        let seal = |state: &LegState<'_>, text: &mut Vec<u8>| {
            text.clear();
            ring.seal_leg(ring.current(), state, HERE, TokenRoom(254), text).unwrap();
        };
        seal(&state, &mut text);
        let token = text.clone();
        run(&format!("{name}-seal"), &mut || seal(black_box(&state), &mut text));
        run(&format!("{name}-open"), &mut || {
            black_box(ring.open(black_box(&token), HERE, FRESH, &mut scratch).unwrap());
        });
    }
    let (mut far, mut near) = (Vec::new(), Vec::new());
    ring.seal_call_id(ring.current(), CALL_ID, 0, &mut far).unwrap();
    let sealed = far.clone();
    run("call-id-seal", &mut || {
        far.clear();
        ring.seal_call_id(ring.current(), black_box(CALL_ID), 0, &mut far).unwrap();
    });
    run("call-id-open", &mut || {
        black_box(ring.open_call_id(black_box(&sealed), &mut near).unwrap());
    });
    run("user-that-is-none", &mut || {
        black_box(ring.open(black_box(b"+442071838750"), HERE, FRESH, &mut near).is_err());
    });
}
