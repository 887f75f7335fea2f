//! A message as it came, with an index of where things stand. Nothing is copied and nothing is read
//! further than needed; values are typed on demand. The index is made by `parse`.

use bytes::Bytes;
use smallvec::SmallVec;

use super::address::NameAddr;
use super::flaw::{Flaw, What};
use super::name::{HEADER_NAMES, HeaderName};
use super::scan::{self, Values};
use super::uri::Uri;
use super::values::CSeq;
use super::via::Via;

/// A stretch of the message, by byte offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    pub start: u16,
    pub end: u16,
}

impl Span {
    /// The stretch as a range of indices.
    pub const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where one header line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// First byte of the name.
    pub start: u16,
    /// First byte of the value, blanks cut off.
    pub value: u16,
    /// One past the last byte of the value, blanks cut off.
    pub value_end: u16,
    /// One past the line's end, folds and line break included: the start of what follows.
    pub next: u16,
    pub name: HeaderName,
}

/// The start line, as stretches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Request { method: Span, uri: Span },
    Response { status: u16, reason: Span },
}

/// How many lines the index holds without a heap allocation.
pub(crate) const INLINE_LINES: usize = 28;

/// An indexed SIP message over the bytes it came in.
#[derive(Clone, Debug)]
pub struct Message {
    pub(super) bytes: Bytes,
    pub(super) start: Start,
    pub(super) lines: SmallVec<[Line; INLINE_LINES]>,
    /// Index of the first line of each known name; `NONE` where there is none.
    pub(super) first: [u8; HEADER_NAMES],
    /// Where the first header line starts.
    pub(super) head: u16,
    /// Where the empty line before the body starts.
    pub(super) head_end: u16,
    pub(super) body: Span,
    /// The first fault that does not hinder an answer.
    pub(super) flaw: Option<Flaw>,
}

/// Marks "no line" in [`Message::first`].
pub(super) const NONE: u8 = u8::MAX;

impl Message {
    /// All bytes of the message, body included; what followed the body in a datagram is not part of it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The start line.
    pub fn start(&self) -> Start {
        self.start
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method of a request; empty for a response.
    pub fn method(&self) -> &[u8] {
        match self.start {
            Start::Request { method, .. } => self.at(method),
            Start::Response { .. } => &[],
        }
    }

    /// The Request-URI as written; empty for a response.
    pub fn request_uri(&self) -> &[u8] {
        match self.start {
            Start::Request { uri, .. } => self.at(uri),
            Start::Response { .. } => &[],
        }
    }

    /// Where the Request-URI stands.
    pub fn request_uri_span(&self) -> Option<Span> {
        match self.start {
            Start::Request { uri, .. } => Some(uri),
            Start::Response { .. } => None,
        }
    }

    /// The Request-URI, read.
    pub fn uri(&self) -> Result<Uri<'_>, What> {
        Uri::parse(self.request_uri())
    }

