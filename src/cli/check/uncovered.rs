//! Users whose number no dial plan knows: a call from a shared trunk does not find them.

use crate::config::{Finding, Loaded, Review, Spot};
use crate::routing::number::Digits;
use crate::routing::{Plan, TenantId};
use crate::trunk::TrunkKind;

use super::MAX_TOLD;

/// Warns of users whose number no rule covers.
pub(super) fn look(loaded: &Loaded, review: &Review<'_>) {
    // Trunks of tenants find their users without a rule.
    let shared = (loaded.trunks.0.iter())
        .filter(|trunk| trunk.kind != TrunkKind::Teams)
        .any(|trunk| loaded.routing.origin(trunk.id).is_some_and(|origin| origin.tenant.is_none()));
    if !shared {
        return;
    }
    let plans = loaded.routing.plans();
    let mut count = 0_usize;
    for (tenant, id) in loaded.routing.tenants().iter().zip((0..).map(TenantId)) {
        for (user, of) in (0..).zip(tenant.users()) {
            let Some(e164) =
                of.numbers.iter().find_map(|number| number.e164().filter(|e164| !is_covered(plans, *e164)))
            else {
                continue;
            };
            count += 1;
            if count <= MAX_TOLD {
                let of = &of.record.id;
                review.warn(Finding {
                    at: Spot::User(id, user),
                    message: format!("tenant `{}`: no rule of any dial plan covers +{e164} of user `{of}`", tenant.id),
                    label: "not found by calls from shared trunks",
                    also: None,
                    help: None,
                });
            }
        }
    }
    if let Some(more) = count.checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        let message = format!("no rule of any dial plan covers the numbers of {more} more users");
        review.warn(Finding { at: Spot::Whole, message, label: "", also: None, help: None });
    }
}

/// Whether a rule takes the number, with or without its `+`.
pub fn is_covered(plans: &[Plan], e164: Digits) -> bool {
    let text = format!("+{e164}");
    let bare = text.get(1..).unwrap_or_default();
    plans.iter().any(|plan| plan.find(text.as_bytes()).is_some() || plan.find(bare.as_bytes()).is_some())
}
