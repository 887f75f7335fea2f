//! A dialog as the token in the Request-URI says it is: where a request in it goes on to.

use smallvec::SmallVec;

use super::super::live::{End, LiveCall, LiveId, Lives};
use super::super::seal::{
    Bound, Content, Form, Freshness, Hold, KeyId, LegState, MAX_CALL_ID, OpenError, Opened, Side, name_of,
};
use super::super::stored::StoreKey;
use super::super::{CallId, Counts, Env};
use super::{Refused, mark, minutes};
use crate::call::screen::Refusal;
use crate::routing::SiteMark;
use crate::sip::scan::Values;
use crate::sip::{Essentials, NameAddr, Uri, What};
use crate::trunk::TrunkId;

/// Tokens have this many characters at the least; telephone numbers fewer.
const FEWEST: usize = 40;

/// Bytes of target and routes that hardly any dialog passes.
const USUAL: usize = 256;

/// One direction of a call between owned legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// The key that it began with.
    pub key: KeyId,
    /// What the side is that sends requests this way.
    pub near: Side,
    /// What the side is that gets them.
    pub far_side: Side,
    /// The mark of the trunk of that side.
    pub far: u32,
    pub hold: Hold,
    /// It is a call for help.
    pub emergency: bool,
    /// The call, where it is remembered, and the end of it that sends requests this way.
    pub live: Option<(LiveId, End)>,
    /// The site under whose name the far side knows the edge.
    pub site: Option<SiteMark>,
    pub engine: Option<u8>,
    /// Who has called hides.
    pub hidden: bool,
    /// What is added to the near side's CSeq numbers on the far leg.
    pub cseq_offset: i32,
    /// The same for the far side's on the near leg, as far as it is known.
    pub back_offset: i32,
    /// The Call-ID of the far leg.
    pub call_id: Vec<u8>,
    /// The Call-ID of the far leg does not follow from that of the near one: the near side's token names it.
    pub call_id_named: bool,
    /// That of the near leg does not follow from that of the far one: the far side's token must name it.
    pub near_call_id_named: bool,
    /// The near side's tag on the far leg, where it is another than on the near one.
    pub from_tag: Option<Box<[u8]>>,
    /// The far side's tag on its own leg, where it is another than on the near one.
    pub to_tag: Option<Box<[u8]>>,
    /// The side of a live call whose place the sender takes (RFC 3891).
    pub joins: Option<(LiveId, End)>,
    /// Texts, each ended by NUL but the last. The first ones were read already; those that `lengths` are of are the
    /// target, the routes of the far side, and behind an empty one those of the near side.
    text: Vec<u8>,
    /// Where the target begins.
    start: usize,
    lengths: SmallVec<[u16; 6]>,
}

impl Dialog {
    /// Opens the token in the Request-URI of a request from a trunk; `None` when there is none.
    ///
    /// # Errors
    /// The answer that a token deserves which is not taken.
    pub fn open(
        env: &Env<'_>,
        counts: &mut Counts,
        from: TrunkId,
        essentials: &Essentials<'_>,
    ) -> Result<Option<Self>, Refusal> {
        let Some(user) = essentials.uri.user else { return Ok(None) };
        let max_age = minutes(env.edge.seal_max_age.as_secs());
        let freshness = Freshness { now: minutes(env.unix), max_age };
        let bound = Bound { call_id: essentials.call_id, trunk: mark(env.edge, from) };
        // What is no token asks for no memory here, and one asks once.
        let mut text = Vec::new();
        if user.len() >= FEWEST {
            text.reserve_exact(USUAL);
        }
        let ring = &env.secrets.ring;
        let opened = ring.open(user, bound, freshness, &mut text).map(|opened| match opened {
            Opened { key, content: Content::Leg(state) } => Ok(Self::of_state(key, &state)),
            Opened { content: Content::StoreKey(key), .. } => Err(key),
        });
        let opened = opened.and_then(|opened| match opened {
            Ok(dialog) => Ok(dialog),
            Err(key) => {
                let record = env.store.state(key).ok_or(OpenError::NotStored)?;
                let (key, state) = ring.open_stored(&record, bound, freshness, &mut text)?;
                Ok(Self::of_state(key, &state))
            }
        });
        let refusal = match opened {
            Ok(dialog) => match (Self { text, ..dialog }).with_call_id(env, essentials.call_id) {
                Ok(dialog) => return Ok(Some(dialog.with_near_routes(env, bound, essentials.from_tag))),
                Err(refused) => refused,
            },
            Err(error) => {
                if error != OpenError::NotSealed {
                    tracing::debug!(call = %CallId::of(env.secrets, essentials.call_id), %error, "a token was refused");
                }
                match Refused::of(error) {
                    Some(refused) => refused,
                    None => return Ok(None),
                }
            }
        };
        counts.tokens_refused.add(refusal as usize);
        Err(match refusal {
            Refused::Trunk => Refusal::new(403, "Not Your Dialog"),
            _ => Refusal::new(481, "Call/Transaction Does Not Exist"),
        })
    }

