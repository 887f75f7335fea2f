//! `multipart/related` (RFC 2387): parts that name each other by Content-ID.

use crate::sip::scan::{Params, trim};

/// Parts of one body that are read; what follows is left out.
pub const MAX_PARTS: usize = 1_024;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The value of Content-ID without angle brackets; empty: it has none.
    pub id: &'a [u8],
    /// The value of Content-Type as written; empty: it has none.
    pub content_type: &'a [u8],
    pub content: &'a [u8],
}

impl Part<'_> {
    /// Whether the part is of this media type.
    pub fn is(&self, media: &str) -> bool {
        media_type(self.content_type).eq_ignore_ascii_case(media.as_bytes())
    }
}

/// The media type of a Content-Type value, without its parameters.
pub(super) fn media_type(value: &[u8]) -> &[u8] {
    trim(value.split(|&byte| byte == b';').next().unwrap_or_default())
}

/// The parts of a body whose Content-Type has this value, the root first (`start`, RFC 2387 section 3.2); none where it
/// is no multipart. Line ends may be bare, and the closing delimiter may be missing.
pub fn parts<'a>(content_type: &[u8], body: &'a [u8]) -> Vec<Part<'a>> {
    let mut list = Vec::new();
    let Some(boundary) = parameter(content_type, b"boundary").filter(|boundary| !boundary.is_empty()) else {
        return list;
    };
    let mut rest = match delimiter(body, boundary) {
        Some(Delimiter { after, closing: false, .. }) => after,
        _ => return list,
    };
    while list.len() < MAX_PARTS {
        let next = delimiter(rest, boundary);
        list.push(part(next.map_or(rest, |next| next.before)));
        match next {
            Some(Delimiter { after, closing: false, .. }) => rest = after,
            _ => break,
        }
    }
    let start = parameter(content_type, b"start").map(unbracketed);
    if let Some(root) = start.and_then(|start| list.iter().position(|part| part.id == start)) {
        list.swap(0, root);
    }
    list
}

#[derive(Clone, Copy)]
struct Delimiter<'a> {
    /// What stands before it, without the line break that is the delimiter's.
    before: &'a [u8],
    after: &'a [u8],
    closing: bool,
}

/// The first delimiter line.
fn delimiter<'a>(text: &'a [u8], boundary: &[u8]) -> Option<Delimiter<'a>> {
    let mut from = 0;
    while from < text.len() {
        let line = text.get(from..)?;
        let len = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        let (line, after) = line.split_at(len);
        if let Some(rest) = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)) {
            let closing = rest.strip_prefix(b"--");
            if trim(closing.unwrap_or(rest)).is_empty() {
                let before = text.get(..from)?;
                let before = before.strip_suffix(b"\n").unwrap_or(before);
                let before = before.strip_suffix(b"\r").unwrap_or(before);
                return Some(Delimiter { before, after, closing: closing.is_some() });
            }
        }
        from += len;
    }
    None
}

/// Header lines, an empty line, the content. Folded lines belong to the one before.
fn part(mut text: &[u8]) -> Part<'_> {
    let mut part = Part { id: &[], content_type: &[], content: &[] };
    loop {
        let len = header_len(text);
        let (line, rest) = text.split_at(len);
        let blank = trim(line).is_empty();
        if let Some(colon) = memchr::memchr(b':', line).filter(|_| !blank) {
            let (name, value) = line.split_at(colon);
            let value = trim(value.get(1..).unwrap_or_default());
            let name = trim(name);
            if name.eq_ignore_ascii_case(b"content-id") {
                part.id = unbracketed(value);
            } else if name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c") {
                part.content_type = value;
            }
        }
        text = rest;
        if blank || text.is_empty() {
            part.content = text;
            return part;
        }
    }
}

/// Length of a header line with the lines that are folded into it.
fn header_len(text: &[u8]) -> usize {
    let mut len = 0;
    loop {
        let line = text.get(len..).unwrap_or_default();
        let step = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        len += step;
        let blank = trim(line.get(..step).unwrap_or_default()).is_empty();
        if step == 0 || blank || !matches!(text.get(len), Some(b' ' | b'\t')) {
            return len;
        }
    }
}

fn unbracketed(id: &[u8]) -> &[u8] {
    let id = trim(id);
    id.strip_prefix(b"<").and_then(|id| id.strip_suffix(b">")).unwrap_or(id)
}

fn parameter<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let params = memchr::memchr(b';', value)?;
    let value = Params::new(value.get(params..)?).find(name)?.value?;
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPED: &[u8] = b"multipart/related; type=\"application/rlmi+xml\"; start=\"<root@x>\";boundary=\"50 UBf\"";

    fn read(body: &str) -> Vec<(String, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parts = parts(TYPED, body.as_bytes());
        parts.iter().map(|part| (text(part.id), text(part.content_type), text(part.content))).collect()
    }

    #[test]
    fn parts_are_told_apart_and_the_root_comes_first() {
        let body = "preamble\r\n--50 UBf\r\nContent-ID: <a@x>\r\nContent-Type: application/dialog-info+xml;\r\n charset=utf-8\r\n\
                    \r\n<a/>\r\n\r\n--50 UBf \r\ncontent-id:<root@x>\r\nc: application/rlmi+xml\r\n\r\n<list/>\r\n--50 UBf--\r\nrest";
        let wanted = [
            ("root@x", "application/rlmi+xml", "<list/>"),
            ("a@x", "application/dialog-info+xml;\r\n charset=utf-8", "<a/>\r\n"),
        ];
        let wanted = wanted.map(|(id, media, content)| (id.to_owned(), media.to_owned(), content.to_owned()));
        assert_eq!(read(body), wanted);
        assert!(parts(TYPED, body.as_bytes())[1].is("Application/Dialog-Info+XML"));
    }

    #[test]
    fn odd_bodies_are_read_as_far_as_they_go() {
        for (body, contents) in [
            ("", &[][..]),
            ("--50 UBf--\r\n", &[]),
            ("--50 UBf\n\nx", &["x"]),
            ("--50 UBf\n\nx\n--50 UBf\n\ny", &["x", "y"]),
            ("--50 UBf\r\nContent-ID: <a>", &[""]),
            ("--50 UBfx\r\n\r\nx", &[]),
        ] {
            let found: Vec<String> = read(body).into_iter().map(|(_, _, content)| content).collect();
            assert_eq!(found, contents, "{body:?}");
        }
        assert!(parts(b"application/rlmi+xml", b"--a\n\nx").is_empty());
        assert!(parts(b"multipart/related;boundary=\"\"", b"--\n\nx").is_empty());
        let many = "--50 UBf\n\nx\n".repeat(MAX_PARTS * 2);
        assert_eq!(read(&many).len(), MAX_PARTS);
    }
}
