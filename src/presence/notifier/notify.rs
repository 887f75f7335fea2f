//! NOTIFY requests.

use std::fmt::Write as _;

use bytes::Bytes;

use super::documents;
use super::subscription::Subscription;
use super::wish::Package;
use crate::presence::View;
use crate::presence::agent::{Ask, CONTACT_MARK, Ticket, Verb};
use crate::presence::cells::CellKey;
use crate::transaction::Moment;

/// The user part of the edge's Contact in a subscription's dialog.
pub(super) fn contact_user(key: CellKey) -> String {
    format!("{CONTACT_MARK}n-{:x}", key.to_bits())
}

/// The NOTIFY with the state of now; `ended` has the reason when it is the last.
pub(super) fn request(
    now: Moment,
    subscription: &mut Subscription,
    key: CellKey,
    tag: &str,
    view: &View,
    lit: bool,
    ended: Option<&'static str>,
) -> Ask {
    let cseq = subscription.next_cseq();
    let body = match ended {
        // The watcher is to learn nothing of a user who has gone or whom it may not watch.
        Some("noresource" | "rejected") => None,
        _ => Some((subscription.package.content_type(), document(subscription, view, lit))),
    };
    let (uri, route) = subscription.dialog.way();
    Ask {
        ticket: Ticket::Notifier(key.to_bits()),
        trunk: subscription.dialog.trunk,
        verb: Verb::Notify,
        uri,
        from: format!("{};tag={tag}", subscription.dialog.local),
        to: subscription.dialog.remote.to_string(),
        call_id: subscription.dialog.call_id.clone(),
        cseq,
        contact_user: contact_user(key),
        route,
        headers: vec![("Event", event(subscription)), ("Subscription-State", state(now, subscription, ended))],
        body,
        flow: Some(subscription.dialog.flow),
    }
}

fn document(subscription: &mut Subscription, view: &View, lit: bool) -> Bytes {
    match subscription.package {
        Package::Presence => documents::presence(&subscription.entity, view),
        Package::Dialog => {
            let version = subscription.version;
            // RFC 4235 section 4.1: within 32 bits; a subscription would have to live for 136 years of seconds.
            subscription.version = version.wrapping_add(1);
            documents::dialog(&subscription.entity, version, lit)
        }
    }
}

fn event(subscription: &Subscription) -> String {
    let word = subscription.package.word();
    subscription.event_id.as_ref().map_or_else(|| word.to_owned(), |id| format!("{word};id={id}"))
}

fn state(now: Moment, subscription: &Subscription, ended: Option<&'static str>) -> String {
    if let Some(reason) = ended {
        return format!("terminated;reason={reason}");
    }
    let mut state = format!("active;expires={}", subscription.expires_at.since(now).as_secs());
    if !subscription.min_interval.is_zero() {
        // RFC 6446 section 5.2: the interval that is in use. Writing to a String cannot fail.
        let _ = write!(state, ";min-interval={}", subscription.min_interval.as_secs_f32());
    }
    state
}