    /// That of the side which stays in a call when the sender of an INVITE takes the place of the side `end`. The offsets
    /// are those of the sender's CSeq numbers and of the other side's.
    pub fn joining(call: &LiveCall, (id, end): (LiveId, End), (offset, back_offset): (i32, i32)) -> Self {
        let stays = call.leg(end.other());
        let mut text = stays.target.to_vec();
        // Texts have fewer bytes than a message may.
        let mut lengths = SmallVec::from_elem(text.len() as u16, 1);
        for route in Values::new(&stays.routes).filter_map(Result::ok).filter(|route| !route.is_empty()) {
            text.push(0);
            text.extend_from_slice(route);
            lengths.push(route.len() as u16);
        }
        Self {
            key: call.key,
            // As in a call that is made so: whoever stays counts as its caller.
            near: Side::Callee,
            far_side: Side::Caller { leg: 0 },
            far: stays.mark,
            hold: Hold::None,
            site: stays.site,
            engine: call.engine,
            emergency: call.emergency,
            // What the sender says is not what the side has said whose place it takes.
            live: None,
            hidden: false,
            cseq_offset: offset,
            back_offset,
            call_id: stays.call_id.to_vec(),
            call_id_named: true,
            near_call_id_named: true,
            from_tag: Some(stays.own_tag().into()),
            to_tag: Some(stays.peer_tag().into()),
            joins: Some((id, end)),
            text,
            start: 0,
            lengths,
        }
    }

    /// All but the texts.
    fn of_state(key: KeyId, state: &LegState<'_>) -> Self {
        let before = [state.call_id, state.from_tag, state.to_tag];
        let mut call_id = Vec::with_capacity(MAX_CALL_ID);
        call_id.extend_from_slice(state.call_id.unwrap_or_default());
        // Texts have fewer bytes than a message may.
        let texts = std::iter::once(&state.target).chain(state.routes.values());
        Self {
            key,
            near: state.near,
            far_side: Side::Callee,
            far: state.far,
            hold: state.hold,
            emergency: state.emergency,
            live: None,
            site: state.tenant.zip(state.site).map(|(tenant, site)| SiteMark { tenant, site }),
            engine: state.engine,
            hidden: state.hidden,
            cseq_offset: state.cseq_offset,
            back_offset: state.back_offset,
            call_id,
            call_id_named: state.call_id.is_some(),
            near_call_id_named: false,
            from_tag: state.from_tag.map(Box::from),
            to_tag: state.to_tag.map(Box::from),
            joins: None,
            text: Vec::new(),
            start: before.into_iter().flatten().map(|text| text.len() + 1).sum(),
            lengths: texts.map(|text| text.len() as u16).collect(),
        }
    }

