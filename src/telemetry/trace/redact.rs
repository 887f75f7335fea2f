//! What of a message is for nobody's eyes: keys of media, answers to challenges, passwords and tokens in URIs, and bodies
//! that are no session description.
//!
//! What is not understood counts as a secret: a body without a type, a part without an end. The message may be cut short.

use std::borrow::Cow;
use std::ops::Range;

use super::peek::header;

/// How what is hidden is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// A short sign, and a word about bodies: for people.
    Words,
    /// As many `x` as there were bytes, so that lengths stay true: for captures.
    SameLength,
}

/// A stretch that is hidden, and what people see instead.
struct Hidden {
    at: Range<usize>,
    words: Cow<'static, str>,
}

const SIGN: &str = "…";

/// Headers whose values answer challenges (RFC 3261 section 20, RFC 8898).
const CREDENTIALS: [&[u8]; 4] =
    [b"authorization", b"proxy-authorization", b"authentication-info", b"proxy-authentication-info"];

/// Ways to answer a challenge that may be seen.
const SCHEMES: [&[u8]; 4] = [b"digest", b"basic", b"bearer", b"ntlm"];

/// Parameters of URIs whose values let one in.
const URI_SECRETS: [&[u8]; 6] = [b"token", b"key", b"pwd", b"password", b"secret", b"access_token"];

/// A user part of a URI that is as long as this and reads like no name is a token: the edge's own are longer.
const TOKEN_CHARACTERS: usize = 24;

/// Characters of a token that are shown, so that two can be told apart.
const SHOWN_CHARACTERS: usize = 4;

/// A message without its secrets.
pub fn redact(message: &[u8], mask: Mask) -> Vec<u8> {
    let mut hidden = Vec::new();
    let body = scan_head(message, 0, &mut hidden);
    if body < message.len() {
        let kind = header(message, b"content-type", b"c").unwrap_or_default();
        scan_body(message, body..message.len(), kind, &mut hidden, true);
    }
    render(message, &hidden, mask)
}

fn render(message: &[u8], hidden: &[Hidden], mask: Mask) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let mut at = 0;
    for Hidden { at: range, words } in hidden {
        // Stretches come in order; one that reaches into the one before gives way.
        let range = range.start.max(at)..range.end.max(at);
        out.extend_from_slice(message.get(at..range.start).unwrap_or_default());
        let secret = message.get(range.clone()).unwrap_or_default();
        match mask {
            Mask::Words if secret.is_empty() => {}
            Mask::Words => out.extend_from_slice(words.as_bytes()),
            Mask::SameLength => {
                out.extend(secret.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { byte } else { b'x' }));
            }
        }
        at = range.end;
    }
    out.extend_from_slice(message.get(at..).unwrap_or_default());
    out
}

/// Lines with their places, the line break left out.
fn lines(text: &[u8], from: usize) -> impl Iterator<Item = (Range<usize>, &[u8])> {
    let mut at = from;
    text.get(from..).unwrap_or_default().split_inclusive(|&byte| byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        (start..start + bare.len(), bare)
    })
}

/// Hides what is secret in the start line and the headers from a place on; gives where the body begins.
fn scan_head(text: &[u8], from: usize, hidden: &mut Vec<Hidden>) -> usize {
    let mut in_credentials = false;
    for (place, line) in lines(text, from) {
        if line.is_empty() {
            // Behind the line break.
            let rest = text.get(place.end..).unwrap_or_default();
            return place.end + if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
        }
        let is_fold = matches!(line.first(), Some(b' ' | b'\t'));
        if is_fold && in_credentials {
            hidden.push(Hidden { at: place.start + 1..place.end, words: SIGN.into() });
            continue;
        }
        if !is_fold {
            in_credentials = is_of_credentials(line);
        }
        if in_credentials {
            hidden.push(Hidden { at: place.start + scheme_end(line)..place.end, words: SIGN.into() });
        } else if let Some(secret) = sdp_secret(line) {
            // No header begins like that; where it stands by mistake, it is a secret all the same.
            hidden.push(Hidden { at: place.start + secret..place.end, words: SIGN.into() });
        } else {
            scan_uris(line, place.start, hidden);
        }
    }
    text.len()
}

