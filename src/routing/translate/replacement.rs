//! What a rule writes: text and groups of its pattern, in the notation of .NET.

use regex::bytes::{CaptureMatches, Captures, Regex};
use thiserror::Error;

/// Why a replacement cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplacementError {
    #[error("`${0}`: the pattern has no such group")]
    NoGroup(Box<str>),
    /// .NET would write such a reference out as text, which is never what is meant.
    #[error("`${digits}`: the pattern has no such group; for group {group} and then digits write `${{{group}}}{rest}`")]
    DigitsBehind { digits: Box<str>, group: usize, rest: Box<str> },
    #[error("a `$` begins a group, as in `$1` or `${{1}}`; write `$$` for the sign itself")]
    Dollar,
    #[error("`{0}` cannot stand in a number")]
    Symbol(char),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// Zero is the whole match.
    Group(usize),
}

/// A replacement whose groups exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    pieces: Vec<Piece>,
}

impl Replacement {
    pub(super) fn parse(text: &str, pattern: &Regex) -> Result<Self, ReplacementError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(behind) = behind.strip_prefix('$') {
                plain.push('$');
                rest = behind;
                continue;
            }
            let (group, behind) = group(behind, pattern)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(Piece::Group(group));
            rest = behind;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        // The result stands in a URI and in header lines.
        for piece in &pieces {
            if let Piece::Text(text) = piece
                && let Some(symbol) = text.chars().find(|symbol| !symbol.is_ascii_graphic())
            {
                return Err(ReplacementError::Symbol(symbol));
            }
        }
        Ok(Self { pieces })
    }

    /// The text with every match replaced; `None` when that is longer than `max` bytes.
    pub(super) fn apply(&self, pattern: &Regex, text: &[u8], max: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(text.len() + 16);
        let mut done = 0;
        if self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_) | Piece::Group(0))) {
            for found in pattern.find_iter(text) {
                out.extend_from_slice(text.get(done..found.start())?);
                for piece in &self.pieces {
                    match piece {
                        Piece::Text(plain) => out.extend_from_slice(plain.as_bytes()),
                        Piece::Group(_) => out.extend_from_slice(found.as_bytes()),
                    }
                }
                done = found.end();
                if out.len() > max {
                    return None;
                }
            }
        } else {
            let all: CaptureMatches<'_, '_> = pattern.captures_iter(text);
            for captures in all {
                let found = captures.get(0)?;
                out.extend_from_slice(text.get(done..found.start())?);
                self.write(&captures, &mut out);
                done = found.end();
                if out.len() > max {
                    return None;
                }
            }
        }
        out.extend_from_slice(text.get(done..)?);
        (out.len() <= max).then_some(out)
    }

    fn write(&self, captures: &Captures<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => out.extend_from_slice(plain.as_bytes()),
                // A group that took no part is empty, as in .NET.
                Piece::Group(group) => {
                    out.extend_from_slice(captures.get(*group).map_or(&[][..], |found| found.as_bytes()));
                }
            }
        }
    }
}

/// The group behind a `$`, and what follows it.
fn group<'t>(text: &'t str, pattern: &Regex) -> Result<(usize, &'t str), ReplacementError> {
    let groups = pattern.captures_len();
    let numbered = |digits: &str| digits.parse().ok().filter(|group: &usize| *group < groups);
    if let Some(rest) = text.strip_prefix('&') {
        return Ok((0, rest));
    }
    if let Some(rest) = text.strip_prefix('{') {
        let (name, rest) = rest.split_once('}').ok_or(ReplacementError::Dollar)?;
        let named = || pattern.capture_names().position(|known| known == Some(name));
        let group = numbered(name).or_else(named);
        return Ok((group.ok_or_else(|| ReplacementError::NoGroup(format!("{{{name}}}").into()))?, rest));
    }
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(ReplacementError::Dollar);
    }
    if let Some(group) = numbered(digits) {
        return Ok((group, rest));
    }
    for length in (1..digits.len()).rev() {
        let (head, tail) = digits.split_at(length);
        if let Some(group) = numbered(head).filter(|group| *group > 0) {
            return Err(ReplacementError::DigitsBehind { digits: digits.into(), group, rest: tail.into() });
        }
    }
    Err(ReplacementError::NoGroup(digits.into()))
}
