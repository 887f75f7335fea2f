//! Who asks, what each endpoint needs, and the gate between them.
//!
//! An endpoint is added with its [`Need`] or not at all: [`Routes`] takes no handler without one. Whoever comes by the
//! Unix socket may do everything, its mode is the guard; whoever comes by a token may do what the token's scope says,
//! in the node as a whole or in some tenants only.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request};
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, on};

use super::fault::Fault;
use super::routes::Desk;

/// What a caller may do; `Change` includes both before it, `Admin` all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Tell what lines do, and nothing else: for the PBX's own programs.
    Presence,
    /// See.
    Read,
    /// Change what carries calls: rules, users, tenants, calls, bans.
    Change,
    /// Change the node: reload, drain, keys, logs, traces.
    Admin,
}

impl Scope {
    /// The word of the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Read => "read",
            Self::Change => "change",
            Self::Admin => "admin",
        }
    }

    /// Whether it is enough for what needs another one.
    pub(super) const fn covers(self, needed: Self) -> bool {
        match needed {
            Self::Presence => !matches!(self, Self::Read),
            Self::Read => !matches!(self, Self::Presence),
            Self::Change => matches!(self, Self::Change | Self::Admin),
            Self::Admin => matches!(self, Self::Admin),
        }
    }
}

/// What an endpoint asks of who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub scope: Scope,
    /// Whether who has only some tenants may come in: the endpoint shows and changes nothing else to them.
    pub in_tenants: bool,
}

impl Need {
    /// Takes what the PBX tells of its lines, of the node as a whole.
    pub(super) const FEED: Self = Self { scope: Scope::Presence, in_tenants: false };
    /// Shows the node as a whole.
    pub(super) const READ: Self = Self { scope: Scope::Read, in_tenants: false };
    /// Changes what carries calls, of the node as a whole.
    pub(super) const CHANGE: Self = Self { scope: Scope::Change, in_tenants: false };
    /// Changes the node.
    pub(super) const ADMIN: Self = Self { scope: Scope::Admin, in_tenants: false };

    /// Open to callers with some tenants as well. The handler must look at [`Caller::sees`].
    pub(super) const fn in_tenants(self) -> Self {
        Self { in_tenants: true, ..self }
    }
}

/// Who asks: an extension of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    who: Who,
    scope: Scope,
    /// `None`: all.
    tenants: Option<Arc<[Arc<str>]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// A process of this machine, over the Unix socket.
    User(u32),
    Token(Arc<str>),
}

impl Caller {
    /// A process of this machine.
    pub(super) const fn local(uid: u32) -> Self {
        Self { who: Who::User(uid), scope: Scope::Admin, tenants: None }
    }

    /// Who has shown a token.
    pub(super) const fn token(name: Arc<str>, scope: Scope, tenants: Option<Arc<[Arc<str>]>>) -> Self {
        Self { who: Who::Token(name), scope, tenants }
    }

    /// Whether this is about all tenants and the node.
    pub(super) const fn sees_all(&self) -> bool {
        self.tenants.is_none()
    }

    /// The tenants that this is about; `None`: all.
    pub(super) fn tenants(&self) -> Option<&[Arc<str>]> {
        self.tenants.as_deref()
    }

    /// The tenant that is meant when none is named: the only one of a caller who has one.
    pub(super) fn only_tenant(&self) -> Option<&str> {
        match self.tenants() {
            Some([only]) => Some(only),
            _ => None,
        }
    }

    /// Whether a tenant is the caller's business; what has none (an empty name) is only who sees all's.
    pub(super) fn sees(&self, tenant: &str) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.iter().any(|own| **own == *tenant))
    }

    /// The same, as a fault that does not tell whether there is such a tenant.
    pub(super) fn must_see(&self, tenant: &str) -> Result<(), Fault> {
        if self.sees(tenant) { Ok(()) } else { Err(not_yours(&format!("tenant `{tenant}`"))) }
    }

    /// As it stands in records of changes.
    pub(super) fn label(&self) -> String {
        match &self.who {
            Who::User(uid) => format!("uid {uid}"),
            Who::Token(name) => format!("token {name}"),
        }
    }

    /// Whether the caller may do what needs as much.
    pub(super) fn may(&self, need: Need) -> Result<(), Fault> {
        if !self.scope.covers(need.scope) {
            let detail =
                format!("this needs a token of scope `{}`; yours has `{}`", need.scope.word(), self.scope.word());
            return Err(Fault::new(StatusCode::FORBIDDEN, "scope", detail));
        }
        if !need.in_tenants && !self.sees_all() {
            return Err(not_yours("the node as a whole"));
        }
        Ok(())
    }
}

/// Refuses what is not a caller's business.
pub(super) fn not_yours(what: &str) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "not_yours", format!("{what} is not in the tenants of your token"))
}

/// An endpoint as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub method: Method,
    pub path: &'static str,
    pub need: Need,
}

/// Endpoints, each with what it needs.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Desk>,
    declared: Vec<Declared>,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// `GET`: shows, and changes nothing.
    pub(super) fn get<H, T>(self, path: &'static str, need: Need, handler: H) -> Self
    where
        H: Handler<T, Desk>,
        T: 'static,
    {
        self.add(Method::GET, path, need, handler)
    }

    /// `POST`: does.
    pub(super) fn post<H, T>(self, path: &'static str, need: Need, handler: H) -> Self
    where
        H: Handler<T, Desk>,
        T: 'static,
    {
        self.add(Method::POST, path, need, handler)
    }

    /// `PUT`: puts a state in place of what there is.
    pub(super) fn put<H, T>(self, path: &'static str, need: Need, handler: H) -> Self
    where
        H: Handler<T, Desk>,
        T: 'static,
    {
        self.add(Method::PUT, path, need, handler)
    }

    fn add<H, T>(mut self, method: Method, path: &'static str, need: Need, handler: H) -> Self
    where
        H: Handler<T, Desk>,
        T: 'static,
    {
        let filter = match method {
            Method::POST => axum::routing::MethodFilter::POST,
            Method::PUT => axum::routing::MethodFilter::PUT,
            _ => axum::routing::MethodFilter::GET,
        };
        let gate = from_fn(move |caller, request, next| admit(need, caller, request, next));
        let endpoint: MethodRouter<Desk, Infallible> = on(filter, handler).route_layer(gate);
        self.declared.push(Declared { method, path, need });
        Self { router: self.router.route(path, endpoint), ..self }
    }

    /// These and those.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.declared.extend(other.declared);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// The endpoints, and the list of them.
    pub(super) fn into_parts(self) -> (Router<Desk>, Vec<Declared>) {
        (self.router, self.declared)
    }
}

/// Lets a caller through to an endpoint, or not.
async fn admit(need: Need, Extension(caller): Extension<Caller>, request: Request, next: Next) -> Response {
    match caller.may(need) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_sees_nothing_and_who_only_sees_feeds_nothing() {
        use Scope::{Admin, Change, Presence, Read};
        let covered = |scope: Scope| [Presence, Read, Change, Admin].map(|needed| scope.covers(needed));
        assert_eq!(covered(Presence), [true, false, false, false]);
        assert_eq!(covered(Read), [false, true, false, false]);
        assert_eq!(covered(Change), [true, true, true, false]);
        assert_eq!(covered(Admin), [true, true, true, true]);
    }
}