fn is_of_credentials(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default().trim_ascii_end();
    CREDENTIALS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Where the secret part of credentials begins: behind the scheme, such as `Digest`, or behind the name.
fn scheme_end(line: &[u8]) -> usize {
    let colon = memchr::memchr(b':', line).map_or(line.len(), |at| at + 1);
    let value = line.get(colon..).unwrap_or_default();
    let blanks = value.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let word = value.get(blanks..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let scheme = value.get(blanks..blanks + word).unwrap_or_default();
    let is_scheme = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let is_scheme = is_scheme && value.get(blanks + word) == Some(&b' ');
    colon + blanks + if is_scheme { word + 1 } else { 0 }
}

/// Hides what is secret in the URIs of a line.
fn scan_uris(line: &[u8], offset: usize, hidden: &mut Vec<Hidden>) {
    let lower = line.to_ascii_lowercase();
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(lower.get(at..).unwrap_or_default(), b"sip") {
        let start = at + found;
        let scheme = match lower.get(start + 3..) {
            Some([b':', ..]) => 4,
            Some([b's', b':', ..]) => 5,
            _ => {
                at = start + 3;
                continue;
            }
        };
        let begin = start + scheme;
        let run = lower.get(begin..).unwrap_or_default();
        let end = run.iter().position(|byte| matches!(byte, b'>' | b' ' | b'\t' | b'"' | b'<'));
        let end = begin + end.unwrap_or(run.len());
        scan_uri(&lower, begin..end, offset, hidden);
        at = end;
    }
}

fn scan_uri(line: &[u8], uri: Range<usize>, offset: usize, hidden: &mut Vec<Hidden>) {
    let text = line.get(uri.clone()).unwrap_or_default();
    let mut hide = |range: Range<usize>| {
        let start = offset + uri.start;
        hidden.push(Hidden { at: start + range.start..start + range.end, words: SIGN.into() });
    };
    let at = memchr::memchr(b'@', text);
    if let Some(at) = at {
        let user = text.get(..at).unwrap_or_default();
        let colon = memchr::memchr(b':', user);
        let semicolon = memchr::memchr(b';', user);
        let name_end = [colon, semicolon].into_iter().flatten().min().unwrap_or(user.len());
        if is_token(user.get(..name_end).unwrap_or_default()) {
            hide(SHOWN_CHARACTERS..at);
        } else if let Some(colon) = colon {
            hide(colon + 1..at);
        } else if let Some(semicolon) = semicolon.filter(|&from| at - from > 2 * TOKEN_CHARACTERS) {
            hide(semicolon + 1..at);
        }
    }
    let rest = at.map_or(0, |at| at + 1);
    let mut from = rest;
    for part in text.get(rest..).unwrap_or_default().split(|byte| matches!(byte, b';' | b'?' | b'&' | b',')) {
        let place = from;
        from += part.len() + 1;
        let Some(equals) = memchr::memchr(b'=', part) else { continue };
        let name = part.get(..equals).unwrap_or_default().trim_ascii();
        if URI_SECRETS.contains(&name) || CREDENTIALS.contains(&name) {
            hide(place + equals + 1..place + part.len());
        }
    }
}

fn is_token(user: &[u8]) -> bool {
    user.len() >= TOKEN_CHARACTERS && !user.contains(&b'.') && !user.starts_with(b"+")
}

/// Hides what of a body is not to be seen. `outer`: the parts of a multipart body are looked at.
fn scan_body(text: &[u8], body: Range<usize>, kind: &[u8], hidden: &mut Vec<Hidden>, outer: bool) {
    let media = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let content = text.get(..body.end).unwrap_or_default();
    match media.as_slice() {
        b"application/sdp" => scan_sdp(content, body.start, hidden),
        // How a transfer goes (RFC 3420): lines of another message.
        b"message/sipfrag" => {
            let end = scan_head(content, body.start, hidden);
            if end < content.len() {
                hidden.push(Hidden { at: end..content.len(), words: SIGN.into() });
            }
        }
        _ if outer && media.starts_with(b"multipart/") => match boundary(kind) {
            Some(boundary) => scan_parts(content, body.start, &boundary, hidden),
            None => hide_body(&media, body, hidden),
        },
        _ => hide_body(&media, body, hidden),
    }
}

fn hide_body(media: &[u8], body: Range<usize>, hidden: &mut Vec<Hidden>) {
    let media = if media.is_empty() { "no type".into() } else { String::from_utf8_lossy(media) };
    let media: String = media.chars().filter(|letter| !letter.is_control()).take(80).collect();
    let words = format!("[{media}, {} bytes]", body.len());
    hidden.push(Hidden { at: body, words: words.into() });
}

/// The value of `boundary` in a Content-Type.
fn boundary(kind: &[u8]) -> Option<Vec<u8>> {
    let lower = kind.to_ascii_lowercase();
    let at = memchr::memmem::find(&lower, b"boundary=")? + b"boundary=".len();
    let value = kind.get(at..)?;
    let value = match value.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|&byte| byte == b'"').next()?,
        None => value.split(|&byte| byte == b';').next()?,
    };
    let value = value.trim_ascii();
    (!value.is_empty()).then(|| [b"--", value].concat())
}

