//! One pass over a datagram or a framed stretch of a stream: finds the start line, each header line
//! and the body. It reads no value further than Content-Length; that is for whoever needs one.
//!
//! Faults that leave a request answerable are noted in the message ([`Message::flaw`]), so that the
//! proxy can say 400; only what is no SIP at all is refused here.

use bytes::Bytes;
use memchr::memchr;
use smallvec::SmallVec;

use super::flaw::{Flaw, What};
use super::limits::Limits;
use super::message::{Line, Message, NONE, Span, Start};
use super::name::{HEADER_NAMES, HeaderName};
use super::scan;

/// What bounds the message: the datagram, or the Content-Length that the stream was cut by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A datagram: octets past Content-Length are ignored (RFC 3261 section 18.3), missing ones are a fault.
    Datagram,
    /// A frame that `frame` cut from a stream: it ends where the body ends.
    Stream,
}

impl Message {
    /// Indexes one message.
    ///
    /// # Errors
    /// A [`Flaw`] when the bytes are no SIP message or pass a limit so that not even an answer can be made.
    pub fn parse(bytes: Bytes, framing: Framing, limits: &Limits) -> Result<Self, Flaw> {
        let length = bytes.len();
        if length > limits.max_message_bytes || length > super::limits::MESSAGE_BYTES_TOP {
            return Err(Flaw { what: What::TooLong, at: 0 });
        }
        let text: &[u8] = &bytes;
        let skipped = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (start, head, start_flaw) = start_line(text, skipped)?;
        let mut index =
            Index { text, limits, at: head, lines: SmallVec::new(), first: [NONE; HEADER_NAMES], flaw: start_flaw };
        let ended = index.header_lines();
        let Index { at: head_end, lines, first, mut flaw, .. } = index;
        let body_start = match ended {
            Some(after) => after,
            None => {
                note(&mut flaw, What::Unterminated, length);
                length
            }
        };
        let (lines, first) = (lines, first);
        let mut message = Self {
            start,
            lines,
            first,
            head: offset(head),
            head_end: offset(head_end),
            body: Span { start: offset(body_start), end: offset(length) },
            flaw,
            bytes: Bytes::new(),
        };
        message.bytes = bytes;
        message.bound_body(framing);
        Ok(message)
    }

    /// Reads again what was let in before or what the edge has written: a whole message, past whose limits it may be by
    /// the lines that the edge added.
    pub(crate) fn reread(bytes: &Bytes) -> Option<Self> {
        Self::parse(bytes.clone(), Framing::Stream, &Limits::TOP).ok()
    }

    /// Ends the message where Content-Length says, or notes why that cannot be.
    fn bound_body(&mut self, framing: Framing) {
        let available = usize::from(self.body.end - self.body.start);
        let mut declared = None;
        let mut at = None;
        let mut wrong = false;
        for line in self.lines_of(HeaderName::ContentLength) {
            wrong |= at.is_some();
            at = at.or(Some(line.start));
            declared = scan::decimal(self.value_at(line));
            wrong |= declared.is_none();
        }
        let Some(at) = at else { return };
        let wanted = declared.and_then(|length| usize::try_from(length).ok());
        match wanted {
            Some(wanted) if !wrong && wanted <= available => {
                self.body.end = self.body.start + offset(wanted);
                self.bytes.truncate(usize::from(self.body.end));
            }
            // A frame is as long as its Content-Length by construction: this is for datagrams cut short.
            _ => {
                debug_assert!(framing == Framing::Datagram || wrong || self.flaw.is_some() || wanted.is_some());
                note(&mut self.flaw, What::ContentLength, usize::from(at));
            }
        }
    }
}

/// Keeps the first fault.
fn note(flaw: &mut Option<Flaw>, what: What, at: usize) {
    flaw.get_or_insert(Flaw { what, at: offset(at) });
}

/// Offsets fit: the message is at most 65,535 bytes long.
fn offset(at: usize) -> u16 {
    debug_assert!(at <= usize::from(u16::MAX));
    at as u16
}

/// Reads the start line at `at`: what it is, where the headers start, and a fault that still lets it be answered.
fn start_line(text: &[u8], at: usize) -> Result<(Start, usize, Option<Flaw>), Flaw> {
    let not_sip = Flaw { what: What::NotSip, at: offset(at) };
    let rest = text.get(at..).unwrap_or_default();
    let end = memchr(b'\n', rest).ok_or(not_sip)?;
    let head = at + end + 1;
    let line = rest.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let space = memchr(b' ', line).ok_or(not_sip)?;
    let (word, after) = line.split_at(space);
    let after = after.get(1..).unwrap_or_default();
    if word.len() >= 4 && word.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"SIP/")) {
        let start = status_line(word, after, at)?;
        return Ok((start, head, None));
    }
    if !scan::is_whole_token(word) {
        return Err(not_sip);
    }
    let (start, flaw) = request_line(word.len(), after, at)?;
    Ok((start, head, flaw))
}

