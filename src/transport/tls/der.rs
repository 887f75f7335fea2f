//! A walk over DER (X.690), as far as reading a few values of a certificate needs it: nothing is copied, and what is not
//! as expected is `None`.

use time::{Date, Month, OffsetDateTime};

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of an explicit context-specific element, `[number]`.
pub(super) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'d> {
    pub tag: u8,
    pub content: &'d [u8],
    /// With tag and length.
    pub whole: &'d [u8],
}

/// The elements of a content, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'d>(pub &'d [u8]);

impl<'d> Elements<'d> {
    /// The content of the next element, which must have the tag.
    pub(super) fn content(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.of(tag).map(|element| element.content)
    }

    /// The next element, which must have the tag.
    pub(super) fn of(&mut self, tag: u8) -> Option<Element<'d>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element if it has the tag; another one stays.
    pub(super) fn maybe(&mut self, tag: u8) -> Option<Element<'d>> {
        let mut ahead = *self;
        let element = ahead.of(tag)?;
        *self = ahead;
        Some(element)
    }
}

impl<'d> Iterator for Elements<'d> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags of several bytes are in no certificate.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // More than four bytes of length are more than there is memory; none is the indefinite form of BER.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, behind) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len() - behind.len())?;
        self.0 = behind;
        Some(Element { tag, content, whole })
    }
}

/// A UTCTime or GeneralizedTime as certificates have it, to the second and in UTC (RFC 5280 section 4.1.2.5).
pub(super) fn time(element: Element<'_>) -> Option<OffsetDateTime> {
    let text = element.content.strip_suffix(b"Z")?;
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (year, rest) = match (element.tag, text.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = digits(year);
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = text.split_at_checked(4)?;
            (digits(year), rest)
        }
        _ => return None,
    };
    let mut pairs = rest.chunks_exact(2).map(|pair| u8::try_from(digits(pair)).ok());
    let mut pair = || pairs.next().flatten();
    let date = Date::from_calendar_date(i32::from(year), Month::try_from(pair()?).ok()?, pair()?).ok()?;
    Some(date.with_hms(pair()?, pair()?, pair()?).ok()?.assume_utc())
}

/// At most four decimal digits as a number.
fn digits(text: &[u8]) -> u16 {
    text.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_follow_one_another() {
        let mut elements = Elements(b"\x02\x01\x05\x30\x00\x04\x81\x02ab");
        assert_eq!(elements.maybe(SEQUENCE), None);
        assert_eq!(elements.content(INTEGER), Some(&b"\x05"[..]));
        let sequence = elements.next().unwrap();
        assert_eq!((sequence.tag, sequence.content, sequence.whole), (SEQUENCE, &b""[..], &b"\x30\x00"[..]));
        let octets = elements.maybe(OCTET_STRING).unwrap();
        assert_eq!((octets.content, octets.whole), (&b"ab"[..], &b"\x04\x81\x02ab"[..]));
        assert_eq!(elements.next(), None);
        for bad in
            [&b"\x30"[..], b"\x30\x02a", b"\x30\x80\x00\x00", b"\x30\x85\0\0\0\0\x01a", b"\x1f\x01a", b"\x30\x82\x01"]
        {
            assert_eq!(Elements(bad).next(), None, "{bad:x?}");
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let read = |tag, content: &'static str| {
            time(Element { tag, content: content.as_bytes(), whole: b"" }).map(OffsetDateTime::unix_timestamp)
        };
        assert_eq!(read(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(read(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(read(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        for (tag, bad) in [
            (UTC_TIME, "20500101000000Z"),
            (GENERALIZED_TIME, "500101000000Z"),
            (UTC_TIME, "701301000000Z"),
            (UTC_TIME, "700101000000"),
            (UTC_TIME, "70010100000+Z"),
            (OCTET_STRING, "700101000000Z"),
        ] {
            assert_eq!(read(tag, bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_fail_or_go_on_for_ever(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut seen = 0;
            for element in Elements(&bytes) {
                prop_assert!(element.whole.len() >= element.content.len() + 2);
                seen += element.whole.len();
                let _ = time(element);
            }
            prop_assert!(seen <= bytes.len());
        }
    }
}
