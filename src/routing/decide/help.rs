//! Callers without a number, calls for help, and service numbers.

use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

use super::super::number::{Digits, Number};
use super::super::symbols::{Dialled, character};
use super::super::{Anonymous, Destination, Matched, NoRoute};
use super::{Ask, Next, Steps, Ways, by_rule, rule_words};
use crate::trunk::TrunkId;

impl<'a, S: Steps> Ask<'a, '_, S> {
    /// Refuses a caller who hides the number where the tenant wants to see one (RFC 5079).
    pub(super) fn anonymous(&mut self) -> Next<'a> {
        let refuses = self.tenant.is_some_and(|tenant| tenant.anonymous == Anonymous::Refuse);
        if !refuses || self.is_for_help() {
            return ControlFlow::Continue(());
        }
        let caller = self.query.caller;
        if caller.from().is_some() || caller.asserted().is_some() {
            return ControlFlow::Continue(());
        }
        self.steps.add(|| "the caller hides the number, and the tenant takes no such calls".to_owned());
        ControlFlow::Break(Err(NoRoute::Anonymous))
    }

    /// Whether the called number calls for help.
    fn is_for_help(&self) -> bool {
        match self.tenant {
            Some(tenant) => matches!(self.number(), Number::Service(digits) if tenant.numbering.is_emergency(*digits)),
            None => short(&self.user).is_some_and(|digits| self.routing.emergency.numbers.contains(&digits)),
        }
    }

    /// Answers calls for help and to service numbers by the trunks that are named for them, or by a rule for exactly
    /// the number. Anything else goes on.
    pub(super) fn help(&mut self) -> Next<'a> {
        if self.is_for_help() {
            self.emergency = true;
            self.steps.add(|| "an emergency number".to_owned());
            if let Some(tenant) = self.tenant {
                self.by_first_of(&tenant.emergency, "the tenant's trunks for emergency calls")?;
            }
            let everybodys = &self.routing.emergency.to;
            self.by_first_of(everybodys, "trunks for emergency calls")?;
            return self.exact_rule();
        }
        let Some(tenant) = self.tenant else { return ControlFlow::Continue(()) };
        if matches!(self.number(), Number::Service(_)) {
            self.steps.add(|| "a service number".to_owned());
            self.by_first_of(&tenant.service, "the tenant's trunks for service numbers")?;
            return self.exact_rule();
        }
        ControlFlow::Continue(())
    }

    fn by_first_of(&mut self, trunks: &[TrunkId], what: &str) -> Next<'a> {
        let usable = |trunk: &&TrunkId| **trunk != self.query.from && self.may_use(**trunk);
        let ways: Ways = trunks.iter().filter(usable).map(|trunk| self.way(*trunk, None, None)).collect();
        if ways.is_empty() {
            return ControlFlow::Continue(());
        }
        let routing = self.routing;
        self.steps.add(|| format!("{what}: {}", super::explain::names(routing, ways.iter().map(|way| way.trunk))));
        self.to(ways, Matched::Tenant)
    }

    /// Answers by a rule of the dial plan for exactly the number, with or without `+`: it may name another gateway than
    /// that of the site.
    fn exact_rule(&mut self) -> Next<'a> {
        let (Some(plan), Some(digits)) = (self.plan(), short(&self.user)) else { return ControlFlow::Continue(()) };
        let mut text: SmallVec<[u8; 17]> = smallvec![b'+'];
        text.extend(digits.bytes());
        let bare = text.get(1..).unwrap_or_default();
        let as_it_came = if self.user.first() == Some(&b'+') { [&text, bare] } else { [bare, &text] };
        for user in as_it_came {
            let Some(found) = plan.find(user).filter(|found| found.symbols >= user.len()) else { continue };
            self.steps.add(|| rule_words(plan, user, &found));
            let trunk = match found.destination {
                Some(Destination::Trunk(trunk)) => Some(trunk),
                Some(Destination::Site(index)) => {
                    let site = self.routing.sites.get(index);
                    site.filter(|site| self.owner == Some(site.owner)).map(|site| site.trunk)
                }
                None => None,
            };
            match trunk.filter(|trunk| *trunk != self.query.from && self.may_use(*trunk)) {
                Some(trunk) => {
                    self.steps.rule(plan, user, &found);
                    return self.to(smallvec![self.way(trunk, None, None)], by_rule(plan, &found));
                }
                None => self.steps.add(|| "it leads back or to another tenant: passed over".to_owned()),
            }
        }
        ControlFlow::Continue(())
    }
}

/// The digits of a short number, with or without `+` in front.
fn short(user: &[u8]) -> Option<Digits> {
    let dialled = Dialled::read(user, true);
    if !dialled.whole || dialled.length > Digits::MAX {
        return None;
    }
    let symbols = (0..dialled.length).map(|index| character(dialled.symbol(index)) as u8);
    Digits::new(&symbols.collect::<SmallVec<[u8; Digits::MAX]>>())
}
