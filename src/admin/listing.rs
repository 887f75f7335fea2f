//! Lists in pages: no reply is longer than a page, however much there is.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::control::TrunkStatus;
use super::fault::Fault;
use super::tenancy::View;
use crate::routing::people::UserRecord;
use crate::routing::{Listed, Plan, Routing, RuleFilter, Source, Tenant};

/// Entries of one page, when nothing is said.
const PAGE: usize = 100;

/// Entries of one page at most.
pub const MAX_PAGE: usize = 10_000;

/// Between the parts of a cursor; no prefix, owner or tag has one.
const BETWEEN: char = '\t';

/// Which rules are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleQuery {
    /// What the prefix, as it is written, begins with.
    #[serde(default)]
    prefix: String,
    owner: Option<String>,
    tag: Option<String>,
    #[serde(default, deserialize_with = "limit")]
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Which users, changes, tenants and trunks are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    #[serde(default, deserialize_with = "limit")]
    pub limit: Option<usize>,
    pub after: Option<String>,
}

/// A dialled number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberQuery {
    pub number: String,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleShown {
    pub plan: String,
    pub prefix: String,
    pub tag: String,
    pub owner: String,
    pub active: bool,
    /// Where it was written, unless it was changed at run time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The id of the change that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct RulePage {
    pub rules: Vec<RuleShown>,
    /// What to ask for the next page with; `None`: this is the last.
    pub next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct UserPage {
    pub users: Vec<UserRecord>,
    pub next: Option<String>,
}

/// A tenant.
#[derive(Debug, Serialize)]
pub(super) struct TenantShown {
    id: String,
    removed: bool,
    sites: Vec<String>,
    users: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct TenantPage {
    tenants: Vec<TenantShown>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct TrunkPage {
    trunks: Vec<TrunkStatus>,
    next: Option<String>,
}

/// Reads how many entries a page is to have.
pub(super) fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let limit = usize::deserialize(deserializer)?;
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(Some(limit));
    }
    Err(D::Error::custom(format!("`limit` is from 1 to {MAX_PAGE}")))
}

/// How many entries a page has.
pub(super) fn page(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE).clamp(1, MAX_PAGE)
}

/// A page of the rules of a plan.
pub(super) fn rules(view: &View<'_>, plan: &str, query: &RuleQuery) -> Result<RulePage, Fault> {
    let limit = page(query.limit);
    let after = query.after.as_deref().map(cursor).transpose()?;
    let filter = RuleFilter {
        prefix: query.prefix.trim(),
        owner: query.owner.as_deref(),
        owners: view.owners(),
        tag: query.tag.as_deref(),
        after,
    };
    // One more than fits tells whether there is more.
    let found = view.routing().table().page(plan, &filter, limit + 1).ok_or_else(|| unknown_plan(plan))?;
    let more = found.len() > limit;
    let rules: Vec<RuleShown> = found.into_iter().take(limit).map(shown).collect();
    let next = rules.last().filter(|_| more).map(|last| {
        let RuleShown { prefix, owner, tag, active, .. } = last;
        format!("{prefix}{BETWEEN}{owner}{BETWEEN}{tag}{BETWEEN}{active}")
    });
    Ok(RulePage { rules, next })
}

/// The rule of a plan that a number meets.
pub(super) fn rule_of(view: &View<'_>, plan: &str, number: &str) -> Result<RuleShown, Fault> {
    let plan: &Plan = view.routing().table().plan(plan).ok_or_else(|| unknown_plan(plan))?;
    let found = plan
        .find(number.as_bytes())
        .filter(|found| view.owns(found.owner()))
        .ok_or_else(|| Fault::missing("no_rule", format!("dial plan `{}` has no rule for `{number}`", plan.name())))?;
    let (prefix, source) = plan.rule(number.as_bytes(), &found);
    let (tag, owner) = (found.tag.to_owned(), found.owner().to_owned());
    Ok(shown(Listed { plan: plan.name().clone(), prefix, tag, owner, active: true, source }))
}

/// A page of a tenant's users.
pub(super) fn users(routing: &Routing, tenant: &str, query: &PageQuery) -> Result<UserPage, Fault> {
    let found = routing.tenants().find(tenant).and_then(|id| routing.tenants().get(id));
    let tenant = found
        .filter(|tenant| !tenant.removed)
        .ok_or_else(|| Fault::missing("unknown_tenant", format!("there is no tenant `{tenant}`")))?;
    let all = tenant.users();
    let from = query.after.as_ref().map_or(0, |after| all.partition_point(|user| user.record.id <= *after));
    let left = all.get(from..).unwrap_or_default();
    let users: Vec<UserRecord> = left.iter().take(page(query.limit)).map(|user| user.record.clone()).collect();
    let next = users.last().filter(|_| users.len() < left.len()).map(|last| last.id.clone());
    Ok(UserPage { users, next })
}

/// A page of the tenants, ascending by their names.
pub(super) fn tenants(view: &View<'_>, query: &PageQuery) -> TenantPage {
    let after = query.after.as_deref().unwrap_or_default();
    let routing = view.routing();
    let asked = |tenant: &&Arc<Tenant>| (after.is_empty() || *tenant.id > *after) && view.caller().sees(&tenant.id);
    let mut left: Vec<&Arc<Tenant>> = routing.tenants().iter().filter(asked).collect();
    left.sort_by(|a, b| a.id.cmp(&b.id));
    let limit = page(query.limit);
    let fqdn = |site: &u32| routing.sites().get(*site).map(|site| site.fqdn.to_string());
    let shown = left.iter().take(limit).map(|tenant| TenantShown {
        id: tenant.id.to_string(),
        removed: tenant.removed,
        sites: tenant.sites.iter().filter_map(fqdn).collect(),
        users: tenant.users().len(),
    });
    let tenants: Vec<TenantShown> = shown.collect();
    let next = tenants.last().filter(|_| left.len() > limit).map(|last| last.id.clone());
    TenantPage { tenants, next }
}

/// A page of the trunks, ascending by their names.
pub(super) fn trunks(mut all: Vec<TrunkStatus>, query: &PageQuery) -> TrunkPage {
    let after = query.after.as_deref().unwrap_or_default();
    all.retain(|trunk| after.is_empty() || *trunk.name > *after);
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let limit = page(query.limit);
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|last| last.name.clone());
    TrunkPage { trunks: all, next }
}

fn unknown_plan(plan: &str) -> Fault {
    Fault::missing("unknown_plan", format!("there is no dial plan `{plan}`"))
}

fn cursor(text: &str) -> Result<(&str, &str, &str, bool), Fault> {
    let mut parts = text.split(BETWEEN);
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(prefix), Some(owner), Some(tag), Some(active @ ("true" | "false")), None) => {
            Ok((prefix, owner, tag, active == "true"))
        }
        _ => Err(Fault::bad("bad_query", "`after` is not the `next` of a page of rules")),
    }
}

fn shown(listed: Listed) -> RuleShown {
    let Listed { plan, prefix, tag, owner, active, source } = listed;
    let (file, line, change) = match source {
        Source::File(file, line) => (Some(file.to_string()), Some(line), None),
        Source::Change(id) => (None, None, Some(id.to_string())),
        Source::Unknown => (None, None, None),
    };
    RuleShown { plan: plan.to_string(), prefix, tag, owner, active, file, line, change }
}
