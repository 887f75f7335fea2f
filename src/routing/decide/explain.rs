//! A decision in words and values, for people and for JSON.

use std::fmt;

use serde::Serialize;
use smallvec::SmallVec;

use super::super::number::Form;
use super::super::symbols::{Symbols, character};
use super::super::{
    Decision, Found, Matched, Near, NearMiss, NoRoute, Plan, Query, Refused, Routing, Site, Source, Tenant, Way,
};
use super::Steps;
use crate::trunk::TrunkId;
use std::sync::Arc;

/// How many rules that nearly matched are shown.
pub const MAX_NEAR: usize = 5;

/// A decision and how it came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The trunk that the request came from.
    pub from: String,
    /// The called number as it was read: the symbols of the user part, or all of it where there are none.
    pub number: String,
    /// The tenant that the request belongs to.
    pub tenant: Option<String>,
    /// The FQDN of the site that the request belongs to.
    pub site: Option<String>,
    /// The FQDN that is the edge's own name on a Teams leg that the ways lead to.
    pub far_site: Option<String>,
    pub decision: Verdict,
    /// The status code of the answer to a request that goes nowhere.
    pub code: Option<u16>,
    /// A word for why the request goes nowhere: [`NoRoute::name`].
    pub reason: Option<&'static str>,
    /// The same as a sentence.
    pub refused: Option<String>,
    /// The rule that decided.
    pub rule: Option<RuleShown>,
    /// Where the request goes, in order of preference; empty: nowhere.
    pub ways: Vec<WayShown>,
    /// The names of their trunks.
    pub to: Vec<String>,
    /// A call for help.
    pub emergency: bool,
    /// The number is in a tenant's range and nobody's.
    pub unassigned: bool,
    /// The number is that of several users.
    pub ambiguous: bool,
    /// What was looked at, in order.
    pub steps: Vec<Step>,
    /// Rules of the dial plan asked for the called number that nearly matched, the nearest first.
    pub near: Vec<NearShown>,
}

/// Whether a request goes anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    To,
    Refused,
}

/// One step of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// In words.
    pub text: String,
    /// The called number before and after, where the step changes it.
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Step {
    /// A step that leaves the number as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, ": `{before}` becomes `{after}`"),
            _ => Ok(()),
        }
    }
}

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RuleShown {
    Plan(PlanRule),
    Route {
        /// Its place among the routes of the configuration, from zero.
        index: usize,
        prefix: String,
        /// The trunk in `from`.
        from: Option<String>,
        tenant: Option<String>,
    },
    User {
        id: String,
    },
    /// The tenant's wish for emergency or service numbers, `main` or `unassigned`, or where its site's numbers live.
    Tenant,
    /// The trunk that the site names as its own.
    SiteTrunk,
}

/// A rule of a dial plan and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanRule {
    pub plan: String,
    pub prefix: String,
    pub tag: String,
    pub owner: Option<String>,
    /// The file that it was read from, and its line, from one.
    pub file: Option<String>,
    pub line: Option<u32>,
    /// The id of the change at run time that it came with.
    pub change: Option<String>,
}

impl PlanRule {
    pub(super) fn found(plan: &Plan, user: &[u8], found: &Found<'_>) -> Self {
        let (prefix, source) = plan.rule(user, found);
        Self::of(plan, prefix, found.tag, found.owner(), source)
    }

    fn of(plan: &Plan, prefix: String, tag: &str, owner: &str, source: Source) -> Self {
        let (file, line, change) = match source {
            Source::Unknown => (None, None, None),
            Source::File(file, line) => (Some(file.to_string()), Some(line), None),
            Source::Change(id) => (None, None, Some(id.to_string())),
        };
        let owner = (!owner.is_empty()).then(|| owner.to_owned());
        Self { plan: plan.name().to_string(), prefix, tag: tag.to_owned(), owner, file, line, change }
    }
}

/// A rule that nearly decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NearShown {
    #[serde(flatten)]
    pub rule: PlanRule,
    pub active: bool,
    pub why: NearMiss,
}

impl NearShown {
    pub(super) fn new(plan: &Plan, near: Near) -> Self {
        let rule = PlanRule::of(plan, near.prefix, &near.tag, &near.owner, near.source);
        Self { rule, active: near.active, why: near.why }
    }
}

/// A way that a request takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WayShown {
    pub trunk: String,
    /// The called number as a user part, before the trunk's translation rules.
    pub called: String,
    /// The name of the form in which the caller's number is written.
    pub calling: &'static str,
    /// Tried beside the way before it, so many seconds after the first.
    pub beside: Option<u16>,
}

/// Keeps all that is said of a decision.
#[derive(Debug, Default)]
struct Record {
    steps: Vec<Step>,
    rule: Option<PlanRule>,
    near: Vec<NearShown>,
}

impl Steps for Record {
    fn add(&mut self, words: impl FnOnce() -> String) {
        self.steps.push(Step::new(words()));
    }

