//! Six bits a character: letters, digits, `-` and `_` (RFC 4648 section 5, without padding). All of them stand
//! unescaped in a user part, a URI parameter and a Call-ID (RFC 3261 section 25.1).

use super::envelope::Buffer;

const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const NONE: u8 = 0xff;

const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < CHARACTERS.len() {
        values[CHARACTERS[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// The six bits of a character.
pub fn value(character: u8) -> Option<u8> {
    let value = VALUES[usize::from(character)]; // a table of all bytes
    (value != NONE).then_some(value)
}

/// The character of six bits; higher bits are not looked at.
pub fn character(value: u8) -> u8 {
    CHARACTERS[usize::from(value & 63)] // a table of all six-bit numbers
}

/// How many characters `bytes` bytes take.
pub const fn characters(bytes: usize) -> usize {
    (bytes * 8).div_ceil(6)
}

/// Writes bytes as characters.
pub fn write(bytes: &[u8], out: &mut Vec<u8>) {
    let (triples, rest) = bytes.as_chunks::<3>();
    for &[a, b, c] in triples {
        out.extend_from_slice(&[
            character(a >> 2),
            character(a << 4 | b >> 4),
            character(b << 2 | c >> 6),
            character(c),
        ]);
    }
    match *rest {
        [a] => out.extend_from_slice(&[character(a >> 2), character(a << 4)]),
        [a, b] => out.extend_from_slice(&[character(a >> 2), character(a << 4 | b >> 4), character(b << 2)]),
        _ => {}
    }
}

/// Reads characters that [`write`] may have written; `false` for any other, such as one with bits left over that are
/// not zero: there is one text for a row of bytes.
pub fn read(text: &[u8], out: &mut Buffer) -> bool {
    // What is no character has its highest bit set.
    let value = |character: u8| VALUES[usize::from(character)]; // a table of all bytes
    let (quads, rest) = text.as_chunks::<4>();
    for quad in quads {
        let [a, b, c, d] = quad.map(value);
        if (a | b | c | d) & 0x80 != 0 {
            return false;
        }
        out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
    }
    match *rest {
        [] => true,
        [a, b] => {
            let (a, b) = (value(a), value(b));
            out.push(a << 2 | b >> 4);
            (a | b) & 0x80 == 0 && b & 15 == 0
        }
        [a, b, c] => {
            let (a, b, c) = (value(a), value(b), value(c));
            out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]);
            (a | b | c) & 0x80 == 0 && c & 3 == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_come_back_and_have_one_text() {
        for len in 0..40_u8 {
            let bytes: Vec<u8> = (0..len).map(|at| at.wrapping_mul(91) ^ 0xa5).collect();
            let mut text = Vec::new();
            write(&bytes, &mut text);
            assert_eq!(text.len(), characters(bytes.len()));
            let mut back = Buffer::new();
            assert!(read(&text, &mut back));
            assert_eq!(&back[..], &bytes[..]);
            let Some(&last) = text.last() else { continue };
            for other in (0..64).map(character).filter(|&other| other != last) {
                *text.last_mut().unwrap() = other;
                let mut again = Buffer::new();
                assert!(!read(&text, &mut again) || again[..] != bytes[..], "two texts for length {len}");
            }
        }
        assert!(!read(b"A", &mut Buffer::new()), "six bits are no byte");
        assert!(!read(b"AA=", &mut Buffer::new()));
        assert!(!read(b"AB", &mut Buffer::new()), "bits are left over");
    }
}
