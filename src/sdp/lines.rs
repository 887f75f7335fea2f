//! The lines of a description and where they stand. Any of CRLF, LF and CR ends a line.

/// Most lines that are read; a description with more is nobody's, and its further lines are not looked at.
pub const MAX_LINES: usize = 2_048;

/// The part of a description that a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Session,
    /// The stream of the `m=` line of this index.
    Media(usize),
}

/// One line that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where it starts in the description.
    pub start: usize,
    /// Where its line break starts.
    pub end: usize,
    /// Where what follows starts.
    pub next: usize,
    /// The letter before `=`; 0 for a line that is of no such form.
    pub kind: u8,
    /// What stands behind `=`, blanks cut off behind.
    pub value: &'a [u8],
    pub place: Place,
}

impl<'a> Line<'a> {
    /// The name of an attribute, and what stands behind its colon.
    pub fn attribute(&self) -> Option<(&'a [u8], &'a [u8])> {
        if self.kind != b'a' {
            return None;
        }
        Some(match memchr::memchr(b':', self.value) {
            Some(colon) => {
                let (name, value) = self.value.split_at(colon);
                (name, value.get(1..).unwrap_or_default())
            }
            None => (self.value, &[]),
        })
    }

    /// The blank-separated words of the value.
    pub fn words(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        words(self.value)
    }

    /// The kind of media and the port of an `m=` line; a port that cannot be read counts as one that is there.
    pub fn media(&self) -> Option<(&'a [u8], u32)> {
        if self.kind != b'm' {
            return None;
        }
        let mut words = self.words();
        let (kind, port) = (words.next()?, words.next().unwrap_or_default());
        let digits = port.split(|&byte| byte == b'/').next().unwrap_or_default();
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        Some((kind, number.unwrap_or(u32::MAX)))
    }
}

/// The blank-separated words of a text.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty())
}

/// The lines of a description, in order.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    left: usize,
    media: usize,
}

impl<'a> Lines<'a> {
    /// Starts over a description.
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, left: MAX_LINES, media: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let len = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let start = self.at;
            let end = start + len;
            let line_break = match rest.get(len..) {
                Some([b'\r', b'\n', ..]) => 2,
                Some([_, ..]) => 1,
                _ => 0,
            };
            self.at = end + line_break;
            if len == 0 {
                continue;
            }
            self.left = self.left.checked_sub(1)?;
            let line = rest.get(..len).unwrap_or_default();
            let (kind, value) = match line {
                [kind, b'=', value @ ..] => (*kind, value),
                _ => (0, &[][..]),
            };
            if kind == b'm' {
                self.media += 1;
            }
            let place = self.media.checked_sub(1).map_or(Place::Session, Place::Media);
            return Some(Line { start, end, next: self.at, kind, value: value.trim_ascii_end(), place });
        }
    }
}