/// `SIP/2.0 200 OK`, cut at the first space. A response cannot be answered: each fault refuses it.
fn status_line(version: &[u8], after: &[u8], at: usize) -> Result<Start, Flaw> {
    let flaw = |what| Flaw { what, at: offset(at) };
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Err(flaw(What::Version));
    }
    let code_end = memchr(b' ', after).unwrap_or(after.len());
    let code = after.get(..code_end).unwrap_or_default();
    let status = match (code.len(), scan::decimal(code)) {
        (3, Some(status @ 100..=699)) => status as u16,
        _ => return Err(flaw(What::StatusCode)),
    };
    let reason_start = at + version.len() + 1 + (code_end + 1).min(after.len());
    let reason_end = at + version.len() + 1 + after.len();
    Ok(Start::Response { status, reason: Span { start: offset(reason_start), end: offset(reason_end) } })
}

/// `METHOD uri SIP/2.0`, cut at the first space. Nothing at all like a version at its end: not SIP.
fn request_line(method_len: usize, after: &[u8], at: usize) -> Result<(Start, Option<Flaw>), Flaw> {
    let uri_at = at + method_len + 1;
    let trimmed = scan::trim_end(after);
    let version_at = memchr::memrchr(b' ', trimmed).ok_or(Flaw { what: What::NotSip, at: offset(at) })?;
    let (uri, version) = trimmed.split_at(version_at);
    let version = version.get(1..).unwrap_or_default();
    if version.len() < 5 || !version.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"SIP/")) {
        return Err(Flaw { what: What::NotSip, at: offset(at) });
    }
    let method = Span { start: offset(at), end: offset(at + method_len) };
    let start = Start::Request { method, uri: Span { start: offset(uri_at), end: offset(uri_at + uri.len()) } };
    let what = if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        Some(What::Version)
    } else if trimmed.len() != after.len()
        || uri.is_empty()
        || uri.iter().any(|&byte| scan::is_blank(byte) || matches!(byte, b'<' | b'>' | b'"'))
    {
        Some(What::StartLine)
    } else {
        None
    };
    Ok((start, what.map(|what| Flaw { what, at: offset(uri_at) })))
}

/// The index while it is being made.
struct Index<'a> {
    text: &'a [u8],
    limits: &'a Limits,
    at: usize,
    lines: SmallVec<[Line; super::message::INLINE_LINES]>,
    first: [u8; HEADER_NAMES],
    flaw: Option<Flaw>,
}

impl Index<'_> {
    /// Indexes lines up to the empty one; gives where the body starts, `None` when there is no empty line.
    fn header_lines(&mut self) -> Option<usize> {
        loop {
            match self.text.get(self.at..) {
                Some([b'\r', b'\n', ..]) => return Some(self.at + 2),
                Some([b'\n', ..]) => return Some(self.at + 1),
                Some([]) | None => return None,
                Some(rest) => {
                    let (end, next, ended) = line_end(rest);
                    self.header_line(end, next);
                    self.at += next;
                    if !ended {
                        return None;
                    }
                }
            }
        }
    }

    /// Indexes the line at `self.at`, `end` bytes long without its line break and `next` with it.
    fn header_line(&mut self, end: usize, next: usize) {
        if next > self.limits.max_header_line_bytes {
            return note(&mut self.flaw, What::LineTooLong, self.at);
        }
        let max_headers = self.limits.max_headers.min(super::limits::HEADERS_TOP);
        if self.lines.len() >= max_headers {
            return note(&mut self.flaw, What::TooManyHeaders, self.at);
        }
        let line = self.text.get(self.at..self.at + end).unwrap_or_default();
        let Some(colon) = memchr(b':', line) else {
            return note(&mut self.flaw, What::HeaderLine, self.at);
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        let name = match name.last() {
            Some(b' ' | b'\t') => scan::trim_end(name),
            _ => name,
        };
        let header = HeaderName::recognise(name);
        if header == HeaderName::Other && !scan::is_whole_token(name) {
            return note(&mut self.flaw, What::HeaderLine, self.at);
        }
        let trimmed = scan::trim_start(value);
        let value_at = self.at + colon + 1 + (value.len() - trimmed.len());
        let trimmed = scan::trim_end(trimmed);
        if let Some(first) = self.first.get_mut(header as usize)
            && *first == NONE
        {
            *first = self.lines.len() as u8; // below HEADERS_TOP
        }
        if self.lines.len() == super::message::INLINE_LINES {
            // One allocation for whatever is still to come: at most 3 KB, gone with the message.
            self.lines.reserve_exact(max_headers - self.lines.len());
        }
        self.lines.push(Line {
            start: offset(self.at),
            value: offset(value_at),
            value_end: offset(value_at + trimmed.len()),
            next: offset(self.at + next),
            name: header,
        });
    }
}

/// Finds the end of a header line with its folds: its length without and with the line break, and whether it had one.
fn line_end(text: &[u8]) -> (usize, usize, bool) {
    let mut from = 0;
    loop {
        let Some(newline) = memchr(b'\n', text.get(from..).unwrap_or_default()) else {
            return (text.len(), text.len(), false);
        };
        let newline = from + newline;
        from = newline + 1;
        if !matches!(text.get(from), Some(b' ' | b'\t')) {
            let end = if newline > 0 && text.get(newline - 1) == Some(&b'\r') { newline - 1 } else { newline };
            return (end, from, true);
        }
    }
}

#[cfg(test)]
mod tests;
