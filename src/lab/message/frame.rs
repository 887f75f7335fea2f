//! Cutting a byte stream into messages by Content-Length (RFC 3261 section 18.3) and keep-alives (RFC 5626 section 3.5.1).

use thiserror::Error;

/// Longest head and body that a stand-in takes from a stream, in bytes.
const MESSAGE_LIMIT: usize = 128 * 1024;

/// What stood next in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message.
    Message(Vec<u8>),
    /// CRLF CRLF between messages: the peer wants a CRLF back.
    Ping,
    /// A single CRLF between messages: the answer to our ping.
    Pong,
}

/// A stream from which nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    #[error("a message on a stream has no readable Content-Length (RFC 3261 section 18.3)")]
    ContentLength,
    #[error("a message on a stream is longer than {MESSAGE_LIMIT} bytes")]
    TooLong,
}

/// Collects bytes and gives whole messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
}

impl Framer {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, or `None` until more was read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.buffer.drain(..4);
            return Ok(Some(Frame::Ping));
        }
        // A lone CRLF may be the first half of a ping whose rest is still on its way.
        if self.buffer.starts_with(b"\r\n") && self.buffer.len() > 3 {
            self.buffer.drain(..2);
            return Ok(Some(Frame::Pong));
        }
        if self.buffer == b"\r" || self.buffer == b"\r\n" || self.buffer == b"\r\n\r" {
            return Ok(None);
        }
        let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if self.buffer.len() > MESSAGE_LIMIT { Err(FrameError::TooLong) } else { Ok(None) };
        };
        let length = content_length(self.buffer.get(..head).unwrap_or_default()).ok_or(FrameError::ContentLength)?;
        let end = head + 4 + length;
        if end > MESSAGE_LIMIT {
            return Err(FrameError::TooLong);
        }
        if self.buffer.len() < end {
            return Ok(None);
        }
        Ok(Some(Frame::Message(self.buffer.drain(..end).collect())))
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(head);
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        (name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l"))
            .then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"BYE sip:a SIP/2.0\r\nL: 2\r\n\r\nab";

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let mut framer = Framer::default();
        let mut seen = 0;
        for byte in ONE.repeat(3) {
            framer.push(&[byte]);
            while let Some(frame) = framer.next_frame().unwrap() {
                assert_eq!(frame, Frame::Message(ONE.to_vec()));
                seen += 1;
            }
        }
        assert_eq!(seen, 3);
    }

    #[test]
    fn pings_and_pongs_stand_between_messages() {
        let mut framer = Framer::default();
        framer.push(b"\r\n\r\n");
        assert_eq!(framer.next_frame(), Ok(Some(Frame::Ping)));
        framer.push(b"\r\n");
        assert_eq!(framer.next_frame(), Ok(None));
        framer.push(ONE);
        assert_eq!(framer.next_frame(), Ok(Some(Frame::Pong)));
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Message(_)))));
    }

    #[test]
    fn a_stream_without_content_length_is_refused() {
        let mut framer = Framer::default();
        framer.push(b"BYE sip:a SIP/2.0\r\nCall-ID: x\r\n\r\n");
        assert_eq!(framer.next_frame(), Err(FrameError::ContentLength));
        let mut framer = Framer::default();
        framer.push(&vec![b'a'; MESSAGE_LIMIT + 1]);
        assert_eq!(framer.next_frame(), Err(FrameError::TooLong));
    }
}
