//! The Call-ID of the far leg: the near one, sealed. Nothing of the near one (such as its host) can be read in it, each
//! direction finds the other's Call-ID without memory, and a call that passes the edge twice has another on every leg.

use super::KeyRing;
use super::envelope::{self, Buffer, Context, Kind, Sealed, VERSION};
use super::key::KeyId;
use super::{text, varint};

/// The longest Call-ID that is sealed, in bytes; a longer one is kept in the call store.
pub const MAX_CALL_ID: usize = 128;

/// Most bytes of a Call-ID after packing. Words (RFC 3261 section 25.1) never grow; only bytes that may not stand in a
/// Call-ID do.
const MAX_PACKED: usize = MAX_CALL_ID;

/// Longest text that is looked at as a sealed Call-ID.
const MAX_SEALED: usize = envelope::characters(LEG_BYTES + MAX_PACKED, 0);

/// Most bytes of a leg's number.
const LEG_BYTES: usize = 3;

/// Why a Call-ID is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallIdError {
    #[error("the Call-ID has {0} bytes: too many to be sealed into another")]
    TooLong(usize),
    #[error("there is no key {0}")]
    UnknownKey(KeyId),
    #[error("the cipher failed")]
    Cipher,
}

/// What is known of a Call-ID that the edge made; the near Call-ID itself is in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedCallId {
    /// The key of the dialog.
    pub key: KeyId,
    /// The number of the leg.
    pub leg: u16,
}

impl KeyRing {
    /// Appends to `out` the Call-ID of leg number `leg` of the call whose near leg has the Call-ID `near`.
    ///
    /// Branches of one call to different targets have different numbers: a UA that gets two of them must not take one
    /// for a loop of the other (RFC 3261 section 8.2.2.2).
    ///
    /// # Errors
    /// [`CallIdError::TooLong`] when the call store must keep the Call-IDs; [`CallIdError::UnknownKey`].
    pub fn seal_call_id(&self, key: KeyId, near: &[u8], leg: u16, out: &mut Vec<u8>) -> Result<(), CallIdError> {
        if near.len() > MAX_CALL_ID {
            return Err(CallIdError::TooLong(near.len()));
        }
        let key = self.key(key).ok_or(CallIdError::UnknownKey(key))?;
        let mut plain = Buffer::new();
        varint::write(u32::from(leg), &mut plain);
        let start = plain.len();
        text::pack(near, &mut plain);
        if plain.len() - start > MAX_PACKED {
            return Err(CallIdError::TooLong(plain.len()));
        }
        envelope::seal(Kind::CallId, key.call_ids(), &Context::default(), &mut plain, out)
            .map_err(|_| CallIdError::Cipher)
    }

    /// Writes to `near` (what was in it is dropped) the Call-ID that was sealed; `None` when `text` is no Call-ID that
    /// the edge made with one of its keys.
    pub fn open_call_id(&self, text: &[u8], near: &mut Vec<u8>) -> Option<SealedCallId> {
        near.clear();
        let mut sealed = Sealed::read(text, MAX_SEALED)?;
        if (sealed.kind, sealed.version) != (Kind::CallId, VERSION) {
            return None;
        }
        let key = self.key(sealed.key())?;
        let mut plain = sealed.open(key.call_ids(), &Context::default())?;
        let leg = u16::try_from(varint::read(&mut plain)?).ok()?;
        text::unpack(plain, MAX_CALL_ID, near).ok()?;
        Some(SealedCallId { key: key.id(), leg })
    }
}
