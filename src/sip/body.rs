//! What a message's body is made of: one thing, or several in a multipart body (RFC 2046 section 5.1).
//!
//! Liberal in line ends and about a closing delimiter that is missing. A part's content ends before the line break that
//! belongs to the delimiter behind it. Parts inside of parts are not looked into: since one may be about a place, all of
//! them count as such.

use smallvec::SmallVec;

use super::edit::{Edits, write_decimal};
use super::message::{Message, Span};
use super::name::HeaderName;
use super::scan::{Params, trim, trim_end};

/// Most parts that are told apart.
pub const MAX_PARTS: usize = 16;

/// Longest boundary that is looked for; RFC 2046 allows 70 characters.
const MAX_BOUNDARY: usize = 200;

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session description (`application/sdp`, RFC 8866).
    Sdp,
    /// Where somebody is, or more about a caller in need (RFC 4119, RFC 7852).
    Location,
    Other,
}

impl Kind {
    /// The kind behind a Content-Type value.
    pub fn of_type(value: &[u8]) -> Self {
        let media = media_type(value);
        let is = |known: &str| media.eq_ignore_ascii_case(known.as_bytes());
        let begins =
            |known: &str| media.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known.as_bytes()));
        if is("application/sdp") {
            Self::Sdp
        } else if is("application/pidf+xml")
            || is("application/pidf-diff+xml")
            || is("application/held+xml")
            || begins("application/emergencycalldata.")
        {
            Self::Location
        } else {
            Self::Other
        }
    }
}

/// One thing in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub kind: Kind,
    /// From its delimiter line to the next one, or the whole body where that is one thing.
    pub whole: Span,
    /// The value of its Content-Type; empty when it has none.
    pub content_type: Span,
    pub content: Span,
}

/// What a body holds, in order.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    list: SmallVec<[Part; 4]>,
    multipart: bool,
    /// There are more than [`MAX_PARTS`].
    crowded: bool,
}

impl Parts {
    /// Reads a message's body.
    pub fn of(message: &Message) -> Self {
        let body = message.body_span();
        if body.start >= body.end {
            return Self::default();
        }
        let line = message.line(HeaderName::ContentType);
        let value = line.map_or(&[][..], |line| message.value_at(line));
        if let Some(boundary) = boundary_of(value) {
            let mut parts = Self { multipart: true, ..Self::default() };
            Splitter { bytes: message.bytes(), body, boundary }.split(&mut parts);
            if !parts.list.is_empty() {
                return parts;
            }
        }
        let content_type = line.map_or(Span::default(), |line| Span { start: line.value, end: line.value_end });
        // Some forget to say that it is a description; nothing else comes without a type.
        let untyped = line.is_none() && message.body().starts_with(b"v=0");
        let kind = if untyped { Kind::Sdp } else { Kind::of_type(value) };
        let whole = Part { kind, whole: body, content_type, content: body };
        Self { list: SmallVec::from_slice(&[whole]), ..Self::default() }
    }

    /// The parts, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Part> {
        self.list.iter()
    }

    /// The first part of a kind.
    pub fn find(&self, kind: Kind) -> Option<&Part> {
        self.iter().find(|part| part.kind == kind)
    }

    /// Whether the body is a multipart one.
    pub const fn is_multipart(&self) -> bool {
        self.multipart
    }

    /// Removes all parts of a kind from a multipart body. Where a single part is left, it becomes the body. Of more than
    /// [`MAX_PARTS`] no other than a session description is left.
    pub fn strip(&self, message: &Message, kind: Kind, edits: &mut Edits) {
        if self.crowded {
            let sdp = self.find(Kind::Sdp).filter(|_| kind != Kind::Sdp);
            return match sdp {
                Some(part) => self.flatten(message, part, edits),
                None => remove(message, edits),
            };
        }
        if !self.multipart || self.find(kind).is_none() {
            return;
        }
        let mut left = self.iter().filter(|part| part.kind != kind);
        match (left.next(), left.next()) {
            (None, _) => remove(message, edits),
            (Some(only), None) => self.flatten(message, only, edits),
            _ => self.iter().filter(|part| part.kind == kind).for_each(|part| edits.remove(part.whole)),
        }
    }

    fn flatten(&self, message: &Message, part: &Part, edits: &mut Edits) {
        let body = message.body_span();
        edits.remove(Span { start: body.start, end: part.content.start });
        // The line break before a delimiter is not the part's; a description ends with one.
        let ended = message.at(part.content).ends_with(b"\n");
        let rest = Span { start: part.content.end, end: body.end };
        edits.replace(rest, if ended || part.kind != Kind::Sdp { b"" } else { b"\r\n" });
        if let Some(line) = message.line(HeaderName::ContentType) {
            match message.at(part.content_type) {
                b"" => edits.remove_line(line),
                value => edits.set_line(line, value),
            }
        }
    }
}