    fn change(&mut self, words: impl FnOnce() -> String, before: &[u8], after: &[u8]) {
        let (before, after) = (Some(shown(before)), Some(shown(after)));
        self.steps.push(Step { text: words(), before, after });
    }

    fn asked(&mut self, plan: &Plan, user: &[u8]) {
        self.near = plan.near(user, MAX_NEAR).into_iter().map(|near| NearShown::new(plan, near)).collect();
    }

    fn rule(&mut self, plan: &Plan, user: &[u8], found: &Found<'_>) {
        self.rule = Some(PlanRule::found(plan, user, found));
    }
}

pub(in crate::routing) fn explain(routing: &Routing, query: Query<'_>) -> Explanation {
    let mut record = Record::default();
    let decision = super::decide(routing, query, &mut record);
    let base = |tenant: Option<&Arc<Tenant>>, site: Option<&Arc<Site>>| Explanation {
        from: super::name(routing, query.from).to_owned(),
        number: number(query.user),
        // A site knows its tenant's name even where nothing else of it is known.
        tenant: tenant.map(|tenant| &tenant.id).or(site.map(|site| &site.tenant)).map(ToString::to_string),
        site: site.map(|site| site.fqdn.to_string()),
        far_site: None,
        decision: Verdict::Refused,
        code: None,
        reason: None,
        refused: None,
        rule: None,
        ways: Vec::new(),
        to: Vec::new(),
        emergency: false,
        unassigned: false,
        ambiguous: false,
        steps: Vec::new(),
        near: Vec::new(),
    };
    if let Decision::To(choice) = &decision {
        for way in &choice.ways {
            if let Some(called) = &way.called {
                let words = || format!("written for `{}`", super::name(routing, way.trunk));
                record.change(words, query.user, called);
            }
        }
    }
    let Record { steps, rule, near } = record;
    match decision {
        Decision::To(choice) => Explanation {
            far_site: choice.far_site.map(|site| site.fqdn.to_string()),
            decision: Verdict::To,
            rule: Some(matched(routing, &choice.matched, rule)),
            ways: choice.ways.iter().map(|way| way_shown(routing, query, way)).collect(),
            to: choice.ways.iter().map(|way| super::name(routing, way.trunk).to_owned()).collect(),
            emergency: choice.emergency,
            unassigned: choice.noted.unassigned,
            ambiguous: choice.noted.ambiguous,
            steps,
            near,
            ..base(choice.tenant, choice.site)
        },
        Decision::NoRoute(Refused { why, tenant, site }) => Explanation {
            code: Some(why.status().0),
            reason: Some(NoRoute::name(why)),
            refused: Some(why.to_string()),
            steps,
            near,
            ..base(tenant, site)
        },
    }
}

fn matched(routing: &Routing, matched: &Matched<'_>, rule: Option<PlanRule>) -> RuleShown {
    match *matched {
        Matched::Plan { plan, tag, .. } => RuleShown::Plan(rule.unwrap_or_else(|| PlanRule {
            plan: plan.to_string(),
            prefix: String::new(),
            tag: tag.to_owned(),
            owner: None,
            file: None,
            line: None,
            change: None,
        })),
        Matched::Route(route) => RuleShown::Route {
            index: routing.routes.iter().position(|known| std::ptr::eq(known, route)).unwrap_or_default(),
            prefix: route.prefix.to_string(),
            from: route.from.map(|from| super::name(routing, from).to_owned()),
            tenant: route.tenant.and_then(|id| routing.tenants.get(id)).map(|tenant| tenant.id.to_string()),
        },
        Matched::User(id) => RuleShown::User { id: id.to_owned() },
        Matched::Tenant => RuleShown::Tenant,
        Matched::SiteTrunk => RuleShown::SiteTrunk,
    }
}

fn way_shown(routing: &Routing, query: Query<'_>, way: &Way) -> WayShown {
    let called = way.called.as_deref().unwrap_or(query.user);
    let trunk = super::name(routing, way.trunk).to_owned();
    WayShown { trunk, called: shown(called), calling: Form::name(way.calling), beside: way.beside }
}

/// The symbols of a user part; what has none, as it is.
fn number(user: &[u8]) -> String {
    let symbols: String = Symbols::new(user).map(character).collect();
    if symbols.is_empty() { shown(user) } else { symbols }
}

/// The symbols that a rule's prefix covers.
pub(super) fn prefix(user: &[u8], symbols: usize) -> String {
    Symbols::new(user).take(symbols).map(character).collect()
}

/// Bytes of a message, fit to be shown.
pub(super) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().collect()
}

/// Names of trunks in a row.
pub(super) fn names(routing: &Routing, trunks: impl Iterator<Item = TrunkId>) -> String {
    let names: SmallVec<[String; 4]> = trunks.map(|trunk| format!("`{}`", super::name(routing, trunk))).collect();
    names.join(", then ")
}
