//! What a subscription is called on the wire: Call-ID, tag and Contact are derived from its place, so that none is kept.

use std::fmt::Write;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::presence::agent::CONTACT_MARK;

/// What a Contact's user part goes on with after [`CONTACT_MARK`]: it is the subscriber's.
const OWN: &str = "s-";

/// Derives names that nobody can guess who does not have the keys.
#[derive(Clone, Debug)]
pub(super) struct Names {
    keys: [u64; 2],
}

impl Names {
    pub(super) const fn new(keys: [u64; 2]) -> Self {
        Self { keys }
    }

    /// The Call-ID of an attempt.
    pub(super) fn call_id(&self, generation: u32, attempt: u32) -> String {
        format!("{:016x}{:016x}", self.hash(b'c', generation, attempt), self.hash(b'i', generation, attempt))
    }

    /// The edge's tag of an attempt.
    pub(super) fn tag(&self, generation: u32, attempt: u32) -> String {
        format!("{:016x}", self.hash(b't', generation, attempt))
    }

    /// A dialog's id on a PBX, made short.
    pub(super) fn short(&self, id: &str) -> u64 {
        let mut hash = SipHasher24::new_with_keys(self.keys[0], self.keys[1]);
        hash.write(id.as_bytes());
        hash.finish()
    }

    fn hash(&self, kind: u8, generation: u32, attempt: u32) -> u64 {
        let mut hash = SipHasher24::new_with_keys(self.keys[0], self.keys[1]);
        hash.write_u8(kind);
        hash.write_u32(generation);
        hash.write_u32(attempt);
        hash.finish()
    }
}

/// The user part of the Contact of a subscription.
pub(super) fn contact_user(slot: u32, generation: u32) -> String {
    format!("{CONTACT_MARK}{OWN}{slot:x}-{generation:x}")
}

/// Place and generation from the user part of a Request-URI.
pub(super) fn read_contact_user(user: &[u8]) -> Option<(u32, u32)> {
    let own = std::str::from_utf8(user).ok()?.strip_prefix(CONTACT_MARK)?.strip_prefix(OWN)?;
    let (slot, generation) = own.split_once('-')?;
    Some((u32::from_str_radix(slot, 16).ok()?, u32::from_str_radix(generation, 16).ok()?))
}

/// The address of a line on the PBX: `{target}` is the PBX's own host, unless the name has one.
pub(super) fn address(name: &str) -> String {
    let (user, host) = name.rsplit_once('@').unwrap_or((name, "{target}"));
    let mut address = String::with_capacity(name.len() + 16);
    address.push_str("sip:");
    for &byte in user.as_bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
        if plain {
            address.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address.push('@');
    address.push_str(host);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_read_again() {
        assert_eq!(read_contact_user(contact_user(70_000, 0xFFFF_FFFF).as_bytes()), Some((70_000, 0xFFFF_FFFF)));
        for bad in
            ["", "tw-ps-", "tw-ps-s-", "tw-ps-s-1", "tw-ps-s-1-", "tw-ps-n-1-2", "tw-ps-s-x-y", "tw-ps-s-100000000-1"]
        {
            assert_eq!(read_contact_user(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn lines_are_addressed_at_the_pbx() {
        for (name, wanted) in [
            ("401", "sip:401@{target}"),
            ("+4989123", "sip:+4989123@{target}"),
            ("401@site.example", "sip:401@site.example"),
            ("a b{c}", "sip:a%20b%7Bc%7D@{target}"),
        ] {
            assert_eq!(address(name), wanted, "{name}");
        }
    }

    #[test]
    fn names_differ_by_attempt_and_key() {
        let (names, others) = (Names::new([1, 2]), Names::new([1, 3]));
        assert_eq!(names.call_id(1, 1), names.call_id(1, 1));
        assert_ne!(names.call_id(1, 1), names.call_id(1, 2));
        assert_ne!(names.call_id(1, 1), others.call_id(1, 1));
        assert_ne!(names.tag(1, 1), names.tag(2, 1));
    }
}
