//! Short forms for the text of URIs and Call-IDs. A row of bytes, each of which is
//!
//! | byte | what it stands for |
//! |---|---|
//! | `00` | the end of a text: NUL, which no header value holds |
//! | `01` to `09` | a short form, see the constants below |
//! | `10` to `1e` | 5 to 19 decimal digits, as a big-endian number of as many bytes as their count needs |
//! | `20` to `7e` | itself |
//! | `7f` | the byte that follows |
//! | `80` to `ff` | an entry of the dictionary |
//!
//! Of the forms that fit at a place the one that saves most is taken. Packing is part of the format (a Call-ID must
//! come out the same from every node), so that its choices are as frozen as the dictionary.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::envelope::Buffer;
use super::{alphabet, dictionary};

/// A GUID with its hyphens, lower or upper case: 16 bytes.
const GUID: u8 = 0x01;
const GUID_UPPER: u8 = 0x02;
/// 32 hex digits, lower case: 16 bytes.
const HEX_32: u8 = 0x03;
/// Hex digits, lower or upper case: how many bytes, then these.
const HEX: u8 = 0x04;
const HEX_UPPER: u8 = 0x05;
/// An IPv4 address: 4 bytes.
const IPV4: u8 = 0x06;
/// An IPv6 address as RFC 5952 writes it: 16 bytes.
const IPV6: u8 = 0x07;
/// Characters of six bits: how many, then their bits.
const SIX_BITS: u8 = 0x08;
/// What stood here before: how far back, and how many bytes less [`MIN_COPY`].
const COPY: u8 = 0x09;
const FEWEST_DIGITS: usize = 5;
const MOST_DIGITS: usize = 19;
const DIGITS: u8 = 0x10;
const LAST_DIGITS: u8 = DIGITS + (MOST_DIGITS - FEWEST_DIGITS) as u8;
const ESCAPE: u8 = 0x7f;
const WORD: u8 = 0x80;

const MIN_COPY: usize = 4;
const MOST: usize = 255;
/// A run of six-bit characters stops before words longer than this, and before hex digits as many as that.
const LONG_WORD: usize = 3;
const LONG_HEX: usize = 16;

/// The text cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPacked;

#[derive(Clone, Copy)]
enum Form {
    Literal,
    Word(u8),
    Guid { upper: bool },
    Hex { upper: bool },
    Digits,
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    SixBits,
    Copy { back: usize },
}

/// A form that fits, how much of the text it takes and how many bytes it makes of it.
#[derive(Clone, Copy)]
struct Step {
    form: Form,
    takes: usize,
    makes: usize,
}

impl Step {
    fn saves(&self) -> isize {
        self.takes as isize - self.makes as isize
    }
}

/// Packs a text.
pub fn pack(text: &[u8], out: &mut Buffer) {
    let mut seen = Seen([0; 256]);
    let mut at = 0;
    while at < text.len() {
        let (before, rest) = text.split_at(at);
        let step = best(before, rest, &seen);
        write(&step, rest.get(..step.takes).unwrap_or(rest), out);
        seen.note(text, at, step.takes);
        at += step.takes;
    }
}

/// Where each row of [`MIN_COPY`] bytes was seen last, by a hash of theirs; the place plus one.
struct Seen([u16; 256]);

impl Seen {
    fn slot(four: [u8; MIN_COPY]) -> usize {
        (u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1) >> 24) as usize
    }

    /// Notes each place of a step that was taken.
    fn note(&mut self, text: &[u8], at: usize, takes: usize) {
        let end = text.len().min(at + takes + MIN_COPY - 1);
        let places = text.get(at..end).unwrap_or_default().array_windows().zip(at + 1..);
        for (&four, next) in places {
            if let (Some(slot), Ok(next)) = (self.0.get_mut(Self::slot(four)), u16::try_from(next)) {
                *slot = next;
            }
        }
    }

    /// What stood within reach before and stands here again.
    fn copy(&self, before: &[u8], rest: &[u8]) -> Option<Step> {
        let place = usize::from(*self.0.get(Self::slot(*rest.first_chunk()?))?).checked_sub(1)?;
        let back = before.len().checked_sub(place)?;
        let from = before.get(place..)?;
        // What overlaps is not looked for: URIs have no long runs of one byte.
        let takes = from.iter().zip(rest).take(MOST).take_while(|(one, other)| one == other).count();
        (back <= MOST && takes >= MIN_COPY).then_some(Step { form: Form::Copy { back }, takes, makes: 3 })
    }
}

