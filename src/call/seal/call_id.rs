//! The Call-ID of the far leg: the near one, sealed. Nothing of the near one (such as its host) can be read in it, each
//! direction finds the other's Call-ID without memory, and a call that passes the edge twice has another on every leg.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};

use super::KeyRing;
use super::alphabet;
use super::envelope::{self, Buffer, Context, Kind, Sealed, VERSION};
use super::key::KeyId;
use super::{text, varint};

/// The longest Call-ID that is sealed, in bytes; of a longer one a digest is.
pub const MAX_CALL_ID: usize = 128;

/// Most bytes of a Call-ID after packing. Words (RFC 3261 section 25.1) never grow; only bytes that may not stand in a
/// Call-ID do.
const MAX_PACKED: usize = MAX_CALL_ID;

/// Longest text that is looked at as a sealed Call-ID.
const MAX_SEALED: usize = envelope::characters(LEG_BYTES + MAX_PACKED, 0);

/// Most bytes of a leg's number.
const LEG_BYTES: usize = 3;

/// Begins the name of a Call-ID that is too long; no Call-ID begins so.
const DIGEST: u8 = 0;

/// Bytes of the digest: no two Call-IDs with the same one will ever be met.
const DIGEST_BYTES: usize = 18;

/// Why a Call-ID is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallIdError {
    #[error("there is no key {0}")]
    UnknownKey(KeyId),
    #[error("the cipher failed")]
    Cipher,
}

/// What of a Call-ID is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it: it comes back when it is opened.
    Whole,
    /// A digest: it shows that a Call-ID is the one, and the state of the other direction must name it.
    Digest,
}

/// What is known of a Call-ID that the edge made; the near Call-ID itself is in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedCallId {
    /// The key of the dialog.
    pub key: KeyId,
    /// The number of the leg.
    pub leg: u16,
    /// Whether the buffer holds the near Call-ID or its name, as [`name_of`] gives it.
    pub form: Form,
}

/// By what a Call-ID is sealed: itself, or of one that is too long a digest. Two legs of one call have one name for the
/// Call-ID of the first.
pub fn name_of(call_id: &[u8]) -> Cow<'_, [u8]> {
    if is_named(call_id) { Cow::Owned(digest_of(call_id)) } else { Cow::Borrowed(call_id) }
}

/// Whether a Call-ID is sealed by a digest, so that the other direction's state has to name it.
pub fn is_named(call_id: &[u8]) -> bool {
    if call_id.len() > MAX_CALL_ID || call_id.first() == Some(&DIGEST) {
        return true;
    }
    // What is printed never grows when it is packed, and no byte becomes more than two.
    if call_id.len() <= MAX_PACKED / 2 || call_id.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return false;
    }
    let mut packed = Buffer::new();
    text::pack(call_id, &mut packed);
    packed.len() > MAX_PACKED
}

fn digest_of(call_id: &[u8]) -> Vec<u8> {
    let digest = digest(&SHA256, call_id);
    let mut name = vec![DIGEST];
    alphabet::write(digest.as_ref().get(..DIGEST_BYTES).unwrap_or_default(), &mut name);
    name
}

impl KeyRing {
    /// Appends to `out` the Call-ID of leg number `leg` of the call whose near leg has the Call-ID `near`.
    ///
    /// Branches of one call to different targets have different numbers: a UA that gets two of them must not take one
    /// for a loop of the other (RFC 3261 section 8.2.2.2).
    ///
    /// # Errors
    /// [`CallIdError::UnknownKey`]; [`CallIdError::Cipher`] when the cryptographic library fails.
    pub fn seal_call_id(&self, key: KeyId, near: &[u8], leg: u16, out: &mut Vec<u8>) -> Result<Form, CallIdError> {
        let key = self.key(key).ok_or(CallIdError::UnknownKey(key))?;
        let name = name_of(near);
        let mut plain = Buffer::new();
        varint::write(u32::from(leg), &mut plain);
        text::pack(&name, &mut plain);
        envelope::seal(Kind::CallId, key.call_ids(), &Context::default(), &mut plain, out)
            .map_err(|_| CallIdError::Cipher)?;
        Ok(if matches!(name, Cow::Owned(_)) { Form::Digest } else { Form::Whole })
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
        let form = if near.first() == Some(&DIGEST) { Form::Digest } else { Form::Whole };
        Some(SealedCallId { key: key.id(), leg, form })
    }

    /// The Call-ID of a call's first leg, or its name, whichever leg's Call-ID is given: at most `most` times the edge's
    /// own seal is taken off.
    pub fn root_call_id<'c>(&self, call_id: &'c [u8], most: u16) -> Cow<'c, [u8]> {
        let (mut root, mut before) = (Cow::Borrowed(call_id), Vec::new());
        for _ in 0..most {
            let Some(opened) = self.open_call_id(&root, &mut before) else { break };
            root = Cow::Owned(std::mem::take(&mut before));
            if opened.form == Form::Digest {
                return root;
            }
        }
        if is_named(&root) { Cow::Owned(digest_of(&root)) } else { root }
    }
}
