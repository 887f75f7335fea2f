//! SUBSCRIBE requests and what comes of them.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::backoff::Verdict;
use super::leg::{Leg, MAX_LEGS};
use super::names;
use super::notify::min_expires;
use super::pace::Rank;
use super::rlmi;
use super::subscription::{Stage, Subscription};
use super::{Output, Package, Subscriber};
use crate::presence::agent::{Ask, Outcome, Reply, Say, Ticket, Verb};
use crate::presence::{TenantKey, dialog_info};
use crate::sip::Message;
use crate::transaction::Moment;

/// Whom the edge says it is: the user part of From.
const OWN_USER: &str = "trunkway";

/// Media type of what the `presence` package is told in (RFC 3863 section 6).
pub(super) const PIDF: &str = "application/pidf+xml";

/// The longest that an answer is waited for: the agent answers far earlier (RFC 3261 timer F), but nothing waits for ever.
const ANSWER: Duration = Duration::from_secs(120);

/// How long a first NOTIFY is waited for (RFC 6665 section 4.1.2.4: timer N, 64*T1), and the goodbye to a subscription.
const TIMER_N: Duration = Duration::from_secs(32);

/// How long a goodbye may stand in line.
const GOODBYE: Duration = Duration::from_secs(900);

/// Shortest time that is kept between two requests of a dialog, whatever the peer grants, in seconds.
const SHORTEST: u32 = 10;

/// The longest Min-Expires that is believed: a day.
const LONGEST_MIN: u32 = 86_400;

/// After a subscription was up for so long, the failures before it are forgotten.
const STABLE: Duration = Duration::from_secs(60);

/// Why an attempt or a dialog has come to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) verdict: Verdict,
    /// The SIP status that says so; 0: none does.
    pub(super) status: u16,
    /// What the peer wishes, in seconds.
    pub(super) retry_after: Option<u32>,
}

impl Ending {
    pub(super) const fn new(verdict: Verdict) -> Self {
        Self { verdict, status: 0, retry_after: None }
    }

    fn answered(answer: &Message) -> Self {
        let status = answer.status();
        Self { verdict: Verdict::of_status(status), status, retry_after: answer.retry_after() }
    }
}

impl Subscriber {
    /// Sends what the subscription wants now; it has waited in its trunk's line.
    pub(super) fn serve(&mut self, now: Moment, slot: u32, out: &mut Vec<Output>) {
        let Some(subscription) = self.get_mut(slot) else { return };
        subscription.queued = false;
        match subscription.stage {
            Stage::Queued => self.ask_first(now, slot, out),
            Stage::Up => self.ask_again(now, slot, out),
            Stage::Leaving { .. } => self.say_goodbye(now, slot, out),
            Stage::Resting { .. } | Stage::Asking | Stage::Accepted { .. } => {}
        }
        self.cover(now, slot);
    }

    fn ask_first(&mut self, now: Moment, slot: u32, out: &mut Vec<Output>) {
        self.ask = next_number(self.ask);
        let number = self.ask;
        let Some(subscription) = self.get_mut(slot) else { return };
        subscription.ask = number;
        subscription.ask_until = now + ANSWER;
        self.move_to(slot, Stage::Asking);
        self.send(slot, None, number, None, out);
    }

    /// Refreshes of all dialogs whose time has come.
    fn ask_again(&mut self, now: Moment, slot: u32, out: &mut Vec<Output>) {
        let legs = self.get(slot).map_or(0, |subscription| subscription.legs.len());
        for place in 0..legs {
            let number = next_number(self.ask);
            let Some(leg) = self.get_mut(slot).and_then(|subscription| subscription.legs.get_mut(place)) else {
                return;
            };
            if leg.ask != 0 || leg.refresh > now {
                continue;
            }
            leg.ask = number;
            leg.refresh = now + ANSWER;
            let full = leg.wants_full;
            leg.asked_full |= full;
            self.ask = number;
            self.counts.resyncs += u64::from(full);
            self.send(slot, Some(place), number, None, out);
        }
    }

    /// Unsubscribes all dialogs (RFC 6665 section 4.1.2.3).
    fn say_goodbye(&mut self, now: Moment, slot: u32, out: &mut Vec<Output>) {
        let legs = self.get(slot).map_or(0, |subscription| subscription.legs.len());
        for place in 0..legs {
            let number = next_number(self.ask);
            let Some(leg) = self.get_mut(slot).and_then(|subscription| subscription.legs.get_mut(place)) else { break };
            if leg.ask == 0 {
                leg.ask = number;
                self.ask = number;
                self.send(slot, Some(place), number, Some(0), out);
            }
        }
        self.move_to(slot, Stage::Leaving { until: now + TIMER_N });
    }

