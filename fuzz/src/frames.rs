//! The framer: pieces make no difference, and the parser agrees on where a message ends.

use trunkway::sip::frame::{Frame, FrameLimits, Framer, Unframed};
use trunkway::sip::{Framing, HeaderName, Limits, Message};

/// Feeds the stream in one piece, in pieces of the given sizes, and byte by byte, and compares.
///
/// # Panics
/// When the frames differ, a limit is passed, or the parser ends a frame elsewhere.
pub fn check(sizes: &[u8], stream: &[u8]) {
    for limits in [
        FrameLimits { max_header_bytes: 2_048, max_message_bytes: 3_000 },
        FrameLimits { max_header_bytes: 64, max_message_bytes: 96 },
    ] {
        let whole = cut(limits, std::iter::once(stream));
        let pieces = cut(limits, Pieces { rest: stream, sizes, at: 0 });
        assert_eq!(whole, pieces, "sizes {sizes:?}");
        assert_eq!(whole, cut(limits, stream.chunks(1)), "byte by byte");
        check_frames(limits, &whole);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    frames: Vec<Frame>,
    fault: Option<Unframed>,
    partial: bool,
}

fn cut<'a>(limits: FrameLimits, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    let mut fault = None;
    for piece in pieces {
        let fed = framer.feed(piece, |frame| frames.push(frame));
        if let Err(unframed) = fed {
            assert!(fault.is_none(), "a fault is told once");
            fault = Some(unframed);
        }
    }
    Outcome { frames, fault, partial: framer.is_partial() }
}

fn check_frames(limits: FrameLimits, outcome: &Outcome) {
    for frame in &outcome.frames {
        let Frame::Message(bytes) = frame else { continue };
        assert!(!bytes.is_empty() && bytes.len() <= limits.max_message_bytes);
        let Ok(message) = Message::parse(bytes.clone(), Framing::Stream, &Limits::default()) else { continue };
        if message.flaw().is_none() {
            // Were it otherwise, the rest would be another's message.
            assert_eq!(message.bytes().len(), bytes.len());
            if message.line(HeaderName::ContentLength).is_none() {
                assert!(message.body().is_empty());
            }
        }
    }
    if let Some(unframed) = &outcome.fault {
        assert!(unframed.head.len() <= limits.max_header_bytes);
    }
}

/// Pieces of the given sizes, over and over.
struct Pieces<'a> {
    rest: &'a [u8],
    sizes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let size = self.sizes.get(self.at % self.sizes.len().max(1)).map_or(1, |&size| usize::from(size).max(1));
        self.at += 1;
        let (piece, rest) = self.rest.split_at(size.min(self.rest.len()));
        self.rest = rest;
        Some(piece)
    }
}