fn best(before: &[u8], rest: &[u8], seen: &Seen) -> Step {
    let plain = rest.first().is_some_and(|byte| matches!(byte, 0 | 0x20..=0x7e));
    let literal = Step { form: Form::Literal, takes: 1, makes: if plain { 1 } else { 2 } };
    let word = dictionary::longest(rest).map(|(entry, takes)| Step { form: Form::Word(entry), takes, makes: 1 });
    let forms = [word, guid(rest), hex(rest), digits(rest), ipv4(rest), ipv6(before, rest), seen.copy(before, rest)];
    // Of equals the first stands.
    let best =
        forms.into_iter().flatten().fold(literal, |best, step| if step.saves() > best.saves() { step } else { best });
    six_bits(rest, best.saves()).unwrap_or(best)
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_upper_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

fn run(rest: &[u8], fits: impl Fn(u8) -> bool) -> usize {
    rest.iter().take(2 * MOST).take_while(|&&byte| fits(byte)).count()
}

const GUID_CHARACTERS: usize = 36;

fn guid(rest: &[u8]) -> Option<Step> {
    let text = rest.get(..GUID_CHARACTERS)?;
    let is = |fits: fn(u8) -> bool| {
        text.iter().enumerate().all(|(at, &byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => fits(byte),
        })
    };
    let upper = if is(is_lower_hex) { false } else { is(is_upper_hex).then_some(true)? };
    Some(Step { form: Form::Guid { upper }, takes: GUID_CHARACTERS, makes: 17 })
}

fn hex(rest: &[u8]) -> Option<Step> {
    let (lower, higher) = (run(rest, is_lower_hex), run(rest, is_upper_hex));
    let upper = higher > lower;
    let bytes = lower.max(higher) / 2;
    let makes = if bytes == 16 && !upper { 17 } else { bytes + 2 };
    (bytes > 0).then_some(Step { form: Form::Hex { upper }, takes: 2 * bytes, makes })
}

/// How many bytes a number of so many digits needs.
fn number_bytes(digits: usize) -> usize {
    // A digit is 3.3220 bits.
    (digits * 3322).div_ceil(8000)
}

fn digits(rest: &[u8]) -> Option<Step> {
    let takes = run(rest, |byte| byte.is_ascii_digit()).min(MOST_DIGITS);
    (takes >= FEWEST_DIGITS).then(|| Step { form: Form::Digits, takes, makes: 1 + number_bytes(takes) })
}

fn ipv4(rest: &[u8]) -> Option<Step> {
    let takes = rest.iter().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    if takes < "0.0.0.0".len() {
        return None;
    }
    // The parser of the standard library takes no leading zeros: there is one text for an address.
    let address = std::str::from_utf8(rest.get(..takes)?).ok()?.parse().ok()?;
    Some(Step { form: Form::Ipv4(address), takes, makes: 5 })
}

fn ipv6(before: &[u8], rest: &[u8]) -> Option<Step> {
    if before.last() != Some(&b'[') {
        return None;
    }
    let takes = memchr::memchr(b']', rest.get(..rest.len().min(46))?)?;
    let text = std::str::from_utf8(rest.get(..takes)?).ok()?;
    let address = text.parse().ok()?;
    (ipv6_text(address).as_str() == text).then_some(Step { form: Form::Ipv6(address), takes, makes: 17 })
}

/// An address as text, without asking for memory.
struct Ipv6Text {
    bytes: [u8; 46],
    len: usize,
}

impl Ipv6Text {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl std::fmt::Write for Ipv6Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

fn ipv6_text(address: Ipv6Addr) -> Ipv6Text {
    let mut text = Ipv6Text { bytes: [0; 46], len: 0 };
    if write!(text, "{address}").is_err() {
        text.len = 0;
    }
    text
}

/// A run of six-bit characters that saves more than `saved` bytes.
fn six_bits(rest: &[u8], saved: isize) -> Option<Step> {
    let step = |takes: usize| {
        let step = Step { form: Form::SixBits, takes, makes: 2 + (takes * 6).div_ceil(8) };
        (step.saves() > saved.max(0)).then_some(step)
    };
    // Most runs are too short, which is seen at once.
    let longest = rest.iter().take(MOST).take_while(|&&byte| alphabet::value(byte).is_some()).count();
    step(longest)?;
    let stop = (1..longest)
        .find(|&at| rest.get(at..).zip(rest.get(at - 1)).is_some_and(|(rest, last)| is_better_told(*last, rest)));
    step(stop.unwrap_or(longest))
}

/// Whether another form begins here that is worth the end of a run of six-bit characters.
fn is_better_told(last: u8, rest: &[u8]) -> bool {
    let begins = |fits: fn(u8) -> bool| !fits(last) && run(rest, fits) >= LONG_HEX;
    dictionary::longest(rest).is_some_and(|(_, len)| len > LONG_WORD)
        || begins(is_lower_hex)
        || begins(is_upper_hex)
        || !is_lower_hex(last) && guid(rest).is_some()
}

fn write(step: &Step, text: &[u8], out: &mut Buffer) {
    match step.form {
        Form::Literal => {
            if step.makes > 1 {
                out.push(ESCAPE);
            }
            out.extend_from_slice(text);
        }
        Form::Word(entry) => out.push(WORD | entry),
        Form::Guid { upper } => {
            out.push(if upper { GUID_UPPER } else { GUID });
            write_hex(text, out);
        }
        Form::Hex { upper: false } if text.len() == 32 => {
            out.push(HEX_32);
            write_hex(text, out);
        }
        Form::Hex { upper } => {
            out.push(if upper { HEX_UPPER } else { HEX });
            out.push((text.len() / 2) as u8);
            write_hex(text, out);
        }
        Form::Digits => {
            out.push(DIGITS + (text.len() - FEWEST_DIGITS) as u8);
            let number = text.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
            out.extend_from_slice(number.to_be_bytes().get(8 - number_bytes(text.len())..).unwrap_or_default());
        }
        Form::Ipv4(address) => {
            out.push(IPV4);
            out.extend_from_slice(&address.octets());
        }
        Form::Ipv6(address) => {
            out.push(IPV6);
            out.extend_from_slice(&address.octets());
        }
        Form::SixBits => {
            out.push(SIX_BITS);
            out.push(text.len() as u8);
            let (mut bits, mut held) = (0_u32, 0);
            for value in text.iter().filter_map(|&byte| alphabet::value(byte)) {
                bits = bits << 6 | u32::from(value);
                held += 6;
                if held >= 8 {
                    held -= 8;
                    out.push((bits >> held) as u8);
                }
            }
            if held > 0 {
                out.push((bits << (8 - held)) as u8);
            }
        }
        Form::Copy { back } => out.extend_from_slice(&[COPY, back as u8, (text.len() - MIN_COPY) as u8]),
    }
}

/// Writes pairs of hex digits as bytes; hyphens between pairs are left out.
fn write_hex(text: &[u8], out: &mut Buffer) {
    // Of `0` to `9` the low four bits are the value, of letters in either case they are nine less.
    let mut digits = text.iter().filter(|&&byte| byte != b'-').map(|&digit| (digit & 15) + 9 * (digit >> 6));
    while let (Some(high), Some(low)) = (digits.next(), digits.next()) {
        out.push(high << 4 | low);
    }
}

/// Appends to `out` the text that was packed; `most` is how long `out` may become.
///
/// # Errors
/// [`NotPacked`] for bytes that [`pack`] does not write, and for a text that is too long.
pub fn unpack(mut packed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), NotPacked> {
    let start = out.len();
    while let Some((&head, rest)) = packed.split_first() {
        packed = rest;
        match head {
            0 | 0x20..=0x7e => out.push(head),
            ESCAPE => out.extend_from_slice(take(&mut packed, 1)?),
            WORD.. => out.extend_from_slice(dictionary::word(head & !WORD).ok_or(NotPacked)?),
            GUID | GUID_UPPER => read_guid(take(&mut packed, 16)?, head == GUID_UPPER, out),
            HEX_32 => read_hex(take(&mut packed, 16)?, false, out),
            HEX | HEX_UPPER => {
                let bytes = count(&mut packed)?;
                read_hex(take(&mut packed, bytes)?, head == HEX_UPPER, out);
            }
            IPV4 => {
                let octets: [u8; 4] = take(&mut packed, 4)?.try_into().map_err(|_| NotPacked)?;
                write_decimal_octets(octets, out);
            }
            IPV6 => {
                let octets: [u8; 16] = take(&mut packed, 16)?.try_into().map_err(|_| NotPacked)?;
                out.extend_from_slice(ipv6_text(Ipv6Addr::from(octets)).as_str().as_bytes());
            }
            SIX_BITS => {
                let characters = count(&mut packed)?;
                read_six_bits(take(&mut packed, (characters * 6).div_ceil(8))?, characters, out);
            }
            COPY => {
                let (back, len) = (count(&mut packed)?, count(&mut packed)? + MIN_COPY);
                let from = (out.len() - start).checked_sub(back).ok_or(NotPacked)? + start;
                if back < len {
                    return Err(NotPacked);
                }
                out.extend_from_within(from..from + len);
            }
            DIGITS..=LAST_DIGITS => {
                let digits = usize::from(head - DIGITS) + FEWEST_DIGITS;
                read_digits(take(&mut packed, number_bytes(digits))?, digits, out)?;
            }
            _ => return Err(NotPacked),
        }
        if out.len() > most {
            return Err(NotPacked);
        }
    }
    Ok(())
}

fn take<'a>(packed: &mut &'a [u8], len: usize) -> Result<&'a [u8], NotPacked> {
    let (taken, rest) = packed.split_at_checked(len).ok_or(NotPacked)?;
    *packed = rest;
    Ok(taken)
}

