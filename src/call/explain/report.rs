//! What is told about a call: the same from a configuration and from a running edge.

use serde::{Deserialize, Serialize};

use crate::routing::{Explanation, NearShown, PlanRule, RuleShown};
use crate::trunk::health::State;

/// Where a call would go, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub decision: Verdict,
    /// The status code of the answer to a call that goes nowhere.
    pub code: Option<u16>,
    /// Why, in words.
    pub reason: String,
    pub tenant: Option<String>,
    /// The FQDN of the site that the call belongs to.
    pub site: Option<String>,
    /// The rule of a dial plan that decided.
    pub rule: Option<Rule>,
    /// What decided, whatever it was, in words.
    pub matched: Option<String>,
    /// In the order in which they are tried; empty: the call goes nowhere.
    pub targets: Vec<Sent>,
    /// What was looked at, in order, with each number before and after.
    pub steps: Vec<String>,
    /// Rules that nearly matched, the nearest first.
    pub near: Vec<NearRule>,
}

/// Whether a call goes anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Forward,
    Reject,
}

/// A rule of a dial plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
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

/// A rule that nearly matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearRule {
    #[serde(flatten)]
    pub rule: Rule,
    /// Why it did not.
    pub why: String,
}

/// A request as it would leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub trunk: String,
    /// The trunk's target as the configuration has it: `tls:sip.example.net:5061`.
    pub target: Option<String>,
    /// The Request-URI.
    pub uri: String,
    /// The user part of From, unescaped.
    pub caller: Option<String>,
    /// The user part of P-Asserted-Identity, unescaped.
    pub pai: Option<String>,
    /// Begun beside the first, so many seconds after it; `None`: when the one before has failed.
    pub beside: Option<u16>,
    /// How the target is doing; `None`: nothing is known, as in a configuration by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<TargetHealth>,
}

/// What a running edge knows of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealth {
    pub state: State,
    /// Why, in words.
    pub reason: String,
    /// Seconds in this state.
    pub for_s: u64,
}

impl Explained {
    /// What routing says; targets are yet to come, and steps that are not routing's.
    pub(super) fn new(explanation: Explanation) -> Self {
        let Explanation { tenant, site, code, refused, rule, steps, near, .. } = explanation;
        let matched = rule.as_ref().map(words);
        Self {
            decision: if refused.is_some() { Verdict::Reject } else { Verdict::Forward },
            code,
            reason: refused.or_else(|| matched.clone()).unwrap_or_default(),
            tenant,
            site,
            rule: match rule {
                Some(RuleShown::Plan(rule)) => Some(rule.into()),
                _ => None,
            },
            matched,
            targets: Vec::new(),
            steps: steps.iter().map(ToString::to_string).collect(),
            near: near.into_iter().map(NearRule::from).collect(),
        }
    }

    /// The call goes nowhere, whatever routing says.
    pub(super) fn refuse(&mut self, code: u16, reason: &str) {
        self.decision = Verdict::Reject;
        self.code = Some(code);
        self.reason = reason.to_owned();
    }
}

impl From<PlanRule> for Rule {
    fn from(rule: PlanRule) -> Self {
        let PlanRule { plan, prefix, tag, owner, file, line, change } = rule;
        Self { plan, prefix, tag, owner, file, line, change }
    }
}

impl From<NearShown> for NearRule {
    fn from(near: NearShown) -> Self {
        Self { rule: near.rule.into(), why: near.why.to_string() }
    }
}

/// What decided.
fn words(rule: &RuleShown) -> String {
    match rule {
        RuleShown::Plan(rule) => format!("rule `{}` of dial plan `{}`, tag `{}`", rule.prefix, rule.plan, rule.tag),
        RuleShown::Route { prefix, from, tenant, .. } => {
            let from = from.as_ref().map(|from| format!(" from `{from}`")).unwrap_or_default();
            let of = tenant.as_ref().map(|tenant| format!(" of tenant `{tenant}`")).unwrap_or_default();
            format!("route{from}{of}, prefix `{prefix}`")
        }
        RuleShown::User { id } => format!("user `{id}`"),
        RuleShown::Tenant => "the tenant's own destination".to_owned(),
        RuleShown::SiteTrunk => "the site's own trunk".to_owned(),
    }
}
