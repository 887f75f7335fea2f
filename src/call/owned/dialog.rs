//! A dialog as the token in the Request-URI says it is: where a request in it goes on to.

use super::super::seal::{Bound, Content, Freshness, Hold, KeyId, LegState, MAX_CALL_ID, OpenError, Opened, Side};
use super::super::{Counts, Env};
use super::{Refused, mark, minutes};
use crate::call::screen::Refusal;
use crate::routing::SiteMark;
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
    /// It does not follow from that of the near leg, so that the far side's token must name the near one as well.
    pub call_id_named: bool,
    /// The near side's tag on the far leg, where it is another than on the near one.
    pub from_tag: Option<Box<[u8]>>,
    /// The far side's tag on its own leg, where it is another than on the near one.
    pub to_tag: Option<Box<[u8]>>,
    /// Texts that were read already, target, routes of the far side, and behind an empty one those of the near side,
    /// each ended by NUL but the last.
    text: Vec<u8>,
    /// How many texts stand before the target.
    before: usize,
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
        let opened = env.secrets.ring.open(user, bound, freshness, &mut text);
        let refusal = match opened {
            Ok(Opened { key, content: Content::Leg(state) }) => {
                let (dialog, before) = Self::of_state(key, &state);
                match (Self { text, before, ..dialog }).with_call_id(env, essentials.call_id) {
                    Ok(dialog) => return Ok(Some(dialog)),
                    Err(refused) => refused,
                }
            }
            Ok(Opened { content: Content::StoreKey(_), .. }) => Refused::Content,
            Err(error) => {
                if error != OpenError::NotSealed {
                    tracing::debug!(%error, "a token was refused");
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

    /// All but the texts, and how many of these stand before the target.
    fn of_state(key: KeyId, state: &LegState<'_>) -> (Self, usize) {
        let before = [state.call_id, state.from_tag, state.to_tag].iter().flatten().count();
        let mut call_id = Vec::with_capacity(MAX_CALL_ID);
        call_id.extend_from_slice(state.call_id.unwrap_or_default());
        let dialog = Self {
            key,
            near: state.near,
            far_side: Side::Callee,
            far: state.far,
            hold: state.hold,
            emergency: state.emergency,
            site: state.tenant.zip(state.site).map(|(tenant, site)| SiteMark { tenant, site }),
            engine: state.engine,
            hidden: state.hidden,
            cseq_offset: state.cseq_offset,
            back_offset: state.back_offset,
            call_id,
            call_id_named: state.call_id.is_some(),
            from_tag: state.from_tag.map(Box::from),
            to_tag: state.to_tag.map(Box::from),
            text: Vec::new(),
            before: 0,
        };
        (dialog, before)
    }

    fn with_call_id(mut self, env: &Env<'_>, near: &[u8]) -> Result<Self, Refused> {
        let ring = &env.secrets.ring;
        match self.near {
            // Only that it was called is told of the far side: no Call-ID of it is ever opened.
            Side::Callee if self.call_id_named => self.far_side = Side::Caller { leg: 0 },
            Side::Caller { .. } if self.call_id_named => {}
            Side::Caller { leg } => {
                let sealed = ring.seal_call_id(self.key, near, leg, &mut self.call_id);
                sealed.map_err(|_| Refused::Dialog)?;
            }
            Side::Callee => {
                let opened = ring.open_call_id(near, &mut self.call_id).ok_or(Refused::Dialog)?;
                self.far_side = Side::Caller { leg: opened.leg };
            }
        }
        Ok(self)
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
        self.text.split(|&byte| byte == 0).skip(self.before)
    }
}
