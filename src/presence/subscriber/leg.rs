//! One dialog of a subscription: a notifier that answered the SUBSCRIBE (RFC 6665 section 4.4).

use super::entity::Entity;
use crate::sip::{Message, NameAddr};
use crate::transaction::Moment;

/// Notifiers of one subscription that are listened to; more are refused with 481 (RFC 6665 section 4.1.2.4).
pub(super) const MAX_LEGS: usize = 4;

/// Entries of a route set that are kept.
const MAX_ROUTE: usize = 16;

#[derive(Debug)]
pub(super) struct Leg {
    /// The notifier's tag.
    pub(super) tag: Box<str>,
    /// The notifier's Contact: where requests inside the dialog go.
    pub(super) target: Box<str>,
    /// The route set (RFC 3261 section 12.1.1: this end is the one that was called, so in order).
    pub(super) route: Option<Box<[Box<str>]>>,
    /// CSeq of the last NOTIFY that was taken.
    pub(super) heard: u32,
    pub(super) ends: Moment,
    /// When the next SUBSCRIBE is due, or when one that is under way is given up.
    pub(super) refresh: Moment,
    /// The number of the SUBSCRIBE that is under way; 0: none is.
    pub(super) ask: u32,
    /// Whether a version was missing, so that full state must be asked for, and whether it was.
    pub(super) wants_full: bool,
    pub(super) asked_full: bool,
    /// How often full state was asked for in a row.
    pub(super) resyncs: u8,
    pub(super) entity: Entity,
}

impl Leg {
    /// The dialog that a NOTIFY makes; `None`: the message has no Contact that can be asked.
    pub(super) fn new(notify: &Message, tag: &str, entity: Entity) -> Option<Self> {
        let target = contact(notify)?;
        let routes = notify.record_routes().filter_map(Result::ok).take(MAX_ROUTE);
        let route: Box<[Box<str>]> = routes.filter_map(|route| written(&route)).collect();
        Some(Self {
            tag: tag.into(),
            target,
            route: (!route.is_empty()).then_some(route),
            heard: 0,
            ends: Moment::START,
            refresh: Moment::START,
            ask: 0,
            wants_full: false,
            asked_full: false,
            resyncs: 0,
            entity,
        })
    }

    /// Where a later NOTIFY says the notifier is now (RFC 3261 section 12.2.2: target refresh).
    pub(super) fn retarget(&mut self, notify: &Message) {
        if let Some(target) = contact(notify)
            && target != self.target
        {
            self.target = target;
        }
    }

    /// The end of the subscription and the time of its refresh.
    pub(super) fn renew(&mut self, ends: Moment, refresh: Moment) {
        self.ends = ends;
        self.refresh = refresh;
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let routes = self.route.iter().flatten().map(|route| route.len() + 16).sum::<usize>();
        self.tag.len() + self.target.len() + routes + self.entity.heap_bytes()
    }
}

fn contact(message: &Message) -> Option<Box<str>> {
    let contact = message.contacts().next()?.ok()?;
    contact.uri().ok().filter(crate::sip::Uri::is_routable)?;
    Some(std::str::from_utf8(contact.uri).ok()?.into())
}

fn written(route: &NameAddr<'_>) -> Option<Box<str>> {
    let params = std::str::from_utf8(route.params).ok()?;
    Some(format!("<{}>{params}", std::str::from_utf8(route.uri).ok()?).into())
}
