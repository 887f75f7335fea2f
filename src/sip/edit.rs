//! Changes to a message, collected while it is looked at and applied in one pass when the outgoing bytes are
//! written: what no edit touches is copied as it came, order included, and a body is copied once.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::message::{Line, Message, Span};
use super::name::HeaderName;
use super::scan::{self, Values};

/// One replacement of a stretch of the message by a stretch of the collected text.
#[derive(Clone, Copy, Debug)]
struct Edit {
    start: u16,
    end: u16,
    text_start: u32,
    text_end: u32,
}

impl Edit {
    const fn text_len(&self) -> usize {
        (self.text_end - self.text_start) as usize
    }
}

/// A list of edits to one message. Kept and cleared between messages, it allocates nothing once warm.
///
/// Edits may come in any order; at one place they stand in the order in which they were added. Where a
/// removed stretch overlaps another, both are removed once and the inserted texts are all kept.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    list: Vec<Edit>,
    text: Vec<u8>,
}

impl Edits {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all edits and keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.text.clear();
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Replaces a stretch by what `write` appends.
    pub fn replace_with(&mut self, span: Span, write: impl FnOnce(&mut Vec<u8>)) {
        let text_start = self.text.len() as u32;
        write(&mut self.text);
        let text_end = self.text.len() as u32;
        self.list.push(Edit { start: span.start, end: span.end, text_start, text_end });
    }

    /// Replaces a stretch.
    pub fn replace(&mut self, span: Span, text: &[u8]) {
        self.replace_with(span, |out| out.extend_from_slice(text));
    }

    /// Removes a stretch.
    pub fn remove(&mut self, span: Span) {
        self.replace_with(span, |_| {});
    }

    /// Inserts before the byte at `at` what `write` appends.
    pub fn insert_with(&mut self, at: u16, write: impl FnOnce(&mut Vec<u8>)) {
        self.replace_with(Span { start: at, end: at }, write);
    }

    /// Inserts before the byte at `at`.
    pub fn insert(&mut self, at: u16, text: &[u8]) {
        self.insert_with(at, |out| out.extend_from_slice(text));
    }

    /// Replaces the value of a line and leaves its name as written.
    pub fn set_line(&mut self, line: &Line, value: &[u8]) {
        self.replace(Span { start: line.value, end: line.value_end }, value);
    }

    /// Removes a whole line.
    pub fn remove_line(&mut self, line: &Line) {
        self.remove(Span { start: line.start, end: line.next });
    }

    /// Sets a header that stands once: replaces the first line's value, removes the others, or adds it at the end.
    pub fn set_header(&mut self, message: &Message, header: HeaderName, name: &str, value: &[u8]) {
        let mut lines = message.lines_of(header);
        match lines.next() {
            Some(line) => {
                self.set_line(line, value);
                for line in lines {
                    self.remove_line(line);
                }
            }
            None => self.append_header(message, name, value),
        }
    }

    /// Adds a header after all others.
    pub fn append_header(&mut self, message: &Message, name: &str, value: &[u8]) {
        self.insert_with(message.header_block().end, |out| write_header(out, name, value));
    }

    /// Removes all lines of a header.
    pub fn remove_header(&mut self, message: &Message, header: HeaderName) {
        for line in message.lines_of(header) {
            self.remove_line(line);
        }
    }

    /// Removes the first `count` values of a header, whole lines where they hold no other.
    pub fn remove_values(&mut self, message: &Message, header: HeaderName, mut count: usize) {
        for line in message.lines_of(header) {
            if count == 0 {
                return;
            }
            let value = message.value_at(line);
            let mut left = None;
            for item in Values::new(value) {
                if count == 0 {
                    left = item.ok();
                    break;
                }
                count -= 1;
            }
            match left {
                Some(next) => {
                    let keep = scan::offset_in(value, next) as u16;
                    self.remove(Span { start: line.value, end: line.value + keep });
                }
                None => self.remove_line(line),
            }
        }
    }

    /// Forgets what was to become of a stretch, but for what is inserted at its ends: before it is replaced as a whole.
    pub fn retract(&mut self, span: Span) {
        self.list.retain(|edit| {
            let inside = edit.start >= span.start && edit.end <= span.end;
            let at_an_end = edit.start == edit.end && (edit.start == span.start || edit.start == span.end);
            !inside || at_an_end
        });
    }

    /// Appends a stretch as the edits inside it make it, without what is inserted at its ends.
    pub fn render(&self, message: &Message, span: Span, out: &mut Vec<u8>) {
        let source: &[u8] = message.bytes();
        let mut inside: SmallVec<[Edit; 8]> = self
            .list
            .iter()
            .filter(|edit| {
                let at_an_end = edit.start == edit.end && (edit.start == span.start || edit.start == span.end);
                edit.start >= span.start && edit.end <= span.end && !at_an_end
            })
            .copied()
            .collect();
        inside.sort_by_key(|edit| edit.start);
        let mut at = usize::from(span.start);
        for edit in inside {
            let start = usize::from(edit.start).max(at);
            out.extend_from_slice(source.get(at..start).unwrap_or_default());
            let text = self.text.get(edit.text_start as usize..edit.text_end as usize);
            out.extend_from_slice(text.unwrap_or_default());
            at = usize::from(edit.end).max(start);
        }
        out.extend_from_slice(source.get(at..usize::from(span.end)).unwrap_or_default());
    }

