//! Sealed state of a leg: what a later request needs to find its way rides in the edge's own URIs, and the Call-ID of
//! the far leg is the near one, sealed. Neither needs memory: a restarted process or another node with the same key
//! reads both.
//!
//! The cipher is AES-256-GCM-SIV (RFC 8452), keys come from the key file by HKDF (RFC 5869), one for each purpose.
//! **The nonce is fixed (all zero).** GCM-SIV then is a deterministic cipher: what two equal sealings tell is that they
//! are equal, and nothing else. That is wanted here: a Call-ID must come out the same in both directions and after a
//! restart, and there is no room for a nonce in a URI. A mode without resistance to nonce misuse would give its key away.
//! The associated data of a token holds the Call-ID and the trunk where it will be presented.
//!
//! A dialog keeps the key it began with ([`KeyId`]), so that its Call-ID stays what it is while keys are rotated.
//! Formats have a version in the first character. What version 1 writes is frozen: an edge of the next release must
//! write the same Call-ID for a call that is up.

mod alphabet;
mod call_id;
mod dictionary;
mod envelope;
mod key;
mod leg;
mod text;
mod token;
mod varint;

#[cfg(test)]
mod tests;

pub use call_id::{CallIdError, MAX_CALL_ID, SealedCallId};
pub use key::{Key, KeyError, KeyId, KeyRing, subkey};
pub use leg::{Hold, LegState, MAX_TEXT, Malformed, Routes};
pub use token::{Bound, Content, Freshness, OpenError, Opened, SealError, TokenRoom, URI_LIMIT};