fn count(packed: &mut &[u8]) -> Result<usize, NotPacked> {
    take(packed, 1)?.first().map(|&byte| usize::from(byte)).ok_or(NotPacked)
}

fn hex_digit(value: u8, upper: bool) -> u8 {
    match value & 15 {
        value @ 0..=9 => b'0' + value,
        value if upper => b'A' - 10 + value,
        value => b'a' - 10 + value,
    }
}

fn read_hex(bytes: &[u8], upper: bool, out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&[hex_digit(byte >> 4, upper), hex_digit(*byte, upper)]);
    }
}

fn read_guid(bytes: &[u8], upper: bool, out: &mut Vec<u8>) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        read_hex(&[*byte], upper, out);
    }
}

fn write_decimal_octets(octets: [u8; 4], out: &mut Vec<u8>) {
    for (at, octet) in octets.into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

fn read_six_bits(bytes: &[u8], characters: usize, out: &mut Vec<u8>) {
    let (mut bits, mut held, mut left) = (0_u32, 0, characters);
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        held += 8;
        while held >= 6 && left > 0 {
            held -= 6;
            left -= 1;
            out.push(alphabet::character((bits >> held) as u8));
        }
    }
}

fn read_digits(bytes: &[u8], digits: usize, out: &mut Vec<u8>) -> Result<(), NotPacked> {
    let mut number = bytes.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let mut text = [b'0'; MOST_DIGITS];
    let text = text.get_mut(..digits).ok_or(NotPacked)?;
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    if number > 0 {
        return Err(NotPacked);
    }
    out.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(text: &[u8]) -> Buffer {
        let mut out = Buffer::new();
        pack(text, &mut out);
        out
    }

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>, NotPacked> {
        let mut out = Vec::new();
        unpack(packed, 8_192, &mut out)?;
        Ok(out)
    }

    #[test]
    fn each_short_form_takes_as_many_bytes_as_it_should() {
        for (text, bytes) in [
            ("b0a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d", 17),
            ("B0A1C2D3-E4F5-4A6B-8C7D-9E0F1A2B3C4D", 17),
            ("c0ffee11c0ffee22c0ffee33c0ffee4d", 17),
            ("C0FFEE11C0FFEE22C0FFEE33C0FFEE4D", 18),
            ("ab12cd34ef", 7),
            ("442071838750", 6),
            ("00001", 4),
            ("0123456789012345678", 9),
            ("18446744073709551616", 10),
            ("192.0.2.10", 5),
            ("255.255.255.255", 5),
            ("192.0.2.010", 11),
            ("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]", 19),
            ("[2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:FFFF]", 40),
            ("QmFzZTY0IHRleHQgdGhhdCBpcyBsb25n", 26),
            ("x-QmFzZTY0IHRleHQgc0ffee11c0ffee22c0ffee33c0ffee4d", 2 + 14 + 17),
            ("sip:", 1),
            (";transport=tls;lr>", 1),
            ("a\0b", 3),
            ("\u{fc}", 4),
            ("", 0),
        ] {
            let packed = packed(text.as_bytes());
            assert_eq!(unpacked(&packed).unwrap(), text.as_bytes());
            assert_eq!(packed.len(), bytes, "{text}: {:x?}", &packed[..]);
        }
    }

    #[test]
    fn what_stood_before_is_copied() {
        let route = "<sip:203.0.113.10;transport=udp;r2=on;lr;ftag=gK0c6d8a2b>";
        let once = packed(route.as_bytes()).len();
        let twice = packed(format!("{route}\0{route}").as_bytes());
        assert!(twice.len() <= once + 1 + 2 * 3, "{once} {}", twice.len());
        assert_eq!(unpacked(&twice).unwrap(), format!("{route}\0{route}").as_bytes());
    }

    #[test]
    fn what_no_packer_wrote_is_refused() {
        for bytes in [
            &b"\x01short"[..],
            b"\x04",
            b"\x04\x02a",
            b"\x06abc",
            b"\x07",
            b"\x08\x05abc",
            b"\x09\x01\x00",
            b"abcd\x09\x05\x00",
            b"abcd\x09\x03\x00",
            b"\x0a",
            b"\x0f",
            b"\x10\xff\xff\xff",
            b"\x1f\0\0\0\0\0\0\0\0",
            b"\x7f",
        ] {
            assert_eq!(unpacked(bytes), Err(NotPacked), "{bytes:x?}");
        }
        assert_eq!(unpack(b"abc", 2, &mut Vec::new()), Err(NotPacked));
    }

    #[test]
    fn number_bytes_hold_every_number() {
        for digits in FEWEST_DIGITS..=MOST_DIGITS {
            let most = "9".repeat(digits).parse::<u64>().unwrap();
            let bytes = number_bytes(digits);
            assert!(bytes == 8 || most >> (8 * bytes) == 0, "{digits}");
            assert!(most >> (8 * (bytes - 1)) > 0, "{digits} digits fit in fewer bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(unpacked(&packed(&text)).unwrap(), text);
        }

        #[test]
        fn text_like_that_of_uris_comes_back_and_never_grows(
            text in "(sip:|<|>|;lr|[0-9]{1,22}|[0-9a-f]{1,40}|[0-9A-F]{1,40}|[A-Za-z_-]{1,12}|@|\\.|[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}|\\[([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\\]|;transport=tls){0,20}",
        ) {
            let packed = packed(text.as_bytes());
            prop_assert!(packed.len() <= text.len());
            prop_assert_eq!(unpacked(&packed).unwrap(), text.as_bytes());
        }

        #[test]
        fn unpacking_any_bytes_ends_within_its_bound(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            // The last step may go beyond before it is seen to.
            let whole = unpack(&bytes, 300, &mut out).is_ok();
            let most = if whole { 300 } else { 300 + 2 * MOST };
            prop_assert!(out.len() <= most);
        }
    }
}
