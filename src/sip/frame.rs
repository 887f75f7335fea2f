//! Cuts a byte stream into SIP messages (RFC 3261 sections 7.5 and 18.3). Pure.
//!
//! A [`Framer`] is fed with what was read, in pieces of any size, and gives whole messages. Between two
//! messages it keeps no memory; of an unfinished message it keeps the bytes and the place where it
//! stopped looking, so that a peer that sends single bytes costs no more than one that does not.
//! It looks at nothing but line ends and Content-Length. After a fault it gives nothing more, because
//! where the next message would begin is unknown.

use bytes::Bytes;
use memchr::memchr;

/// How much a peer may send before a message has to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes of start line and header fields, the empty line included.
    pub max_header_bytes: usize,
    /// Bytes of the whole message.
    pub max_message_bytes: usize,
}

/// What comes out of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message.
    Message(Bytes),
    /// A double CRLF between messages, to be answered with a single one (RFC 5626 section 3.5.1).
    Ping,
}

/// Why a stream cannot be cut any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// Content-Length is empty, negative or not a number.
    #[error("Content-Length is not a number")]
    ContentLengthInvalid,
    /// Two Content-Length fields disagree.
    #[error("Content-Length is given twice, with different values")]
    ContentLengthConflict,
    /// The header fields do not end within the limit.
    #[error("the header fields exceed the limit")]
    HeaderTooLarge,
    /// Header fields and announced body exceed the limit.
    #[error("the message exceeds the limit")]
    MessageTooLarge,
}

/// The end of a stream that could not be cut: what was read of the faulty message, and the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unframed {
    /// Start line and header fields, as far as they were read and allowed.
    pub head: Bytes,
    pub fault: FrameFault,
}

/// Cuts one stream into messages.
#[derive(Debug)]
pub struct Framer {
    limits: FrameLimits,
    /// The unfinished message; empty, without memory, between messages.
    tail: Vec<u8>,
    stage: Stage,
    failed: bool,
}

/// Where in a message the framer is; offsets count from the message's first byte.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Between messages, with so many bytes of CRLF CRLF seen.
    Gap { blank: u8 },
    /// Within the header fields.
    Head(Head),
    /// The header fields are whole; the message is when `total` bytes are there.
    Body { total: usize },
}

/// How far the header fields were looked through.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    /// Where to look for the next line feed.
    at: usize,
    /// Where the current (maybe folded) line began.
    line: usize,
    length: Option<Result<usize, FrameFault>>,
}

impl Framer {
    /// A framer at the beginning of a stream.
    pub fn new(limits: FrameLimits) -> Self {
        Self { limits, tail: Vec::new(), stage: Stage::Gap { blank: 0 }, failed: false }
    }

    /// Whether a message has begun and is not whole yet.
    pub fn is_partial(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Takes in what was read and gives every frame that is whole with it.
    ///
    /// # Errors
    /// [`Unframed`], once, when the stream cannot be cut any further; later input is ignored.
    pub fn feed(&mut self, input: &[u8], mut take: impl FnMut(Frame)) -> Result<(), Unframed> {
        if self.failed {
            return Ok(());
        }
        let outcome = if self.tail.is_empty() {
            self.cut(input, &mut take).map(|rest| self.tail = rest.to_vec())
        } else {
            let mut tail = std::mem::take(&mut self.tail);
            tail.extend_from_slice(input);
            match self.cut(&tail, &mut take).map(<[u8]>::len) {
                Ok(left) if left == tail.len() => {
                    self.tail = tail;
                    Ok(())
                }
                Ok(left) => {
                    self.tail = tail.split_off(tail.len() - left);
                    Ok(())
                }
                Err(unframed) => Err(unframed),
            }
        };
        self.failed = outcome.is_err();
        outcome
    }

    /// Gives the whole frames at the front of `bytes` and returns what is left of an unfinished one.
    fn cut<'a>(&mut self, mut bytes: &'a [u8], take: &mut impl FnMut(Frame)) -> Result<&'a [u8], Unframed> {
        loop {
            match self.stage {
                Stage::Gap { blank } => {
                    let (rest, blank) = skip_gap(bytes, blank, take);
                    bytes = rest;
                    if bytes.is_empty() {
                        self.stage = Stage::Gap { blank };
                        return Ok(bytes);
                    }
                    self.stage = Stage::Head(Head::default());
                }
                Stage::Head(mut head) => match head.find_end(bytes, self.limits)? {
                    Some(total) => self.stage = Stage::Body { total },
                    None => {
                        self.stage = Stage::Head(head);
                        return Ok(bytes);
                    }
                },
                Stage::Body { total } => {
                    let Some((message, rest)) = bytes.split_at_checked(total) else {
                        return Ok(bytes);
                    };
                    take(Frame::Message(Bytes::copy_from_slice(message)));
                    bytes = rest;
                    self.stage = Stage::Gap { blank: 0 };
                }
            }
        }
    }
}

