//! Numbers in as few bytes as they need: seven bits a byte, the lowest first, the top bit says that more follow.

use super::envelope::Buffer;

/// Writes a number in one to five bytes.
pub fn write(mut number: u32, out: &mut Buffer) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number from the front of `bytes` and moves it on.
pub fn read(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u32::from(byte & 0x7f);
        if shift == 28 && part > 0x0f {
            return None;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Small numbers of either sign as small ones without.
pub const fn zigzag(number: i32) -> u32 {
    (number << 1 ^ number >> 31) as u32
}

/// The number that [`zigzag`] was given.
pub const fn unzigzag(number: u32) -> i32 {
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 16_383, 16_384, 1 << 21, u32::MAX >> 4, u32::MAX] {
            let mut bytes = Buffer::new();
            write(number, &mut bytes);
            assert_eq!(read(&mut &bytes[..]), Some(number));
            assert_eq!(read(&mut &bytes[..bytes.len() - 1]), None);
        }
        for number in [0, 1, -1, 63, -64, i32::MAX, i32::MIN] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
        assert_eq!(read(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None, "more than 32 bits");
        assert_eq!(read(&mut &[0x80; 9][..]), None);
    }
}
