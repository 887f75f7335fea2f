//! A sign of life for a caller who has heard nothing but 100 for long.
//!
//! Teams tries another edge when nothing came for ten seconds, and nobody says whether a 100 counts. A 180 would claim
//! that somebody rings. So it is a 183, without media, in an early dialog of the edge's own; and only when the far side
//! has shown that it lives: where it is silent, Teams does right to try elsewhere.

use super::super::super::command::Output;
use super::super::super::dialect::methods::{offered, write_allow};
use super::super::super::owned::site_of;
use super::super::super::probe::PRODUCT;
use super::super::super::{Env, own_tag};
use super::super::Context;
use super::Asked;
use crate::sip::Message;
use crate::sip::build::{Answer, answer};
use crate::trunk::TrunkKind;

impl Context {
    /// Sets when the caller is told that somebody is there.
    pub(in super::super) fn plan_progress(&mut self, env: &Env<'_>) {
        let Some(work) = self.work.as_mut().filter(|work| work.invite && work.initial) else { return };
        let from = work.edge.trunk(work.from).filter(|from| !from.transparent);
        work.progress_at = from.and_then(|from| from.dialect.early.progress_after).map(|after| env.now + after);
    }

    pub(super) fn handle_progress(&mut self, env: &Env<'_>, out: &mut Output) {
        let Some(work) = &mut self.work else { return };
        if work.progress_at.is_none_or(|at| at > env.now) {
            return;
        }
        work.progress_at = None;
        let heard = work.early.as_ref().is_some_and(|early| !early.shown.is_empty());
        let lives = work.branches.iter().any(|branch| branch.crossing.is_some() && branch.is_proceeding());
        // Who wants all of them acknowledged would have to acknowledge this one.
        if heard || !lives || work.answered || work.cancelled || work.asked == Asked::Required {
            return;
        }
        let (Some(request), Some(from)) = (Message::reread(&work.request), work.edge.trunk(work.from)) else { return };
        let mut headers = b"Contact: <sip:".to_vec();
        let site = site_of(&work.edge, work.from, request.uri().map(|uri| uri.host).unwrap_or_default());
        work.edge.write_own(work.from, self.flow.listener, site, &mut headers);
        headers.extend_from_slice(b">\r\n");
        write_allow(offered(from, None, None), &[], &mut headers);
        if from.kind == TrunkKind::Teams {
            headers.extend_from_slice(PRODUCT.as_bytes());
        }
        let mut tag = Vec::with_capacity(16);
        own_tag(env.secrets, &request, &mut tag);
        let text = Answer { status: 183, reason: "Session Progress", to_tag: &tag, headers: &headers, own_vias: 0 };
        let bytes = answer(&request, work.remote, &text);
        out.counts.progress += 1;
        self.answer(env, out, 183, bytes);
    }
}
