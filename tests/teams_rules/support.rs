//! What the tests with other programs use too.

use std::time::{Duration, Instant};

#[path = "../peers/support/certificates.rs"]
pub mod certificates;
#[path = "../peers/support/edge.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod edge;
#[path = "../peers/support/place.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod place;
#[path = "../peers/support/process.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod process;
#[path = "../peers/support/sockets.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
pub mod sockets;

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
