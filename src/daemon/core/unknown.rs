//! How often strangers are answered.

use std::sync::atomic::{AtomicU64, Ordering};

/// Limits the answers to strangers, so that the edge is no amplifier and no beacon: `per_second` in each second.
#[derive(Debug)]
pub struct UnknownSources {
    per_second: u64,
    /// Second (upper 32 bits) and answers given in it (lower 32).
    window: AtomicU64,
}

impl UnknownSources {
    /// So many answers in each second.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: u64::from(per_second), window: AtomicU64::new(0) }
    }

    /// Whether one more may be given now.
    pub fn may_answer(&self, now_millis: u64) -> bool {
        let second = (now_millis / 1_000) << 32;
        let next = |window: u64| {
            let window = if window >> 32 == second >> 32 { window } else { second };
            ((window & u64::from(u32::MAX)) < self.per_second).then_some(window + 1)
        };
        self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_answered_so_many_times_a_second() {
        let unknown = UnknownSources::new(2);
        let answers: Vec<_> = [1_000, 1_100, 1_900, 2_000, 2_001, 2_002].map(|now| unknown.may_answer(now)).to_vec();
        assert_eq!(answers, [true, true, false, true, true, false]);
        assert!(!UnknownSources::new(0).may_answer(5_000));
    }
}
