//! Where the caller is (RFC 6442): for those that help, and nobody else's business.

use super::super::Passing;
use crate::sip::{Edits, HeaderName, Message};
use crate::trunk::dialect::media::Location;

/// Headers that say or point to where a caller is.
const HEADERS: [&str; 2] = ["Geolocation", "Geolocation-Routing"];

/// Whether the side that gets a request may not know where its sender is. Answers name no place, but may say what is
/// wrong with the one that came (Geolocation-Error); notifications of presence are another matter.
pub(super) fn is_stripped(passing: &Passing<'_>) -> bool {
    if !passing.message.is_request() || matches!(passing.method, b"NOTIFY" | b"PUBLISH") {
        return false;
    }
    match passing.to.dialect.media.location {
        Location::CallsForHelp => !passing.emergency,
        Location::Pass => false,
        Location::Strip => true,
    }
}

pub(super) fn edit_headers(message: &Message, edits: &mut Edits) {
    for line in message.lines().iter().filter(|line| line.name == HeaderName::Other) {
        let name = message.name_at(line);
        if HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) {
            edits.remove_line(line);
        }
    }
}
