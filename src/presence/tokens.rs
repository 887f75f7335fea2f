//! Tags and entity tags that tell their cell and cannot be guessed.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Makes tokens of numbers and opens them, by a secret of the process.
#[derive(Clone)]
pub(super) struct Tokens([u8; 16]);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

impl Tokens {
    /// Takes 16 random bytes.
    pub(super) const fn new(secret: [u8; 16]) -> Self {
        Self(secret)
    }

    /// The token of a number: `mark`, the number, and what proves it; a `token` of RFC 3261 section 25.1.
    pub(super) fn tag(&self, mark: &str, number: u64) -> String {
        format!("{mark}{number:x}-{:016x}", self.proof(mark, number))
    }

    /// The number of a token that [`Self::tag`] made with the same mark.
    pub(super) fn open(&self, mark: &str, token: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(token).ok()?.strip_prefix(mark)?;
        let (number, proof) = text.split_once('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        (u64::from_str_radix(proof, 16).ok()? == self.proof(mark, number)).then_some(number)
    }

    fn proof(&self, mark: &str, number: u64) -> u64 {
        let mut hash = SipHasher13::new_with_key(&self.0);
        hash.write(mark.as_bytes());
        hash.write_u64(number);
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_tokens_open() {
        let tokens = Tokens::new([7; 16]);
        let tag = tokens.tag("w", 0x1_0000_0002);
        assert_eq!(tokens.open("w", tag.as_bytes()), Some(0x1_0000_0002));
        assert_eq!(tokens.open("e", tag.as_bytes()), None);
        assert_eq!(Tokens::new([8; 16]).open("w", tag.as_bytes()), None);
        assert_eq!(tokens.open("w", tag.replace("w1", "w2").as_bytes()), None);
        for bad in ["", "w", "w1", "w1-", "wx-1", "\u{e9}"] {
            assert_eq!(tokens.open("w", bad.as_bytes()), None, "{bad}");
        }
    }
}