/// Goes through the parts of a multipart body; what stands before the first and behind the last is hidden.
fn scan_parts(text: &[u8], from: usize, delimiter: &[u8], hidden: &mut Vec<Hidden>) {
    let delimits = |line: &[u8]| line.starts_with(delimiter);
    let marks: Vec<Range<usize>> =
        lines(text, from).filter(|(_, line)| delimits(line)).map(|(place, _)| place).collect();
    let Some(first) = marks.first() else {
        return hide_body(b"multipart without parts", from..text.len(), hidden);
    };
    if first.start > from {
        hidden.push(Hidden { at: from..first.start, words: SIGN.into() });
    }
    for (index, mark) in marks.iter().enumerate() {
        let end = marks.get(index + 1).map_or(text.len(), |next| next.start);
        let begin = lines(text, mark.end).next().map_or(end, |(place, _)| place.end);
        let begin = begin + line_break(text.get(begin..end).unwrap_or_default());
        let is_last = text.get(mark.clone()).is_some_and(|line| line.get(delimiter.len()..).is_some_and(is_close));
        if is_last {
            if begin < end {
                hidden.push(Hidden { at: begin..end, words: SIGN.into() });
            }
            continue;
        }
        let part = text.get(..end).unwrap_or_default();
        let content = scan_head(part, begin, hidden).min(end);
        // The headers of a part have no start line before them: one is made up.
        let head = [b"\n", part.get(begin..content).unwrap_or_default()].concat();
        let kind = header(&head, b"content-type", b"c").unwrap_or_default().to_vec();
        // The line break before the next delimiter stays.
        let last = end - trailing_break(part.get(content..end).unwrap_or_default());
        if content < last {
            scan_body(part, content..last, &kind, hidden, false);
        }
    }
}

fn is_close(rest: &[u8]) -> bool {
    rest.starts_with(b"--")
}

fn line_break(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    }
}

fn trailing_break(text: &[u8]) -> usize {
    match text {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    }
}

/// Hides the keys of a session description.
fn scan_sdp(text: &[u8], from: usize, hidden: &mut Vec<Hidden>) {
    for (place, line) in lines(text, from) {
        if let Some(secret) = sdp_secret(line) {
            hidden.push(Hidden { at: place.start + secret..place.end, words: SIGN.into() });
        }
    }
}

/// Where the secret of a line of a session description begins: RFC 4568, RFC 8839, RFC 4567, RFC 4566 section 5.12.
fn sdp_secret(line: &[u8]) -> Option<usize> {
    let text = line.trim_ascii_start();
    let blanks = line.len() - text.len();
    if !matches!(text.first(), Some(b'a' | b'A' | b'k' | b'K')) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let secret = if lower.starts_with(b"a=crypto") {
        memchr::memmem::find(&lower, b"inline:").map_or(b"a=crypto".len(), |at| at + b"inline:".len())
    } else {
        [&b"a=ice-pwd"[..], b"a=key-mgmt", b"k"].iter().find_map(|name| {
            let is = lower.starts_with(name) && matches!(lower.get(name.len()), Some(b':' | b'='));
            is.then_some(name.len() + 1)
        })?
    };
    Some(blanks + secret)
}

#[cfg(test)]
mod tests;
