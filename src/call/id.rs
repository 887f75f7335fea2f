//! One id for all that is told of a call: logs, records, traces, metrics' exemplars, HEP packets.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use siphasher::sip::SipHasher13;

use super::Secrets;

/// The id of a call: the same for all its legs, on every node with the same seal key, and after a restart.
///
/// It is made of the Call-ID of the caller's leg, which those of the other legs are opened down to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

impl CallId {
    /// The call that a Call-ID of any leg belongs to.
    pub fn of(secrets: &Secrets, call_id: &[u8]) -> Self {
        let root = secrets.ring.root_call_id(call_id, super::owned::MAX_PASSES + 1);
        Self::of_root(&root)
    }

    /// The call that began with this Call-ID.
    pub fn of_root(root: &[u8]) -> Self {
        let mut hash = SipHasher13::new_with_keys(0x7472_756e_6b77_6179, 2);
        hash.write(root);
        Self(hash.finish())
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for CallId {
    type Err = NoCallId;

    fn from_str(text: &str) -> Result<Self, NoCallId> {
        let fits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| fits).map(Self).ok_or(NoCallId)
    }
}

/// A text that is no id of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a call has sixteen hexadecimal digits")]
pub struct NoCallId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_read() {
        let id = CallId::of_root(b"a84b4c76e66710@pc33.example.com");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, CallId::of_root(b"another"));
        for text in ["", "0123", "0123456789abcdeg", "+123456789abcdef", "0123456789abcdef0"] {
            assert_eq!(text.parse::<CallId>(), Err(NoCallId), "{text}");
        }
    }
}
