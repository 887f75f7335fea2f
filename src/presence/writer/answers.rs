//! What Graph's answers say of users and of tenants.

use super::slot::{Bar, Held};
use super::{Budgets, FIRST_RETRY, Fault, ItemResult, LONGEST_RETRY, Order, REFUSED_PAUSE, Writer};
use crate::presence::{Session, TenantKey};
use crate::transaction::Moment;

impl Writer {
    /// What the answers to a request say of the tenant.
    pub(super) fn note_results(
        &mut self,
        now: Moment,
        tenant: TenantKey,
        results: &[ItemResult],
        budgets: &mut Budgets,
    ) {
        let (mut heard, mut throttled) = (false, None);
        for &result in results {
            self.counts.count_result(result);
            match result {
                ItemResult::Done | ItemResult::NotFound | ItemResult::Refused => heard = true,
                ItemResult::Throttled { after } => throttled = throttled.max(Some(after)),
                ItemResult::Failed => {}
            }
        }
        if heard {
            budgets.handle_success(tenant);
        }
        match throttled {
            Some(after) => budgets.handle_fault(now, tenant, &Fault::Throttled { after }, &mut self.chance),
            None if !heard => budgets.handle_fault(now, tenant, &Fault::Server { after: None }, &mut self.chance),
            None => {}
        }
    }

    /// What the answer says of a user.
    pub(super) fn settle(&mut self, now: Moment, index: u32, answered: Answered, out: &mut Vec<Order>) {
        let refresh_at = self.refresh_at(now);
        let expires = self.settings.session_expires;
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(sent) = slot.sending.take() else { return };
        let mut no_match = false;
        let after = match answered {
            Answered::Item(ItemResult::Done) => Now::Has(sent),
            Answered::Item(ItemResult::NotFound) => {
                no_match = sent.is_some();
                Now::Has(None)
            }
            Answered::Item(ItemResult::Throttled { after }) => {
                let pause = after.unwrap_or_else(|| self.chance.backoff(FIRST_RETRY, slot.attempts, LONGEST_RETRY));
                slot.pause(now + pause.min(REFUSED_PAUSE));
                Now::AsBefore
            }
            Answered::Item(ItemResult::Refused) | Answered::Whole { fault: Fault::Refused, alone: true } => {
                slot.bar = Bar::Refused;
                slot.pause(now + REFUSED_PAUSE);
                Now::AsBefore
            }
            Answered::Item(ItemResult::Failed) => {
                slot.pause(now + self.chance.backoff(FIRST_RETRY, slot.attempts, LONGEST_RETRY));
                Now::Unknown
            }
            // The tenant as a whole pauses.
            Answered::Whole { fault: Fault::Server { .. } | Fault::Network, .. } => Now::Unknown,
            Answered::Whole { .. } => Now::AsBefore,
        };
        match after {
            Now::Has(session) => {
                (slot.held, slot.until, slot.refresh_at) = (Held::of(session), now + expires, refresh_at);
                slot.attempts = 0;
                out.extend(slot.user.map(|user| Order::Wrote { user, session }));
            }
            Now::AsBefore => {}
            Now::Unknown => (slot.held, slot.until) = (Held::Unsure, slot.until.max(now + expires)),
        }
        if no_match {
            slot.bar = Bar::NoMatch;
        }
        let counts = no_match && slot.user.is_some();
        let tenant = slot.tenant;
        out.extend(slot.keep(after == Now::AsBefore && sent.is_none()));
        self.lane_mut(tenant).unmatched += usize::from(counts);
        self.tend(now, index);
    }
}

/// What was answered for one item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answered {
    Item(ItemResult),
    Whole { fault: Fault, alone: bool },
}

/// What Graph has of a user now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Has(Option<Session>),
    AsBefore,
    Unknown,
}
