//! Owned legs: the edge stands between two dialogs, and each side sees nothing but the edge.
//!
//! What goes from one leg to the other is still one request, edited: Call-ID, Contact, Via, routes and host names are
//! those of the leg, tags and bodies pass. The state is in the two Contacts that the edge made ([`super::seal`]), not in
//! memory. A token holds the far side's target and routes, and behind an empty value those of the side that has the
//! token: a target refresh makes the other side's token anew and has to name them there. Where they have no room in a
//! token, or are known only after it was made (the callee's, from its 2xx), they are in the call store
//! ([`super::stored`]), and so is the whole state when it does not fit.

mod answer;
mod contact;
pub mod cseq;
mod dialog;
pub(super) mod hosts;
mod refer_to;
mod request;

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::command::Command;
use super::dialect::media;
use super::edge::Edge;
use super::live::learn;
use super::probe::PRODUCT;
use super::seal::{
    Bound, CallIdError, KeyId, KeyRing, LegState, OpenError, Routes, SealError, Side, TokenRoom, TooManyRoutes,
};
use super::stored::{Room, Shelf, StoreKey};
use crate::routing::{Site, SiteMark};
use crate::sdp::Outline;
use crate::sip::session_expires::is_of_session_timer;
use crate::sip::{Edits, HeaderName, Line, Message, Span};
use crate::trunk::{TrunkId, TrunkKind};

pub use answer::Back;
pub use contact::write_contact;
pub use dialog::Dialog;

/// How often one call may pass the edge: each time the Call-ID of the time before is sealed.
pub const MAX_PASSES: u16 = 4;

/// Legs that the edge adds to a call that is up have numbers of their own: so many more for each.
pub const LEG_STEP: u16 = 0x100;

/// How often a call had passed when the leg of this number was made.
const fn passes(leg: u16) -> u16 {
    leg % LEG_STEP
}

/// Names the edge's maker towards Teams; other sides need not know.
fn add_product(message: &Message, edge: &Edge, to: TrunkId, edits: &mut Edits) {
    if edge.trunk(to).is_some_and(|trunk| trunk.kind == TrunkKind::Teams) {
        edits.insert(message.header_block().end, PRODUCT.as_bytes());
    }
}

/// How a request crosses from one leg to the other.
#[derive(Clone, Debug)]
pub struct Crossing {
    /// The key of the dialog.
    pub key: KeyId,
    /// What the sender of the request is in the call.
    pub near: Side,
    /// The dialog that the request is in; `None`: it begins one, or is outside of any.
    pub dialog: Option<Arc<Dialog>>,
    /// Of an INVITE that the edge makes in the name of a side of a call that is up.
    pub behalf: Option<Arc<Behalf>>,
    /// The caller of the dialog that begins hides who calls (RFC 3323): later requests must not tell.
    pub hidden: bool,
    /// The request is of a call for help.
    pub emergency: bool,
    /// The session description in the request, as it came.
    pub offer: Option<Outline>,
    /// A number by which that description is known again.
    pub mark: u64,
    /// How often the edge has sent the request anew under a CSeq number of its own.
    pub shift: u8,
}

/// What a side in whose name the edge sends an INVITE is in its own dialog, which is to lead to whoever answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behalf {
    /// The number of the leg that it begins, in its sealed Call-ID; not that of a leg that the call has.
    pub leg: u16,
    /// The tag by which it knows its peer, and will go on to know the next one.
    pub known_as: Box<[u8]>,
    /// The site under whose name it knows the edge.
    pub site: Option<SiteMark>,
    /// What is added to the next peer's CSeq numbers on its leg.
    pub back_offset: i32,
}

impl Crossing {
    /// Of a request outside of a dialog.
    pub fn begin(ring: &KeyRing, call_id: &[u8]) -> Self {
        let passed = ring.open_call_id(call_id, &mut Vec::new());
        let leg = passed.map_or(0, |passed| passes(passed.leg).saturating_add(1));
        Self::of(ring.current(), Side::Caller { leg })
    }

    /// Of an INVITE that the edge makes in the name of a side, which adds a leg to its call.
    pub fn added(ring: &KeyRing, behalf: Arc<Behalf>) -> Self {
        Self { behalf: Some(Arc::clone(&behalf)), ..Self::of(ring.current(), Side::Caller { leg: behalf.leg }) }
    }

    const fn of(key: KeyId, near: Side) -> Self {
        Self { key, near, dialog: None, behalf: None, hidden: false, emergency: false, offer: None, mark: 0, shift: 0 }
    }

    /// Of a request inside a dialog.
    pub fn inside(dialog: Arc<Dialog>) -> Self {
        Self { hidden: dialog.hidden, dialog: Some(Arc::clone(&dialog)), ..Self::of(dialog.key, dialog.near) }
    }

    /// The same with what of the request has to be known when its answer comes.
    #[must_use]
    pub fn carrying(self, request: &Message, emergency: bool) -> Self {
        let mark = learn::mark_of(learn::sdp_of(request));
        let emergency = emergency || self.dialog.as_ref().is_some_and(|dialog| dialog.emergency);
        Self { emergency, offer: media::said_in(request), mark, ..self }
    }

