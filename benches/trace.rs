//! What it costs to keep a message of 1.2 KB in the ring: with nobody looking, with a Call-ID of a peer's, with one of the
//! edge's own, which has to be opened; and what it costs to hide its secrets.

#[path = "support/allocations.rs"]
mod allocations;
#[path = "support/cases.rs"]
mod cases;
#[path = "support/messages.rs"]
mod messages;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use cases::Case;
use trunkway::call::Secrets;
use trunkway::call::dialog_token::SealKey;
use trunkway::call::seal::{Key, KeyRing};
use trunkway::sip::Transport;
use trunkway::telemetry::trace::redact::{Mask, redact};
use trunkway::telemetry::trace::{Direction, Seen, Settings, Trace};
use trunkway::transaction::HashKey;
use trunkway::trunk::{ConnectionId, ListenerId, TrunkId};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() {
    let ring = KeyRing::new(Key::derive(&[1; 32]).unwrap(), None).unwrap();
    let secrets = Secrets { hash: HashKey::new([1; 16]), tags: [2; 16], seal: SealKey::new([3; 16]), ring };
    let secrets = Rc::new(secrets);
    let near = messages::teams_invite(7, "192.0.2.1:5060");
    let mut far = Vec::new();
    secrets.ring.seal_call_id(secrets.ring.current(), b"f6e24ce6a7925eb9bb8c00000007", 1, &mut far).unwrap();
    let far = near.replace("f6e24ce6a7925eb9bb8c00000007", &String::from_utf8(far).unwrap());
    let (on, off) = (Rc::new(trace(32 << 20)), Rc::new(trace(0)));
    let shown = near.clone();
    cases::measure(
        "trace",
        vec![
            case("off", &off, &secrets, near.clone()),
            case("near_leg", &on, &secrets, near),
            case("far_leg", &on, &secrets, far),
            Case::new("redact", move || redact(shown.as_bytes(), Mask::Words)),
        ],
    );
}

fn trace(ring_bytes: usize) -> Trace {
    let settings = Settings {
        ring_bytes,
        max_message_bytes: 16_384,
        sample_percent: 100,
        hold: Duration::from_secs(30),
        options: false,
        max_followers: 8,
        follower_queue: 1_024,
    };
    Trace::new(settings, None)
}

fn case(name: &'static str, trace: &Rc<Trace>, secrets: &Rc<Secrets>, message: String) -> Case {
    let (trace, secrets) = (Rc::clone(trace), Rc::clone(secrets));
    let at: SocketAddr = ([192, 0, 2, 1], 5060).into();
    Case::new(name, move || {
        if trace.is_on() {
            let seen = Seen {
                direction: Direction::In,
                transport: Transport::Udp,
                listener: ListenerId(0),
                connection: ConnectionId::DATAGRAM,
                trunk: Some(TrunkId(0)),
                stranger: false,
                local: at,
                remote: at,
                bytes: message.as_bytes(),
            };
            trace.note(&secrets, &seen);
        }
    })
}
