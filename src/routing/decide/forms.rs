//! How the called number is written for the far side.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::super::number::{Form, Interface, MAX_EXTENSION, Number, NumberingPlan};
use super::super::{Tenant, User, Way};
use super::{Ask, Steps};
use crate::trunk::{TrunkId, TrunkKind};

impl<S: Steps> Ask<'_, '_, S> {
    /// A way by a trunk, in its forms unless a route names others.
    pub(super) fn way(&self, trunk: TrunkId, called: Option<Form>, calling: Option<Form>) -> Way {
        let origin = self.routing.origin(trunk);
        let called = called.or(origin.map(|origin| origin.called)).unwrap_or_default();
        let calling = calling.or(origin.map(|origin| origin.calling)).unwrap_or_default();
        let changed = match called {
            Form::AsIs => without_plus(self.query.user, || self.number()),
            form => written(form, self.number(), self.numbering(), self.query.user),
        };
        // After a detour the number that was dialled means nothing to the far side.
        let detoured = || (self.detoured && *self.user != *self.query.user).then(|| self.user.as_ref().into());
        let is_opaque = || matches!(self.number(), Number::Opaque(_));
        let called = match called {
            Form::AsIs => detoured().or(changed),
            _ if self.detoured && is_opaque() => detoured(),
            _ => changed,
        };
        Way { trunk, called, calling, beside: None }
    }

    /// A way to a user, who may have been called by less than the number that the far side knows.
    pub(super) fn way_to_user(&self, trunk: TrunkId, tenant: &Arc<Tenant>, user: &User, number: &Number) -> Way {
        let way = Way { called: None, ..self.way(trunk, Some(Form::AsIs), None) };
        let form = self.routing.origin(trunk).map_or(Form::AsIs, |origin| origin.called);
        let to_teams = self.kind(trunk) == Some(TrunkKind::Teams);
        let is_short = self.detoured || matches!(number, Number::Extension(_));
        let (own, came, plan) = (own_number(user, number), self.query.user, &tenant.numbering);
        let called = match (own, form) {
            (Number::Extension(_), _) if to_teams && is_short => {
                let text = own.write(Interface::PbxTeamsUri, plan);
                text.filter(|text| text.as_bytes() != came).map(|text| text.into_bytes().into())
            }
            _ if to_teams && is_short => written(Form::E164, own, plan, came),
            (_, Form::AsIs) if self.detoured => written(Form::E164, own, plan, came),
            (_, Form::AsIs) => without_plus(came, || number),
            (_, Form::Extension) => written(form, own, plan, came),
            _ if is_short => written(form, own, plan, came),
            _ => written(form, number, plan, came),
        };
        Way { called, ..way }
    }
}

/// The number of a user that says more than the one called: with its telephone number and extension, if there are any.
fn own_number<'n>(user: &'n User, called: &'n Number) -> &'n Number {
    let telephones = || user.numbers.iter().filter(|number| number.e164().is_some());
    let alike = |number: &&Number| match called {
        Number::Telephone { e164, .. } => number.e164() == Some(*e164),
        _ => number.extension().is_some() && number.extension() == called.extension(),
    };
    telephones().find(alike).or_else(|| telephones().next()).unwrap_or(called)
}

/// An extension that came with a `+`, as Teams writes it, without: nobody else could dial it. Numbers for help stay as
/// they came. A number that is too long for an extension is not read for this.
fn without_plus<'n>(came: &[u8], number: impl FnOnce() -> &'n Number) -> Option<Box<[u8]>> {
    let digits = came.strip_prefix(b"+")?.iter().take_while(|byte| **byte != b';');
    if digits.filter(|byte| byte.is_ascii_digit()).count() > MAX_EXTENSION {
        return None;
    }
    let Number::Extension(extension) = number() else { return None };
    Some(extension.to_string().into_bytes().into_boxed_slice())
}

/// A number in a form; `None`: it has none, or came so.
fn written(form: Form, number: &Number, plan: &NumberingPlan, came: &[u8]) -> Option<Box<[u8]>> {
    if form == Form::E164 && is_canonical(number, came) {
        return None;
    }
    let text = form.write(number, plan)?;
    (text.as_bytes() != came).then(|| text.into_bytes().into_boxed_slice())
}

/// Whether a text is the canonical one of a number. Allocates nothing.
fn is_canonical(number: &Number, text: &[u8]) -> bool {
    struct Rest<'t>(&'t [u8]);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part.as_bytes()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    write!(rest, "{number}").is_ok() && rest.0.is_empty()
}