    /// What is added to the near side's CSeq numbers on the far leg.
    pub fn cseq_offset(&self) -> i32 {
        let offset = self.dialog.as_ref().map_or(0, |dialog| dialog.cseq_offset);
        offset.saturating_add(i32::from(self.shift))
    }

    /// The same under the next CSeq number of the far leg.
    #[must_use]
    pub fn shifted(self) -> Self {
        Self { shift: self.shift.saturating_add(1), ..self }
    }

    /// Whether the call has come by more often than any call should.
    pub const fn is_loop(&self) -> bool {
        matches!(self.near, Side::Caller { leg } if passes(leg) >= MAX_PASSES) && self.dialog.is_none()
    }
}

/// Why a call's state could not be put into the edge's own URIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSealed {
    #[error("the call store is full")]
    StoreFull,
    #[error("Contact and route set are too long even for the call store")]
    Contact,
    #[error("the route set has too many values")]
    Routes,
    #[error("the key has gone or the cipher failed")]
    Fault,
}

impl NotSealed {
    /// All reasons, in the order of the counters.
    pub const ALL: [Self; 4] = [Self::StoreFull, Self::Contact, Self::Routes, Self::Fault];

    /// A short name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StoreFull => "store-full",
            Self::Contact => "contact",
            Self::Routes => "routes",
            Self::Fault => "fault",
        }
    }
}

impl From<CallIdError> for NotSealed {
    fn from(_: CallIdError) -> Self {
        Self::Fault
    }
}

impl From<SealError> for NotSealed {
    fn from(error: SealError) -> Self {
        match error {
            SealError::DoesNotFit(_) => Self::Contact,
            _ => Self::Fault,
        }
    }
}

impl From<TooManyRoutes> for NotSealed {
    fn from(TooManyRoutes: TooManyRoutes) -> Self {
        Self::Routes
    }
}

/// Why a token that came back was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    Version,
    Key,
    Dialog,
    Trunk,
    Altered,
    Age,
    Content,
    /// The call store has nothing under its key.
    Store,
    /// It stands in a Record-Route and no key proves it.
    RecordRoute,
}

impl Refused {
    /// All reasons, in the order of the counters.
    pub const ALL: [Self; 9] = [
        Self::Version,
        Self::Key,
        Self::Dialog,
        Self::Trunk,
        Self::Altered,
        Self::Age,
        Self::Content,
        Self::Store,
        Self::RecordRoute,
    ];

    /// A short name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Key => "key",
            Self::Dialog => "dialog",
            Self::Trunk => "trunk",
            Self::Altered => "altered",
            Self::Age => "age",
            Self::Content => "content",
            Self::Store => "store",
            Self::RecordRoute => "record-route",
        }
    }

    /// The reason; `None`: it is no token at all.
    const fn of(error: OpenError) -> Option<Self> {
        Some(match error {
            OpenError::NotSealed => return None,
            OpenError::UnknownVersion(_) => Self::Version,
            OpenError::UnknownKey(_) => Self::Key,
            OpenError::OtherDialog => Self::Dialog,
            OpenError::OtherTrunk => Self::Trunk,
            OpenError::Altered => Self::Altered,
            OpenError::TooOld(_) => Self::Age,
            OpenError::Malformed => Self::Content,
            OpenError::NotStored => Self::Store,
        })
    }
}

/// Route values of one side.
type Values<'a> = SmallVec<[&'a [u8]; 8]>;

/// What is sealed into a Contact, and where that stands.
struct Sealing<'a> {
    ring: &'a KeyRing,
    key: KeyId,
    bound: Bound<'a>,
    /// `host:port;transport=tls` of the edge towards the side that gets the Contact.
    own: &'a [u8],
    state: LegState<'a>,
    /// Of the side that the token leads to.
    far: Values<'a>,
    /// Of the side that gets the Contact.
    near: Values<'a>,
    /// The tag of the side that gets the Contact, as far as it is known.
    tag: Option<&'a [u8]>,
    /// The Call-ID of the caller's leg.
    call: &'a [u8],
    /// The call is answered.
    up: bool,
}

