//! A SIP message as the stand-ins hold it: owned strings, header lines in order, nothing shared with the edge's parser.
//!
//! Reading is liberal about form, so that the call goes on, and strict in judgement: whatever breaks RFC 3261 section 7
//! comes back as a list of faults beside the message.

mod address;
mod frame;

use thiserror::Error;

pub use address::{Address, Uri, Via};
pub use frame::{Frame, FrameError, Framer};

/// How the lines of a message are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Style {
    /// Header names as most PBXs write them.
    #[default]
    Plain,
    /// Upper-case names in the order that Microsoft's SIP proxy uses.
    Teams,
}

/// The first line of a message (RFC 3261 sections 7.1 and 7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// A request line.
    Request { method: String, uri: String },
    /// A status line.
    Response { code: u16, reason: String },
}

/// One header line; folded lines are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// One SIP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub start: StartLine,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}

/// A message with what was wrong about its form.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub message: Message,
    /// Plain words, each with the section of RFC 3261 that is broken.
    pub faults: Vec<String>,
}

/// Bytes that are no SIP message at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    #[error("no empty line ends the headers (RFC 3261 section 7)")]
    NoEndOfHeaders,
    #[error("the first line is neither a request line nor a status line (RFC 3261 section 7.1)")]
    StartLine,
}

impl Message {
    /// A request without headers.
    pub fn request(method: &str, uri: &str) -> Self {
        Self::with_start(StartLine::Request { method: method.into(), uri: uri.into() })
    }

    /// A response without headers.
    pub fn response(code: u16, reason: &str) -> Self {
        Self::with_start(StartLine::Response { code, reason: reason.into() })
    }

    fn with_start(start: StartLine) -> Self {
        Self { start, headers: Vec::new(), body: Vec::new() }
    }

    /// Reads a datagram or one framed message.
    pub fn parse(bytes: &[u8]) -> Result<Parsed, MessageError> {
        let mut faults = Vec::new();
        let (head, body) = split_head(bytes, &mut faults)?;
        if std::str::from_utf8(head).is_err() {
            faults.push("the headers are not UTF-8 (RFC 3261 section 7.3.1)".into());
        }
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let start = parse_start(lines.next().unwrap_or_default(), &mut faults)?;
        let headers = parse_headers(lines, &mut faults);
        let mut message = Self { start, headers, body: body.to_vec() };
        message.settle_body(&mut faults);
        Ok(Parsed { message, faults })
    }

    /// Cuts the body to Content-Length and notes where the two disagree.
    fn settle_body(&mut self, faults: &mut Vec<String>) {
        let lines: Vec<String> = self.lines("Content-Length").map(str::to_owned).collect();
        if lines.len() > 1 {
            faults.push("more than one Content-Length (RFC 3261 section 20.14)".into());
        }
        let Some(line) = lines.first() else {
            if !self.body.is_empty() {
                faults.push("a body without Content-Length (RFC 3261 section 20.14)".into());
            }
            return;
        };
        match line.parse::<usize>() {
            Err(_) => faults.push(format!("Content-Length {line:?} is no number (RFC 3261 section 20.14)")),
            Ok(length) if length > self.body.len() => faults.push(format!(
                "Content-Length says {length} but {} bytes of body came (RFC 3261 section 18.3)",
                self.body.len()
            )),
            Ok(length) => {
                if length < self.body.len() {
                    faults.push(format!(
                        "Content-Length says {length} but {} bytes of body came (RFC 3261 section 18.3)",
                        self.body.len()
                    ));
                }
                self.body.truncate(length);
            }
        }
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        match &self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI of a request.
    pub fn uri(&self) -> Option<&str> {
        match &self.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The status code of a response.
    pub fn code(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { code, .. } => Some(code),
        }
    }

    /// The values of all lines of one header, compact forms included, as they were written.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |header| same_name(&header.name, name)).map(|header| header.value.as_str())
    }

