//! What routing says about the requests to one trunk of a decision: how numbers are written, and what counts as failed.

use std::borrow::Cow;
use std::sync::Arc;

use super::numbers::{number_of, with_number, written};
use crate::routing::number::{Form, Lookup, Number, NumberingPlan};
use crate::routing::{Choice, Matched, Site, Tenant, Way};
use crate::trunk::TrunkId;

/// What one way asks for beyond sending the request on as it came.
#[derive(Clone, Debug)]
pub struct Leg {
    /// The called number as a user part, before the trunk's translation rules; `None`: the one that was asked for.
    pub called: Option<Box<[u8]>>,
    /// How the caller's number is written.
    pub calling: Form,
    /// The tenant that the session belongs to.
    pub tenant: Option<Arc<Tenant>>,
    /// Final codes that make the edge try the next place, instead of those of the trunk.
    pub failover_codes: Option<Arc<[u16]>>,
    /// The site under whose name the edge shows itself; `None`: under the trunk's name for it.
    pub site: Option<Arc<Site>>,
    /// The trunk whose peer asked for the call by REFER: its rules say how it means numbers. `None`: who sent the request.
    pub asked_by: Option<TrunkId>,
    /// Request-URI, From and Referred-By go as they are: Teams names its own targets (RFC 3515 section 2.1).
    pub verbatim: bool,
}

impl Leg {
    /// The leg of a way; `None` for one that changes nothing, unless its names are `wanted` in any case.
    pub fn new(choice: &Choice<'_>, way: &Way, wanted: bool) -> Option<Arc<Self>> {
        let failover_codes = match choice.matched {
            Matched::Route(route) => route.failover_codes.clone(),
            _ => None,
        };
        let site = choice.far_site.filter(|site| site.teams == way.trunk).map(Arc::clone);
        let changes = way.called.is_some() || way.calling != Form::AsIs || failover_codes.is_some() || site.is_some();
        if !(changes || wanted) {
            return None;
        }
        Some(Arc::new(Self {
            called: way.called.as_deref().map(|called| written(called).into()),
            calling: way.calling,
            tenant: choice.tenant.map(Arc::clone),
            failover_codes,
            site,
            asked_by: None,
            verbatim: false,
        }))
    }

    /// Of a call that a trunk's peer asked for by REFER, along a way of routing's or, `verbatim`, to its own proxy.
    pub fn referred(of_way: Option<&Self>, asked_by: TrunkId, verbatim: bool, site: Option<Arc<Site>>) -> Arc<Self> {
        let plain = || Self {
            called: None,
            calling: Form::AsIs,
            tenant: None,
            failover_codes: None,
            site,
            asked_by: None,
            verbatim,
        };
        Arc::new(Self { asked_by: Some(asked_by), ..of_way.cloned().unwrap_or_else(plain) })
    }

    /// The telephone number of the user who calls by an extension alone: outside of the PBX that says nothing.
    fn telephone_of(&self, number: &Number) -> Option<&Number> {
        let tenant = self.tenant.as_ref().filter(|_| self.calling != Form::Extension)?;
        let Number::Extension(extension) = number else { return None };
        let Lookup::User(id) = tenant.lookup(number) else { return None };
        let telephones = || tenant.user(id).into_iter().flat_map(|user| &user.numbers).filter(|it| it.e164().is_some());
        telephones().find(|it| it.extension() == Some(*extension)).or_else(|| telephones().next())
    }

    /// A calling number in the form that the way asks for; borrowed when it stays as it is.
    pub fn calling<'u>(&self, user: &'u [u8]) -> Cow<'u, [u8]> {
        if self.calling == Form::AsIs {
            return Cow::Borrowed(user);
        }
        let number = number_of(user);
        let formed = std::str::from_utf8(&number).ok().and_then(|text| {
            let nobody = NumberingPlan::default();
            let plan = self.tenant.as_ref().map_or(&nobody, |tenant| &tenant.numbering);
            let number = Number::parse(text, plan);
            self.calling.write(self.telephone_of(&number).unwrap_or(&number), plan)
        });
        match formed {
            Some(formed) if formed.as_bytes() != &*number => Cow::Owned(with_number(user, formed.as_bytes())),
            _ => Cow::Borrowed(user),
        }
    }
}
