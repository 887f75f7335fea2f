//! What is looked at, hidden and written of a message that is kept: nothing of it may fail, whatever came.

use trunkway::telemetry::pcap::{self, Packet};
use trunkway::telemetry::trace::redact::{Mask, redact};
use trunkway::telemetry::trace::{Entry, Peek, Whom};

/// Any bytes as a message.
///
/// # Panics
/// When something else changes than what is hidden, or a capture does not add up.
pub fn check(bytes: &[u8]) {
    if let Some(peek) = Peek::at(bytes) {
        assert!(!peek.call_id.is_empty() && !peek.call_id.contains(&b'\n'));
        peek.begins_call(bytes);
    }
    if let Some(number) = Whom::read("+441632960001") {
        number.is_in(bytes);
    }
    let filled = redact(bytes, Mask::SameLength);
    assert_eq!(filled.len(), bytes.len(), "lengths stay true");
    for (before, after) in bytes.iter().zip(&filled) {
        assert!(before == after || *after == b'x', "what is not hidden stays as it was");
        assert!(!matches!(before, b'\r' | b'\n') || before == after, "lines stay lines");
    }
    redact(bytes, Mask::Words);
    let entry = Entry::default();
    let file = pcap::write("edge", [Packet { entry: &entry, bytes, comment: "" }]);
    assert_eq!(file.len() % 4, 0, "blocks end at words");
}
