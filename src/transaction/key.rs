//! The key by which a request finds its server transaction (RFC 3261 section 17.2.3).
//!
//! A key is a keyed 128-bit hash, so that a table of transactions stores 16 bytes instead of strings
//! and a sender who does not know the hash key cannot aim two requests at one slot.
//!
//! With the magic cookie the key is branch, sent-by and method. Without it (RFC 2543) it is
//! Request-URI, tags, Call-ID, CSeq and the whole topmost Via. These are compared byte by byte: a copy
//! of a request is the same bytes, and URI equality (section 19.1.4) cannot be hashed.
//!
//! Branches are compared without regard to case: section 7.3.1 says so of every parameter value that
//! is not stated otherwise, and section 20.42 states nothing. The same goes for hosts.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::sip::Transport;

/// The secret of the hash: random bytes that the driver draws once per process.
#[derive(Clone)]
pub struct HashKey([u8; 16]);

impl HashKey {
    /// Takes 16 random bytes.
    pub const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(..)")
    }
}

/// What of a request decides which server transaction it belongs to, as slices of the message.
///
/// The fields below `sent_by_port` are read only when the branch is no RFC 3261 branch.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// The method of the request line.
    pub method: &'a [u8],
    /// The `branch` parameter of the topmost Via; empty when there is none.
    pub branch: &'a [u8],
    /// The host of the sent-by of the topmost Via.
    pub sent_by_host: &'a [u8],
    /// The port of the sent-by; `None` stands for the default of `transport`.
    pub sent_by_port: Option<u16>,
    /// The transport of the topmost Via.
    pub transport: Transport,
    /// The Request-URI.
    pub request_uri: &'a [u8],
    /// The `tag` of From; empty when there is none.
    pub from_tag: &'a [u8],
    /// The `tag` of To; empty when there is none.
    pub to_tag: &'a [u8],
    /// The Call-ID.
    pub call_id: &'a [u8],
    /// The number of CSeq.
    pub cseq: u32,
    /// The whole value of the topmost Via.
    pub top_via: &'a [u8],
}

/// The key of a server transaction; equal keys mean the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of a request; that of an ACK is the key of the INVITE whose 300-699 it acknowledges.
    ///
    /// The ACK of an RFC 2543 client finds the INVITE under [`Key::of_rfc2543_ack`] instead, since its
    /// To tag is the one that the response carried.
    pub fn of_request(hash_key: &HashKey, parts: &KeyParts<'_>) -> Self {
        if has_unique_branch(parts.branch) {
            let method = if parts.method == b"ACK" { b"INVITE" } else { parts.method };
            Self::of_branch(hash_key, parts, method)
        } else {
            Self::of_fields(hash_key, parts, parts.method, parts.to_tag)
        }
    }

    /// The key of the INVITE that a CANCEL is about (RFC 3261 section 9.2).
    pub fn of_cancelled_invite(hash_key: &HashKey, cancel: &KeyParts<'_>) -> Self {
        Self::of_request(hash_key, &KeyParts { method: b"INVITE", ..*cancel })
    }

    /// The second key of an RFC 2543 INVITE: the one its ACK will have, once a response with
    /// `response_to_tag` went out. `None` for RFC 3261 branches, where the first key serves the ACK too.
    pub fn of_rfc2543_ack(hash_key: &HashKey, invite: &KeyParts<'_>, response_to_tag: &[u8]) -> Option<Self> {
        if has_unique_branch(invite.branch) {
            return None;
        }
        Some(Self::of_fields(hash_key, invite, b"ACK", response_to_tag))
    }

    /// The bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn of_branch(hash_key: &HashKey, parts: &KeyParts<'_>, method: &[u8]) -> Self {
        let mut hash = FieldHasher::new(hash_key, Rules::Rfc3261);
        hash.folded(parts.branch);
        hash.folded(parts.sent_by_host);
        hash.number(u32::from(parts.sent_by_port.unwrap_or(parts.transport.default_port())));
        hash.exact(method);
        hash.finish()
    }

    fn of_fields(hash_key: &HashKey, parts: &KeyParts<'_>, method: &[u8], to_tag: &[u8]) -> Self {
        let mut hash = FieldHasher::new(hash_key, Rules::Rfc2543);
        hash.exact(parts.request_uri);
        hash.exact(parts.from_tag);
        hash.exact(to_tag);
        hash.exact(parts.call_id);
        hash.number(parts.cseq);
        hash.exact(method);
        hash.exact(parts.top_via);
        hash.finish()
    }
}

