//! How many calls a trunk, tenant, site or user may have: values that `config` reads and `call::admission` keeps to.

use std::sync::Arc;

/// Limits of calls, of one trunk, tenant, site or user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// The profile that they come from, `[limits_profile.NAME]`; `None`: they stand where they are used.
    pub profile: Option<Arc<str>>,
    /// Calls in progress in both directions together; `None`: no limit.
    pub max_calls: Option<u32>,
    /// Calls in progress that came from there.
    pub max_calls_in: Option<u32>,
    /// Calls in progress that went there.
    pub max_calls_out: Option<u32>,
    /// New calls a second; `None`: no limit.
    pub rate: Option<CallRate>,
    /// From this share of a limit on, in percent, there is a warning; calls pass.
    pub soft_percent: u8,
    /// The final status of a call that does not pass: 480, 486 or 503.
    pub over_limit_code: u16,
    /// What Retry-After says then, in seconds; zero: there is none.
    pub retry_after: u32,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            profile: None,
            max_calls: None,
            max_calls_in: None,
            max_calls_out: None,
            rate: None,
            soft_percent: 80,
            over_limit_code: 503,
            retry_after: 5,
        }
    }
}

/// How many calls may begin in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRate {
    /// In the long run, in each second.
    pub per_second: u32,
    /// At once, after a time of quiet.
    pub burst: u32,
}
