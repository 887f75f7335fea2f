//! Tenants: sites, users, and the rules by which calls find them.

use super::Patient;
use super::report::{Report, Step};
use crate::cli::check::is_covered;
use crate::trunk::TrunkKind;

const AREA: &str = "tenants";

/// Users that are named one by one.
const NAMED: usize = 10;

/// Looks at each tenant.
pub(super) fn look(patient: &Patient<'_>, report: &mut Report) {
    let routing = &patient.loaded.routing;
    let plans = routing.plans();
    // Trunks of tenants find their users without a rule.
    let shared = (patient.loaded.trunks.0.iter())
        .filter(|trunk| trunk.kind != TrunkKind::Teams)
        .any(|trunk| routing.origin(trunk.id).is_some_and(|origin| origin.tenant.is_none()));
    for (at, tenant) in (0..).map(crate::routing::TenantId).zip(routing.tenants().iter()) {
        if patient.tenant.is_some_and(|only| only != at) {
            continue;
        }
        let sites = routing.sites().iter().filter(|site| site.tenant == tenant.id).count();
        if sites == 0 {
            let text = "it has no site: neither Teams nor a trunk leads to it";
            report.add(Step::fail(AREA, &tenant.id, text).advise("give it a [[tenant.ID.site]] with `fqdn`"));
            continue;
        }
        let users = tenant.users();
        let silent = users.iter().filter(|user| user.numbers.is_empty());
        named(report, &tenant.id, "no number", "nobody can call them by one", silent.map(|user| &*user.record.id));
        if shared {
            let lost = users.iter().filter(|user| {
                let mut numbers = user.numbers.iter().filter_map(|number| number.e164());
                numbers.any(|e164| !is_covered(plans, e164))
            });
            let so = "calls from shared trunks do not find them: add a rule to a dial plan (`trunkway rules add`)";
            named(report, &tenant.id, "a number that no rule covers", so, lost.map(|user| &*user.record.id));
        }
        report.add(Step::ok(AREA, &tenant.id, format!("sites {sites}, users {}", users.len())));
    }
}

/// A warning of users, if there are any.
fn named<'u>(report: &mut Report, tenant: &str, have: &str, so: &str, users: impl Iterator<Item = &'u str>) {
    let all: Vec<&str> = users.collect();
    if all.is_empty() {
        return;
    }
    let first = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = if all.len() > NAMED { ", ..." } else { "" };
    let text = format!("users with {have}: {} ({first}{more})", all.len());
    report.add(Step::warn(AREA, tenant, text).advise(so));
}