/// Skips line ends before a message (RFC 3261 section 7.5), giving a ping for each CRLF CRLF.
fn skip_gap<'a>(mut bytes: &'a [u8], mut blank: u8, take: &mut impl FnMut(Frame)) -> (&'a [u8], u8) {
    while let Some((&byte, rest)) = bytes.split_first() {
        let expected = if blank.is_multiple_of(2) { b'\r' } else { b'\n' };
        blank = match byte {
            _ if byte == expected => blank + 1,
            b'\r' => 1,
            b'\n' => 0,
            _ => break,
        };
        if blank == 4 {
            take(Frame::Ping);
            blank = 0;
        }
        bytes = rest;
    }
    (bytes, blank)
}

impl Head {
    /// Looks on for the empty line; the length of the whole message when it is there.
    fn find_end(&mut self, bytes: &[u8], limits: FrameLimits) -> Result<Option<usize>, Unframed> {
        while let Some(offset) = bytes.get(self.at..).and_then(|rest| memchr(b'\n', rest)) {
            let feed = self.at + offset;
            let end = match (bytes.get(feed + 1), bytes.get(feed + 2)) {
                (None, _) | (Some(b'\r'), None) => {
                    // What the line feed means depends on bytes that are not here yet.
                    self.at = feed;
                    return self.wait(bytes, limits);
                }
                (Some(b' ' | b'\t'), _) => {
                    self.at = feed + 1;
                    continue;
                }
                (Some(b'\n'), _) => Some(feed + 2),
                (Some(b'\r'), Some(b'\n')) => Some(feed + 3),
                (Some(_), _) => None,
            };
            self.read_line(bytes.get(self.line..feed).unwrap_or_default());
            self.at = feed + 1;
            self.line = feed + 1;
            if let Some(end) = end {
                return self.total(bytes, end, limits).map(Some);
            }
        }
        self.at = bytes.len();
        self.wait(bytes, limits)
    }

    fn wait(&self, bytes: &[u8], limits: FrameLimits) -> Result<Option<usize>, Unframed> {
        if bytes.len() > limits.max_header_bytes {
            return Err(unframed(bytes, limits.max_header_bytes, FrameFault::HeaderTooLarge));
        }
        Ok(None)
    }

    /// The length of the message whose header fields end at `end`.
    fn total(&self, bytes: &[u8], end: usize, limits: FrameLimits) -> Result<usize, Unframed> {
        if end > limits.max_header_bytes {
            return Err(unframed(bytes, limits.max_header_bytes, FrameFault::HeaderTooLarge));
        }
        // Without Content-Length there is no body (the core may complain: RFC 3261 section 18.3).
        let body = self.length.unwrap_or(Ok(0)).map_err(|fault| unframed(bytes, end, fault))?;
        let total = end.saturating_add(body);
        if total > limits.max_message_bytes {
            return Err(unframed(bytes, end, FrameFault::MessageTooLarge));
        }
        Ok(total)
    }

    /// Takes the value of a Content-Length line; other lines are none of the framer's business.
    fn read_line(&mut self, line: &[u8]) {
        if self.line == 0 {
            return;
        }
        let Some(value) = content_length_value(line) else {
            return;
        };
        self.length = Some(match (self.length, parse_length(value)) {
            (Some(Err(fault)), _) | (_, Err(fault)) => Err(fault),
            (Some(Ok(before)), Ok(now)) if before != now => Err(FrameFault::ContentLengthConflict),
            (_, Ok(now)) => Ok(now),
        });
    }
}

fn unframed(bytes: &[u8], until: usize, fault: FrameFault) -> Unframed {
    let head = bytes.get(..until).unwrap_or(bytes);
    Unframed { head: Bytes::copy_from_slice(head), fault }
}

/// The bytes behind the colon when the line is Content-Length, long or compact, in any case.
fn content_length_value(line: &[u8]) -> Option<&[u8]> {
    if !matches!(line.first(), Some(b'c' | b'C' | b'l' | b'L')) {
        return None;
    }
    let colon = memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = name.trim_ascii_end();
    (name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l"))
        .then(|| value.get(1..).unwrap_or_default())
}

/// Digits with white space (folds included) around them; more than fits counts as very much.
fn parse_length(value: &[u8]) -> Result<usize, FrameFault> {
    let digits = value.trim_ascii();
    if digits.is_empty() {
        return Err(FrameFault::ContentLengthInvalid);
    }
    digits.iter().try_fold(0_usize, |length, byte| match byte {
        b'0'..=b'9' => Ok(length.saturating_mul(10).saturating_add(usize::from(byte - b'0'))),
        _ => Err(FrameFault::ContentLengthInvalid),
    })
}

#[cfg(test)]
mod tests;