    /// The first line of a header.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.lines(name).next()
    }

    /// The values of a header that is a comma-separated list (RFC 3261 section 7.3.1), in order.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.lines(name).flat_map(split_list).collect()
    }

    /// Adds a header line at the end.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push(Header { name: name.into(), value: value.into() });
    }

    /// The Call-ID, empty when there is none.
    pub fn call_id(&self) -> &str {
        self.value("Call-ID").unwrap_or_default()
    }

    /// Number and method of CSeq.
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.value("CSeq")?.split_once([' ', '\t'])?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The top Via.
    pub fn top_via(&self) -> Option<Via> {
        Via::parse(self.list("Via").first()?)
    }

    /// The `tag` of From or To.
    pub fn tag(&self, name: &str) -> Option<String> {
        Address::parse(self.value(name)?)?.parameter("tag").map(str::to_owned)
    }

    /// Kind and CSeq in a few characters, for ladders.
    pub fn summary(&self) -> String {
        let cseq = self.cseq();
        let number = cseq.map(|(number, _)| number.to_string()).unwrap_or_else(|| "?".into());
        let sdp = if self.body.is_empty() { "" } else { " +SDP" };
        match &self.start {
            StartLine::Request { method, .. } => format!("{method} ({number}){sdp}"),
            StartLine::Response { code, reason } => {
                let method = cseq.map(|(_, method)| method).unwrap_or("?");
                format!("{code} {reason} ({number} {method}){sdp}")
            }
        }
    }

    /// The bytes of the message; Content-Length is counted here, never taken from the headers.
    pub fn to_bytes(&self, style: Style) -> Vec<u8> {
        let mut headers: Vec<&Header> =
            self.headers.iter().filter(|header| !same_name(&header.name, "Content-Length")).collect();
        if style == Style::Teams {
            headers.sort_by_key(|header| teams_rank(&header.name));
        }
        let mut out = match &self.start {
            StartLine::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            StartLine::Response { code, reason } => format!("SIP/2.0 {code} {reason}\r\n"),
        };
        let length = Header { name: "Content-Length".into(), value: self.body.len().to_string() };
        for header in headers.into_iter().chain([&length]) {
            match style {
                Style::Plain => out.push_str(&header.name),
                Style::Teams => out.push_str(&header.name.to_ascii_uppercase()),
            }
            out.push_str(": ");
            out.push_str(&header.value);
            out.push_str("\r\n");
        }
        out.push_str("\r\n");
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The place of a header in the traces of Microsoft's proxy.
fn teams_rank(name: &str) -> usize {
    const ORDER: [&str; 8] = ["From", "To", "CSeq", "Call-ID", "Max-Forwards", "Via", "Record-Route", "Contact"];
    ORDER.iter().position(|known| same_name(name, known)).unwrap_or(ORDER.len())
}

/// Whether two header names mean the same header, compact forms included (RFC 3261 section 7.3.3).
fn same_name(a: &str, b: &str) -> bool {
    long_name(a).eq_ignore_ascii_case(long_name(b))
}

fn long_name(name: &str) -> &str {
    let [letter] = name.as_bytes() else {
        return name;
    };
    match letter.to_ascii_lowercase() {
        b'v' => "Via",
        b'f' => "From",
        b't' => "To",
        b'i' => "Call-ID",
        b'm' => "Contact",
        b'l' => "Content-Length",
        b'c' => "Content-Type",
        b's' => "Subject",
        b'k' => "Supported",
        b'e' => "Content-Encoding",
        _ => name,
    }
}

/// Head and body; a bare LF is read and noted.
fn split_head<'a>(bytes: &'a [u8], faults: &mut Vec<String>) -> Result<(&'a [u8], &'a [u8]), MessageError> {
    if let Some(at) = find(bytes, b"\r\n\r\n") {
        let (head, rest) = bytes.split_at(at);
        let ends = head.iter().filter(|byte| **byte == b'\n').count();
        let pairs = head.windows(2).filter(|pair| *pair == b"\r\n").count();
        if ends != pairs {
            faults.push("a line ends in LF alone (RFC 3261 section 7)".into());
        }
        return Ok((head, rest.get(4..).unwrap_or_default()));
    }
    let at = find(bytes, b"\n\n").ok_or(MessageError::NoEndOfHeaders)?;
    faults.push("lines end in LF alone (RFC 3261 section 7)".into());
    let (head, rest) = bytes.split_at(at);
    Ok((head, rest.get(2..).unwrap_or_default()))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn parse_start(line: &str, faults: &mut Vec<String>) -> Result<StartLine, MessageError> {
    let mut words = line.splitn(3, ' ');
    let (Some(first), Some(second), Some(third)) = (words.next(), words.next(), words.next()) else {
        return Err(MessageError::StartLine);
    };
    if first == "SIP/2.0" {
        let code = second.parse().ok().filter(|code| (100..700).contains(code)).ok_or(MessageError::StartLine)?;
        return Ok(StartLine::Response { code, reason: third.into() });
    }
    if third != "SIP/2.0" {
        if !third.eq_ignore_ascii_case("SIP/2.0") {
            return Err(MessageError::StartLine);
        }
        faults.push("the version is not written SIP/2.0 (RFC 3261 section 7.1)".into());
    }
    Ok(StartLine::Request { method: first.into(), uri: second.into() })
}

fn parse_headers<'a>(lines: impl Iterator<Item = &'a str>, faults: &mut Vec<String>) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t'])
            && let Some(last) = headers.last_mut()
        {
            last.value.push(' ');
            last.value.push_str(line.trim());
            continue;
        }
        match line.split_once(':') {
            Some((name, value)) if is_token(name.trim_end()) => {
                headers.push(Header { name: name.trim_end().into(), value: value.trim().into() });
            }
            _ => faults.push(format!("{line:?} is no header line (RFC 3261 section 7.3)")),
        }
    }
    headers
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// Splits at commas outside of quotes and angle brackets.
fn split_list(value: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut item = String::new();
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for char in value.chars() {
        if char == ',' && !quoted && !angle {
            items.push(std::mem::take(&mut item));
            continue;
        }
        item.push(char);
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            _ => {}
        }
    }
    items.push(item);
    items.iter().map(|item| item.trim()).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &str = "OPTIONS sip:a@example.net SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1, SIP/2.0/TLS b.example;branch=z9hG4bK2\r\n\
        From: \"A, B\" <sip:a@example.net>;tag=1\r\nTo: <sip:b@example.net>\r\nCall-ID: x\r\nCSeq: 7 OPTIONS\r\n";

    fn with(rest: &str) -> Parsed {
        Message::parse(format!("{OPTIONS}{rest}").as_bytes()).unwrap()
    }

    #[test]
    fn reads_compact_names_lists_and_quoted_commas() {
        let parsed = with("Content-Length: 0\r\n\r\n");
        assert!(parsed.faults.is_empty(), "{:?}", parsed.faults);
        let message = parsed.message;
        assert_eq!(message.list("Via").len(), 2);
        assert_eq!(message.top_via().unwrap().parameter("branch"), Some("z9hG4bK1"));
        assert_eq!(message.list("From").len(), 1);
        assert_eq!(message.tag("From").as_deref(), Some("1"));
        assert_eq!(message.tag("To"), None);
        assert_eq!(message.cseq(), Some((7, "OPTIONS")));
        assert_eq!(message.summary(), "OPTIONS (7)");
    }

    #[test]
    fn content_length_that_does_not_fit_is_a_fault() {
        assert_eq!(with("Content-Length: 3\r\n\r\nab").faults.len(), 1);
        let long = with("Content-Length: 1\r\n\r\nab");
        assert_eq!((long.faults.len(), long.message.body.as_slice()), (1, b"a".as_slice()));
        assert_eq!(with("Content-Length: x\r\n\r\n").faults.len(), 1);
        assert_eq!(with("Content-Length: 0\r\nl: 0\r\n\r\n").faults.len(), 1);
        assert_eq!(with("\r\nab").faults.len(), 1);
    }

    #[test]
    fn bare_line_feeds_and_broken_lines_are_faults() {
        assert_eq!(Message::parse(b"OPTIONS sip:a SIP/2.0\nCall-ID: x\n\n").unwrap().faults.len(), 1);
        assert_eq!(Message::parse(b"OPTIONS sip:a SIP/2.0\nCall-ID: x\r\n\r\n").unwrap().faults.len(), 1);
        assert_eq!(with("no colon here\r\n\r\n").faults.len(), 1);
        assert_eq!(Message::parse(b"hello\r\n\r\n").unwrap_err(), MessageError::StartLine);
        assert_eq!(Message::parse(b"OPTIONS sip:a SIP/2.0\r\n").unwrap_err(), MessageError::NoEndOfHeaders);
    }

    #[test]
    fn prints_in_the_order_and_case_of_teams() {
        let mut message = Message::response(200, "OK");
        message.push("Via", "SIP/2.0/TLS a;branch=z9hG4bK1");
        message.push("Allow", "INVITE");
        message.push("From", "<sip:a@b>;tag=1");
        message.push("Content-Length", "99");
        let text = String::from_utf8(message.to_bytes(Style::Teams)).unwrap();
        assert_eq!(
            text,
            "SIP/2.0 200 OK\r\nFROM: <sip:a@b>;tag=1\r\nVIA: SIP/2.0/TLS a;branch=z9hG4bK1\r\nALLOW: INVITE\r\nCONTENT-LENGTH: 0\r\n\r\n"
        );
    }

    #[test]
    fn what_is_printed_is_read_back_without_faults() {
        let mut message = with("Content-Length: 0\r\n\r\n").message;
        message.body = b"v=0\r\n".to_vec();
        message.headers.retain(|header| header.name != "Content-Length");
        let parsed = Message::parse(&message.to_bytes(Style::Plain)).unwrap();
        assert!(parsed.faults.is_empty());
        assert_eq!(parsed.message.body, message.body);
        assert_eq!(parsed.message.list("Via"), message.list("Via"));
    }

    #[test]
    fn published_teams_traces_are_read() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/teams-vectors");
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        let mut count = 0;
        for entry in entries {
            let path = entry.unwrap().path();
            let parsed = Message::parse(&std::fs::read(&path).unwrap()).unwrap();
            assert!(parsed.faults.is_empty(), "{}: {:?}", path.display(), parsed.faults);
            assert!(parsed.message.tag("From").is_some(), "{}", path.display());
            count += 1;
        }
        assert!(count > 20);
    }
}
