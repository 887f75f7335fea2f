//! What is told of an INVITE that failed. One that succeeds is told of when the call is over.

use bytes::Bytes;

use super::super::Env;
use super::super::command::Output;
use super::super::live::hang_up::Cause;
use super::super::progress::Progress;
use super::super::record::{self, Failed, Outcome};
use super::super::seal::Side;
use super::Context;
use super::client::Branch;
use crate::sip::Message;

impl Context {
    /// A final answer goes to the caller that is no 2xx.
    pub(super) fn record_failure(&mut self, env: &Env<'_>, out: &mut Output, status: u16, bytes: &Bytes) {
        let Some(work) = self.work.as_mut().filter(|work| !work.answered) else { return };
        let Some(mut progress) = work.progress.take() else { return };
        // Whoever is asked who he is calls once more, and that counts.
        if matches!(status, 401 | 407) {
            return;
        }
        let answer = Message::reread(bytes);
        let last = work.branches.iter().rev();
        let deciding = last.clone().find(|branch| branch.status() == status).or_else(|| last.clone().next());
        let response = deciding.filter(|branch| branch.was_answered()).and(answer.as_ref());
        if let Some(branch) = deciding {
            progress.to = Some((branch.trunk(), branch.target));
        }
        let outcome = match response {
            _ if progress.ended_by_operator => Outcome::Ended(Cause::Operator),
            _ if work.cancelled => Outcome::Cancelled,
            Some(_) => Outcome::Refused,
            None if work.branches.is_empty() && progress.limit.is_some() => Outcome::NotPassed,
            None => Outcome::Unreachable,
        };
        let far_call_id = deciding.map(|branch| far_call_id(env, branch, &progress)).unwrap_or_default();
        let failed = Failed { outcome, status, response, far_call_id: &far_call_id };
        record::of_failed(env, out, &progress, &failed);
    }
}

/// The Call-ID of the leg of a branch; empty where it is the caller's.
fn far_call_id(env: &Env<'_>, branch: &Branch, progress: &Progress) -> Vec<u8> {
    let mut far = Vec::new();
    if let Some(crossing) = &branch.crossing
        && let Side::Caller { leg } = crossing.near
        // What cannot be sealed again was not sent either.
        && env.secrets.ring.seal_call_id(crossing.key, progress.call_id(), leg, &mut far).is_err()
    {
        far.clear();
    }
    far
}