/// What a branch of RFC 3261 begins with (section 8.1.1.7).
const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// Whether a branch is the cookie and something after it; the bare cookie identifies nothing
/// (RFC 4475 section 3.2.1) and is treated like a branch of RFC 2543.
fn has_unique_branch(branch: &[u8]) -> bool {
    branch
        .split_at_checked(MAGIC_COOKIE.len())
        .is_some_and(|(cookie, rest)| cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && !rest.is_empty())
}

/// The matching rules a key was made by, so that the two kinds never meet.
#[derive(Clone, Copy)]
enum Rules {
    Rfc2543 = 1,
    Rfc3261 = 2,
}

/// Hashes fields with their lengths in front, so that no two lists of fields make the same input.
struct FieldHasher(SipHasher13);

impl FieldHasher {
    /// How many bytes are folded to lower case at a time, on the stack.
    const FOLD: usize = 64;

    fn new(hash_key: &HashKey, rules: Rules) -> Self {
        let mut hasher = SipHasher13::new_with_key(&hash_key.0);
        hasher.write(&[rules as u8]);
        Self(hasher)
    }

    fn number(&mut self, number: u32) {
        self.0.write(&number.to_le_bytes());
    }

    fn exact(&mut self, field: &[u8]) {
        self.length(field);
        self.0.write(field);
    }

    fn folded(&mut self, field: &[u8]) {
        self.length(field);
        for chunk in field.chunks(Self::FOLD) {
            let mut lower = [0; Self::FOLD];
            // A chunk is never longer than the buffer, so both sides of the zip end with the chunk.
            for (to, from) in lower.iter_mut().zip(chunk) {
                *to = from.to_ascii_lowercase();
            }
            self.0.write(lower.get(..chunk.len()).unwrap_or_default());
        }
    }

    fn length(&mut self, field: &[u8]) {
        self.0.write(&(field.len() as u64).to_le_bytes());
    }

