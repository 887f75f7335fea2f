//! The numbers by which answers, tags and copies are known: drawn from a keyed hash, so that nobody can guess them.

use std::fmt::Write as _;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::sip::Message;

/// What every branch of the bridge starts with; those of calls and OPTIONS start otherwise.
const PREFIX: &str = "z9hG4bKtb";

/// One try of one request: a new number with each target, and with each challenge that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskId {
    pub slot: u32,
    pub number: u64,
}

impl AskId {
    /// The branch parameter's value: the prefix and 24 hex digits.
    pub fn branch(&self) -> String {
        let mut out = String::with_capacity(PREFIX.len() + 24);
        // Writing into a string does not fail.
        let _ = write!(out, "{PREFIX}{:08x}{:016x}", self.slot, self.number);
        out
    }

    /// Reads a branch of the bridge.
    pub fn read(branch: &[u8]) -> Option<Self> {
        let digits = branch.strip_prefix(PREFIX.as_bytes()).filter(|digits| digits.len() == 24)?;
        let (slot, number) = std::str::from_utf8(digits).ok()?.split_at_checked(8)?;
        if digits.first() == Some(&b'+') || number.starts_with('+') {
            return None;
        }
        Some(Self { slot: u32::from_str_radix(slot, 16).ok()?, number: u64::from_str_radix(number, 16).ok()? })
    }

    /// The try that an answer belongs to, by its topmost Via.
    pub fn of_answer(answer: &Message) -> Option<Self> {
        Self::read(answer.top_via().ok()?.branch?)
    }
}

/// Draws numbers that only this process can compute.
pub(super) struct Draws {
    secret: [u8; 16],
    drawn: u64,
}

impl Draws {
    /// Draws by a secret; `purpose` keeps those apart that share one.
    pub fn new(secret: [u8; 16], purpose: u8) -> Self {
        Self { secret, drawn: u64::from(purpose) << 56 }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.drawn += 1;
        self.of(&[&self.drawn.to_le_bytes()])
    }

    /// The number of some texts, always the same.
    pub fn of(&self, texts: &[&[u8]]) -> u64 {
        let mut hash = SipHasher13::new_with_key(&self.secret);
        for text in texts {
            hash.write_usize(text.len());
            hash.write(text);
        }
        hash.finish()
    }
}

impl std::fmt::Debug for Draws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Draws(..)")
    }
}