    fn send(&mut self, slot: u32, place: Option<usize>, number: u32, expires: Option<u32>, out: &mut Vec<Output>) {
        let names = self.names.clone();
        let Some(subscription) = self.get_mut(slot) else { return };
        subscription.cseq = subscription.cseq.wrapping_add(1);
        let call_id = names.call_id(subscription.generation, subscription.attempt);
        let tag = names.tag(subscription.generation, subscription.attempt);
        let address = names::address(&subscription.name);
        let leg = place.and_then(|place| subscription.legs.get(place));
        let to_tag = leg.map_or_else(String::new, |leg| format!(";tag={}", leg.tag));
        let route = leg.and_then(|leg| leg.route.as_deref()).unwrap_or_default();
        let ask = Ask {
            ticket: Ticket::Subscriber(u64::from(slot) << 32 | u64::from(number)),
            trunk: subscription.trunk,
            verb: Verb::Subscribe,
            uri: leg.map_or_else(|| address.clone(), |leg| leg.target.to_string()),
            from: format!("<sip:{OWN_USER}@{{local}}>;tag={tag}"),
            to: format!("<{address}>{to_tag}"),
            call_id: Arc::from(call_id),
            cseq: subscription.cseq,
            contact_user: names::contact_user(slot, subscription.generation),
            route: route.iter().map(ToString::to_string).collect(),
            headers: headers(subscription, expires),
            body: None,
            flow: None,
        };
        self.counts.subscribes += 1;
        out.push(Output::Say(Say::Ask(ask)));
    }

    pub(super) fn take_reply(&mut self, now: Moment, reply: &Reply, out: &mut Vec<Output>) {
        let Ticket::Subscriber(ticket) = reply.ticket else { return };
        let (slot, number) = ((ticket >> 32) as u32, ticket as u32);
        let Some(subscription) = self.get_mut(slot) else { return };
        let place = subscription.legs.iter().position(|leg| leg.ask == number);
        let first = subscription.ask == number;
        if number == 0 || (!first && place.is_none()) {
            return;
        }
        subscription.cseq = subscription.cseq.max(reply.cseq);
        if first {
            subscription.ask = 0;
        }
        if let Some(leg) = place.and_then(|place| subscription.legs.get_mut(place)) {
            leg.ask = 0;
        }
        match (subscription.is_leaving(), place) {
            (true, _) => self.reply_to_goodbye(now, slot, place, out),
            (false, None) => self.reply_to_first(now, slot, &reply.outcome, out),
            (false, Some(place)) => self.reply_to_refresh(now, slot, place, &reply.outcome, out),
        }
        self.cover(now, slot);
    }

    fn reply_to_goodbye(&mut self, now: Moment, slot: u32, place: Option<usize>, out: &mut Vec<Output>) {
        let Some(subscription) = self.get_mut(slot) else { return };
        match place {
            Some(place) => drop(subscription.legs.remove(place)),
            // The first SUBSCRIBE was under way when it became unwanted: what it made is given back.
            None => self.say_goodbye(now, slot, out),
        }
        self.end_leaving(slot);
    }

    /// Forgets a subscription that nobody wants, when nothing is left of it on the PBX either.
    pub(super) fn end_leaving(&mut self, slot: u32) {
        let Some(subscription) = self.get(slot) else { return };
        if subscription.is_leaving() && subscription.legs.is_empty() && subscription.ask == 0 {
            self.remove(slot);
        }
    }

    fn reply_to_first(&mut self, now: Moment, slot: u32, outcome: &Outcome, out: &mut Vec<Output>) {
        let Some(subscription) = self.get_mut(slot) else { return };
        let up = !subscription.legs.is_empty();
        match outcome {
            Outcome::Answered(answer) if (200..300).contains(&answer.status()) => {
                let granted = answer.expires().unwrap_or(subscription.expires);
                subscription.status = 0;
                subscription.granted = granted;
                let ends = now + Duration::from_secs(granted.max(SHORTEST).into());
                let later = |leg: &Leg| leg.ends > ends;
                let legs: SmallVec<[bool; MAX_LEGS]> = subscription.legs.iter().map(later).collect();
                for place in legs.iter().enumerate().filter(|(_, later)| **later).map(|(place, _)| place) {
                    self.renew(now, slot, place, granted, true);
                }
                let stage = if up { Stage::Up } else { Stage::Accepted { until: now + TIMER_N } };
                self.move_to(slot, stage);
            }
            Outcome::Answered(answer) if answer.status() == 423 && raise(subscription, min_expires(answer)) => {
                subscription.attempt += 1;
                subscription.cseq = 0;
                subscription.legs.clear();
                self.move_to(slot, Stage::Queued);
                self.queue(now, slot, Rank::Kept);
            }
            // A notifier has answered by NOTIFY, so it is up, whatever became of the answer.
            Outcome::Timeout | Outcome::Unreachable if up => self.move_to(slot, Stage::Up),
            Outcome::Answered(answer) => {
                self.fail(now, slot, Ending::answered(answer), out);
            }
            Outcome::Timeout | Outcome::Unreachable => {
                self.fail(now, slot, Ending { status: 408, ..Ending::new(Verdict::Soon) }, out)
            }
            Outcome::Full => {
                let until = now + Duration::from_secs(1) + self.chance.below(Duration::from_secs(1));
                self.restart(slot, Stage::Resting { until });
            }
        }
    }