    fn finish(self) -> Key {
        Key(self.0.finish128().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH_KEY: HashKey = HashKey::new([7; 16]);

    const RFC3261: KeyParts<'static> = KeyParts {
        method: b"INVITE",
        branch: b"z9hG4bK74bf9",
        sent_by_host: b"pbx.example.com",
        sent_by_port: None,
        transport: Transport::Udp,
        request_uri: b"sip:bob@example.com",
        from_tag: b"9fxced76sl",
        to_tag: b"",
        call_id: b"3848276298220188511@example.com",
        cseq: 1,
        top_via: b"SIP/2.0/UDP pbx.example.com;branch=z9hG4bK74bf9",
    };

    const RFC2543: KeyParts<'static> = KeyParts { branch: b"", top_via: b"SIP/2.0/UDP pbx.example.com", ..RFC3261 };

    fn key(parts: &KeyParts<'_>) -> Key {
        Key::of_request(&HASH_KEY, parts)
    }

    #[test]
    fn a_cookie_branch_needs_branch_sent_by_and_method_only() {
        let other_fields = KeyParts {
            request_uri: b"sip:x",
            from_tag: b"x",
            to_tag: b"y",
            call_id: b"z",
            cseq: 9,
            top_via: b"",
            ..RFC3261
        };
        assert_eq!(key(&RFC3261), key(&other_fields));
        for other in [
            KeyParts { branch: b"z9hG4bK74bf8", ..RFC3261 },
            KeyParts { sent_by_host: b"pbx2.example.com", ..RFC3261 },
            KeyParts { sent_by_port: Some(5070), ..RFC3261 },
            KeyParts { method: b"OPTIONS", ..RFC3261 },
            KeyParts { method: b"CANCEL", ..RFC3261 },
        ] {
            assert_ne!(key(&RFC3261), key(&other), "{other:?}");
        }
    }

    #[test]
    fn branch_and_host_match_in_any_case() {
        let upper = KeyParts { branch: b"Z9HG4BK74BF9", sent_by_host: b"PBX.Example.COM", ..RFC3261 };
        assert_eq!(key(&RFC3261), key(&upper));
    }

    #[test]
    fn long_branches_count_to_the_last_byte() {
        let long = [&b"z9hG4bK"[..], &[b'a'; 200]].concat();
        let mut other = long.clone();
        other[206] = b'b';
        let mut upper = long.clone();
        upper[7..].make_ascii_uppercase();
        let of = |branch: &[u8]| Key::of_request(&HASH_KEY, &KeyParts { branch, ..RFC3261 });
        assert_ne!(of(&long), of(&other));
        assert_eq!(of(&long), of(&upper));
    }

    #[test]
    fn a_missing_port_is_the_default_of_the_transport() {
        let udp = KeyParts { sent_by_port: Some(5060), ..RFC3261 };
        assert_eq!(key(&RFC3261), key(&udp));
        let tls = KeyParts { transport: Transport::Tls, ..RFC3261 };
        assert_eq!(key(&tls), key(&KeyParts { sent_by_port: Some(5061), ..tls }));
        assert_ne!(key(&tls), key(&KeyParts { sent_by_port: Some(5060), ..tls }));
    }

    #[test]
    fn ack_has_the_key_of_its_invite() {
        assert_eq!(key(&RFC3261), key(&KeyParts { method: b"ACK", to_tag: b"a6c85cf", ..RFC3261 }));
        assert_eq!(Key::of_rfc2543_ack(&HASH_KEY, &RFC3261, b"a6c85cf"), None);
    }

    #[test]
    fn cancel_has_a_key_of_its_own_and_finds_its_invite() {
        for invite in [RFC3261, RFC2543] {
            let cancel = KeyParts { method: b"CANCEL", ..invite };
            assert_ne!(key(&invite), key(&cancel));
            assert_eq!(key(&invite), Key::of_cancelled_invite(&HASH_KEY, &cancel));
        }
    }

    #[test]
    fn without_the_cookie_every_field_of_rfc_2543_counts() {
        assert_eq!(key(&RFC2543), key(&RFC2543.clone()));
        for other in [
            KeyParts { method: b"OPTIONS", ..RFC2543 },
            KeyParts { request_uri: b"sip:eve@example.com", ..RFC2543 },
            KeyParts { from_tag: b"x", ..RFC2543 },
            KeyParts { to_tag: b"x", ..RFC2543 },
            KeyParts { call_id: b"x", ..RFC2543 },
            KeyParts { cseq: 2, ..RFC2543 },
            KeyParts { top_via: b"SIP/2.0/UDP pbx2.example.com", ..RFC2543 },
        ] {
            assert_ne!(key(&RFC2543), key(&other), "{other:?}");
        }
    }

    #[test]
    fn an_rfc_2543_ack_matches_by_the_to_tag_of_the_response() {
        let expected = Key::of_rfc2543_ack(&HASH_KEY, &RFC2543, b"a6c85cf").unwrap();
        let ack = KeyParts { method: b"ACK", to_tag: b"a6c85cf", ..RFC2543 };
        assert_eq!(key(&ack), expected);
        assert_ne!(key(&KeyParts { to_tag: b"other", ..ack }), expected);
        assert_ne!(key(&KeyParts { from_tag: b"other", ..ack }), expected);
        assert_ne!(key(&RFC2543), expected);
    }

    #[test]
    fn the_bare_cookie_is_no_branch() {
        let bare = KeyParts { branch: b"z9hG4bK", ..RFC3261 };
        assert_ne!(key(&bare), key(&KeyParts { call_id: b"another call", ..bare }));
        assert!(Key::of_rfc2543_ack(&HASH_KEY, &bare, b"t").is_some());
        assert!(Key::of_rfc2543_ack(&HASH_KEY, &KeyParts { branch: b"z9hG4b", ..bare }, b"t").is_some());
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let left = KeyParts { from_tag: b"ab", to_tag: b"c", ..RFC2543 };
        let right = KeyParts { from_tag: b"a", to_tag: b"bc", ..RFC2543 };
        assert_ne!(key(&left), key(&right));
    }

    #[test]
    fn the_hash_key_decides() {
        assert_ne!(key(&RFC3261), Key::of_request(&HashKey::new([8; 16]), &RFC3261));
        assert_eq!(format!("{HASH_KEY:?}"), "HashKey(..)");
    }
}