    fn with_call_id(mut self, env: &Env<'_>, near: &[u8]) -> Result<Self, Refused> {
        let ring = &env.secrets.ring;
        match self.near {
            Side::Caller { .. } if self.call_id_named => self.near_call_id_named = true,
            Side::Caller { leg } => {
                let form = ring.seal_call_id(self.key, near, leg, &mut self.call_id).map_err(|_| Refused::Dialog)?;
                self.near_call_id_named = form == Form::Digest;
            }
            Side::Callee if self.call_id_named => {
                let mut name = Vec::new();
                let opened = ring.open_call_id(near, &mut name).filter(|_| name == *name_of(&self.call_id));
                self.near_call_id_named = opened.is_none();
                self.far_side = Side::Caller { leg: opened.map_or(0, |opened| opened.leg) };
            }
            Side::Callee => {
                let opened = ring.open_call_id(near, &mut self.call_id).ok_or(Refused::Dialog)?;
                if opened.form == Form::Digest {
                    return Err(Refused::Dialog);
                }
                self.far_side = Side::Caller { leg: opened.leg };
            }
        }
        Ok(self)
    }

    /// The description that the near or the far side gave last, where the call is remembered.
    pub fn spoken<'l>(&self, lives: &'l Lives, near: bool) -> Option<&'l [u8]> {
        let (id, end) = self.live?;
        let leg = lives.get(id)?.leg(if near { end } else { end.other() });
        Some(&*leg.sdp).filter(|sdp| !sdp.is_empty())
    }

    /// Adds the near side's route set from the call store, where the token does not tell it. `near` is where that side
    /// presents its tokens.
    fn with_near_routes(mut self, env: &Env<'_>, near: Bound<'_>, tag: Option<&[u8]>) -> Self {
        if env.store.is_empty() || self.lengths.iter().skip(1).any(|&length| length == 0) {
            return self;
        }
        let ring = &env.secrets.ring;
        let call = ring.call_mark(self.key, self.callers_call_id(near.call_id));
        let item = tag.and_then(|tag| ring.routes_item(self.key, near.call_id, tag));
        let key = call.zip(item).map(|(call, item)| StoreKey { call, item });
        if let Some(record) = key.and_then(|key| env.store.state(key)) {
            let (text, lengths) = (&mut self.text, &mut self.lengths);
            let mut add = |value: &[u8]| {
                text.push(0);
                text.extend_from_slice(value);
                lengths.push(value.len() as u16);
            };
            let mut first = true;
            ring.open_routes(&record, near, |value| {
                if std::mem::take(&mut first) {
                    add(b"");
                }
                add(value);
            });
        }
        self
    }

    /// The Call-ID of the caller's leg, where `near` is that of the near one.
    pub fn callers_call_id<'s>(&'s self, near: &'s [u8]) -> &'s [u8] {
        match self.near {
            Side::Caller { .. } => near,
            Side::Callee => &self.call_id,
        }
    }

    /// The URI of the far side's Contact.
    pub fn target(&self) -> &[u8] {
        self.values().next().unwrap_or_default()
    }

    /// The far side's route set, in the order of a Route header.
    pub fn routes(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.values().skip(1).take_while(|value| !value.is_empty())
    }

    /// The near side's route set, as far as it is known.
    pub fn near_routes(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.values().skip(1).skip_while(|value| !value.is_empty()).skip(1)
    }

    /// The first route, when it is one of a strict router (RFC 3261 section 12.2.1.1).
    pub fn strict_route(&self) -> Option<Uri<'_>> {
        let first = NameAddr::parse(self.routes().next()?).ok()?.uri().ok()?;
        (!first.is_loose()).then_some(first)
    }

    /// Where requests go next: the first route, or the target when there is none.
    ///
    /// # Errors
    /// [`What::Uri`] for a Contact or route that cannot be read.
    pub fn next_uri(&self) -> Result<Uri<'_>, What> {
        match self.routes().next() {
            Some(route) => NameAddr::parse(route)?.uri(),
            None => Uri::parse(self.target()),
        }
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut at = self.start;
        self.lengths.iter().map(move |&length| {
            let (start, end) = (at, at + usize::from(length));
            at = end + 1;
            self.text.get(start..end).unwrap_or_default()
        })
    }
}
