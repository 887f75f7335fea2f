//! Scanning header values: blanks and folds, quoted strings, lists, parameters (RFC 3261 section 25.1).
//!
//! Works on slices of the message as it came. A fold (CRLF and a blank) inside a value counts as a blank.

use super::flaw::What;

/// Blank in the sense of LWS: space, tab, or the line ends of a fold.
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A byte of `token` (RFC 3261 section 25.1).
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Whether the whole slice is one `token`.
pub(crate) fn is_whole_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token(byte))
}

/// Cuts blanks and folds off both ends.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// Cuts blanks and folds off the front.
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    text
}

/// Cuts blanks and folds off the back.
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// Length of a quoted string that starts at the front of `text`, both quotes counted; `None` when it does not end.
pub(crate) fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Splits off the first value of a comma-separated list; commas in quotes and in `<...>` do not count.
///
/// Returns the value (trimmed) and what follows the comma, `None` where none follows.
pub(crate) fn split_value(list: &[u8]) -> Result<(&[u8], Option<&[u8]>), What> {
    let mut at = 0;
    let mut angle = false;
    while let Some(&byte) = list.get(at) {
        match byte {
            b'"' => at += quoted_len(list.get(at..).unwrap_or_default()).ok_or(What::Quote)?,
            b'<' => {
                angle = true;
                at += 1;
            }
            b'>' => {
                angle = false;
                at += 1;
            }
            b',' if !angle => {
                let (value, rest) = list.split_at(at);
                return Ok((trim(value), Some(rest.get(1..).unwrap_or_default())));
            }
            _ => at += 1,
        }
    }
    Ok((trim(list), None))
}

/// The values of one header line. A flaw ends it, after having been given out.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Values<'a> {
    /// Starts over the value part of a header line.
    pub fn new(value: &'a [u8]) -> Self {
        Self { rest: Some(value) }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<&'a [u8], What>;

    fn next(&mut self) -> Option<Self::Item> {
        let list = self.rest.take()?;
        match split_value(list) {
            Ok((value, rest)) => {
                self.rest = rest;
                Some(Ok(value))
            }
            Err(what) => Some(Err(what)),
        }
    }
}

/// One `;name` or `;name=value` with blanks cut off; a quoted value keeps its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    pub name: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl Param<'_> {
    /// Whether the parameter has this name, in any case.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The parameters in a slice that starts with `;` or is empty. A flaw ends it, after having been given out.
#[derive(Clone, Debug)]
pub struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    /// Starts over `;a;b=c...`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: trim_start(text) }
    }

    /// The first parameter of a name, in any case.
    pub fn find(self, name: &[u8]) -> Option<Param<'a>> {
        self.filter_map(Result::ok).find(|param| param.is(name))
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<Param<'a>, What>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = match self.rest.split_first() {
            None => return None,
            Some((b';', text)) => text,
            Some(_) => {
                self.rest = &[];
                return Some(Err(What::Parameter));
            }
        };
        let mut at = 0;
        let mut equals = None;
        while let Some(&byte) = text.get(at) {
            match byte {
                b';' => break,
                b'"' => match quoted_len(text.get(at..).unwrap_or_default()) {
                    Some(len) => at += len,
                    None => {
                        self.rest = &[];
                        return Some(Err(What::Quote));
                    }
                },
                b'=' => {
                    equals = equals.or(Some(at));
                    at += 1;
                }
                _ => at += 1,
            }
        }
        let (param, rest) = text.split_at(at);
        self.rest = rest;
        let (name, value) = match equals {
            Some(at) => {
                let (name, value) = param.split_at(at);
                (trim(name), Some(trim(value.get(1..).unwrap_or_default())))
            }
            None => (trim(param), None),
        };
        if name.is_empty() {
            self.rest = &[];
            return Some(Err(What::Parameter));
        }
        Some(Ok(Param { name, value }))
    }
}

/// Reads a decimal number that fills the slice; `None` when it is none or does not fit.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// Offset of `part` inside `whole`, of which it must be a subslice.
pub(crate) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<Result<&str, What>> {
        Values::new(text.as_bytes()).map(|value| value.map(|value| std::str::from_utf8(value).unwrap())).collect()
    }

    #[test]
    fn lists_split_outside_quotes_and_angles() {
        assert_eq!(values("a, b"), [Ok("a"), Ok("b")]);
        assert_eq!(values("\"x, \\\" y\" <sip:a,b@c>, <sip:d>"), [Ok("\"x, \\\" y\" <sip:a,b@c>"), Ok("<sip:d>")]);
        assert_eq!(values("a ,\r\n b"), [Ok("a"), Ok("b")]);
        assert_eq!(values(""), [Ok("")]);
        assert_eq!(values("a,,b"), [Ok("a"), Ok(""), Ok("b")]);
        assert_eq!(values("\"open"), [Err(What::Quote)]);
    }

    #[test]
    fn parameters_keep_quotes_and_allow_blanks() {
        let params: Vec<_> = Params::new(b";lr ; x = \"a;b\" ;y=z/s/1").map(Result::unwrap).collect();
        assert_eq!(params[0], Param { name: b"lr", value: None });
        assert_eq!(params[1], Param { name: b"x", value: Some(b"\"a;b\"") });
        assert_eq!(params[2], Param { name: b"y", value: Some(b"z/s/1") });
        assert!(Params::new(b";;").any(|param| param.is_err()));
        assert!(Params::new(b"x").any(|param| param.is_err()));
        assert!(Params::new(b";a=\"b").any(|param| param.is_err()));
    }

    #[test]
    fn decimals_do_not_overflow() {
        assert_eq!(decimal(b"0068"), Some(68));
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(decimal(b""), None);
        assert_eq!(decimal(b"-1"), None);
    }
}
