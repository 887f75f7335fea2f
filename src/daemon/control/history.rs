//! Behind the door: records of calls that are over.

use serde_json::Value;

use super::Desk;
use crate::admin::{self, HistoryAsk, HistoryPage, HistoryRefusal};
use crate::call::CallId;
use crate::cdr::Entry;
use crate::cdr::history::{Ask, HistoryError, Who};
use crate::routing::Routing;
use crate::routing::number::Number;

impl admin::History for Desk {
    fn history(&self, ask: &HistoryAsk) -> Result<HistoryPage, HistoryRefusal> {
        let records = &self.parts.core.taps().records;
        let history = records.history().ok_or(HistoryRefusal::Off)?;
        let routing = &self.parts.core.edge().routing;
        let tenant = ask.tenant.as_deref();
        let mask = records.mask();
        // Masked numbers are looked for as they were written.
        let masked = |who: Who| Who { number: mask.number(&who.number).into_owned(), ..who };
        let several = |who: Vec<Who>| who.into_iter().map(masked).collect::<Vec<_>>();
        let who = ask.user.as_ref().map(|user| several(user_numbers(routing, tenant, user)));
        let with = ask.number.as_ref().map(|number| several(forms(routing, tenant, number)));
        let after = ask.after.as_deref().map(str::parse).transpose();
        let after = after.map_err(|_| HistoryRefusal::BadAsk("`after` is not the `next` of a page".to_owned()))?;
        let (tenant, trunk, outcome) = (ask.tenant.clone(), ask.trunk.clone(), ask.outcome.clone());
        let ask =
            Ask { who, with, tenant, trunk, since: ask.since, until: ask.until, outcome, limit: ask.limit, after };
        let page = history.find(&ask).map_err(refusal)?;
        Ok(HistoryPage { records: shown(page.entries), next: page.next.map(|next| next.to_string()) })
    }

    fn history_of(&self, call: CallId) -> Result<Vec<Value>, HistoryRefusal> {
        let history = self.parts.core.taps().records.history().ok_or(HistoryRefusal::Off)?;
        Ok(shown(history.of_call(&call.to_string()).map_err(refusal)?))
    }
}

fn shown(entries: Vec<Entry>) -> Vec<Value> {
    // Entries have string keys only: each has a value.
    entries.into_iter().filter_map(|entry| serde_json::to_value(entry).ok()).collect()
}

fn refusal(error: HistoryError) -> HistoryRefusal {
    match error {
        HistoryError::Opening => HistoryRefusal::Opening,
        error => HistoryRefusal::Failed(error.to_string()),
    }
}

/// The number and extension that a user has now, in each tenant that has a user of this id; and the id itself, since it
/// may be the user part of a URI.
fn user_numbers(routing: &Routing, tenant: Option<&str>, user: &str) -> Vec<Who> {
    let mut who = vec![Who { tenant: tenant.map(str::to_owned), number: user.to_owned() }];
    for of in routing.tenants().iter().filter(|of| !of.removed && tenant.is_none_or(|tenant| tenant == &*of.id)) {
        let numbers = of.named(user).into_iter().flat_map(|user| &user.numbers);
        who.extend(numbers.flat_map(|number| written(&of.id, number)));
    }
    who
}

/// A number as it was asked for, and as the tenant's numbering plan reads it.
fn forms(routing: &Routing, tenant: Option<&str>, number: &str) -> Vec<Who> {
    let mut who = vec![Who { tenant: tenant.map(str::to_owned), number: number.to_owned() }];
    let found = tenant.and_then(|tenant| routing.tenants().find(tenant));
    if let Some(of) = found.and_then(|id| routing.tenants().get(id)) {
        who.extend(written(&of.id, &Number::parse(number, &of.numbering)));
    }
    who
}

fn written(tenant: &str, number: &Number) -> impl Iterator<Item = Who> {
    let texts = [number.e164(), number.extension()].into_iter().flatten().map(|digits| digits.to_string());
    let tenant = tenant.to_owned();
    texts.map(move |number| Who { tenant: Some(tenant.clone()), number })
}
