//! An operator's rules for headers of answers: those of the trunk that answers, and those of the trunk that is answered.

use bytes::Bytes;

use super::super::super::Tools;
use super::super::super::dialect::headers::{self, Crossed};
use super::super::{Context, Work};
use crate::sip::Message;

impl Context {
    /// The answer of a branch as the rules of its trunk make it; `None` when nothing changes.
    pub(super) fn ruled(&self, tools: &mut Tools, index: u16, response: &Message) -> Option<Message> {
        let work = self.work.as_ref()?;
        let branch = work.branches.get(usize::from(index))?;
        if work.edge.trunk(branch.trunk())?.dialect.headers.inbound.is_empty() {
            return None;
        }
        work.crossed(index, |crossed| {
            headers::incoming(&work.edge, (branch.trunk(), Some(work.from)), crossed, response, &mut tools.edits)
        })?
    }

    /// The bytes of an answer as the rules of the trunk that gets it make them; `None` when it has none.
    pub(super) fn ruled_back(&self, tools: &mut Tools, index: u16, bytes: &Bytes) -> Option<Bytes> {
        let work = self.work.as_ref()?;
        let branch = work.branches.get(usize::from(index))?;
        if work.edge.trunk(work.from)?.dialect.headers.outbound.is_empty() {
            return None;
        }
        let trunks = (work.from, branch.trunk());
        work.crossed(index, |crossed| headers::outgoing(&work.edge, trunks, crossed, bytes.clone(), &mut tools.edits))
    }
}

impl Work {
    /// What is known of the way of a branch's answers.
    fn crossed<T>(&self, index: u16, then: impl FnOnce(Crossed<'_>) -> T) -> Option<T> {
        let branch = self.branches.get(usize::from(index))?;
        let request = Message::reread(&self.request);
        let uri = request.as_ref().and_then(|request| request.uri().ok());
        let dialog = branch.crossing.as_ref().and_then(|crossing| crossing.dialog.as_deref());
        let host = uri.map(|uri| uri.host).unwrap_or_default();
        Some(then(Crossed { leg: branch.leg.as_deref(), dialog, near: self.from, host }))
    }
}
