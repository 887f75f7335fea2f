//! From text to digits: what stands in a URI, and what of a number is there for the eye only.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Digits;

/// How many symbols a number may have with every prefix that is dialled in front of it.
pub(super) const MAX_DIALLED: usize = 32;

/// A URI or a bare number, taken apart.
#[derive(Debug)]
pub(super) struct Unwrapped<'t> {
    /// The user part without parameters, unescaped.
    pub user: Cow<'t, str>,
    /// The value of `;ext=`.
    pub extension: Option<&'t str>,
    /// There are two extensions.
    pub contradictory: bool,
    /// The value of `;phone-context=`.
    pub context: Option<&'t str>,
    /// The user part as it is written, with its parameters.
    written: &'t str,
    host: Option<&'t str>,
    /// It names a host only: digits in it are no number.
    pub host_only: bool,
}

impl Unwrapped<'_> {
    /// All of it that matters when it is no number.
    pub(super) fn identity(&self) -> Box<str> {
        match self.host {
            None => self.written.into(),
            Some(host) => {
                let user = self.written.split(':').next().unwrap_or("");
                format!("{}@{host}", unescaped(user)).into()
            }
        }
    }
}

/// Takes off display name, scheme, host and parameters (RFC 3261 section 19.1.1, RFC 3966 section 3).
pub(super) fn unwrap(text: &str) -> Unwrapped<'_> {
    let text = text.trim();
    let text = match text.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest).trim(),
        None => text,
    };
    let (sip, text) = match text.split_once(':') {
        Some((scheme, rest)) if ["sip", "sips"].iter().any(|sip| scheme.eq_ignore_ascii_case(sip)) => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel") => (false, rest),
        _ => (false, text),
    };
    let (user, host) = match text.split_once('@') {
        Some((user, host)) => (user, Some(host)),
        None if sip => return host_only(text),
        None => (text, None),
    };
    let mut found = Unwrapped {
        user: Cow::Borrowed(""),
        extension: None,
        contradictory: false,
        context: None,
        written: user,
        host: None,
        host_only: false,
    };
    let mut parts = user.split(';');
    let name = parts.next().unwrap_or("");
    let name = if host.is_some() { name.split(':').next().unwrap_or("") } else { name };
    found.user = unescaped(name);
    let behind = host.map(|host| host.split('?').next().unwrap_or(host));
    for parameter in parts.chain(behind.into_iter().flat_map(|host| host.split(';').skip(1))) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if key.trim().eq_ignore_ascii_case("ext") {
            found.contradictory |= found.extension.is_some_and(|first| first != value);
            found.extension = Some(value);
        } else if key.trim().eq_ignore_ascii_case("phone-context") {
            found.context = Some(value);
        }
    }
    found.host = behind.map(|host| host.split(';').next().unwrap_or(host));
    found
}

fn host_only(text: &str) -> Unwrapped<'_> {
    let host = text.split([';', '?']).next().unwrap_or(text);
    Unwrapped {
        user: Cow::Borrowed(""),
        extension: None,
        contradictory: false,
        context: None,
        written: host,
        host: None,
        host_only: true,
    }
}

/// Without `%2B` and the like (RFC 3261 section 25.1); what does not become text stays as it is.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        let escaped = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                hex(high).zip(hex(low)).map(|(high, low)| ((high * 16 + low) as u8, after))
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// What a number says once everything for the eye is gone.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub plus: bool,
    pub digits: SmallVec<[u8; MAX_DIALLED]>,
    /// It begins with a group in parentheses, as in `(1632) 768 402`.
    pub begins_in_parentheses: bool,
    /// Where in `digits` a later group in parentheses is, as in `+44 (0)1632`.
    pub group: Option<(usize, usize)>,
    /// Behind `x`, `ext` or the like.
    pub extension: Option<Digits>,
    /// How many digits there are before the only separator, when that is a `-`.
    pub dash: Option<usize>,
}

/// Reads a number; `None`: it is none.
pub(super) fn scan(text: &str) -> Option<Scanned> {
    let mut scanned = Scanned::default();
    let mut open = None;
    let (mut separators, mut dash) = (0, None);
    for (at, symbol) in text.char_indices() {
        match symbol {
            '0'..='9' | '*' | '#' if scanned.digits.len() < MAX_DIALLED => scanned.digits.push(symbol as u8),
            '+' if !scanned.plus && scanned.digits.is_empty() => scanned.plus = true,
            '(' => (open, separators) = (Some(scanned.digits.len()), separators + 1),
            ')' => {
                separators += 1;
                match (open.take(), scanned.digits.len()) {
                    (Some(0), 1..) if !scanned.plus => scanned.begins_in_parentheses = true,
                    (Some(from), to) if from > 0 && to > from && scanned.group.is_none() => {
                        scanned.group = Some((from, to));
                    }
                    _ => {}
                }
            }
            '-' => (separators, dash) = (separators + 1, Some(scanned.digits.len())),
            _ if is_separator(symbol) => separators += 1,
            _ => {
                scanned.extension = Some(marked_extension(text.get(at..)?)?);
                break;
            }
        }
    }
    scanned.dash = dash.filter(|_| separators == 1 && scanned.extension.is_none());
    Some(scanned)
}

/// Whether a symbol is there for the eye only (RFC 3966 section 5.1.1), or cannot be seen at all.
fn is_separator(symbol: char) -> bool {
    symbol.is_whitespace()
        || matches!(symbol, '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        // Marks of writing direction and joiners come along when numbers are copied out of pages and sheets.
        || matches!(symbol, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `x402`, `ext. 402`, `extn 402`: what stands behind the word.
fn marked_extension(text: &str) -> Option<Digits> {
    let rest = ["extension", "extn", "ext", "x"].into_iter().find_map(|word| {
        let head = text.get(..word.len())?;
        head.eq_ignore_ascii_case(word).then(|| text.get(word.len()..)).flatten()
    })?;
    extension(rest.trim_start_matches(['.', ':', '=', ' ', '\u{a0}']))
}

/// The digits of an extension, which may have separators (RFC 3966 section 3, `phonedigit`).
pub(super) fn extension(text: &str) -> Option<Digits> {
    let mut digits = SmallVec::<[u8; Digits::MAX]>::new();
    for symbol in text.chars() {
        match symbol {
            '0'..='9' if digits.len() < Digits::MAX => digits.push(symbol as u8),
            '-' | '(' | ')' => {}
            _ if is_separator(symbol) => {}
            _ => return None,
        }
    }
    Digits::new(&digits)
}
