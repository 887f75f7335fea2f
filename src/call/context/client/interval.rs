//! An INVITE that came back with 422: the callee wants a longer session interval, which is between the edge and it alone
//! (RFC 4028 section 7.3).

use bytes::Bytes;

use super::super::super::branch::BranchId;
use super::super::super::command::{Command, Output};
use super::super::super::live::timer::offer;
use super::super::super::{Env, Tools};
use super::super::Context;
use super::{Branch, Cancel, Start};
use crate::sip::edit::write_decimal;
use crate::sip::session_expires::{is_of_session_timer, write_min_se};
use crate::sip::{Edits, HeaderName, Message, SessionExpires, Span};
use crate::trunk::dialect::session::{MOST, Timer};

impl Context {
    /// The INVITE of a branch as it was sent, when it is to be sent once more after this answer, and the interval for it.
    pub(super) fn to_offer_again(&self, index: u16, response: &Message) -> Option<(Bytes, SessionExpires)> {
        if response.status() != 422 {
            return None;
        }
        let work = self.work.as_ref().filter(|work| work.invite && !work.cancelled && !work.answered)?;
        let branch = work.branches.get(usize::from(index))?;
        branch.crossing.as_ref().filter(|crossing| crossing.shift == 0)?;
        let trunk = |id| work.edge.trunk(id);
        let (near, far) = (trunk(work.from)?, trunk(branch.hop.trunk)?);
        let session = &far.dialect.session;
        let wanted = response.min_se().filter(|&wanted| wanted > session.expires && wanted <= MOST)?;
        let mine = session.timer_beside(&near.dialect.session) == Timer::Edge;
        let given_up = branch.abandoned || !matches!(branch.cancel, Cancel::No);
        (mine && !given_up && !branch.sent.is_empty()).then(|| (branch.sent.clone(), offer(session, wanted)))
    }

    /// Sends the INVITE of a branch once more, under a number of its own.
    pub(super) fn offer_again(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        (sent, interval): (Bytes, SessionExpires),
    ) {
        let id = self.id;
        let Some(work) = &mut self.work else { return };
        let number = work.next_branch(id);
        let loop_hash = work.loop_hash;
        let Some(branch) = work.branches.get_mut(usize::from(index)) else { return };
        let Some(bytes) = rewritten(&mut tools.edits, &sent, number, loop_hash, interval) else { return };
        branch.abandoned = true;
        let crossing = branch.crossing.clone().map(|crossing| crossing.shifted());
        let (hop, lane, leg, target) = (branch.hop.clone(), branch.lane, branch.leg.clone(), branch.target);
        let (sent, no_answer) = (bytes.clone(), None);
        let start =
            Start { invite: true, hop: hop.clone(), target, leg, crossing, lane, sent, no_answer, fallback: None };
        work.branches.push(Branch::start(env, start));
        out.counts.forwarded += 1;
        out.commands.push(Command::Request { hop, bytes, branch: Some(number) });
    }
}

/// The INVITE as that of another branch, with the next CSeq number and another session interval.
fn rewritten(
    edits: &mut Edits,
    sent: &Bytes,
    number: BranchId,
    loop_hash: u32,
    interval: SessionExpires,
) -> Option<Bytes> {
    let message = Message::reread(sent).filter(|message| message.method() == b"INVITE")?;
    let branch = message.top_via().ok()?.branch?;
    let cseq = message.value(HeaderName::CSeq)?;
    let digits = cseq.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let Span { start, .. } = message.span_of(cseq);
    // `digits` is no longer than the header block, which fits into 16 bits.
    let digits = Span { start, end: start + digits as u16 };
    let next = u64::from(message.cseq().ok()?.number) + 1;
    edits.clear();
    edits.replace_with(message.span_of(branch), |out| number.write(loop_hash, out));
    edits.replace_with(digits, |out| write_decimal(out, next));
    for line in message.lines() {
        if line.name == HeaderName::Other && is_of_session_timer(message.name_at(line)) {
            edits.remove_line(line);
        }
    }
    edits.insert_with(message.header_block().end, |out| {
        interval.write(out);
        write_min_se(interval.seconds, out);
    });
    Some(edits.apply(&message))
}
