//! The values of one line of a CSV file.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;
use thiserror::Error;

/// A value and where it stands in its line, quotes and blanks around it left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    pub text: Cow<'a, str>,
    pub span: Range<usize>,
}

/// The values of a line.
pub type Values<'a> = SmallVec<[Value<'a>; 8]>;

/// A quote is not closed on its line, or something stands behind the closing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a quoted value ends with a quote and a comma, on the line that it began on")]
pub struct QuoteError {
    /// Where the value begins, in bytes from the beginning of the line.
    pub at: usize,
}

/// Whether a comma inside `[...]` ends a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brackets {
    /// As anywhere else.
    Plain,
    /// It belongs to the value, as in the set `[1,3,5-7]` of a prefix.
    KeepCommas,
}

/// Splits a line at its commas. Blanks around values do not matter; those inside quotes stay, and two quotes there are
/// one (RFC 4180 section 2).
pub fn split(line: &str, brackets: Brackets) -> Result<Values<'_>, QuoteError> {
    let mut values = Values::new();
    let mut at = 0;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        let start = at + (rest.len() - rest.trim_ascii_start().len());
        let rest = line.get(start..).unwrap_or_default();
        let (value, end) = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside, start)?,
            None => {
                let length = comma(rest.as_bytes(), brackets).unwrap_or(rest.len());
                let text = rest.get(..length).unwrap_or_default().trim_ascii_end();
                (Value { text: Cow::Borrowed(text), span: start..start + text.len() }, start + length)
            }
        };
        values.push(value);
        if end >= line.len() {
            return Ok(values);
        }
        at = end + 1;
    }
}

/// A value behind its opening quote, which stands at `start`, and where the comma or the end is.
fn quoted(inside: &str, start: usize) -> Result<(Value<'_>, usize), QuoteError> {
    let error = QuoteError { at: start };
    let mut doubled = false;
    let mut from = 0;
    let close = loop {
        let close = from + memchr::memchr(b'"', inside.as_bytes().get(from..).ok_or(error)?).ok_or(error)?;
        if inside.as_bytes().get(close + 1) != Some(&b'"') {
            break close;
        }
        doubled = true;
        from = close + 2;
    };
    let text = inside.get(..close).unwrap_or_default();
    let after = inside.get(close + 1..).unwrap_or_default();
    let blanks = after.len() - after.trim_ascii_start().len();
    if !matches!(after.as_bytes().get(blanks), None | Some(b',')) {
        return Err(error);
    }
    let text = if doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) };
    let begin = start + 1;
    Ok((Value { text, span: begin..begin + close }, begin + close + 1 + blanks))
}

/// The first comma that ends a value.
fn comma(text: &[u8], brackets: Brackets) -> Option<usize> {
    let comma = memchr::memchr(b',', text)?;
    if brackets == Brackets::Plain {
        return Some(comma);
    }
    let Some(open) = memchr::memchr(b'[', text.get(..comma)?) else { return Some(comma) };
    let Some(close) = memchr::memchr(b']', text.get(open..)?) else { return Some(comma) };
    let close = open + close;
    self::comma(text.get(close..)?, brackets).map(|at| close + at)
}

/// Adds a value to a line so that [`split`] reads it again; what comes before it is the caller's.
pub fn push(line: &mut String, value: &str) {
    let plain = !value.contains([',', '"']) && value.trim_ascii().len() == value.len();
    if plain {
        line.push_str(value);
        return;
    }
    line.push('"');
    line.push_str(&value.replace('"', "\"\""));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(line: &str, brackets: Brackets) -> Vec<String> {
        split(line, brackets).unwrap().into_iter().map(|value| value.text.into_owned()).collect()
    }

    #[test]
    fn values_are_split_and_trimmed() {
        for (line, expected) in [
            ("", vec![""]),
            ("a,b", vec!["a", "b"]),
            (" a , b ,", vec!["a", "b", ""]),
            ("\"a,b\" , c", vec!["a,b", "c"]),
            ("\"say \"\"x\"\"\",", vec!["say \"x\"", ""]),
            ("\" a \",b\"c", vec![" a ", "b\"c"]),
            (",,", vec!["", "", ""]),
        ] {
            assert_eq!(texts(line, Brackets::Plain), expected, "{line}");
        }
        assert_eq!(texts("+1[1,3]4[0,1],x", Brackets::KeepCommas), ["+1[1,3]4[0,1]", "x"]);
        assert_eq!(texts("+1[1,3", Brackets::KeepCommas), ["+1[1", "3"]);
        assert_eq!(texts("[1,3]", Brackets::Plain), ["[1", "3]"]);
    }

    #[test]
    fn span_is_the_value() {
        let line = " é , \"b c\" ,d";
        let spans: Vec<&str> =
            split(line, Brackets::Plain).unwrap().iter().map(|value| &line[value.span.clone()]).collect();
        assert_eq!(spans, ["é", "b c", "d"]);
    }

    #[test]
    fn quote_that_is_not_closed_is_told() {
        for (line, at) in [("a,\"b", 2), ("\"", 0), ("\"a\" b,c", 0), ("\"a\"\"", 0)] {
            assert_eq!(split(line, Brackets::Plain), Err(QuoteError { at }), "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(values in prop::collection::vec("[a-c,\" é]{0,6}", 1..6)) {
            let mut line = String::new();
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    line.push(',');
                }
                push(&mut line, value);
            }
            prop_assert_eq!(texts(&line, Brackets::Plain), values);
        }

        #[test]
        fn no_line_is_too_odd(line in ".*") {
            for brackets in [Brackets::Plain, Brackets::KeepCommas] {
                if let Ok(values) = split(&line, brackets) {
                    for value in values {
                        prop_assert!(line.get(value.span).is_some());
                    }
                }
            }
        }
    }
}
