//! The daemon's memory stays where it is, however often the messages come.

use std::time::{Duration, Instant};

use super::daemon::{T1, data};
use super::peers::Stage;
use super::rfc4475::rows;

const PASSES: usize = 300;

/// Passes after which the level is taken. By the first the edge remembers as much as it ever will at this pace.
const LEVELS: [usize; 3] = [140, 220, PASSES];

/// A pass takes this long at least, so that the edge has the same number of requests to remember throughout.
const PACE: Duration = Duration::from_millis(50);

/// Requests that each pass brings anew; the others are copies until the edge has forgotten the first of them.
const NEW: usize = 15;

/// What a daemon may grow by from one level to the next, in one of the two steps. If it kept a KiB of each new request,
/// that would be more than twice as much in both; a buffer that a worker uses for the first time is there once.
const GROWTH_KIB: u64 = 512;

#[test]
fn memory_stays_flat_over_many_passes() {
    let Some(folder) = data("rfc4475") else { return };
    let rows = rows(&folder);
    let mut stage = Stage::open();
    let (mut levels, mut forwarded) = (Vec::new(), 0);
    for pass in 0..PASSES {
        let begun = Instant::now();
        for row in &rows {
            // Another transaction in each pass, or most would only be copies.
            stage.send(&renamed(&row.bytes, pass));
        }
        let seen = stage.settle();
        forwarded += seen.forwarded.len();
        std::thread::sleep(PACE.saturating_sub(begun.elapsed()));
        if LEVELS.contains(&(pass + 1)) {
            std::thread::sleep(T1 * 64 + Duration::from_secs(1));
            stage.ping();
            levels.push(stage.daemon.resident_kib());
        }
    }
    // A busy machine may lose a datagram now and then.
    assert!(forwarded >= NEW * PASSES * 9 / 10, "{forwarded}");
    let steps = levels.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    assert!(steps.min().is_some_and(|least| least <= GROWTH_KIB), "KiB: {levels:?}");
}

fn renamed(bytes: &[u8], pass: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let cookie = b"branch=z9hG4bK";
    if let Some(at) = out.windows(cookie.len()).position(|part| part == cookie) {
        let at = at + cookie.len();
        if out.get(at).is_some_and(u8::is_ascii_alphanumeric) {
            // Of the same length: Content-Length and all offsets stay true.
            let digits = b"0123456789abcdefghijklmnopqrstuvwxyz";
            let name = [digits[pass / digits.len() % digits.len()], digits[pass % digits.len()]];
            for (to, from) in out[at..].iter_mut().zip(name) {
                if to.is_ascii_alphanumeric() {
                    *to = from;
                }
            }
        }
    }
    out
}
