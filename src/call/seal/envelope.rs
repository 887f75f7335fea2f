//! The outer form of all that is sealed: a character that says kind and version, then in six-bit characters the key's
//! id, two hints (tokens only), the ciphertext and its tag.

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use smallvec::SmallVec;

use super::alphabet;
use super::key::{Key, KeyId};

/// What is worked on; common lengths need no memory of the heap.
pub type Buffer = SmallVec<[u8; 256]>;

/// The version that is written, and the only one that is read.
pub const VERSION: u8 = 1;

/// Bytes that the cipher adds.
pub const TAG_BYTES: usize = 16;

/// What is in the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Leg,
    StoreKey,
    CallId,
}

impl Kind {
    /// Two bits of kind and four of version.
    fn head(self) -> u8 {
        alphabet::character((self as u8) << 4 | VERSION)
    }

    /// Kind and version of a head.
    pub fn read(head: u8) -> Option<(Self, u8)> {
        let value = alphabet::value(head)?;
        let kind = match value >> 4 {
            0 => Self::Leg,
            1 => Self::StoreKey,
            2 => Self::CallId,
            _ => return None,
        };
        Some((kind, value & 15))
    }
}

/// What the peer will have shown when the text comes back: it is authenticated and not carried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// In clear text behind the key's id, to tell why a text was refused.
    pub hints: &'a [u8],
    /// Of fixed length for a kind.
    pub fixed: &'a [u8],
    pub text: &'a [u8],
}

/// The cipher gave up, which it does for lengths that do not occur here only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// How many characters the envelope of so many plain bytes has.
pub const fn characters(plain: usize, hints: usize) -> usize {
    1 + alphabet::characters(1 + hints + plain + TAG_BYTES)
}

fn nonce() -> Nonce {
    // Fixed on purpose: see the module's head.
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn associated(kind: Kind, key: KeyId, context: &Context<'_>) -> Buffer {
    let mut data = Buffer::new();
    data.extend_from_slice(&[kind.head(), key.0]);
    data.extend_from_slice(context.hints);
    data.extend_from_slice(context.fixed);
    data.extend_from_slice(context.text);
    data
}

/// Seals `plain` (and leaves ciphertext in it) and appends the envelope's text to `out`.
pub fn seal(
    kind: Kind,
    key: (&Key, &LessSafeKey),
    context: &Context<'_>,
    plain: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<(), Failed> {
    let (key, cipher) = key;
    let data = associated(kind, key.id(), context);
    let tag = cipher.seal_in_place_separate_tag(nonce(), Aad::from(&data), plain).map_err(|_| Failed)?;
    let mut envelope = Buffer::new();
    envelope.push(key.id().0);
    envelope.extend_from_slice(context.hints);
    envelope.extend_from_slice(plain);
    envelope.extend_from_slice(tag.as_ref());
    out.push(kind.head());
    alphabet::write(&envelope, out);
    Ok(())
}

/// An envelope that was taken apart and not opened yet.
#[derive(Debug)]
pub struct Sealed {
    pub kind: Kind,
    pub version: u8,
    /// Id, hints, ciphertext and tag.
    bytes: Buffer,
    hints: usize,
}

impl Sealed {
    /// Takes a text apart; `None` when it is none of the edge's.
    pub fn read(text: &[u8], most: usize) -> Option<Self> {
        let (&head, rest) = text.split_first()?;
        let (kind, version) = Kind::read(head)?;
        let hints = if kind == Kind::CallId { 0 } else { 2 };
        if text.len() > most || text.len() < characters(1, hints) {
            return None;
        }
        let mut bytes = Buffer::new();
        alphabet::read(rest, &mut bytes).then_some(Self { kind, version, bytes, hints })
    }

    /// Which key it says it was sealed with.
    pub fn key(&self) -> KeyId {
        KeyId(self.bytes.first().copied().unwrap_or_default()) // there is a byte: `read` has looked at the length
    }

    /// The hints.
    pub fn hints(&self) -> &[u8] {
        self.bytes.get(1..1 + self.hints).unwrap_or_default()
    }

    /// Opens it: the plain bytes, or `None` when it was not sealed with this key in this context.
    pub fn open(&mut self, key: (&Key, &LessSafeKey), context: &Context<'_>) -> Option<&[u8]> {
        let (key, cipher) = key;
        let start = 1 + self.hints;
        let (head, body) = self.bytes.split_at_mut_checked(start)?;
        let data = associated(self.kind, key.id(), &Context { hints: head.get(1..)?, ..*context });
        cipher.open_in_place(nonce(), Aad::from(&data), body).ok().map(|plain| &*plain)
    }
}
