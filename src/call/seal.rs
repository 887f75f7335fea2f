//! Sealed state of a leg: what a later request needs rides in the edge's own URIs, and the Call-ID of the far leg is
//! the near one, sealed. Neither needs memory: a restarted process or another node with the same key reads both.
//!
//! The cipher is AES-256-GCM-SIV (RFC 8452); each purpose has a key of its own, made by HKDF (RFC 5869). **The nonce is
//! fixed, all zero**, which makes the cipher deterministic: equal sealings show that they are equal and nothing else,
//! and a Call-ID comes out the same in both directions and after a restart. Modes that are not resistant to nonce
//! misuse would give the key stream away. By the birthday bound 2^40 sealings with one key leave odds of less than
//! 2^-40 that two of them clash. The associated data of a token holds the Call-ID and the trunk where it is presented.
//!
//! What does not fit into a URI is sealed into a record of the call store ([`super::stored`]), and its key into the URI.
//! A Call-ID that is too long to be sealed is sealed by a digest of it; the other direction's state names it.
//!
//! A dialog keeps the key it began with ([`KeyId`]), so that its Call-ID stays while keys are rotated. The first
//! character of a text is kind and version; what a version writes is frozen, since an upgraded edge must write the
//! same Call-ID for a call that is up.

mod alphabet;
mod call_id;
mod dictionary;
mod envelope;
mod key;
mod leg;
mod stored;
mod text;
mod token;
mod varint;

#[cfg(test)]
mod tests;

pub use call_id::{CallIdError, Form, MAX_CALL_ID, SealedCallId, is_named, name_of};
pub use key::{Key, KeyError, KeyId, KeyRing, subkey};
pub use leg::{Hold, LegState, MAX_ROUTES, MAX_TEXT, Malformed, Routes, Side, TooManyRoutes};
pub use stored::MAX_STORED_TEXT;
pub use token::{Bound, Content, Freshness, OpenError, Opened, SealError, TokenRoom, URI_LIMIT};
