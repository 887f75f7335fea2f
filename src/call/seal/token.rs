//! Tokens: the user part of the edge's own Contact. One kind holds the state of a leg, the other the key under which
//! the call store keeps a state that does not fit.

use super::KeyRing;
use super::envelope::{self, Buffer, Context, Kind, Sealed, VERSION};
use super::key::{Key, KeyId};
use super::leg::{LegState, PackError};
use crate::call::stored::{STORE_KEY_BYTES, StoreKey};

/// The longest URI that the edge makes, in characters: real phones cut longer ones.
pub const URI_LIMIT: usize = 254;

/// Bytes of the hints, one of the dialog and one of the trunk.
const HINTS: usize = 2;

/// Longest text that is looked at as a token.
const MAX_TOKEN: usize = URI_LIMIT;

/// Where a token will be presented: it opens there only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound<'a> {
    /// The Call-ID of the leg whose peer is shown the token.
    pub call_id: &'a [u8],
    /// The mark of that peer's trunk.
    pub trunk: u32,
}

/// Up to what age tokens are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Minutes since 1970.
    pub now: u32,
    /// Minutes.
    pub max_age: u32,
}

impl Freshness {
    /// Whether what was sealed in a minute may be taken now.
    pub(super) fn check(self, created: u32) -> Result<(), OpenError> {
        // The clock of the node that made it may be ahead.
        let age = self.now.saturating_sub(created);
        if age > self.max_age { Err(OpenError::TooOld(age)) } else { Ok(()) }
    }
}

/// How many characters there are for a token in a URI of at most [`URI_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRoom(pub usize);

impl TokenRoom {
    /// The room in `sip:<token>@<rest>`, where `rest` has so many characters (`host:5061;transport=tls`).
    pub const fn beside(rest: usize) -> Self {
        Self(URI_LIMIT.saturating_sub("sip:@".len() + rest))
    }
}

/// Why a state is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The state goes to the call store and its key into the URI.
    #[error("the state does not fit: the token would have {0} characters")]
    DoesNotFit(usize),
    #[error("a target or route holds NUL")]
    Nul,
    #[error("there is no key {0}")]
    UnknownKey(KeyId),
    #[error("the cipher failed")]
    Cipher,
}

/// Why a user part is not taken for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It has not the form of one: most likely a user.
    #[error("it is no token of the edge")]
    NotSealed,
    #[error("the token is of format {0}, which this version does not know")]
    UnknownVersion(u8),
    #[error("the token was sealed with key {0}, which is not held any more")]
    UnknownKey(KeyId),
    #[error("the token belongs to another dialog")]
    OtherDialog,
    #[error("the token belongs to another trunk")]
    OtherTrunk,
    #[error("the token was altered")]
    Altered,
    #[error("the token is {0} minutes old")]
    TooOld(u32),
    #[error("the token cannot be read")]
    Malformed,
    #[error("the call store has nothing under the token's key")]
    NotStored,
}

/// A token that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The key of the dialog: what is sealed for it later is sealed with the same.
    pub key: KeyId,
    pub content: Content<'a>,
}

/// What a token holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all tokens hold a state, and each is on the stack for one look")]
pub enum Content<'a> {
    Leg(LegState<'a>),
    /// Where the call store has it.
    StoreKey(StoreKey),
}

impl KeyRing {
    /// Appends the token of a leg to `out`.
    ///
    /// `key` is [`KeyRing::current`] for a new dialog and later the key that the dialog began with.
    ///
    /// # Errors
    /// [`SealError::DoesNotFit`] when the call store must keep the state.
    pub fn seal_leg(
        &self,
        key: KeyId,
        state: &LegState<'_>,
        bound: Bound<'_>,
        room: TokenRoom,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let key = self.key(key).ok_or(SealError::UnknownKey(key))?;
        let mut plain = Buffer::new();
        state.pack(&mut plain).map_err(|error| match error {
            PackError::TooLong(len) => SealError::DoesNotFit(envelope::characters(len, HINTS)),
            PackError::Nul => SealError::Nul,
        })?;
        seal(Kind::Leg, key, bound, &mut plain, room, out)
    }

    /// Appends a token that holds a key of the call store to `out`.
    ///
    /// # Errors
    /// [`SealError::DoesNotFit`] when the host is so long that not even this fits.
    pub fn seal_store_key(
        &self,
        key: KeyId,
        stored: StoreKey,
        bound: Bound<'_>,
        room: TokenRoom,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let key = self.key(key).ok_or(SealError::UnknownKey(key))?;
        seal(Kind::StoreKey, key, bound, &mut stored.to_bytes(), room, out)
    }

    /// Opens the user part of a URI that came back to the edge. Texts are unpacked to `scratch`, whose old content is
    /// dropped.
    ///
    /// # Errors
    /// One for each reason. What tells an altered token, one of another dialog and one of another trunk apart are
    /// hints of eight bits each: good for logs and counters, and for nothing else; all three are refused by the cipher.
    pub fn open<'a>(
        &self,
        text: &[u8],
        bound: Bound<'_>,
        freshness: Freshness,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Opened<'a>, OpenError> {
        let mut sealed = Sealed::read(text, MAX_TOKEN).ok_or(OpenError::NotSealed)?;
        if sealed.kind == Kind::CallId {
            return Err(OpenError::NotSealed);
        }
        if sealed.version != VERSION {
            return Err(OpenError::UnknownVersion(sealed.version));
        }
        let key = self.key(sealed.key()).ok_or(OpenError::UnknownKey(sealed.key()))?;
        let refusal = refusal(sealed.hints(), hints(key, bound));
        let (kind, trunk) = (sealed.kind, bound.trunk.to_be_bytes());
        let context = Context { hints: &[], fixed: &trunk, text: bound.call_id };
        let plain = sealed.open(key.tokens(), &context).ok_or(refusal)?;
        let content = if kind == Kind::StoreKey {
            let bytes: [u8; STORE_KEY_BYTES] = plain.try_into().map_err(|_| OpenError::Malformed)?;
            Content::StoreKey(StoreKey::from_bytes(bytes))
        } else {
            let state = LegState::unpack(plain, scratch).map_err(|_| OpenError::Malformed)?;
            freshness.check(state.created)?;
            Content::Leg(state)
        };
        Ok(Opened { key: key.id(), content })
    }
}

fn seal(
    kind: Kind,
    key: &Key,
    bound: Bound<'_>,
    plain: &mut [u8],
    room: TokenRoom,
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let characters = envelope::characters(plain.len(), HINTS);
    if characters > room.0.min(MAX_TOKEN) {
        return Err(SealError::DoesNotFit(characters));
    }
    let (hints, trunk) = (hints(key, bound), bound.trunk.to_be_bytes());
    let context = Context { hints: &hints, fixed: &trunk, text: bound.call_id };
    envelope::seal(kind, key.tokens(), &context, plain, out).map_err(|_| SealError::Cipher)
}

/// Hints of the dialog and of the trunk.
fn hints(key: &Key, bound: Bound<'_>) -> [u8; HINTS] {
    [key.hint(bound.call_id), key.hint(&bound.trunk.to_be_bytes())]
}

/// What the hints say when the cipher refuses.
fn refusal(shown: &[u8], here: [u8; HINTS]) -> OpenError {
    match (shown, here) {
        ([dialog, _], [here, _]) if *dialog != here => OpenError::OtherDialog,
        ([_, trunk], [_, here]) if *trunk != here => OpenError::OtherTrunk,
        _ => OpenError::Altered,
    }
}
