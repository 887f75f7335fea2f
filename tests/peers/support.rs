//! What the tests are made of: a place on loopback, the daemon, and foreign programs as processes.

pub mod baresip;
pub mod certificates;
pub mod edge;
pub mod kamailio;
pub mod machine;
pub mod place;
pub mod process;
pub mod relay;
pub mod sipp;
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
