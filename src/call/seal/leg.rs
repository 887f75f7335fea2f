//! What rides in a token: how a request that comes on one leg goes on to the other.
//!
//! ```text
//! presence:1  [more:1]  created:varint  [leg:varint]  far:4  [tenant:4]  [site:4]  [engine:1]  [CSeq:varint]
//! [back:varint]  text
//! ```
//! `presence` says which of the optional fields follow (a leg for callers), and who holds; `more` says which texts stand
//! before the others (the far leg's Call-ID, its tags in From and in To), whether the caller hides, whether `back` is
//! there, and whether it is a call for help. The text is those, the remote target and behind it the route set, each ended
//! by NUL but the last.

use smallvec::SmallVec;

use super::envelope::Buffer;
use super::{text, varint};

/// Most bytes of target and route set together before packing.
pub const MAX_TEXT: usize = 2_048;

/// Minutes before which no token was made: 2025-01-01 00:00 UTC. Dates are counted from there to take a byte less.
const EPOCH: u32 = 20_089 * 24 * 60;

const CALLER: u8 = 1;
const HOLD_SHIFT: u8 = 1;
const TENANT: u8 = 1 << 3;
const SITE: u8 = 1 << 4;
const ENGINE: u8 = 1 << 5;
const CSEQ: u8 = 1 << 6;
/// A second byte of presence follows.
const MORE: u8 = 1 << 7;

const CALL_ID: u8 = 1;
const FROM_TAG: u8 = 1 << 1;
const TO_TAG: u8 = 1 << 2;
const HIDDEN: u8 = 1 << 3;
const BACK: u8 = 1 << 4;
const EMERGENCY: u8 = 1 << 5;
/// For what comes later; a token that has one of them is of a later format.
const RESERVED: u8 = !(CALL_ID | FROM_TAG | TO_TAG | HIDDEN | BACK | EMERGENCY);

/// The part of the side that presents the token, which says how the far leg's Call-ID is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// It sent the INVITE from which the far leg was made: its Call-ID is sealed, as leg `leg`.
    Caller { leg: u16 },
    /// It got the INVITE of the leg: its Call-ID is opened.
    #[default]
    Callee,
}

/// Which side has put the call on hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    #[default]
    None,
    /// The side that presents the token.
    Near,
    /// The side that the token leads to.
    Far,
    Both,
}

impl Hold {
    /// The same as the other side says it.
    #[must_use]
    pub const fn turned(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
            other => other,
        }
    }
}

/// Most values of the route sets of both sides together, and of what stands between them.
pub const MAX_ROUTES: usize = 20;

/// A route set: the values of a Route header, in the order in which they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routes<'a> {
    values: [&'a [u8]; MAX_ROUTES],
    len: usize,
}

/// The route set has more than [`MAX_ROUTES`] values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route set has too many values to be sealed")]
pub struct TooManyRoutes;

impl<'a> Routes<'a> {
    /// A route set of these values.
    ///
    /// # Errors
    /// [`TooManyRoutes`].
    pub fn of(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, TooManyRoutes> {
        let mut routes = Self::default();
        for value in values {
            *routes.values.get_mut(routes.len).ok_or(TooManyRoutes)? = value;
            routes.len += 1;
        }
        Ok(routes)
    }

    /// The values.
    pub fn values(&self) -> &[&'a [u8]] {
        self.values.get(..self.len).unwrap_or_default()
    }
}

/// State of a leg's other side. *Near* is the side that has the token in the edge's Contact and presents it; *far* is
/// where its requests go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegState<'a> {
    /// What the near side is.
    pub near: Side,
    pub hold: Hold,
    /// It is a call for help.
    pub emergency: bool,
    /// When the token was made, in minutes since 1970.
    pub created: u32,
    /// The mark of the far trunk. That of the near one is not carried, since it is bound to the token.
    pub far: u32,
    pub tenant: Option<u32>,
    pub site: Option<u32>,
    /// The media engine that has the call's streams.
    pub engine: Option<u8>,
    /// Who has called hides: later requests must not tell (RFC 3323).
    pub hidden: bool,
    /// What is added to a CSeq number that goes from near to far.
    pub cseq_offset: i32,
    /// The same for a number that goes from far to near: a target refresh makes the far side's token anew and needs it.
    pub back_offset: i32,
    /// The far leg's Call-ID, where `near` does not say how it is found.
    pub call_id: Option<&'a [u8]>,
    /// The near side's tag on the far leg (in From of requests that go there), where it is another than on the near one.
    pub from_tag: Option<&'a [u8]>,
    /// The far side's tag on its own leg (in To of requests that go there), where it is another than on the near one.
    pub to_tag: Option<&'a [u8]>,
    /// The remote target of the far dialog, a URI (RFC 3261 section 12.1).
    pub target: &'a [u8],
    /// The route set of the far dialog (RFC 3261 section 12.1).
    pub routes: Routes<'a>,
}

/// The plain bytes are no leg state: a bug or a later format, as nobody else has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes are no leg state")]
pub struct Malformed;

/// Why a state cannot be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PackError {
    /// Target and routes have so many bytes.
    TooLong(usize),
    /// One of them holds NUL.
    Nul,
}

impl<'a> LegState<'a> {
    pub(super) fn pack(&self, out: &mut Buffer) -> Result<(), PackError> {
        let len = self.texts().map(|text| text.len() + 1).sum::<usize>() - 1; // there is a target
        if len > MAX_TEXT {
            return Err(PackError::TooLong(len));
        }
        let mut joined = SmallVec::<[u8; 512]>::new();
        let mut separators = 0;
        for (at, text) in self.texts().enumerate() {
            if at > 0 {
                joined.push(0);
                separators += 1;
            }
            joined.extend_from_slice(text);
        }
        if memchr::memchr_iter(0, &joined).count() != separators {
            return Err(PackError::Nul);
        }
        self.write_fields(out);
        text::pack(&joined, out);
        Ok(())
    }

