//! A branch's answers on their way to the caller: as they came, or as those of the caller's leg where each side has its own.

use bytes::Bytes;

use super::super::super::best::{Best, Final};
use super::super::super::command::{Command, Output};
use super::super::super::forward::{Branch as ViaBranch, write_own_via};
use super::super::super::live::{self, Agreed, LiveLeg};
use super::super::super::owned::Back;
use super::super::super::progress::turn;
use super::super::super::{CallId, Env, Tools, record};
use super::super::Context;
use crate::sip::build::InDialog;
use crate::sip::{HeaderName, Message, build};

impl Context {
    /// The answer with a Content-Length, when it has none and goes back over a stream (RFC 3261 section 18.3).
    pub(super) fn completed(&self, tools: &mut Tools, response: &Message) -> Option<Message> {
        if !self.flow.transport.is_reliable() || response.line(HeaderName::ContentLength).is_some() {
            return None;
        }
        tools.edits.clear();
        tools.edits.append_header(response, "Content-Length", response.body().len().to_string().as_bytes());
        Message::reread(&tools.edits.apply(response))
    }

    /// Sends an answer of a branch on to the caller, less the edge's Via. An early answer may go without a Contact that
    /// has no room; gives whether the answer went.
    pub(in super::super) fn pass_back(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        response: &Message,
    ) -> bool {
        let Some(bytes) = self.whole_back(env, tools, out, index, response) else { return false };
        if self.is_own() {
            self.tell(tools, response.status(), Some(&bytes), None);
        } else {
            self.answer(env, out, response.status(), bytes);
        }
        true
    }

    /// Sends a 2xx on to the caller, or has it wait for what comes before; gives whether it could be written.
    pub(super) fn pass_accepted(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        (response, sent): (&Message, &Bytes),
    ) -> bool {
        if self.is_own() {
            return self.pass_back(env, tools, out, index, response);
        }
        let Some(bytes) = self.whole_back(env, tools, out, index, response) else { return false };
        if let Some(bytes) = self.hold(index, response, sent, bytes) {
            self.answer(env, out, response.status(), bytes);
        }
        true
    }

    /// What a final answer of a branch really means, for a peer that says one thing for another.
    pub(super) fn meaning(&self, index: u16, status: u16) -> u16 {
        let Some(work) = self.work.as_ref().filter(|work| work.invite && work.initial) else { return status };
        let branch = work.branches.get(usize::from(index)).filter(|branch| branch.crossing.is_some());
        let trunk = branch.and_then(|branch| work.edge.trunk(branch.hop.trunk));
        trunk.and_then(|trunk| trunk.dialect.answers.from.of(status)).unwrap_or(status)
    }

    /// What a final answer is to the caller: of a call whatever its trunk is to see, of anything else only that nobody is
    /// asked for a password.
    pub(super) fn to_caller(&self, index: u16, status: u16, meaning: u16) -> Final {
        let as_ever = if meaning == status { Final::plain(status, true) } else { Final::plain(meaning, false) };
        let Some(work) = self.work.as_ref().filter(|work| work.own.is_none()) else { return as_ever };
        let owned = work.branches.get(usize::from(index)).is_some_and(|branch| branch.crossing.is_some());
        let call = work.invite && work.initial || matches!(status, 401 | 407);
        match work.seen_as(meaning).filter(|_| owned && call) {
            Some(send) => Final { rank: send, send },
            None => as_ever,
        }
    }

    /// An answer of a branch as the caller gets it; `None` for a final one whose Contact has no room.
    pub(in super::super) fn whole_back(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        response: &Message,
    ) -> Option<Bytes> {
        tools.edits.clear();
        let whole = self.cross_back(env, tools, out, index, response);
        if !whole && response.status() >= 200 {
            return None;
        }
        tools.edits.remove_values(response, HeaderName::Via, 1);
        let bytes = tools.edits.apply(response);
        Some(self.ruled_back(tools, index, &bytes).unwrap_or(bytes))
    }

    /// What a 2xx that went back teaches about the call.
    pub(in super::super) fn learn(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        (response, sent): (&Message, &Bytes),
    ) {
        let first = self.live;
        let mut progress = self.answered_progress(index);
        if let Some(progress) = &mut progress {
            progress.conference |= turn::is_focus(response);
            record::note_up(env, out, progress);
            turn::note(env, out, progress);
        }
        let learned =
            self.agreed(index, response, sent, |agreed| live::learn::learn(env, tools, out, agreed, &mut progress));
        self.live = first.or(learned.flatten());
        self.keep_progress(env, tools, out, index, response, progress);
    }

    /// The leg to whoever answered an INVITE that the edge made in the name of a side.
    pub(in super::super) fn new_leg(&self, index: u16, response: &Message) -> Option<Box<LiveLeg>> {
        let sent = self.work.as_ref()?.branches.get(usize::from(index))?.sent.clone();
        self.agreed(index, response, &sent, |agreed| live::learn::far_leg(agreed, None, None)).flatten().map(Box::new)
    }

