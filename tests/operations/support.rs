//! What the tests are made of: a place on loopback, the daemon, and foreign programs as processes.

#[path = "../peers/support/baresip.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod baresip;
#[path = "../peers/support/certificates.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod certificates;
#[path = "../peers/support/edge.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod edge;
#[path = "../peers/support/kamailio.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod kamailio;
#[path = "../peers/support/machine.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod machine;
#[path = "../peers/support/place.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod place;
#[path = "../peers/support/process.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod process;
#[path = "../peers/support/relay.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod relay;
#[path = "../peers/support/sipp.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod sipp;
#[path = "../peers/support/sockets.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod sockets;

use std::time::{Duration, Instant};

/// How long something may take that takes milliseconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, limit: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
