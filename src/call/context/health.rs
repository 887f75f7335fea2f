//! What calls tell of the targets that they were sent to (`trunk::health`).

use super::super::command::{Command, Heard, Output};
use super::super::destination::Candidate;
use super::super::probe::retry_after;
use super::Context;
use super::client::Branch;
use crate::sip::Message;
use crate::trunk::health::{LinkFault, Outcome, State};

impl Context {
    /// An answer came from where a branch was sent. One that is no news is not told: most are none.
    pub(super) fn hear_answer(&self, out: &mut Output, index: u16, response: &Message) {
        let status = response.status();
        let Some((work, branch)) = self.work.as_ref().zip(self.branch_at(index)) else { return };
        let drops = || work.edge.trunk(branch.trunk()).is_some_and(|trunk| trunk.dialect.answers.drop_connection);
        if status == 503
            && response.retry_after().is_some()
            && branch.hop().transport.is_reliable()
            && !work.edge.trunk(branch.trunk()).is_some_and(|trunk| trunk.transparent)
            && drops()
        {
            out.counts.connections_dropped += 1;
            out.commands.push(Command::Drop { hop: branch.hop().clone() });
        }
        let known = branch.target.map(|target| work.edge.health.state(branch.trunk(), target));
        if status == 503 || known.is_some_and(|state| state != State::Up) {
            tell(out, branch, Outcome::Answered { status, retry_after: retry_after(response) });
        }
    }

    /// Nothing came from where an INVITE was sent. Who is asked anything else may just be slow to answer.
    pub(super) fn hear_silence(&self, out: &mut Output, index: u16) {
        if self.work.as_ref().is_some_and(|work| work.invite)
            && let Some(branch) = self.branch_at(index)
        {
            tell(out, branch, Outcome::Silent);
        }
    }

    /// A branch was not sent. That a place takes no TCP, which only the size of a request asked for, says nothing.
    pub(super) fn hear_not_sent(&self, out: &mut Output, index: u16) {
        if let Some(branch) = self.branch_at(index).filter(|branch| branch.is_pending() && branch.fallback.is_none()) {
            tell(out, branch, Outcome::NotSent(LinkFault::Unknown));
        }
    }

    fn branch_at(&self, index: u16) -> Option<&Branch> {
        self.work.as_ref()?.branches.get(usize::from(index))
    }
}

/// A name that leads to no place.
pub(super) fn hear_no_place(out: &mut Output, candidate: &Candidate) {
    if let Some(target) = candidate.target {
        out.heard.push(Heard { trunk: candidate.trunk, target, what: Outcome::Unresolved });
    }
}

fn tell(out: &mut Output, branch: &Branch, what: Outcome) {
    if let Some(target) = branch.target {
        out.heard.push(Heard { trunk: branch.trunk(), target, what });
    }
}
