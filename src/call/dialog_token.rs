//! The token in the edge's Record-Route: it says between which trunks a dialog was set up, and proves it, so that a
//! request in the dialog is let through to a place that no dial plan names, and any other is not. It needs no
//! memory: it survives a restart, and another node with the same seal key reads it.
//!
//! `mark mark mac`, each number in hex: the two trunks' marks (8 digits each) and SipHash-2-4 over them and the
//! Call-ID (16 digits).

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::branch::{read_hex, write_hex};

/// Bytes of a token.
pub const TOKEN_BYTES: usize = 32;

/// The keys of the tokens; shared by the nodes of one edge: the one that new tokens are made with, and maybe another
/// whose tokens are taken.
#[derive(Clone)]
pub struct SealKey {
    current: [u8; 16],
    other: Option<[u8; 16]>,
}

impl SealKey {
    /// Takes 16 random bytes.
    pub const fn new(random: [u8; 16]) -> Self {
        Self { current: random, other: None }
    }

    /// The same, and tokens that were made with another key are taken as well.
    #[must_use]
    pub const fn with_other(self, other: Option<[u8; 16]>) -> Self {
        Self { other, ..self }
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// The two trunks of a dialog, by their marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialogToken {
    /// Whence the dialog's first request came.
    pub caller: u32,
    /// Whither it went.
    pub callee: u32,
}

impl DialogToken {
    /// Writes the token for a dialog of this Call-ID.
    pub fn write(&self, key: &SealKey, call_id: &[u8], out: &mut Vec<u8>) {
        write_hex(out, u64::from(self.caller), 8);
        write_hex(out, u64::from(self.callee), 8);
        write_hex(out, self.mac(&key.current, call_id), 16);
    }

    /// Reads a token and checks that it was made for this Call-ID.
    pub fn read(key: &SealKey, call_id: &[u8], token: &[u8]) -> Option<Self> {
        if token.len() != TOKEN_BYTES {
            return None;
        }
        let field = |start: usize, len: usize| read_hex(token.get(start..start + len)?);
        let token = Self { caller: u32::try_from(field(0, 8)?).ok()?, callee: u32::try_from(field(8, 8)?).ok()? };
        let mac = field(16, 16)?;
        let mut keys = std::iter::once(&key.current).chain(&key.other);
        keys.any(|key| mac == token.mac(key, call_id)).then_some(token)
    }

    /// Whether a text has the form of a token, whoever made it.
    pub fn has_form(text: &[u8]) -> bool {
        text.len() == TOKEN_BYTES && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    fn mac(&self, key: &[u8; 16], call_id: &[u8]) -> u64 {
        let mut hash = SipHasher24::new_with_key(key);
        hash.write_u32(self.caller);
        hash.write_u32(self.callee);
        hash.write(call_id);
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_holds_for_its_call_only() {
        let key = SealKey::new([7; 16]);
        let token = DialogToken { caller: 1, callee: u32::MAX };
        let mut text = Vec::new();
        token.write(&key, b"call-1", &mut text);
        assert_eq!(text.len(), TOKEN_BYTES);
        assert_eq!(DialogToken::read(&key, b"call-1", &text), Some(token));
        assert_eq!(DialogToken::read(&key, b"call-2", &text), None);
        assert_eq!(DialogToken::read(&SealKey::new([8; 16]), b"call-1", &text), None);
        for at in 0..text.len() {
            let mut altered = text.clone();
            altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(DialogToken::read(&key, b"call-1", &altered), None, "digit {at}");
        }
    }

    #[test]
    fn token_of_the_key_before_holds_and_one_of_an_older_key_does_not() {
        let token = DialogToken { caller: 3, callee: 4 };
        let made_with = |key: &SealKey| {
            let mut text = Vec::new();
            token.write(key, b"call-1", &mut text);
            text
        };
        let old = made_with(&SealKey::new([1; 16]));
        let rotated = SealKey::new([2; 16]).with_other(Some([1; 16]));
        assert_eq!(DialogToken::read(&rotated, b"call-1", &old), Some(token));
        let new = made_with(&rotated);
        assert_eq!(
            DialogToken::read(&SealKey::new([2; 16]), b"call-1", &new),
            Some(token),
            "made with the current key"
        );
        let twice = SealKey::new([3; 16]).with_other(Some([2; 16]));
        assert_eq!(DialogToken::read(&twice, b"call-1", &old), None);
        assert!(DialogToken::has_form(&old) && !DialogToken::has_form(b"442071838750"));
    }
}
