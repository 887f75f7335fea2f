//! The timer wheel with many timers in it, and the lives of the transaction machines.

#[path = "support/allocations.rs"]
mod allocations;
#[path = "support/cases.rs"]
mod cases;

use std::hint::black_box;
use std::time::Duration;

use cases::Case;
use trunkway::transaction::{
    HashKey, InviteClient, InviteServer, Key, KeyParts, Moment, NonInviteClient, Timing, Wheel,
};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Timers in the wheel at once: 32 seconds of 3,125 new ones each second.
const TIMERS: u64 = 100_000;
const LIFE: Duration = Duration::from_secs(32);

fn main() {
    cases::measure(
        "transaction",
        vec![
            Case::new("wheel_arm_and_expire", wheel()),
            Case::new("wheel_advance_idle", idle_wheel()),
            Case::new("invite_server_refused", invite_server),
            Case::new("invite_client_answered", invite_client),
            Case::new("non_invite_client_answered", non_invite_client),
            Case::new("key_of_request", key),
        ],
    );
}

/// One timer is armed and, on average, one expires; the wheel holds [`TIMERS`] all along.
fn wheel() -> impl FnMut() -> usize {
    let mut wheel = Wheel::new(Moment::START, usize::MAX);
    let micros_each = LIFE.as_micros() as u64 / TIMERS;
    let (mut armed, mut due) = (0_u64, Vec::new());
    let mut turn = move || {
        armed += 1;
        let now = Moment::from_millis(armed * micros_each / 1_000);
        wheel.arm(armed as u32, 0, now + LIFE);
        due.clear();
        wheel.advance(now, &mut due);
        wheel.len()
    };
    for _ in 0..TIMERS * 2 {
        turn();
    }
    turn
}

/// Time passes and nothing comes due.
fn idle_wheel() -> impl FnMut() -> usize {
    let mut wheel = Wheel::new(Moment::START, usize::MAX);
    for id in 0..TIMERS {
        wheel.arm(id as u32, 0, Moment::from_millis(u64::from(u32::MAX) * 100 + id));
    }
    let (mut now, mut due) = (0, Vec::new());
    move || {
        now += 10;
        wheel.advance(Moment::from_millis(now), &mut due);
        assert!(due.is_empty());
        wheel.len()
    }
}

/// INVITE, 180, a copy of the INVITE, 486, ACK, timer I.
fn invite_server() -> bool {
    let (timing, now) = black_box((Timing::default(), Moment::START));
    let mut machine = InviteServer::start(now, false, &timing);
    machine.handle_response(now, black_box(180), &timing);
    machine.handle_request(now);
    machine.handle_response(now + Duration::from_secs(3), black_box(486), &timing);
    machine.handle_ack(now + Duration::from_secs(3), &timing);
    let end = machine.next_timeout().expect("timer I runs");
    let actions = machine.handle_timeout(end, &timing);
    assert!(actions.ended);
    actions.ended
}

/// INVITE, timer A, 180, 200, timer M.
fn invite_client() -> bool {
    let (timing, now) = black_box((Timing::default(), Moment::START));
    let (mut machine, _) = InviteClient::start(now, false, &timing);
    machine.handle_timeout(now + timing.t1, &timing);
    machine.handle_response(now + timing.t1, black_box(180), &timing);
    machine.handle_response(now + Duration::from_secs(3), black_box(200), &timing);
    let end = machine.next_timeout().expect("timer M runs");
    let actions = machine.handle_timeout(end, &timing);
    assert!(actions.ended);
    actions.ended
}

/// BYE, timer E, 200, timer K.
fn non_invite_client() -> bool {
    let (timing, now) = black_box((Timing::default(), Moment::START));
    let (mut machine, _) = NonInviteClient::start(now, false, &timing);
    machine.handle_timeout(now + timing.t1, &timing);
    machine.handle_response(now + timing.t1, black_box(200), &timing);
    let end = machine.next_timeout().expect("timer K runs");
    let actions = machine.handle_timeout(end, &timing);
    assert!(actions.ended);
    actions.ended
}

fn key() -> Key {
    let parts = KeyParts {
        method: b"INVITE",
        branch: b"z9hG4bKbfe5e300000001",
        sent_by_host: b"192.0.2.1",
        sent_by_port: Some(5060),
        transport: trunkway::sip::Transport::Udp,
        request_uri: b"sip:+441632760001@sbc.example.net",
        from_tag: b"37b5",
        to_tag: b"",
        call_id: b"f6e24ce6a7925eb9bb8c",
        cseq: 1,
        top_via: b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKbfe5e300000001",
    };
    Key::of_request(&HashKey::new([1; 16]), black_box(&parts))
}