    /// The status code of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        match self.start {
            Start::Request { .. } => 0,
            Start::Response { status, .. } => status,
        }
    }

    /// The reason phrase of a response; empty for a request.
    pub fn reason_phrase(&self) -> &[u8] {
        match self.start {
            Start::Request { .. } => &[],
            Start::Response { reason, .. } => self.at(reason),
        }
    }

    /// The body; empty when there is none.
    pub fn body(&self) -> &[u8] {
        self.at(self.body)
    }

    /// Where the body stands.
    pub fn body_span(&self) -> Span {
        self.body
    }

    /// The first fault found while indexing that still lets a request be answered.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// Where the header lines start and where the empty line after them starts.
    pub fn header_block(&self) -> Span {
        Span { start: self.head, end: self.head_end }
    }

    /// All header lines, in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The lines of one name, in order.
    pub fn lines_of(&self, name: HeaderName) -> impl Iterator<Item = &Line> + Clone {
        let first = self.first.get(name as usize).copied().unwrap_or(NONE);
        self.lines.get(usize::from(first)..).unwrap_or_default().iter().filter(move |line| line.name == name)
    }

    /// The first line of a name.
    pub fn line(&self, name: HeaderName) -> Option<&Line> {
        let first = self.first.get(name as usize).copied().unwrap_or(NONE);
        self.lines.get(usize::from(first))
    }

    /// The bytes of a stretch.
    pub fn at(&self, span: Span) -> &[u8] {
        self.bytes.get(span.range()).unwrap_or_default()
    }

    /// The value of a line, blanks around it cut off, folds inside it as they came.
    pub fn value_at(&self, line: &Line) -> &[u8] {
        self.at(Span { start: line.value, end: line.value_end })
    }

    /// The name of a line as written.
    pub fn name_at(&self, line: &Line) -> &[u8] {
        let head = self.at(Span { start: line.start, end: line.value });
        let colon = memchr::memchr(b':', head).unwrap_or(head.len());
        scan::trim_end(head.get(..colon).unwrap_or_default())
    }

    /// The value of the first line of a name.
    pub fn value(&self, name: HeaderName) -> Option<&[u8]> {
        self.line(name).map(|line| self.value_at(line))
    }

    /// The value of the first line with this name, for headers that [`HeaderName`] does not know.
    pub fn other(&self, name: &[u8]) -> Option<&[u8]> {
        self.lines
            .iter()
            .find(|line| line.name == HeaderName::Other && self.name_at(line).eq_ignore_ascii_case(name))
            .map(|line| self.value_at(line))
    }

    /// All values of a name over all its lines, in order (RFC 3261 section 7.3.1).
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = Result<&[u8], What>> + Clone {
        self.lines_of(name).flat_map(|line| Values::new(self.value_at(line)))
    }

    /// Where a value that was got from this message stands in it.
    pub fn span_of(&self, value: &[u8]) -> Span {
        let start = scan::offset_in(&self.bytes, value);
        // Both fit: the index refuses messages over 65,535 bytes.
        Span { start: start as u16, end: (start + value.len()) as u16 }
    }

    /// The topmost Via.
    pub fn top_via(&self) -> Result<Via<'_>, What> {
        let first = self.values(HeaderName::Via).next().ok_or(What::MissingVia)?;
        Via::parse(first?)
    }

    /// From, read.
    pub fn from(&self) -> Result<NameAddr<'_>, What> {
        let value = self.value(HeaderName::From).ok_or(What::MissingFrom)?;
        NameAddr::parse(value).map_err(|_| What::From)
    }

    /// To, read.
    pub fn to(&self) -> Result<NameAddr<'_>, What> {
        let value = self.value(HeaderName::To).ok_or(What::MissingTo)?;
        NameAddr::parse(value).map_err(|_| What::To)
    }

    /// Call-ID as written.
    pub fn call_id(&self) -> Result<&[u8], What> {
        let value = self.value(HeaderName::CallId).ok_or(What::MissingCallId)?;
        if value.is_empty() || value.iter().any(|&byte| scan::is_blank(byte)) {
            return Err(What::CallId);
        }
        Ok(value)
    }

    /// CSeq, read.
    pub fn cseq(&self) -> Result<CSeq<'_>, What> {
        CSeq::parse(self.value(HeaderName::CSeq).ok_or(What::MissingCSeq)?)
    }

    /// Max-Forwards; `None` when absent. Values over 255 count as 255 (RFC 3261 section 20.22, RFC 4475 3.1.2.4).
    pub fn max_forwards(&self) -> Result<Option<u8>, What> {
        let Some(value) = self.value(HeaderName::MaxForwards) else { return Ok(None) };
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(What::MaxForwards);
        }
        Ok(Some(scan::decimal(value).map_or(u8::MAX, |number| u8::try_from(number).unwrap_or(u8::MAX))))
    }

    /// The Contact values, read; `*` comes as an address with an empty URI.
    pub fn contacts(&self) -> impl Iterator<Item = Result<NameAddr<'_>, What>> {
        self.values(HeaderName::Contact).map(|value| match value {
            Ok(b"*") => Ok(NameAddr::star()),
            Ok(value) => NameAddr::parse(value).map_err(|_| What::Contact),
            Err(what) => Err(what),
        })
    }

    /// The Route values, read.
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, What>> {
        self.addresses(HeaderName::Route)
    }

    /// The Record-Route values, read.
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, What>> {
        self.addresses(HeaderName::RecordRoute)
    }

    fn addresses(&self, name: HeaderName) -> impl Iterator<Item = Result<NameAddr<'_>, What>> {
        self.values(name).map(|value| NameAddr::parse(value?).map_err(|_| What::Route))
    }

    /// The tag of To: present in a dialog's requests and in final answers.
    pub fn to_tag(&self) -> Option<&[u8]> {
        self.to().ok().and_then(|to| to.tag())
    }
}