impl<'p> IntoIterator for &'p Parts {
    type Item = &'p Part;
    type IntoIter = std::slice::Iter<'p, Part>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Removes a message's body and its type. [`edit_length`] makes Content-Length follow.
pub fn remove(message: &Message, edits: &mut Edits) {
    edits.remove(message.body_span());
    edits.remove_header(message, HeaderName::ContentType);
}

/// Makes Content-Length say how long the body is once all edits are made. A message without one gets one where `needed`
/// says so. What was said about the length by an edit before stays.
pub fn edit_length(message: &Message, needed: bool, edits: &mut Edits) {
    let body = message.body_span();
    let (before, after) = (usize::from(body.end - body.start), edits.len_within(body));
    match message.line(HeaderName::ContentLength) {
        Some(line) => {
            let value = Span { start: line.value, end: line.value_end };
            if before != after && !edits.touches(value) {
                edits.replace_with(value, |out| write_decimal(out, after as u64));
            }
        }
        None if needed => edits.insert_with(message.header_block().end, |out| {
            out.extend_from_slice(b"Content-Length: ");
            write_decimal(out, after as u64);
            out.extend_from_slice(b"\r\n");
        }),
        None => {}
    }
}

/// The media type of a Content-Type value, without parameters.
pub fn media_type(value: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    trim(value.get(..end).unwrap_or_default())
}

fn is_multipart(value: &[u8]) -> bool {
    let prefix = b"multipart/";
    media_type(value).get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The boundary of a multipart type.
fn boundary_of(value: &[u8]) -> Option<&[u8]> {
    if !is_multipart(value) {
        return None;
    }
    let params = value.get(memchr::memchr(b';', value)?..)?;
    let boundary = Params::new(params).find(b"boundary")?.value?;
    let bare = boundary.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(boundary);
    (1..=MAX_BOUNDARY).contains(&bare.len()).then_some(bare)
}

/// A delimiter line.
struct Delimiter {
    /// Where the content before it ends.
    content_end: u16,
    start: u16,
    /// One past its line end.
    next: u16,
    closing: bool,
}

struct Splitter<'a> {
    bytes: &'a [u8],
    body: Span,
    boundary: &'a [u8],
}

impl Splitter<'_> {
    fn split(&self, parts: &mut Parts) {
        let mut open = self.delimiter(self.body.start).filter(|first| !first.closing);
        while let Some(delimiter) = open.take() {
            let next = self.delimiter(delimiter.next);
            let (content_end, end) = match &next {
                Some(next) => (next.content_end.max(delimiter.next), next.start),
                None => (self.body.end, self.body.end),
            };
            parts.list.push(self.part(delimiter.start, delimiter.next, content_end, end));
            open = next.filter(|next| !next.closing);
            if parts.list.len() >= MAX_PARTS {
                parts.crowded = open.take().is_some();
            }
        }
    }

    /// The first delimiter line from a line's start on.
    fn delimiter(&self, from: u16) -> Option<Delimiter> {
        let mut at = from;
        while at < self.body.end {
            let (line, next) = self.line(at);
            if let Some(rest) = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(self.boundary)) {
                let closing = rest.starts_with(b"--");
                let rest = if closing { rest.get(2..).unwrap_or_default() } else { rest };
                if trim(rest).is_empty() {
                    return Some(Delimiter { content_end: self.before_break(from, at), start: at, next, closing });
                }
            }
            at = next;
        }
        None
    }

    /// The line that starts at `at`, with its line end, and where the next one starts.
    fn line(&self, at: u16) -> (&[u8], u16) {
        let rest = self.bytes.get(Span { start: at, end: self.body.end }.range()).unwrap_or_default();
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        // A part of a message, whose length fits.
        (rest.get(..len).unwrap_or_default(), at + len as u16)
    }

    /// Where the line break before `at` starts, but not before `from`.
    fn before_break(&self, from: u16, at: u16) -> u16 {
        let text = self.bytes.get(Span { start: from, end: at }.range()).unwrap_or_default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        from + text.len() as u16
    }

    fn part(&self, start: u16, head: u16, content_end: u16, end: u16) -> Part {
        let mut content_type = Span::default();
        let mut at = head;
        while at < content_end {
            let (line, next) = self.line(at);
            if trim(line).is_empty() {
                at = next;
                break;
            }
            if content_type == Span::default()
                && let Some(colon) = memchr::memchr(b':', line)
                && HeaderName::recognise(trim(line.get(..colon).unwrap_or_default())) == HeaderName::ContentType
            {
                content_type = self.value(at, colon, next, content_end);
            }
            at = next;
        }
        let content = Span { start: at.min(content_end), end: content_end };
        let typed = self.bytes.get(content_type.range()).unwrap_or_default();
        let kind = if is_multipart(typed) { Kind::Location } else { Kind::of_type(typed) };
        Part { kind, whole: Span { start, end }, content_type, content }
    }

    /// The value behind a colon, with the folded lines that follow it.
    fn value(&self, line: u16, colon: usize, mut next: u16, end: u16) -> Span {
        while next < end && matches!(self.bytes.get(usize::from(next)), Some(b' ' | b'\t')) {
            next = self.line(next).1;
        }
        let from = usize::from(line) + colon + 1;
        let text = self.bytes.get(from..usize::from(next.min(end))).unwrap_or_default();
        let blanks = text.len() - super::scan::trim_start(text).len();
        let start = from + blanks;
        // Within a message, whose length fits.
        Span { start: start as u16, end: (start + trim_end(text.get(blanks..).unwrap_or_default()).len()) as u16 }
    }
}

#[cfg(test)]
mod tests;
