//! What is told of an INVITE between owned legs that failed. One that succeeds is told of when the call is over.

use bytes::Bytes;

use super::super::Env;
use super::super::command::Output;
use super::super::record::{self, Failed, Outcome};
use super::client::Branch;
use super::{Context, Work};
use crate::sip::{HeaderName, Message};

impl Context {
    /// A final answer goes to the caller that is no 2xx.
    pub(super) fn record_failure(&self, env: &Env<'_>, out: &mut Output, status: u16, bytes: &Bytes) {
        let Some(work) = self.work.as_ref().filter(|work| work.invite && work.own.is_none() && !work.answered) else {
            return;
        };
        // Whoever is asked who he is calls once more, and that counts.
        if matches!(status, 401 | 407) || !work.is_of_owned_legs() {
            return;
        }
        let Some(answer) = Message::reread(bytes) else { return };
        let last = work.branches.iter().rev();
        let deciding = last.clone().find(|branch| branch.status() == status).or_else(|| last.clone().next());
        let response = deciding.filter(|branch| branch.was_answered()).map(|_| &answer);
        let outcome = match response {
            _ if work.cancelled => Outcome::Cancelled,
            Some(_) => Outcome::Refused,
            None => Outcome::Unreachable,
        };
        let leg = deciding.and_then(Branch::leg);
        let tenant = leg.and_then(|leg| leg.tenant.as_ref().map(|tenant| tenant.id.clone()));
        let failed = Failed {
            call_id: answer.value(HeaderName::CallId).unwrap_or_default(),
            from: work.from,
            to: deciding.map(Branch::trunk),
            tenant: tenant.or_else(|| Some(leg?.site.as_ref()?.tenant.clone())),
            outcome,
            status,
            response,
        };
        record::of_failed(env, out, failed);
    }
}

impl Work {
    /// Whether the INVITE begins a call between owned legs.
    fn is_of_owned_legs(&self) -> bool {
        match self.branches.first() {
            Some(branch) => branch.crossing.as_ref().is_some_and(|crossing| crossing.dialog.is_none()),
            // It was never sent: that it is in a dialog the caller's own legs would tell.
            None => self.edge.owns_legs(self.from, self.from) && !self.is_inside(),
        }
    }

    fn is_inside(&self) -> bool {
        Message::reread(&self.request).is_none_or(|request| request.to_tag().is_some())
    }
}