    /// Removes the values of a header that `is_meant` picks, whole lines where no other is left.
    pub fn remove_values_where(&mut self, message: &Message, header: HeaderName, is_meant: impl Fn(&[u8]) -> bool) {
        for line in message.lines_of(header) {
            let value = message.value_at(line);
            let mut start = None;
            let mut kept = false;
            let mut cuts: SmallVec<[Span; 2]> = SmallVec::new();
            for item in Values::new(value).filter_map(Result::ok) {
                let at = line.value + scan::offset_in(value, item) as u16;
                if is_meant(item) {
                    start.get_or_insert(at);
                } else {
                    // What is removed takes the comma behind it along.
                    cuts.extend(start.take().map(|start| Span { start, end: at }));
                    kept = true;
                }
            }
            match start {
                _ if !kept && start.is_some() => {
                    self.remove_line(line);
                    continue;
                }
                // At the end it takes the one before it.
                Some(start) => cuts.push(Span { start: before_comma(message, line, start), end: line.value_end }),
                None => {}
            }
            for cut in cuts {
                self.remove(cut);
            }
        }
    }

    /// Whether an edit removes or replaces any of a stretch.
    pub fn touches(&self, span: Span) -> bool {
        self.list.iter().any(|edit| edit.start < span.end && edit.end > span.start)
    }

    /// Whether an edit removes or replaces the whole of a stretch.
    pub fn covers(&self, span: Span) -> bool {
        self.list.iter().any(|edit| edit.start <= span.start && edit.end >= span.end && edit.start < edit.end)
    }

    /// How many bytes a stretch at the message's end has once the edits are made that begin within it.
    pub fn len_within(&self, span: Span) -> usize {
        let within = |edit: &&Edit| edit.start >= span.start;
        let inserted: usize = self.list.iter().filter(within).map(Edit::text_len).sum();
        usize::from(span.end - span.start) + inserted - self.removed_within(span)
    }

    /// How many bytes the message has once the edits are made.
    pub fn len_after(&self, message: &Message) -> usize {
        // The index holds no longer messages.
        self.len_within(Span { start: 0, end: message.bytes().len() as u16 })
    }

    fn removed_within(&self, span: Span) -> usize {
        let mut stretches: SmallVec<[(u16, u16); 32]> =
            self.list.iter().filter(|edit| edit.end > edit.start).map(|edit| (edit.start, edit.end)).collect();
        stretches.sort_unstable();
        let mut at = span.start;
        let mut removed = 0;
        for (start, end) in stretches {
            let (start, end) = (start.max(at), end.min(span.end));
            removed += usize::from(end.saturating_sub(start));
            at = at.max(end);
        }
        removed
    }

    /// Writes the message with all edits applied, in one pass and one allocation, and clears the list.
    pub fn apply(&mut self, message: &Message) -> Bytes {
        let source: &[u8] = message.bytes();
        self.list.sort_by_key(|edit| edit.start);
        let removed: usize = self.list.iter().map(|edit| usize::from(edit.end - edit.start)).sum();
        let mut out = BytesMut::with_capacity((source.len() + self.text.len()).saturating_sub(removed));
        let mut at = 0;
        for edit in &self.list {
            let start = usize::from(edit.start).max(at);
            out.extend_from_slice(source.get(at..start).unwrap_or_default());
            let text = self.text.get(edit.text_start as usize..edit.text_end as usize);
            out.extend_from_slice(text.unwrap_or_default());
            at = usize::from(edit.end).max(start);
        }
        out.extend_from_slice(source.get(at..).unwrap_or_default());
        self.clear();
        out.freeze()
    }
}

/// Where a list ends if what stands at `at` is cut off with the comma before it.
fn before_comma(message: &Message, line: &Line, at: u16) -> u16 {
    let head = scan::trim_end(message.at(Span { start: line.value, end: at }));
    let head = scan::trim_end(head.strip_suffix(b",").unwrap_or(head));
    line.value + head.len() as u16
}

