//! What routing is asked, and what it answers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use thiserror::Error;

use super::number::Form;
use super::route::Route;
use super::site::Site;
use super::tenant::Tenant;
use crate::trunk::TrunkId;

/// Who calls. Asked only where a decision depends on it, so that what is not used is not parsed.
pub trait Callers: fmt::Debug {
    /// The user part of From, as the trunk's translation rules leave it; `None`: the caller hides it (RFC 3323).
    fn from(&self) -> Option<Cow<'_, [u8]>>;

    /// The user part of the first P-Asserted-Identity with a number, likewise (RFC 3325).
    fn asserted(&self) -> Option<Cow<'_, [u8]>>;
}

/// A caller that is at hand as text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'a> {
    pub from: Option<&'a str>,
    pub asserted: Option<&'a str>,
}

impl Callers for Caller<'_> {
    fn from(&self) -> Option<Cow<'_, [u8]>> {
        self.from.map(|text| Cow::Borrowed(text.as_bytes()))
    }

    fn asserted(&self) -> Option<Cow<'_, [u8]>> {
        self.asserted.map(|text| Cow::Borrowed(text.as_bytes()))
    }
}

/// A request, as far as routing looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    pub from: TrunkId,
    /// The Request-URI's host, without the port.
    pub host: &'a [u8],
    /// The Request-URI's user part, as the trunk's translation rules leave it.
    pub user: &'a [u8],
    pub caller: &'a dyn Callers,
    /// Seconds since 1970 UTC, for routes with windows.
    pub now: u64,
    /// Chance, the same for all copies of a request: it picks among members of one priority.
    pub draw: u64,
}

impl<'a> Query<'a> {
    /// A query by called number alone, at the beginning of time.
    pub fn new(from: TrunkId, host: &'a [u8], user: &'a [u8]) -> Self {
        Self { from, host, user, caller: &Caller { from: None, asserted: None }, now: 0, draw: 0 }
    }
}

/// What is to become of a request.
#[derive(Clone, Debug)]
pub enum Decision<'a> {
    To(Choice<'a>),
    NoRoute(Refused<'a>),
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// In order of preference, never empty.
    pub ways: SmallVec<[Way; 4]>,
    /// The tenant that the session belongs to.
    pub tenant: Option<&'a Arc<Tenant>>,
    /// The site that the session belongs to.
    pub site: Option<&'a Arc<Site>>,
    /// The site of a Teams side among the ways: its name is the edge's own on that leg. For calls from Teams to Teams it
    /// may be another than `site`, whose name is the edge's own towards the caller.
    pub far_site: Option<&'a Arc<Site>>,
    pub matched: Matched<'a>,
    /// A call for help: no limit applies.
    pub emergency: bool,
    pub noted: Noted,
}

/// One trunk for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub trunk: TrunkId,
    /// The called number as a user part, before the trunk's translation rules; `None`: the one that was asked for.
    pub called: Option<Box<[u8]>>,
    /// How the caller's number is written.
    pub calling: Form,
    /// `Some`: tried beside the way before it, so many seconds after the first, instead of when that has failed.
    pub beside: Option<u16>,
}

impl Way {
    /// A way that leaves the numbers as they came.
    pub const fn plain(trunk: TrunkId) -> Self {
        Self { trunk, called: None, calling: Form::AsIs, beside: None }
    }
}

/// What is counted about a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// The number is in a tenant's range and nobody's: it went to the tenant's `unassigned` destination.
    pub unassigned: bool,
    /// The number is that of several users: it went to the tenant's main destination.
    pub ambiguous: bool,
}

/// The rule that decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Matched<'a> {
    Route(&'a Route),
    /// A rule of a dial plan, by its tag and the number of symbols that its prefix covers.
    Plan {
        plan: &'a Arc<str>,
        tag: &'a str,
        symbols: usize,
    },
    /// A user of the tenant, by id.
    User(&'a str),
    /// The tenant's wish, or the operator's, for emergency or service numbers, `main` or `unassigned`, or the side of a
    /// site where nothing more is known of its numbers.
    Tenant,
    /// The trunk that the site names as its own.
    SiteTrunk,
}

/// A request that goes nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    pub why: NoRoute,
    /// The tenant, where it was known by then.
    pub tenant: Option<&'a Arc<Tenant>>,
    pub site: Option<&'a Arc<Site>>,
}

impl From<NoRoute> for Refused<'_> {
    fn from(why: NoRoute) -> Self {
        Self { why, tenant: None, site: None }
    }
}

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum NoRoute {
    #[error("the trunk is not in this configuration")]
    UnknownTrunk,
    #[error("the Request-URI's host is no site of this trunk")]
    UnknownHost,
    #[error("no dial plan rule and no route takes this number")]
    NoRule,
    #[error("the request would go back to the trunk it came from")]
    Loop,
    #[error("the number is known, but calls from here may not go there")]
    Forbidden,
    #[error("the number is too short: rules go on from it")]
    Incomplete,
    #[error("the number is the tenant's and nobody's")]
    Unassigned,
    #[error("the number is that of several users, and the tenant has no `main`")]
    Ambiguous,
    #[error("the tenant takes no calls without the caller's number")]
    Anonymous,
    #[error("a route takes the number, but not at this time")]
    Closed,
}

impl NoRoute {
    pub const ALL: [Self; 10] = [
        Self::UnknownTrunk,
        Self::UnknownHost,
        Self::NoRule,
        Self::Loop,
        Self::Forbidden,
        Self::Incomplete,
        Self::Unassigned,
        Self::Ambiguous,
        Self::Anonymous,
        Self::Closed,
    ];

    /// The status code and the reason phrase of the answer.
    pub const fn status(self) -> (u16, &'static str) {
        match self {
            Self::UnknownTrunk | Self::Forbidden => (403, "Forbidden"),
            Self::UnknownHost | Self::NoRule => (404, "No Route"),
            Self::Unassigned | Self::Ambiguous => (404, "Not Found"),
            Self::Loop => (482, "Loop Detected"),
            Self::Incomplete => (484, "Address Incomplete"),
            Self::Anonymous => (433, "Anonymity Disallowed"),
            Self::Closed => (480, "Temporarily Unavailable"),
        }
    }

    /// A word for metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownTrunk => "unknown_trunk",
            Self::UnknownHost => "unknown_host",
            Self::NoRule => "no_rule",
            Self::Loop => "loop",
            Self::Forbidden => "forbidden",
            Self::Incomplete => "incomplete",
            Self::Unassigned => "unassigned",
            Self::Ambiguous => "ambiguous",
            Self::Anonymous => "anonymous",
            Self::Closed => "closed",
        }
    }
}
