//! Lines that a peer without ICE can do without.

use std::ops::Range;

use super::lines::{Line, Lines, Place};

/// Attributes of ICE (RFC 8839).
const ICE: [&str; 9] = [
    "candidate",
    "end-of-candidates",
    "ice-lite",
    "ice-mismatch",
    "ice-options",
    "ice-pacing",
    "ice-pwd",
    "ice-ufrag",
    "remote-candidates",
];

/// Attributes that tell sources apart (RFC 5576, RFC 8830), and Microsoft's own.
const SOURCES: [&str; 5] = ["msid", "msid-semantic", "ssrc", "ssrc-group", "label"];

/// Calls `put` with each line, its line break included, that a small description leaves out: sources, bandwidths of the
/// session and of audio (but for those of RTCP), Microsoft's own attributes, and with `ice` all of ICE. What encrypts
/// media, its ports and codecs is not among them.
pub fn surplus(sdp: &[u8], ice: bool, mut put: impl FnMut(Range<usize>)) {
    let mut audio = true;
    for line in Lines::new(sdp) {
        if let Some((kind, _)) = line.media() {
            audio = kind.eq_ignore_ascii_case(b"audio");
        }
        if is_surplus(&line, audio, ice) {
            put(line.start..line.next);
        }
    }
}

fn is_surplus(line: &Line<'_>, audio: bool, ice: bool) -> bool {
    if line.kind == b'b' {
        let rtcp = [&b"RS:"[..], b"RR:"].iter().any(|kind| line.value.starts_with(kind));
        return !rtcp && (audio || line.place == Place::Session);
    }
    let Some((name, _)) = line.attribute() else { return false };
    let among = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    among(&SOURCES) || name.starts_with(b"x-") || (ice && among(&ICE))
}
