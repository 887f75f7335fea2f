//! Keys: what is in the file is never used itself; each purpose has a key of its own, derived by HKDF.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use siphasher::sip::SipHasher13;

/// Fewest bytes of a key as it stands in the file.
const FEWEST_BYTES: usize = 16;

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    #[error("the key is shorter than 16 bytes")]
    TooShort,
    #[error("the keys cannot be told apart by their ids: one of them must be made anew")]
    SameId,
    #[error("the cipher did not take the key")]
    Cipher,
}

/// Which key something is sealed with: one byte made of the key, by a one-way function.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub u8);

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

/// One key, ready for use.
pub struct Key {
    id: KeyId,
    tokens: LessSafeKey,
    call_ids: LessSafeKey,
    stored: LessSafeKey,
    hints: [u8; 16],
    marks: [u8; 16],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// Derives what is needed from random bytes, 16 at the least.
    ///
    /// # Errors
    /// [`KeyError::TooShort`]; [`KeyError::Cipher`] when the cryptographic library fails.
    pub fn derive(random: &[u8]) -> Result<Self, KeyError> {
        let root = root(random)?;
        let cipher = |label: &[u8]| {
            let label = [label];
            let key: UnboundKey = root.expand(&label, &AES_256_GCM_SIV).map_err(|_| KeyError::Cipher)?.into();
            Ok(LessSafeKey::new(key))
        };
        let [id] = expand(&root, b"key id")?;
        Ok(Self {
            id: KeyId(id),
            tokens: cipher(b"tokens")?,
            call_ids: cipher(b"Call-IDs")?,
            stored: cipher(b"stored states")?,
            hints: expand(&root, b"hints")?,
            marks: expand(&root, b"marks of calls")?,
        })
    }

    /// Its id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(super) const fn tokens(&self) -> (&Self, &LessSafeKey) {
        (self, &self.tokens)
    }

    pub(super) const fn call_ids(&self) -> (&Self, &LessSafeKey) {
        (self, &self.call_ids)
    }

    pub(super) const fn stored(&self) -> (&Self, &LessSafeKey) {
        (self, &self.stored)
    }

    /// Of the numbers under which the call store has something.
    pub(super) const fn marks(&self) -> &[u8; 16] {
        &self.marks
    }

    /// Eight bits that tell two values apart most of the time.
    pub(super) fn hint(&self, value: &[u8]) -> u8 {
        let mut hash = SipHasher13::new_with_key(&self.hints);
        hash.write(value);
        hash.finish() as u8
    }
}

/// A key for another purpose, from the same random bytes; labels are distinct from those used here.
///
/// # Errors
/// As [`Key::derive`].
pub fn subkey(random: &[u8], label: &str) -> Result<[u8; 16], KeyError> {
    let root = root(random)?;
    let mut key = [0; 16];
    let info = [b"other: ".as_slice(), label.as_bytes()];
    root.expand(&info, Length(key.len())).and_then(|okm| okm.fill(&mut key)).map_err(|_| KeyError::Cipher)?;
    Ok(key)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn root(random: &[u8]) -> Result<Prk, KeyError> {
    if random.len() < FEWEST_BYTES {
        return Err(KeyError::TooShort);
    }
    Ok(Salt::new(HKDF_SHA256, b"trunkway seal").extract(random))
}

fn expand<const LEN: usize>(root: &Prk, label: &[u8]) -> Result<[u8; LEN], KeyError> {
    let mut bytes = [0; LEN];
    let filled = root.expand(&[label], Length(LEN)).and_then(|okm| okm.fill(&mut bytes));
    filled.map(|()| bytes).map_err(|_| KeyError::Cipher)
}

/// The key that new dialogs are sealed with, and one that older dialogs (or other nodes, ahead of this one) have.
#[derive(Clone)]
pub struct KeyRing {
    current: Arc<Key>,
    other: Option<Arc<Key>>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = self.other.as_ref().map(|key| key.id());
        f.debug_struct("KeyRing").field("current", &self.current.id()).field("other", &other).finish()
    }
}

impl KeyRing {
    /// A ring of the current key and maybe another one.
    ///
    /// # Errors
    /// [`KeyError::SameId`] when the two have the same id, as one pair of 256 does.
    pub fn new(current: Key, other: Option<Key>) -> Result<Self, KeyError> {
        if other.as_ref().is_some_and(|other| other.id() == current.id()) {
            return Err(KeyError::SameId);
        }
        Ok(Self { current: Arc::new(current), other: other.map(Arc::new) })
    }

    /// The key for a new dialog.
    pub fn current(&self) -> KeyId {
        self.current.id()
    }

    /// The ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        [Some(&self.current), self.other.as_ref()].into_iter().flatten().map(|key| key.id())
    }

    pub(super) fn key(&self, id: KeyId) -> Option<&Key> {
        [Some(&self.current), self.other.as_ref()].into_iter().flatten().map(|key| &**key).find(|key| key.id() == id)
    }
}
