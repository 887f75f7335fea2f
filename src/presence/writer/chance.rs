//! Chance that spreads what would else happen at once; the same again for the same seed.

use std::time::Duration;

/// A stream of draws (the splitmix64 generator).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A stream that begins with a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next draw.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut draw = self.0;
        draw = (draw ^ (draw >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        draw = (draw ^ (draw >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        draw ^ (draw >> 31)
    }

    /// A time between half of `most` and `most`.
    pub fn spread(&mut self, most: Duration) -> Duration {
        let half = most / 2;
        let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        half + Duration::from_millis(self.draw() % millis)
    }

    /// The pause after the fault with this number, from 0 on: each twice as long, spread, bounded.
    pub fn backoff(&mut self, first: Duration, number: u8, longest: Duration) -> Duration {
        let factor = 1_u32 << number.min(16);
        self.spread(first.saturating_mul(factor).min(longest))
    }
}