impl Sealing<'_> {
    /// Puts the Contact in the place of a message's own one, and takes that away when there is no room.
    fn edit(&self, message: &Message, edits: &mut Edits, shelf: &mut Shelf) -> Result<(), NotSealed> {
        let mut lines = message.lines_of(HeaderName::Contact);
        let Some(line) = lines.next() else { return Ok(()) };
        lines.for_each(|line| edits.remove_line(line));
        let mut sealed = Ok(());
        edits.replace_with(Span { start: line.start, end: line.next }, |out| sealed = self.write(out, shelf));
        sealed
    }

    /// Writes the Contact, or nothing.
    fn write(&self, out: &mut Vec<u8>, shelf: &mut Shelf) -> Result<(), NotSealed> {
        let start = out.len();
        out.extend_from_slice(b"Contact: <sip:");
        let sealed = self.token(out, shelf);
        match sealed {
            Ok(()) => {
                out.push(b'@');
                out.extend_from_slice(self.own);
                out.extend_from_slice(b">\r\n");
            }
            Err(_) => out.truncate(start),
        }
        sealed
    }

    /// Writes the token: all of the state; or the state less the routes of the side that gets it, which go to the store
    /// when it can have them; or the key of all of it in the store.
    fn token(&self, out: &mut Vec<u8>, shelf: &mut Shelf) -> Result<(), NotSealed> {
        let room = TokenRoom::beside(self.own.len());
        let whole = self.state(true);
        if let Ok(whole) = &whole
            && self.fits(whole, room, out)?
        {
            return Ok(());
        }
        let less = self.state(false)?;
        if !self.near.is_empty() && self.fits(&less, room, out)? {
            self.keep_near(&self.near, self.bound, self.tag, shelf);
            return Ok(());
        }
        if shelf.room == Room::None {
            return Err(NotSealed::StoreFull);
        }
        let state = whole.as_ref().unwrap_or(&less);
        let stored = self.ring.seal_stored(self.key, state, self.bound);
        let (item, bytes) = stored.or_else(|_| self.ring.seal_stored(self.key, &less, self.bound))?;
        let key = StoreKey { call: self.mark(), item };
        self.ring.seal_store_key(self.key, key, self.bound, room, out)?;
        self.keep(key, bytes, shelf);
        Ok(())
    }

    fn state(&self, whole: bool) -> Result<LegState<'_>, NotSealed> {
        let separator: &[u8] = b"";
        let near = std::iter::once(separator).chain(self.near.iter().copied());
        let near = near.filter(|_| whole && !self.near.is_empty());
        let routes = Routes::of(self.far.iter().copied().chain(near))?;
        Ok(LegState { routes, ..self.state })
    }

    /// Whether the state itself went into the token.
    fn fits(&self, state: &LegState<'_>, room: TokenRoom, out: &mut Vec<u8>) -> Result<bool, NotSealed> {
        match self.ring.seal_leg(self.key, state, self.bound, room, out) {
            Ok(()) => Ok(true),
            Err(SealError::DoesNotFit(_) | SealError::Nul) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the route set of a side whose token does not hold it. A call can do without: a refresh that does not name
    /// it is all that misses it.
    fn keep_near(&self, routes: &[&[u8]], bound: Bound<'_>, tag: Option<&[u8]>, shelf: &mut Shelf) {
        if shelf.room < Room::Ample {
            return;
        }
        let item = tag.and_then(|tag| self.ring.routes_item(self.key, bound.call_id, tag));
        if let (Some(item), Ok(bytes)) = (item, self.ring.seal_routes(self.key, routes, bound)) {
            self.keep(StoreKey { call: self.mark(), item }, bytes, shelf);
        }
    }

    fn keep(&self, key: StoreKey, bytes: Vec<u8>, shelf: &mut Shelf) {
        shelf.put(Command::Store { key, bytes: bytes.into() });
        if self.up {
            shelf.put(Command::CallUp { call: key.call });
        }
    }

    fn mark(&self) -> u64 {
        self.ring.call_mark(self.key, self.call).unwrap_or_default()
    }
}

/// The site under whose name a side knows the edge.
pub(super) fn site_of<'e>(edge: &'e Edge, from: TrunkId, host: &[u8]) -> Option<&'e Site> {
    edge.routing.site(host).filter(|site| site.teams == from).map(|site| &**site)
}

/// The mark of a trunk in tokens.
pub fn mark(edge: &Edge, trunk: TrunkId) -> u32 {
    edge.face(trunk).map_or(0, |face| face.mark)
}

/// Minutes since 1970.
fn minutes(unix: u64) -> u32 {
    u32::try_from(unix / 60).unwrap_or(u32::MAX)
}

/// Whether [`super::live`] learns from a header, or answers need it.
fn is_learned(request: &Message, line: &Line) -> bool {
    let name = request.name_at(line);
    line.name == HeaderName::Other && (is_of_session_timer(name) || name.eq_ignore_ascii_case(b"Allow"))
}

/// What is needed of a request once it cannot be sent on any more: its head, less the headers that no answer copies and
/// that tell nothing of the side that sent it.
pub fn digest(request: &Message) -> Bytes {
    let kept = |name: HeaderName| {
        matches!(
            name,
            HeaderName::Via
                | HeaderName::RecordRoute
                | HeaderName::From
                | HeaderName::To
                | HeaderName::CallId
                | HeaderName::CSeq
                | HeaderName::Contact
                | HeaderName::Supported
                | HeaderName::Require
        )
    };
    let lines = || request.lines().iter().filter(|line| kept(line.name) || is_learned(request, line));
    let start = request.at(Span { start: 0, end: request.header_block().start });
    let len: usize = lines().map(|line| usize::from(line.next - line.start)).sum();
    let mut out = Vec::with_capacity(start.len() + len + 2);
    out.extend_from_slice(start);
    for line in lines() {
        out.extend_from_slice(request.at(Span { start: line.start, end: line.next }));
    }
    out.extend_from_slice(b"\r\n");
    out.into()
}
