//! Any body as a feed of line states.

use trunkway::admin::{MAX_ENTRIES, Said, read_line_states};
use trunkway::presence::Presence;

/// Checks that what is read is bounded and within its ranges.
///
/// # Panics
/// When it is not.
pub fn check(body: &[u8]) {
    let entries = match read_line_states(body) {
        Ok(entries) => entries,
        Err(fault) => return assert!(!fault.to_string().is_empty()),
    };
    assert!(entries.len() <= MAX_ENTRIES);
    for entry in entries {
        match entry {
            Ok(state) => {
                assert!(!state.device.is_empty() && state.device.chars().count() <= 64);
                assert!(state.state != Said::Nothing || state.user_state != Said::Nothing);
                assert!(!state.conference || state.state == Said::State(Presence::Busy));
                assert!(state.expires.is_none_or(|time| (1..=86_400).contains(&time.as_secs())));
            }
            Err(detail) => assert!(!detail.is_empty()),
        }
    }
}