    fn reply_to_refresh(&mut self, now: Moment, slot: u32, place: usize, outcome: &Outcome, out: &mut Vec<Output>) {
        match outcome {
            Outcome::Answered(answer) if (200..300).contains(&answer.status()) => {
                let asked = self.get(slot).map_or(0, |subscription| subscription.expires);
                let granted = answer.expires().unwrap_or(asked);
                if granted == 0 {
                    return self.end_leg(now, slot, place, Ending::new(Verdict::Soon), out);
                }
                self.renew(now, slot, place, granted, false);
                if let Some(subscription) = self.get_mut(slot) {
                    subscription.failures = 0;
                    subscription.status = 0;
                }
                self.ask_for_full(now, slot, place);
                self.tell(slot, out);
            }
            Outcome::Answered(answer) => self.refresh_refused(now, slot, place, answer, out),
            Outcome::Timeout | Outcome::Unreachable => self.retry(now, slot, place, None),
            Outcome::Full => {
                let wait = Duration::from_secs(1) + self.chance.below(Duration::from_secs(1));
                self.refresh_at(slot, place, now + wait);
            }
        }
    }

    fn refresh_refused(&mut self, now: Moment, slot: u32, place: usize, answer: &Message, out: &mut Vec<Output>) {
        let Some(subscription) = self.get_mut(slot) else { return };
        if answer.status() == 423 && raise(subscription, min_expires(answer)) {
            self.refresh_at(slot, place, now);
            return self.queue(now, slot, Rank::Kept);
        }
        let ending = Ending::answered(answer);
        match ending.verdict {
            // The subscription holds until its end (RFC 6665 section 4.1.2.2).
            Verdict::Soon => self.retry(now, slot, place, ending.retry_after),
            _ => self.end_leg(now, slot, place, ending, out),
        }
    }

    /// Asks for the same dialog again later.
    fn retry(&mut self, now: Moment, slot: u32, place: usize, asked: Option<u32>) {
        self.counts.failed += 1;
        let Some(subscription) = self.subscriptions.get_mut(slot as usize) else { return };
        let wait = Verdict::Soon.wait(subscription.failures, asked, &mut self.chance);
        subscription.failures = subscription.failures.saturating_add(1);
        self.refresh_at(slot, place, now + wait);
    }

    fn refresh_at(&mut self, slot: u32, place: usize, at: Moment) {
        if let Some(leg) = self.get_mut(slot).and_then(|subscription| subscription.legs.get_mut(place)) {
            leg.refresh = at;
        }
    }

    /// A dialog holds for so many seconds. It is refreshed at nine tenths of them or a little earlier; the first time
    /// anywhere in between, so that lines that came up together are not refreshed together.
    pub(super) fn renew(&mut self, now: Moment, slot: u32, place: usize, granted: u32, first: bool) {
        let Some(subscription) = self.subscriptions.get_mut(slot as usize) else { return };
        let Some(leg) = subscription.legs.get_mut(place) else { return };
        let granted = Duration::from_secs(granted.max(SHORTEST).into());
        // Short ones leave time for one request that gets lost.
        let latest = (granted * 9 / 10).min(granted.saturating_sub(TIMER_N)).max(granted / 2);
        let spread = if first { latest * 3 / 4 } else { latest / 10 };
        leg.renew(now + granted, now + (latest - self.chance.below(spread)));
    }

    /// Lines a dialog up for a refresh where a version is missing: at once, and with back-off when that does not help.
    pub(super) fn ask_for_full(&mut self, now: Moment, slot: u32, place: usize) {
        let Some(leg) = self.get_mut(slot).and_then(|subscription| subscription.legs.get_mut(place)) else { return };
        if !leg.wants_full || leg.ask != 0 {
            return;
        }
        let wait = match leg.resyncs {
            0 => Duration::ZERO,
            times => Duration::from_secs(1 << u32::from(times.min(9))),
        };
        leg.resyncs = leg.resyncs.saturating_add(1);
        leg.refresh = leg.refresh.min(now + wait);
        if wait.is_zero() {
            self.queue(now, slot, Rank::Kept);
        }
    }

