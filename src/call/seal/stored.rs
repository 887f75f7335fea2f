//! Records of the call store: what of a call does not fit into a URI, sealed with the key of the dialog and bound to
//! where its token is presented, just as a token is.
//!
//! ```text
//! version:1  key:1  ciphertext  tag:16
//! kind:1  fields (of a leg, as in a token)  texts: how many, and of each its length and bytes
//! ```
//! All numbers of texts are varints; unlike in a token a text may hold any byte.

use std::hash::Hasher;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use siphasher::sip::SipHasher13;

use super::envelope::{Buffer, TAG_BYTES};
use super::key::{Key, KeyId};
use super::leg::LegState;
use super::{Bound, Freshness, KeyRing, OpenError, SealError, varint};

/// Most bytes of target and route set together that the call store takes for a leg.
pub const MAX_STORED_TEXT: usize = 16_384;

const VERSION: u8 = 1;
const LEG: u8 = 0;
const ROUTES: u8 = 1;

/// Bytes in front of the ciphertext.
const HEAD: usize = 2;

impl KeyRing {
    /// The mark of the call whose caller's leg has this Call-ID.
    pub fn call_mark(&self, key: KeyId, call_id: &[u8]) -> Option<u64> {
        Some(number(self.key(key)?, &[call_id]))
    }

    /// Under which item of a call the route set of a side is kept.
    pub fn routes_item(&self, key: KeyId, call_id: &[u8], tag: &[u8]) -> Option<u64> {
        Some(number(self.key(key)?, &[call_id, tag]))
    }

    /// A leg's state as a record, and the item that it is kept under, which follows from the content and where it is
    /// bound to.
    ///
    /// # Errors
    /// [`SealError::DoesNotFit`] when its texts have more than [`MAX_STORED_TEXT`] bytes.
    pub fn seal_stored(&self, key: KeyId, state: &LegState<'_>, bound: Bound<'_>) -> Result<(u64, Vec<u8>), SealError> {
        let mut plain = vec![LEG];
        let mut fields = Buffer::new();
        state.write_fields(&mut fields);
        plain.extend_from_slice(&fields);
        write_texts(state.texts(), &mut plain)?;
        let record = self.seal_record(key, plain, bound)?;
        let (_, tag) = record.split_last_chunk().ok_or(SealError::Cipher)?;
        Ok((u64::from_be_bytes(*tag), record))
    }

    /// Opens the record of a leg's state. Texts are unpacked to `scratch`, whose old content is dropped, each ended by
    /// NUL but the last.
    ///
    /// # Errors
    /// As [`KeyRing::open`].
    pub fn open_stored<'a>(
        &self,
        record: &[u8],
        bound: Bound<'_>,
        freshness: Freshness,
        scratch: &'a mut Vec<u8>,
    ) -> Result<(KeyId, LegState<'a>), OpenError> {
        let (key, plain) = self.open_record(record, bound)?;
        let state = read_leg(&plain, scratch).ok_or(OpenError::Malformed)?;
        freshness.check(state.created)?;
        Ok((key, state))
    }

    /// A route set as a record.
    ///
    /// # Errors
    /// As [`KeyRing::seal_stored`].
    pub fn seal_routes(&self, key: KeyId, routes: &[&[u8]], bound: Bound<'_>) -> Result<Vec<u8>, SealError> {
        let mut plain = vec![ROUTES];
        write_texts(routes.iter().copied(), &mut plain)?;
        self.seal_record(key, plain, bound)
    }

    /// Opens the record of a route set: hands each value to `take`; false, and nothing handed over, when it is none.
    pub fn open_routes(&self, record: &[u8], bound: Bound<'_>, mut take: impl FnMut(&[u8])) -> bool {
        let Ok((_, plain)) = self.open_record(record, bound) else { return false };
        let Some((&ROUTES, rest)) = plain.split_first() else { return false };
        let mut joined = Vec::new();
        let Some(lengths) = read_texts(rest, &mut joined) else { return false };
        let mut rest = joined.as_slice();
        for length in lengths {
            let (text, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            take(text);
            rest = after.get(1..).unwrap_or_default();
        }
        true
    }

    fn seal_record(&self, key: KeyId, mut plain: Vec<u8>, bound: Bound<'_>) -> Result<Vec<u8>, SealError> {
        let (key, cipher) = self.key(key).ok_or(SealError::UnknownKey(key))?.stored();
        let head = [VERSION, key.id().0];
        let data = associated(head, bound);
        let tag = cipher.seal_in_place_separate_tag(nonce(), Aad::from(&data), &mut plain);
        let tag = tag.map_err(|_| SealError::Cipher)?;
        let mut record = Vec::with_capacity(HEAD + plain.len() + TAG_BYTES);
        record.extend_from_slice(&head);
        record.append(&mut plain);
        record.extend_from_slice(tag.as_ref());
        Ok(record)
    }

    fn open_record(&self, record: &[u8], bound: Bound<'_>) -> Result<(KeyId, Vec<u8>), OpenError> {
        let (&head, body) = record.split_first_chunk::<HEAD>().ok_or(OpenError::Malformed)?;
        let [version, id] = head;
        if version != VERSION {
            return Err(OpenError::UnknownVersion(version));
        }
        let key = self.key(KeyId(id)).ok_or(OpenError::UnknownKey(KeyId(id)))?;
        let cipher: &LessSafeKey = key.stored().1;
        let mut body = body.to_vec();
        let data = associated(head, bound);
        // The token has told one dialog and trunk from the other: nothing but damage is left.
        let plain = cipher.open_in_place(nonce(), Aad::from(&data), &mut body).map_err(|_| OpenError::Altered)?;
        let len = plain.len();
        body.truncate(len);
        Ok((key.id(), body))
    }
}

