//! `[emergency]`: calls for help of tenants that name no trunk for them, and of nobody's.

use super::log::{Draft, Log};
use super::numbering::service_number;
use super::owners::Owners;
use super::reader::{Table, quoted};
use super::tenants::TenantSet;
use super::trunks::TrunkSet;
use crate::routing::number::Digits;
use crate::routing::{Emergency, Plan, Tenant};

/// The two that every mobile network knows (3GPP TS 22.101 section 10.1).
const EVERYWHERE: [&str; 2] = ["112", "911"];

pub(super) fn read(log: &Log, table: Option<Table<'_>>, trunks: &TrunkSet<'_>, owners: &Owners) -> Emergency {
    let usual = || EVERYWHERE.iter().filter_map(|number| Digits::new(number.as_bytes())).collect();
    let Some(mut table) = table else { return Emergency { numbers: usual(), to: Vec::new() } };
    let numbers = table.parsed_list("numbers", service_number);
    let to = trunks.list(log, &mut table, "to");
    for trunk in &to {
        if let Some(said) = owners.get(trunk.value).and_then(|owner| owner.said) {
            let message = format!("{}: `to` is for all tenants, and this trunk is one tenant's", table.title);
            let help = "name it in `emergency_to` of that tenant";
            log.add(Draft::error(trunk.place, message).also(said, "says whose it is").help(help));
        }
    }
    table.finish();
    Emergency {
        numbers: numbers.map_or_else(usual, |numbers| numbers.into_iter().map(|number| number.value).collect()),
        to: to.into_iter().map(|trunk| trunk.value).collect(),
    }
}

/// Warns of tenants with users whose calls for help go as any other call does.
pub(super) fn unminded(log: &Log, tenants: &TenantSet<'_>, emergency: &Emergency, plans: &[Plan]) {
    if !emergency.to.is_empty() {
        return;
    }
    for (tenant, note) in tenants.list.iter().zip(&tenants.notes) {
        if tenant.users().is_empty() || !tenant.emergency.is_empty() {
            continue;
        }
        let missing: Vec<String> = missing(tenant, plans);
        if !missing.is_empty() {
            let message = format!("{}: calls for help ({}) go where other calls go", note.title, missing.join(", "));
            let help = "name trunks for them in `emergency_to` of the tenant or in `to` of [emergency]";
            log.add(Draft::warning(note.place, message).help(help));
        }
    }
}

/// The emergency numbers that no dial plan has a rule for.
fn missing(tenant: &Tenant, plans: &[Plan]) -> Vec<String> {
    let has_rule = |number: &str| {
        let exactly =
            |plan: &Plan, text: String| plan.find(text.as_bytes()).is_some_and(|found| found.symbols == text.len());
        plans.iter().any(|plan| exactly(plan, number.to_owned()) || exactly(plan, format!("+{number}")))
    };
    let numbers = tenant.numbering.emergency_numbers();
    numbers.into_iter().filter(|number| !has_rule(number)).map(|number| quoted(&number)).collect()
}