    /// Gives what a 2xx to an INVITE or UPDATE between owned legs was agreed on.
    fn agreed<T>(
        &self,
        index: u16,
        response: &Message,
        sent: &Bytes,
        tell: impl FnOnce(&Agreed<'_>) -> T,
    ) -> Option<T> {
        let work = self.work.as_ref()?;
        let branch = work.branches.get(usize::from(index))?;
        let crossing = branch.crossing.as_ref()?;
        if !response.cseq().is_ok_and(|cseq| matches!(cseq.method, b"INVITE" | b"UPDATE")) {
            return None;
        }
        let request = Message::reread(&work.request)?;
        let sent = Message::reread(sent);
        let agreed = Agreed {
            edge: &work.edge,
            request: &request,
            sent: sent.as_ref(),
            response,
            crossing,
            from: work.from,
            listener: self.flow.listener,
            hop: &branch.hop,
            leg: branch.leg.as_deref(),
            first: self.live,
            own_requests: match crossing.dialog {
                None => self.own_requests(index, response.to_tag().unwrap_or_default()),
                Some(_) => 0,
            },
        };
        Some(tell(&agreed))
    }

    /// The answer as one of the caller's leg, still with the edge's Via; `None` when both sides are in one dialog.
    pub(super) fn crossed(
        &self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        response: &Message,
    ) -> Option<Message> {
        self.work.as_ref()?.branches.get(usize::from(index))?.crossing.as_ref()?;
        tools.edits.clear();
        self.cross_back(env, tools, out, index, response);
        Message::reread(&tools.edits.apply(response))
    }

    /// Makes the edits that an answer from an owned leg needs; false when what it brings cannot be sealed.
    fn cross_back(&self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, index: u16, response: &Message) -> bool {
        let Some(work) = &self.work else { return true };
        let Some(branch) = work.branches.get(usize::from(index)) else { return true };
        let Some(crossing) = &branch.crossing else { return true };
        let Some(request) = Message::reread(&work.request) else { return false };
        let back = Back {
            edge: &work.edge,
            ring: &env.secrets.ring,
            shelf: env.shelf,
            unix: env.unix,
            request: &request,
            remote: work.remote,
            from: work.from,
            listener: self.flow.listener,
            to: branch.hop.trunk,
            site: branch.leg.as_ref().and_then(|leg| leg.site.as_deref()),
            crossing,
        };
        let Err(reason) = back.edit(response, tools) else { return true };
        let call = response.value(HeaderName::CallId).unwrap_or_default();
        tracing::debug!(call = %CallId::of(env.secrets, call), %reason, status = response.status(), "an answer's Contact is not sealed");
        out.counts.not_sealed.add(reason as usize);
        false
    }

    /// Ends an INVITE's dialog with whoever answered; a copy of the answer has that said again.
    pub(in super::super) fn hang_up(&self, env: &Env<'_>, out: &mut Output, index: u16, response: &Message) {
        let Some(work) = self.work.as_ref().filter(|work| work.invite) else { return };
        let Some(branch) = work.branches.get(usize::from(index)) else { return };
        let Some(sent) = Message::reread(&branch.sent) else { return };
        let (call_id, tag) = (sent.call_id().unwrap_or_default(), response.to_tag().unwrap_or_default());
        for method in [&b"ACK"[..], b"BYE"] {
            let number = env.secrets.number(5, &[call_id, tag, method]);
            let mut via = Vec::with_capacity(96);
            write_own_via(&work.edge, &branch.hop, ViaBranch::Stateless(number), 0, &mut via);
            // Numbers of the edge's own may have been used before.
            let used = if method == b"BYE" { self.own_requests(index, tag) } else { 0 };
            let number = sent.cseq().map_or(0, |cseq| cseq.number) + 1 + used;
            let later = InDialog { method, number, via: &via, headers: b"" };
            let bytes = match used {
                0 => build::after_2xx(&sent, response, method, &via),
                _ => Some(build::in_dialog(&sent, response, &later)),
            };
            if let Some(bytes) = bytes {
                out.commands.push(Command::Request { hop: branch.hop.clone(), bytes, branch: None });
            }
        }
    }

    /// A call that was answered, but whose later requests would not find their way, fails for the caller.
    pub(super) fn refuse_answered(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        (response, sent): (&Message, Bytes),
    ) {
        let Some(branch) = self.branch(index) else { return };
        branch.finish(503);
        branch.own_status = true;
        branch.sent = sent;
        self.hang_up(env, out, index, response);
        if let Some(work) = &mut self.work
            && !work.answered
        {
            Best::offer(&mut work.best, 503, None, tools);
        }
        self.conclude(env, tools, out);
    }
}
