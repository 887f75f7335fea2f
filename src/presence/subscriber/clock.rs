//! What time does to subscriptions, and what is told of their lines.

use std::time::Duration;

use super::asks::Ending;
use super::backoff::Verdict;
use super::pace::{Rank, Ticket};
use super::subscription::{Stage, Subscription, Target};
use super::{Output, Subscriber};
use crate::presence::{Presence, Report, Told};
use crate::transaction::Moment;

/// How long a report holds after the subscription's end: for a refresh that is on its way.
pub(super) const MARGIN: Duration = Duration::from_secs(30);

/// How long the last report holds after a subscription was lost in a way that should pass.
const BRIEF: Duration = Duration::from_secs(60);

/// The farthest ahead that an entry of the wheel is set, so that entries of subscriptions that ended leave it soon.
const HORIZON: Duration = Duration::from_secs(300);

/// Times that differ by less are the same to those who are told.
const SAME: Duration = Duration::from_secs(2);

impl Subscriber {
    pub(super) fn pass_time(&mut self, now: Moment, out: &mut Vec<Output>) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for entry in due.drain(..) {
            let Some(subscription) = self.get_mut(entry.id).filter(|known| known.generation == entry.generation) else {
                continue;
            };
            if subscription.armed.is_some_and(|armed| armed <= now) {
                subscription.armed = None;
            }
            self.pass_time_of(now, entry.id, out);
            self.cover(now, entry.id);
        }
        self.due = due;
        let mut ready: Vec<Ticket> = Vec::new();
        self.pace.take(now, &mut ready);
        for (slot, generation) in ready {
            if self.get(slot).is_some_and(|subscription| subscription.generation == generation) {
                self.serve(now, slot, out);
            }
        }
    }

    fn pass_time_of(&mut self, now: Moment, slot: u32, out: &mut Vec<Output>) {
        let Some(subscription) = self.get(slot) else { return };
        match subscription.stage {
            Stage::Resting { until } if until <= now => {
                self.move_to(slot, Stage::Queued);
                self.queue(now, slot, Rank::Fresh);
            }
            Stage::Accepted { until } if until <= now => self.fail(now, slot, Ending::new(Verdict::Soon), out),
            Stage::Asking if subscription.ask_until <= now => self.fail(now, slot, Ending::new(Verdict::Soon), out),
            Stage::Leaving { until } if until <= now => return self.remove(slot),
            Stage::Up | Stage::Asking => self.pass_time_of_legs(now, slot, out),
            _ => {}
        }
        if self.get(slot).is_some_and(|subscription| subscription.told.is_some() && subscription.holds <= now) {
            self.tell_lost(slot, out);
        }
    }

    fn pass_time_of_legs(&mut self, now: Moment, slot: u32, out: &mut Vec<Output>) {
        while let Some(place) = self.get(slot).and_then(|subscription| ended(subscription, now)) {
            self.end_leg(now, slot, place, Ending::new(Verdict::Now), out);
        }
        let Some(subscription) = self.get_mut(slot).filter(|subscription| subscription.stage == Stage::Up) else {
            return;
        };
        let mut wanted = false;
        for leg in subscription.legs.iter_mut().filter(|leg| leg.refresh <= now) {
            // Whoever was to bring an answer has lost it.
            leg.ask = 0;
            wanted = true;
        }
        if wanted {
            self.queue(now, slot, Rank::Kept);
        }
    }

    /// Sets the wheel, where nothing comes due by the time that something is to be done.
    pub(super) fn cover(&mut self, now: Moment, slot: u32) {
        let Some(subscription) = self.subscriptions.get_mut(slot as usize) else { return };
        let Some(wanted) = subscription.next_timeout().map(|at| at.min(now + HORIZON)) else { return };
        if subscription.armed.is_none_or(|armed| wanted < armed) {
            subscription.armed = Some(wanted);
            self.wheel.arm(slot, subscription.generation, wanted);
        }
    }

    /// Tells the line's report, where it or the time it holds has changed.
    pub(super) fn tell(&mut self, slot: u32, out: &mut Vec<Output>) {
        let Some(subscription) = self.get_mut(slot) else { return };
        let known = if subscription.is_list() {
            subscription.legs.iter().map(|leg| (LIST, leg.ends)).max_by_key(|&(_, ends)| ends)
        } else {
            subscription.report()
        };
        let Some((report, ends)) = known else { return };
        let until = ends + MARGIN;
        let same_time = until.since(subscription.holds) < SAME && subscription.holds.since(until) < SAME;
        if subscription.told == Some(report) && same_time {
            return;
        }
        subscription.told = Some(report);
        subscription.holds = until;
        push(subscription, Some(report), Some(until), out);
    }

    /// Nothing is known of the line, or of all lines of the list, any more.
    pub(super) fn tell_lost(&mut self, slot: u32, out: &mut Vec<Output>) {
        let Some(subscription) = self.subscriptions.get_mut(slot as usize) else { return };
        if subscription.told.take().is_none() {
            return;
        }
        push(subscription, None, None, out);
        if subscription.is_list()
            && let Some(members) = self.members.get_mut(&subscription.tenant)
        {
            members.lose(out);
        }
    }

    /// What was told last holds for a moment longer: the subscription should be up again by then.
    pub(super) fn hold_briefly(&mut self, now: Moment, slot: u32) {
        if let Some(subscription) = self.get_mut(slot) {
            subscription.holds = subscription.holds.min(now + BRIEF);
        }
    }

    /// What was told last holds until then, and the margin.
    pub(super) fn hold_until(&mut self, slot: u32, until: Moment, out: &mut Vec<Output>) {
        let Some(subscription) = self.get_mut(slot) else { return };
        subscription.holds = until + MARGIN;
        if let Some(report) = subscription.told {
            push(subscription, Some(report), Some(subscription.holds), out);
        }
    }
}

/// Stands for the reports of all lines of a list.
const LIST: Report = Report::Line { presence: Presence::Unknown, conference: false };

fn push(subscription: &Subscription, report: Option<Report>, until: Option<Moment>, out: &mut Vec<Output>) {
    if let Target::Line { user, index, package } = subscription.target {
        out.push(Output::Told(Told { user, source: package.source(index), report, until }));
    }
}

fn ended(subscription: &Subscription, now: Moment) -> Option<usize> {
    subscription.legs.iter().position(|leg| leg.ends <= now)
}