    /// Writes all but the texts.
    pub(super) fn write_fields(&self, out: &mut Buffer) {
        let field = |flag: u8, present: bool| if present { flag } else { 0 };
        let more = field(CALL_ID, self.call_id.is_some())
            | field(FROM_TAG, self.from_tag.is_some())
            | field(TO_TAG, self.to_tag.is_some())
            | field(HIDDEN, self.hidden)
            | field(BACK, self.back_offset != 0)
            | field(EMERGENCY, self.emergency);
        out.push(
            field(CALLER, matches!(self.near, Side::Caller { .. }))
                | (self.hold as u8) << HOLD_SHIFT
                | field(TENANT, self.tenant.is_some())
                | field(SITE, self.site.is_some())
                | field(ENGINE, self.engine.is_some())
                | field(CSEQ, self.cseq_offset != 0)
                | field(MORE, more != 0),
        );
        if more != 0 {
            out.push(more);
        }
        varint::write(self.created.wrapping_sub(EPOCH), out);
        if let Side::Caller { leg } = self.near {
            varint::write(u32::from(leg), out);
        }
        for mark in [Some(self.far), self.tenant, self.site].into_iter().flatten() {
            out.extend_from_slice(&mark.to_be_bytes());
        }
        out.extend(self.engine);
        if self.cseq_offset != 0 {
            varint::write(varint::zigzag(self.cseq_offset), out);
        }
        if self.back_offset != 0 {
            varint::write(varint::zigzag(self.back_offset), out);
        }
    }

    /// All texts, in the order in which they are packed.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a [u8]> {
        let before = [self.call_id, self.from_tag, self.to_tag].into_iter().flatten();
        before.chain([self.target]).chain(self.routes.values().iter().copied())
    }

    /// Reads the plain bytes of a token. Target and routes are unpacked to `scratch`, whose old content is dropped.
    ///
    /// # Errors
    /// [`Malformed`] for any bytes but those that were packed.
    pub fn unpack(plain: &[u8], scratch: &'a mut Vec<u8>) -> Result<Self, Malformed> {
        Self::read(plain, scratch).ok_or(Malformed)
    }

    fn read(plain: &[u8], scratch: &'a mut Vec<u8>) -> Option<Self> {
        let mut rest = plain;
        let (fields, named) = LegState::read_fields(&mut rest)?;
        scratch.clear();
        text::unpack(rest, MAX_TEXT, scratch).ok()?;
        fields.with_texts(named, &mut scratch.split(|&byte| byte == 0))
    }

    /// Reads all but the texts, and which texts stand before the target; moves `rest` on.
    pub(super) fn read_fields(rest: &mut &[u8]) -> Option<(LegState<'static>, Named)> {
        let mut byte = |present: bool| -> Option<u8> {
            if !present {
                return Some(0);
            }
            let (&byte, left) = rest.split_first()?;
            *rest = left;
            Some(byte)
        };
        let presence = byte(true)?;
        let more = byte(presence & MORE != 0)?;
        // There is one text for a state: no second byte without anything in it.
        if more & RESERVED != 0 || presence & MORE != 0 && more == 0 {
            return None;
        }
        let created = varint::read(rest)?.wrapping_add(EPOCH);
        let near = if presence & CALLER != 0 {
            Side::Caller { leg: u16::try_from(varint::read(rest)?).ok()? }
        } else {
            Side::Callee
        };
        let mut mark = |present: bool| -> Option<Option<u32>> {
            if !present {
                return Some(None);
            }
            let (mark, left) = rest.split_first_chunk()?;
            *rest = left;
            Some(Some(u32::from_be_bytes(*mark)))
        };
        let far = mark(true)??;
        let tenant = mark(presence & TENANT != 0)?;
        let site = mark(presence & SITE != 0)?;
        let mut engine = None;
        if presence & ENGINE != 0 {
            let (&number, left) = rest.split_first()?;
            (engine, *rest) = (Some(number), left);
        }
        let cseq_offset = if presence & CSEQ != 0 { varint::unzigzag(varint::read(rest)?) } else { 0 };
        let back_offset = if more & BACK != 0 { varint::unzigzag(varint::read(rest)?) } else { 0 };
        let fields = LegState {
            near,
            hold: match presence >> HOLD_SHIFT & 3 {
                0 => Hold::None,
                1 => Hold::Near,
                2 => Hold::Far,
                _ => Hold::Both,
            },
            emergency: more & EMERGENCY != 0,
            created,
            far,
            tenant,
            site,
            engine,
            hidden: more & HIDDEN != 0,
            cseq_offset,
            back_offset,
            ..LegState::default()
        };
        Some((fields, Named(more)))
    }

    /// The state with its texts, of which there are no more and no fewer.
    pub(super) fn with_texts<'t>(
        self,
        Named(named): Named,
        texts: &mut impl Iterator<Item = &'t [u8]>,
    ) -> Option<LegState<'t>>
    where
        'a: 't,
    {
        let mut text = |present: bool| if present { texts.next().map(Some) } else { Some(None) };
        let call_id = text(named & CALL_ID != 0)?;
        let from_tag = text(named & FROM_TAG != 0)?;
        let to_tag = text(named & TO_TAG != 0)?;
        let target = texts.next()?;
        Some(LegState { call_id, from_tag, to_tag, target, routes: Routes::of(texts).ok()?, ..self })
    }
}

/// Which texts stand before the target: the second byte of presence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named(u8);