    /// Has the whole list of a tenant sent again.
    pub(super) fn refresh_list(&mut self, now: Moment, tenant: TenantKey) {
        let Some(&slot) = self.lists.get(&tenant) else { return };
        let Some(subscription) = self.get_mut(slot) else { return };
        if subscription.stage != Stage::Up {
            return;
        }
        for leg in subscription.legs.iter_mut().filter(|leg| leg.ask == 0) {
            leg.refresh = now;
        }
        self.queue(now, slot, Rank::Kept);
    }

    /// An attempt has failed, or the last dialog is gone: waits and begins anew.
    pub(super) fn fail(&mut self, now: Moment, slot: u32, ending: Ending, out: &mut Vec<Output>) {
        let Some(subscription) = self.subscriptions.get_mut(slot as usize) else { return };
        if subscription.stage == Stage::Up && now.since(subscription.up_since) > STABLE {
            subscription.failures = 0;
        }
        let wait = ending.verdict.wait(subscription.failures, ending.retry_after, &mut self.chance);
        subscription.failures = subscription.failures.saturating_add(1);
        subscription.status = ending.status;
        match ending.verdict {
            Verdict::Late | Verdict::Unable => self.counts.refused += 1,
            Verdict::Now | Verdict::Soon => self.counts.failed += 1,
        }
        self.restart(slot, Stage::Resting { until: now + wait });
        if ending.verdict.is_final() {
            self.tell_lost(slot, out);
        } else {
            self.hold_briefly(now, slot);
        }
    }

    /// The PBX says that the state will never change (RFC 6665 section 4.1.3, `invariant`): it is believed until the next
    /// attempt, which is late.
    pub(super) fn rest_unchanged(&mut self, now: Moment, slot: u32, out: &mut Vec<Output>) {
        let until = now + Verdict::Unable.wait(0, None, &mut self.chance);
        self.restart(slot, Stage::Resting { until });
        self.hold_until(slot, until, out);
    }

    /// Begins anew with a Call-ID that no notifier knows.
    fn restart(&mut self, slot: u32, stage: Stage) {
        let Some(subscription) = self.get_mut(slot) else { return };
        subscription.legs = Vec::new();
        subscription.attempt = subscription.attempt.wrapping_add(1);
        subscription.cseq = 0;
        subscription.ask = 0;
        subscription.granted = subscription.expires;
        self.move_to(slot, stage);
    }

    /// A dialog is gone; with the last one the subscription begins anew.
    pub(super) fn end_leg(&mut self, now: Moment, slot: u32, place: usize, ending: Ending, out: &mut Vec<Output>) {
        let Some(subscription) = self.get_mut(slot) else { return };
        if place < subscription.legs.len() {
            subscription.legs.remove(place);
        }
        let empty = subscription.legs.is_empty();
        self.counts.lost += 1;
        if empty {
            self.fail(now, slot, ending, out);
        } else {
            self.tell(slot, out);
        }
    }

    /// Nobody wants the subscription any more.
    pub(super) fn leave(&mut self, now: Moment, slot: u32, out: &mut Vec<Output>) {
        self.tell_lost(slot, out);
        let crowded = self.subscriptions.len() > self.settings.max_subscriptions.saturating_mul(2);
        let Some(subscription) = self.get(slot) else { return };
        // A NOTIFY that still comes is refused, which ends it on the PBX too.
        let nothing = subscription.legs.is_empty() && subscription.ask == 0;
        if nothing || crowded {
            return self.remove(slot);
        }
        self.move_to(slot, Stage::Leaving { until: now + GOODBYE });
        self.queue(now, slot, Rank::Fresh);
        self.cover(now, slot);
    }
}

/// Asks for as much as the PBX wants at the least, where that is more than before and believable.
fn raise(subscription: &mut Subscription, least: Option<u32>) -> bool {
    let Some(least) = least.filter(|&least| least > subscription.expires && least <= LONGEST_MIN) else { return false };
    subscription.expires = least;
    true
}

fn headers(subscription: &Subscription, expires: Option<u32>) -> Vec<(&'static str, String)> {
    let accept = match (subscription.is_list(), subscription.package()) {
        (true, _) => format!("{}, multipart/related, {}", dialog_info::MEDIA_TYPE, rlmi::MEDIA_TYPE),
        (false, Package::Dialog) => dialog_info::MEDIA_TYPE.to_owned(),
        (false, Package::Presence) => PIDF.to_owned(),
    };
    let mut headers = vec![
        ("Event", subscription.package().event().to_owned()),
        ("Accept", accept),
        ("Expires", expires.unwrap_or(subscription.expires).to_string()),
    ];
    if subscription.is_list() {
        headers.push(("Supported", "eventlist".to_owned()));
    }
    headers
}

/// Numbers of requests begin with 1: 0 stands for none.
const fn next_number(last: u32) -> u32 {
    match last.wrapping_add(1) {
        0 => 1,
        number => number,
    }
}