/// Writes `Name: value` and a line break.
pub fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number in decimal without an allocation.
pub fn write_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sip::{Framing, Limits};

    const TEXT: &str = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP one, SIP/2.0/UDP two\r\nv: SIP/2.0/UDP three\r\n\
        Subject:  as it  came \r\nMax-Forwards: 9\r\nContent-Length: 4\r\n\r\nbody";

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), Framing::Datagram, &Limits::default()).unwrap()
    }

    #[test]
    fn untouched_message_leaves_as_it_came() {
        assert_eq!(Edits::new().apply(&message(TEXT)), TEXT.as_bytes());
    }

    #[test]
    fn set_insert_and_remove_touch_nothing_else() {
        let it = message(TEXT);
        let mut edits = Edits::new();
        edits.append_header(&it, "X-New", b"1");
        edits.set_header(&it, HeaderName::MaxForwards, "Max-Forwards", b"8");
        let via = it.line(HeaderName::Via).unwrap();
        edits.insert(via.start, b"Via: SIP/2.0/TLS zero\r\n");
        edits.replace(it.request_uri_span().unwrap(), b"sip:c@d");
        edits.set_header(&it, HeaderName::Expires, "Expires", b"5");
        let out = edits.apply(&it);
        let wanted = TEXT
            .replace("sip:a@b", "sip:c@d")
            .replace("Via: SIP/2.0/UDP one", "Via: SIP/2.0/TLS zero\r\nVia: SIP/2.0/UDP one")
            .replace("Max-Forwards: 9", "Max-Forwards: 8")
            .replace("\r\n\r\n", "\r\nX-New: 1\r\nExpires: 5\r\n\r\n");
        assert_eq!(std::str::from_utf8(&out).unwrap(), wanted);
        assert!(edits.is_empty());
    }

    #[test]
    fn values_are_removed_across_lines() {
        let it = message(TEXT);
        for (count, wanted) in [
            (0, TEXT.to_owned()),
            (1, TEXT.replace("SIP/2.0/UDP one, ", "")),
            (2, TEXT.replace("Via: SIP/2.0/UDP one, SIP/2.0/UDP two\r\n", "")),
            (3, TEXT.replace("Via: SIP/2.0/UDP one, SIP/2.0/UDP two\r\nv: SIP/2.0/UDP three\r\n", "")),
            (9, TEXT.replace("Via: SIP/2.0/UDP one, SIP/2.0/UDP two\r\nv: SIP/2.0/UDP three\r\n", "")),
        ] {
            let mut edits = Edits::new();
            edits.remove_values(&it, HeaderName::Via, count);
            assert_eq!(std::str::from_utf8(&edits.apply(&it)).unwrap(), wanted);
        }
    }

    #[test]
    fn chosen_values_are_removed_with_one_comma_each() {
        for (list, wanted) in [
            ("x", None),
            ("x, X,x", None),
            ("a", Some("a")),
            ("a, x", Some("a")),
            ("x ,a", Some("a")),
            ("a, x,\r\n x, b", Some("a, b")),
            ("x, a, x, b, x", Some("a, b")),
            ("xx, x", Some("xx")),
        ] {
            let it = message(&format!("OPTIONS sip:a@b SIP/2.0\r\nSupported: {list}\r\nSubject: x\r\n\r\n"));
            let mut edits = Edits::new();
            edits.remove_values_where(&it, HeaderName::Supported, |value| value.eq_ignore_ascii_case(b"x"));
            let line = wanted.map_or(String::new(), |value| format!("Supported: {value}\r\n"));
            let wanted = format!("OPTIONS sip:a@b SIP/2.0\r\n{line}Subject: x\r\n\r\n");
            assert_eq!(std::str::from_utf8(&edits.apply(&it)).unwrap(), wanted, "{list}");
        }
    }

    proptest! {
        /// Edits of separate stretches give the same bytes in whatever order they are added.
        #[test]
        fn order_of_separate_edits_does_not_matter(mut cuts in proptest::collection::vec((0u16..150, 0u16..6, "[a-z]{0,5}"), 0..8)) {
            let it = message(TEXT);
            cuts.sort_by_key(|cut| cut.0);
            let mut end = 0;
            cuts.retain(|&(start, len, _)| {
                let fits = start > end && usize::from(start + len) < TEXT.len();
                if fits { end = start + len; }
                fits
            });
            let run = |cuts: &[(u16, u16, String)]| {
                let mut edits = Edits::new();
                for (start, len, text) in cuts {
                    edits.replace(Span { start: *start, end: start + len }, text.as_bytes());
                }
                edits.apply(&it)
            };
            let forward = run(&cuts);
            let mut plain = TEXT.to_owned();
            for (start, len, text) in cuts.iter().rev() {
                plain.replace_range(usize::from(*start)..usize::from(start + len), text);
            }
            prop_assert_eq!(&forward[..], plain.as_bytes());
            cuts.reverse();
            prop_assert_eq!(run(&cuts), forward);
        }
    }

    #[test]
    fn a_stretch_is_rendered_and_its_edits_are_retracted() {
        let it = message(TEXT);
        let mut edits = Edits::new();
        let line = *it.lines_of(HeaderName::Other).next().unwrap();
        let value = Span { start: line.value, end: line.value_end };
        edits.insert(line.start, b"X-Before: 1\r\n");
        edits.replace(Span { start: line.value + 7, end: line.value + 11 }, b"was");
        edits.replace(Span { start: line.value, end: line.value + 2 }, b"AS");
        edits.insert(line.value_end, b"!");
        let mut out = Vec::new();
        edits.render(&it, value, &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), "AS it  was");
        edits.retract(value);
        edits.replace(value, b"new");
        let wanted = TEXT.replace("Subject:  as it  came", "X-Before: 1\r\nSubject:  new!");
        assert_eq!(std::str::from_utf8(&edits.apply(&it)).unwrap(), wanted);
    }

    #[test]
    fn decimals_are_written() {
        for number in [0, 7, 70, 65_535, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
