//! What a failure means for the next attempt (RFC 6665 sections 4.1.2.1 and 4.1.3), and for how long that waits.

use std::time::Duration;

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// At once, since nothing is wrong; with back-off when that happens again and again.
    Now,
    /// With back-off from seconds.
    Soon,
    /// With back-off from minutes: the PBX does not want it, or does not know the line.
    Late,
    /// After an hour: the PBX does not know the event package.
    Unable,
}

impl Verdict {
    /// What a final answer to a SUBSCRIBE other than 2xx and 423 means.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            481 => Self::Now,
            405 | 406 | 415 | 420 | 421 | 489 | 501 | 505 => Self::Unable,
            408 | 429 | 480 | 486 | 487 | 491 | 500 | 502..=504 | 580 => Self::Soon,
            _ => Self::Late,
        }
    }

    /// What the reason of a `terminated` means (RFC 6665 section 4.1.3); a reason that is not known counts as none.
    pub(super) fn of_reason(reason: &[u8]) -> Self {
        let is = |known: &str| reason.eq_ignore_ascii_case(known.as_bytes());
        if is("deactivated") || is("timeout") {
            Self::Now
        } else if is("rejected") || is("noresource") || is("invariant") {
            Self::Late
        } else {
            Self::Soon
        }
    }

    /// Whether what the line said last is worth nothing from now on.
    pub(super) const fn is_final(self) -> bool {
        matches!(self, Self::Late | Self::Unable)
    }

    /// How long to wait after so many failures in a row before this one; `asked` is the peer's wish.
    pub(super) fn wait(self, failures: u8, asked: Option<u32>, chance: &mut Chance) -> Duration {
        let doubled =
            |base: Duration, top: Duration| base.saturating_mul(1 << u32::from(failures.min(MAX_DOUBLINGS))).min(top);
        let wait = match self {
            Self::Now if failures == 0 => return chance.below(AT_ONCE).max(wish(asked)),
            Self::Now | Self::Soon => doubled(SOON, SOON_TOP),
            Self::Late => doubled(LATE, LATE_TOP),
            Self::Unable => LATE_TOP,
        };
        // From three quarters to five, so that many lines do not come back together.
        let wait = wait * 3 / 4 + chance.below(wait / 2);
        let wish = wish(asked);
        if wish > wait { wish + chance.below(wish / 10) } else { wait }
    }
}

fn wish(asked: Option<u32>) -> Duration {
    asked.map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds.into()).min(LATE_TOP))
}

/// Chance that is the same whenever it begins with the same seed (the splitmix64 generator).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A time below a bound, in milliseconds.
    pub(super) fn below(&mut self, bound: Duration) -> Duration {
        let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(((u128::from(self.draw()) * u128::from(millis)) >> 64) as u64) // below `millis`
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

const AT_ONCE: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(2);
const SOON_TOP: Duration = Duration::from_secs(300);
const LATE: Duration = Duration::from_secs(300);
const LATE_TOP: Duration = Duration::from_secs(3_600);
const MAX_DOUBLINGS: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_reasons_have_their_meaning() {
        for (status, wanted) in [
            (481, Verdict::Now),
            (403, Verdict::Late),
            (404, Verdict::Late),
            (410, Verdict::Late),
            (401, Verdict::Late),
            (603, Verdict::Late),
            (302, Verdict::Late),
            (489, Verdict::Unable),
            (501, Verdict::Unable),
            (408, Verdict::Soon),
            (480, Verdict::Soon),
            (500, Verdict::Soon),
            (503, Verdict::Soon),
        ] {
            assert_eq!(Verdict::of_status(status), wanted, "{status}");
        }
        for (reason, wanted) in [
            ("deactivated", Verdict::Now),
            ("Timeout", Verdict::Now),
            ("probation", Verdict::Soon),
            ("giveup", Verdict::Soon),
            ("", Verdict::Soon),
            ("x-odd", Verdict::Soon),
            ("rejected", Verdict::Late),
            ("noresource", Verdict::Late),
            ("invariant", Verdict::Late),
        ] {
            assert_eq!(Verdict::of_reason(reason.as_bytes()), wanted, "{reason}");
        }
    }

    #[test]
    fn waits_double_to_a_bound_and_obey_the_peer() {
        let mut chance = Chance::new(7);
        let secs = Duration::from_secs;
        for (verdict, failures, asked, least, most) in [
            (Verdict::Now, 0, None, secs(0), Duration::from_millis(500)),
            (Verdict::Now, 0, Some(30), secs(30), secs(31)),
            (Verdict::Now, 1, None, secs(3), secs(5)),
            (Verdict::Soon, 0, None, Duration::from_millis(1_500), Duration::from_millis(2_500)),
            (Verdict::Soon, 3, None, secs(12), secs(20)),
            (Verdict::Soon, 255, None, secs(225), secs(375)),
            (Verdict::Soon, 0, Some(120), secs(120), secs(132)),
            (Verdict::Soon, 0, Some(u32::MAX), secs(3_600), secs(3_960)),
            (Verdict::Late, 0, Some(1), secs(225), secs(375)),
            (Verdict::Late, 255, None, secs(2_700), secs(4_500)),
            (Verdict::Unable, 0, None, secs(2_700), secs(4_500)),
        ] {
            for _ in 0..100 {
                let wait = verdict.wait(failures, asked, &mut chance);
                assert!(least <= wait && wait <= most, "{verdict:?} {failures} {asked:?}: {wait:?}");
            }
        }
    }
}