fn nonce() -> Nonce {
    // Fixed on purpose: see the head of `seal`.
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn associated(head: [u8; HEAD], bound: Bound<'_>) -> Buffer {
    let mut data = Buffer::new();
    data.extend_from_slice(&head);
    data.extend_from_slice(&bound.trunk.to_be_bytes());
    data.extend_from_slice(bound.call_id);
    data
}

/// A number of a call that nobody without the key can tell.
fn number(key: &Key, fields: &[&[u8]]) -> u64 {
    let mut hash = SipHasher13::new_with_key(key.marks());
    for field in fields {
        hash.write_usize(field.len());
        hash.write(field);
    }
    hash.finish()
}

fn write_texts<'a>(texts: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) -> Result<(), SealError> {
    let start = out.len();
    let mut count = 0;
    let mut body = Vec::new();
    let mut number = Buffer::new();
    for text in texts {
        let length = u32::try_from(text.len()).map_err(|_| SealError::DoesNotFit(text.len()))?;
        number.clear();
        varint::write(length, &mut number);
        body.extend_from_slice(&number);
        body.extend_from_slice(text);
        count += 1;
        if body.len() > MAX_STORED_TEXT {
            return Err(SealError::DoesNotFit(start + body.len()));
        }
    }
    number.clear();
    varint::write(count, &mut number);
    out.extend_from_slice(&number);
    out.append(&mut body);
    Ok(())
}

/// Writes the texts to `out`, each ended by NUL but the last, and gives their lengths; `None` unless the bytes are
/// texts and nothing else.
fn read_texts(mut bytes: &[u8], out: &mut Vec<u8>) -> Option<Vec<usize>> {
    let count = varint::read(&mut bytes)?;
    let mut lengths = Vec::new();
    out.clear();
    for at in 0..count {
        let length = varint::read(&mut bytes)? as usize;
        let (text, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        if at > 0 {
            out.push(0);
        }
        out.extend_from_slice(text);
        lengths.push(length);
    }
    bytes.is_empty().then_some(lengths)
}

fn read_leg<'a>(plain: &[u8], scratch: &'a mut Vec<u8>) -> Option<LegState<'a>> {
    let (&LEG, mut rest) = plain.split_first()? else { return None };
    let (fields, named) = LegState::read_fields(&mut rest)?;
    let lengths = read_texts(rest, scratch)?;
    let mut rest = scratch.as_slice();
    let mut texts = lengths.into_iter().map_while(|length| {
        let (text, after) = rest.split_at_checked(length)?;
        rest = after.get(1..).unwrap_or_default();
        Some(text)
    });
    fields.with_texts(named, &mut texts)
}
